"""The criterion of solvers that keep multipliers: how far the iterate is from a Karush-Kuhn-Tucker point."""

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
