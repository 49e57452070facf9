"""Criteria of solvers that move several points for each problem."""

from typing import Any

from manopt_torch.manifolds.points import map_leaves
from manopt_torch.plans.distance import distance
from manopt_torch.plans.options import check_range, lane_of
from manopt_torch.plans.stopping.base import StoppingCriterion


class StopWhenPopulationConcentrated(StoppingCriterion):
    r"""Stop a problem when all its points lie together and cost about the same.

    $\max_j |f(x_j) - f(x_0)| \le \varepsilon_f$ and $\max_j d(x_j, x_0) \le \varepsilon_x$, where $x_0$ is the best of
    the points. For solvers whose options have the fields `points` and `costs`.

    Args:
        tol_cost: $\varepsilon_f$.
        tol_x: $\varepsilon_x$.

    Raises:
        OptionsError: if a bound is negative.

    Examples:
        >>> StopWhenPopulationConcentrated(1e-6, 1e-4)
        StopWhenPopulationConcentrated(1e-06, 0.0001)
    """

    tol_cost: float
    tol_x: float

    indicates_convergence = True
    reads = ("points", "costs")

    def __init__(self, tol_cost: float = 1e-8, tol_x: float = 1e-8) -> None:
        self.tol_cost, self.tol_x = tol_cost, tol_x
        for name in ("tol_cost", "tol_x"):
            check_range(self, name, 0.0, float("inf"), open_low=False)

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare the spread of costs and points with the bounds."""
        axis = len(lane_of(p, o).shape)
        spread = (o.costs - o.cost.unsqueeze(-1)).abs().amax(-1)
        best = map_leaves(lambda leaf, at: leaf.unsqueeze(axis).expand_as(at), o.x, o.points)
        width = distance(p.M, best, o.points).amax(-1)
        return (spread <= self.tol_cost) & (width <= self.tol_x)

    def reason(self, o: Any, i: int) -> str:
        """Name the bounds."""
        return (
            f"The points lie within {self.tol_x:g} of the best one and their costs within {self.tol_cost:g} after {i} "
            "iterations."
        )

    def __repr__(self) -> str:
        return f"StopWhenPopulationConcentrated({self.tol_cost:g}, {self.tol_x:g})"


class StopWhenSwarmVelocityLess(StoppingCriterion):
    r"""Stop a problem when no particle moves faster than $\varepsilon$: $\max_k \lVert v_k\rVert < \varepsilon$.

    For solvers whose options have the fields `points` and `velocities`; asked from the first step on.

    Args:
        eps: the bound.

    Raises:
        OptionsError: if `eps` is negative.

    Examples:
        >>> StopWhenSwarmVelocityLess(1e-4)
        StopWhenSwarmVelocityLess(0.0001)
    """

    indicates_convergence = True
    reads = ("points", "velocities")

    def __init__(self, eps: float) -> None:
        self.eps = eps
        check_range(self, "eps", 0.0, float("inf"), open_low=False)

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare the fastest particle with the bound; before the first step all stand still."""
        return p.M.norm(o.points, o.velocities).amax(-1) < self.eps if i > 0 else False

    def reason(self, o: Any, i: int) -> str:
        """Name the bound."""
        return f"The particles move slower than {self.eps:g} after {i} iterations."

    def __repr__(self) -> str:
        return f"StopWhenSwarmVelocityLess({self.eps:g})"
