"""A step size that never changes."""

from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.plans.options import lane_of, memory_of
from manopt_torch.stepsizes.base import Stepsize


class ConstantStepsize(Stepsize):
    r"""Always take the same step size, $s_i = s$.

    Use it where a good length is known, e.g. $1/L$ for an $L$-smooth cost: it costs no evaluation.

    Args:
        length: the step size, a number or one for each problem, shape `(*batch,)`.

    Raises:
        OptionsError: if the length is no positive number.

    Examples:
        >>> ConstantStepsize(0.5).length
        0.5
    """

    def __init__(self, length: float | torch.Tensor = 1.0) -> None:
        if not isinstance(length, torch.Tensor) and not (isinstance(length, (int, float)) and length > 0):
            raise OptionsError(f"ConstantStepsize: length must be a positive number, got {length!r}")
        self.length = length

    def init(self, p: Any, o: Any) -> Any:
        """Lay the length out over the batch once."""
        return {"length": lane_of(p, o).full(self.length if isinstance(self.length, torch.Tensor) else float(self.length))}

    def __call__(self, p: Any, o: Any, i: int, eta: Any = None) -> Any:
        """Return the length."""
        return memory_of(self, p, o)["length"]

    def __repr__(self) -> str:
        return f"ConstantStepsize({self.length})"
