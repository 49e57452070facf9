"""Criteria of bundle methods."""

from typing import Any

from manopt_torch.errors import OptionsError
from manopt_torch.plans.options import check_range, lane_of
from manopt_torch.plans.stopping.base import StoppingCriterion


class StopWhenLagrangeMultiplierLess(StoppingCriterion):
    r"""Stop a problem when the decrease that its bundle predicts is at most $\varepsilon$.

    That is the multiplier $-\xi = \lVert g\rVert^2 + \sum_j \lambda_j e_j$ of the convex, $-\nu = \mu \lVert
    d\rVert^2 + \sum_j \lambda_j c_j$ of the proximal bundle method, as the last step found it. Both of its terms
    have to be small for a point to be (nearly) a minimum; with `norm` they are judged apart.

    Args:
        eps: the bound of the multiplier; with `norm` that of the combined linearisation errors.
        norm: the bound of the length of the combined subgradient (of the step $d$ in the proximal bundle method);
            None looks at the multiplier.

    Raises:
        OptionsError: if a bound is negative; at the start of a run, if its options have no multiplier.

    Examples:
        >>> StopWhenLagrangeMultiplierLess(1e-8)
        StopWhenLagrangeMultiplierLess(1e-08)
    """

    eps: float
    norm: float | None

    indicates_convergence = True

    def __init__(self, eps: float, norm: float | None = None) -> None:
        self.eps, self.norm = eps, norm
        for name in ("eps", "norm") if norm is not None else ("eps",):
            check_range(self, name, 0.0, float("inf"), open_low=False)

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare the multiplier, or its parts, with the bounds; before the first step there is none."""
        if not hasattr(o, "multiplier"):
            raise OptionsError(
                f"StopWhenLagrangeMultiplierLess needs the field multiplier, {type(o).__name__} has none"
            )
        if i <= 0 or o.multiplier is None:
            return False
        lane = lane_of(p, o)
        if self.norm is None:
            return lane.scalar(o.multiplier) <= self.eps
        return (lane.scalar(o.error) <= self.eps) & (lane.scalar(o.direction_norm) <= self.norm)

    def reason(self, o: Any, i: int) -> str:
        """Name the bounds."""
        if self.norm is None:
            return f"The algorithm reached a Lagrange multiplier below {self.eps:g} after {i} iterations."
        return (
            f"The algorithm reached linearisation errors below {self.eps:g} and a subgradient below {self.norm:g} "
            f"after {i} iterations."
        )

    def __repr__(self) -> str:
        more = "" if self.norm is None else f", {self.norm:g}"
        return f"StopWhenLagrangeMultiplierLess({self.eps:g}{more})"
