"""A step size that never changes."""

import math
from typing import Any

import torch

from manopt_torch._host import first_failures, uploaded
from manopt_torch.errors import OptionsError, ShapeError
from manopt_torch.manifolds.points import first_leaf
from manopt_torch.plans.options import lane_of, memory_of
from manopt_torch.stepsizes.base import Stepsize
from manopt_torch.stepsizes.lengths import absolute, check_type


class ConstantStepsize(Stepsize):
    r"""Always take the same step size, $s_i = s$.

    Use it where a good length is known, e.g. $1/L$ for an $L$-smooth cost: it costs no evaluation.

    Args:
        length: the step size, a number or one for each problem, shape `(*batch,)`.
        type: "relative" to the length of the direction, or "absolute": $s_i = s / \lVert\eta_i\rVert$, so that every
            move has length $s$.

    Raises:
        OptionsError: if the length is no positive number, or the type unknown; a tensor is judged when a run starts.
        ShapeError: if it is a tensor that does not fit to the batch of the run.

    Examples:
        >>> ConstantStepsize(0.5).length
        0.5
    """

    length: torch.Tensor | float
    type: str

    def __init__(self, length: float | torch.Tensor = 1.0, *, type: str = "relative") -> None:
        if not isinstance(length, torch.Tensor) and not (isinstance(length, (int, float)) and 0 < length < math.inf):
            raise OptionsError(f"ConstantStepsize: length must be a positive number, got {length!r}")
        self.length, self.type = length, check_type(self, type)

    def init(self, p: Any, o: Any) -> Any:
        """Lay the length out over the batch once."""
        lane, length = lane_of(p, o), self.length
        if not isinstance(length, torch.Tensor):
            return {"length": lane.full(float(length))}
        if length.dim() and tuple(length.shape) != lane.shape:
            raise ShapeError(
                f"ConstantStepsize: length has shape {tuple(length.shape)}, the run has batch axes {lane.shape}: pass "
                "a number, or one for each problem"
            )
        if first_failures((length > 0) & (length < math.inf)):
            raise OptionsError(f"ConstantStepsize: length must be positive for every problem, got {length}")
        return {"length": lane.full(lane.scalar(uploaded(length, first_leaf(o.x), length.dtype)))}

    def __call__(self, p: Any, o: Any, i: int, eta: Any = None) -> Any:
        """Return the length, or what moves by it."""
        length = memory_of(self, p, o)["length"]
        return length if self.type == "relative" else absolute(p, o, lane_of(p, o), length, eta)

    def __repr__(self) -> str:
        told = "" if self.type == "relative" else f", type={self.type!r}"
        return f"ConstantStepsize({self.length}{told})"
