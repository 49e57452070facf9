"""The step size distance over gradients."""

from dataclasses import KW_ONLY, dataclass
from typing import Any

import torch

from manopt_torch.plans.distance import distance
from manopt_torch.plans.options import check_range, lane_of, memory_of
from manopt_torch.stepsizes.base import Stepsize, told
from manopt_torch.stepsizes.lengths import squared_length


@dataclass(eq=False, repr=False)
class DistanceOverGradients(Stepsize):
    r"""Divide the longest way from the start by the root of the sum of squared gradients.

    $$s_i = \frac{\bar r_i}{\sqrt{\zeta_\kappa(\bar r_i)}\sqrt{\sum_{j \le i}\lVert g_j\rVert^2}}, \qquad
    \bar r_i = \max\bigl(\epsilon, \max_{j \le i} d(x_1, x_j)\bigr)$$

    where $x_1$ is the start; on a manifold without logarithm the length of the tangent vector that an inverse
    retraction finds stands for the distance. The factor
    $\zeta_\kappa(r) = \sqrt{-\kappa}\,r / \tanh(\sqrt{-\kappa}\,r)$ accounts for sectional curvature of at least
    $\kappa < 0$; it is 1 for $\kappa \ge 0$. No parameter has to be tuned: use it for stochastic gradients, where a
    search is impossible and the scale of good steps unknown.

    Args:
        initial_distance: $\epsilon$; too small a value costs some iterations, too large a one is dangerous.
        sectional_curvature_bound: $\kappa$; 0 leaves curvature out.

    Shapes:
        returned step: a number, or `(*batch,)`.

    Raises:
        OptionsError: if the distance is not positive, or the bound is above 0.

    References:
        [DoddSharrockNemeth:2024]; [IvgiHinderCarmon:2023].

    Examples:
        >>> DistanceOverGradients(1e-2)
        DistanceOverGradients(initial_distance=0.01)
    """

    initial_distance: float = 1e-3
    _: KW_ONLY
    sectional_curvature_bound: float = 0.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_range(self, "initial_distance", 0.0, float("inf"))
        check_range(self, "sectional_curvature_bound", -float("inf"), 0.0, open_high=False)

    def init(self, p: Any, o: Any) -> Any:
        """Start here, with no gradient seen."""
        lane = lane_of(p, o)
        return {
            "start": o.x,
            "distance": lane.full(float(self.initial_distance)),
            "gradients": lane.full(0.0),
            "seen": None,
        }

    def __call__(self, p: Any, o: Any, i: int, eta: Any = None) -> Any:
        """Return the step size; asked again in the same iteration, the same."""
        lane, memory = lane_of(p, o), memory_of(self, p, o)
        if i != memory["seen"]:
            if memory["seen"] is not None:
                far = lane.scalar(distance(p.M, memory["start"], o.x))
                # NaN, where the logarithm is not defined, is no distance
                memory["distance"] = lane.where(far > memory["distance"], far, memory["distance"])
            active = lane.full(True) if o.active is None else o.active
            seen = memory["gradients"] + squared_length(p, o, lane, eta)
            memory["gradients"] = lane.where(active, seen, memory["gradients"])
            memory["seen"] = i
        step = lane.div(memory["distance"], lane.sqrt(memory["gradients"]))
        if self.sectional_curvature_bound < 0.0:
            factor = _curvature_factor(lane, -self.sectional_curvature_bound, memory["distance"])
            step = lane.div(step, lane.sqrt(factor))
        return lane.where(memory["gradients"] > 0.0, step, 0.0)

    def __repr__(self) -> str:
        return told(self)


def _curvature_factor(lane: Any, curvature: float, distance: Any) -> Any:
    r"""Return $r / \tanh r$ of the scaled distance, which is positive."""
    r = curvature**0.5 * distance
    # torch's function in both lanes, so that a lone run agrees with its batch
    tanh = torch.tanh(torch.tensor(r, dtype=torch.float64, device="cpu") if lane.lone else r)
    return lane.div(r, lane.scalar(tanh))
