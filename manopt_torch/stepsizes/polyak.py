"""Polyak's step size."""

import math
from collections.abc import Callable
from typing import Any

import torch

from manopt_torch._host import uploaded
from manopt_torch.errors import OptionsError, ShapeError
from manopt_torch.manifolds.points import first_leaf
from manopt_torch.plans.options import lane_of, memory_of
from manopt_torch.stepsizes.base import Stepsize
from manopt_torch.stepsizes.lengths import squared_length


def _harmonic(i: int) -> float:
    return 1.0 / i


class PolyakStepsize(Stepsize):
    r"""Choose the step by how far the cost is above its minimum, or above an estimate of that.

    $$s_i = \frac{f(x_i) - f^* + \gamma_i}{\lVert g_i\rVert^2}$$

    with a gradient or subgradient $g_i$ and the least cost $f^*$ seen so far, or the estimate given if that is less.
    Where the minimum is known, $\gamma = 0$ makes this the best step size for convex costs with kinks; where it is
    not, $\gamma_i$ with $\sum \gamma_i = \infty$, $\sum \gamma_i^2 < \infty$ makes up for it.

    Args:
        gamma: $\gamma$, a number or a function of the iteration; None is $1 / i$.
        initial_cost_estimate: an estimate of the minimum, a number or one for each problem, shape `(*batch,)`.

    Shapes:
        returned step: a number, or `(*batch,)`.

    Raises:
        OptionsError: if `gamma` is negative or no number or function, or the estimate is no number.
        ShapeError: if the estimate is a tensor that does not fit to the batch of the run.

    References:
        [Bertsekas:2015], section 3.2.

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, PolyakStepsize, steepest_descent
        >>> x = torch.tensor([1.0, 2.0])
        >>> steepest_descent(Euclidean(2), lambda x: (x * x).sum(-1), x, stepsize=PolyakStepsize(0.0)).norm() < 1e-6
        tensor(True)
    """

    initial_cost_estimate: torch.Tensor | float

    def __init__(
        self,
        gamma: float | Callable[[int], float] | None = None,
        *,
        initial_cost_estimate: float | torch.Tensor = 0.0,
    ) -> None:
        gamma = _harmonic if gamma is None else gamma
        if not callable(gamma) and not (isinstance(gamma, (int, float)) and 0 <= gamma < math.inf):
            raise OptionsError(f"PolyakStepsize: gamma must be a number >= 0 or a function of i, got {gamma!r}")
        estimate = initial_cost_estimate
        if not isinstance(estimate, torch.Tensor) and not (
            isinstance(estimate, (int, float)) and math.isfinite(estimate)
        ):
            raise OptionsError(f"PolyakStepsize: initial_cost_estimate must be a number, got {estimate!r}")
        self.gamma, self.initial_cost_estimate = gamma, estimate

    def init(self, p: Any, o: Any) -> Any:
        """Begin with the estimate."""
        lane, estimate = lane_of(p, o), self.initial_cost_estimate
        if not isinstance(estimate, torch.Tensor):
            return {"best": lane.full(float(estimate))}
        if estimate.dim() and tuple(estimate.shape) != lane.shape:
            raise ShapeError(
                f"PolyakStepsize: initial_cost_estimate has shape {tuple(estimate.shape)}, the run has batch axes "
                f"{lane.shape}: pass a number, or one for each problem"
            )
        return {"best": lane.full(lane.scalar(uploaded(estimate, first_leaf(o.x), estimate.dtype)))}

    def __call__(self, p: Any, o: Any, i: int, eta: Any = None) -> Any:
        """Return the step size; zero where the gradient is zero."""
        lane, memory = lane_of(p, o), memory_of(self, p, o)
        value = lane.scalar(o.cost if o.cost is not None else p.get_cost(o.x))
        memory["best"] = lane.where(value < memory["best"], value, memory["best"])
        squared = squared_length(p, o, lane, eta)
        gamma = self.gamma(max(i, 1)) if callable(self.gamma) else self.gamma
        step = lane.div(value - memory["best"] + gamma, squared)
        return lane.where(squared > 0.0, step, 0.0)

    def __repr__(self) -> str:
        gamma = "" if self.gamma is _harmonic else f"{self.gamma!r}, "
        return f"PolyakStepsize({gamma}initial_cost_estimate={self.initial_cost_estimate})"
