"""Criteria of solvers that keep multipliers: whether the iterate is a Karush-Kuhn-Tucker point, or rests at another."""

from typing import Any

from manopt_torch.errors import OptionsError
from manopt_torch.plans.options import check_range, lane_of
from manopt_torch.plans.stopping.base import StoppingCriterion


class StopWhenKKTResidualLess(StoppingCriterion):
    r"""Stop a problem when its Karush-Kuhn-Tucker residual is below $\varepsilon$.

    $$\lVert\operatorname{grad}_x \mathcal L(x, \mu, \lambda)\rVert^2 + \sum_i \bigl((\mu_i^-)^2 + (g_i^+)^2 + (\mu_i
    g_i)^2\bigr) + \sum_j h_j^2 < \varepsilon^2$$

    with the Lagrangian $\mathcal L = f + \mu' g + \lambda' h$, at the current iterate, also before the first step.

    Args:
        eps: the bound.

    Raises:
        OptionsError: if `eps` is negative; at the start of a run, if its options keep no such residual.
    """

    indicates_convergence = True

    def __init__(self, eps: float) -> None:
        self.eps = eps
        check_range(self, "eps", 0.0, float("inf"), open_low=False)

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare the residual with the bound."""
        if i <= 0 and not hasattr(o, "kkt_residual"):
            raise OptionsError(
                f"StopWhenKKTResidualLess needs the field kkt_residual, {type(o).__name__} has none: it is for "
                "solvers with multipliers such as AugmentedLagrangianOptions"
            )
        return False if o.kkt_residual is None else lane_of(p, o).scalar(o.kkt_residual) < self.eps

    def reason(self, o: Any, i: int) -> str:
        """Name the bound."""
        return f"The algorithm reached a KKT residual below {self.eps:g} after {i} iterations."

    def __repr__(self) -> str:
        return f"StopWhenKKTResidualLess({self.eps:g})"


class StopAtRestUnsolved(StoppingCriterion):
    r"""Stop a problem that is at rest without being solved; this is no convergence, and the reason says why.

    A problem is at rest where its solver has stagnated or another criterion holds. It is infeasible where its largest
    violation $\max(g_i^+, \lvert h_j\rvert)$ is at least $\varepsilon$; else it is unsolved where its residual, that of
    `StopWhenKKTResidualLess`, is at least $\varepsilon$. Two such criteria tell the two apart.

    Args:
        eps: the bound.
        feasible: which problems it stops: those that are infeasible, or those that are feasible and yet unsolved.
        rest: the other criterion; None if there is none.

    Raises:
        OptionsError: if `eps` is negative; at the start of a run, if its options keep no such violation and residual.

    Examples:
        >>> from manopt_torch import StopWhenChangeLess
        >>> StopAtRestUnsolved(1e-4, feasible=False, rest=StopWhenChangeLess(1e-6)).indicates_convergence
        False
    """

    reads = ("violation", "kkt_residual")

    def __init__(self, eps: float, *, feasible: bool, rest: StoppingCriterion | None = None) -> None:
        self.eps, self.feasible, self.rest = eps, feasible, rest
        check_range(self, "eps", 0.0, float("inf"), open_low=False)

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Tell where a problem is at rest, and what it lacks."""
        resting = o.stagnated if self.rest is None else o.stagnated | self.rest.answer(p, o, i)
        if resting is False:
            return False
        lane = lane_of(p, o)
        violation = lane.scalar(o.violation)
        if not self.feasible:
            return resting & (violation >= self.eps)
        return resting & (violation < self.eps) & (lane.scalar(o.kkt_residual) >= self.eps)

    def reason(self, o: Any, i: int) -> str:
        """Say what the point lacks."""
        lacks = (
            f"a feasible point whose KKT residual is {self.eps:g} or more"
            if self.feasible
            else f"an infeasible point, where a constraint is violated by {self.eps:g} or more"
        )
        return f"The algorithm stagnated at {lacks}, after {i} iterations."

    def __repr__(self) -> str:
        rest = "" if self.rest is None else f", rest={self.rest!r}"
        return f"StopAtRestUnsolved({self.eps:g}, feasible={self.feasible}{rest})"
