"""The criterion of primal-dual solvers."""

from typing import Any

from manopt_torch.errors import OptionsError
from manopt_torch.plans.options import check_range, lane_of
from manopt_torch.plans.stopping.base import StoppingCriterion


class StopWhenPrimalDualResidualLess(StoppingCriterion):
    r"""Stop a problem when its primal and its dual residual are both below $\varepsilon$.

    They are the lengths of what is left of the two optimality conditions $0 \in \partial F(x) + P_{m \to x} A^* \xi$
    and $0 \in \partial G_n^*(\xi) - a(x)$, see `chambolle_pock`; both are zero at a saddle point and nowhere else.

    Args:
        eps: the bound.

    Raises:
        OptionsError: if `eps` is negative; at the start of a run, if its options have no such residuals.

    References:
        [BergmannHerzogEtAl:2021].

    Examples:
        >>> from manopt_torch import StopWhenPrimalDualResidualLess
        >>> StopWhenPrimalDualResidualLess(1e-6)
        StopWhenPrimalDualResidualLess(1e-06)
    """

    indicates_convergence = True

    def __init__(self, eps: float) -> None:
        self.eps = eps
        check_range(self, "eps", 0.0, float("inf"), open_low=False)

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare the residuals with the bound; before they are known there is nothing to compare."""
        fields = ("primal_residual", "dual_residual")
        if i <= 0 and not all(hasattr(o, field) for field in fields):
            raise OptionsError(
                f"StopWhenPrimalDualResidualLess needs the fields {' and '.join(fields)}, {type(o).__name__} has not "
                "both"
            )
        primal, dual = (getattr(o, field) for field in fields)
        if primal is None or dual is None:
            return False
        scalar = lane_of(p, o).scalar
        return (scalar(primal) < self.eps) & (scalar(dual) < self.eps)

    def reason(self, o: Any, i: int) -> str:
        """Name the bound."""
        return f"The algorithm reached primal and dual residuals below {self.eps:g} after {i} iterations."

    def __repr__(self) -> str:
        return f"StopWhenPrimalDualResidualLess({self.eps:g})"
