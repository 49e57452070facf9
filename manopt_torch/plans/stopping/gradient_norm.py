"""Criteria on the length of the gradient."""

from typing import Any

from manopt_torch.plans.options import check_range, lane_of
from manopt_torch.plans.stopping.base import StoppingCriterion


class StopWhenGradientNormLess(StoppingCriterion):
    r"""Stop a problem when $\lVert \operatorname{grad} f(x) \rVert_x < \varepsilon$.

    The gradient is the one at the current iterate, also before the first step.

    Args:
        eps: the bound.

    Raises:
        OptionsError: if `eps` is negative.
    """

    indicates_convergence = True

    def __init__(self, eps: float) -> None:
        self.eps = eps
        check_range(self, "eps", 0.0, float("inf"), open_low=False)

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare the gradient's length with the bound."""
        gradient = o.gradient if o.gradient is not None else p.get_gradient(o.x)
        return lane_of(p, o).scalar(p.M.norm(o.x, gradient)) < self.eps

    def reason(self, o: Any, i: int) -> str:
        """Name the bound."""
        return f"The algorithm reached a gradient norm below {self.eps:g} after {i} iterations."

    def __repr__(self) -> str:
        return f"StopWhenGradientNormLess({self.eps:g})"
