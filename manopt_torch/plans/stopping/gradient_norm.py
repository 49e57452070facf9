"""Criteria on the length of the gradient."""

from typing import Any

from manopt_torch.plans.gradient_norm import gradient_norm
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
        return gradient_norm(p, o) < self.eps

    def reason(self, o: Any, i: int) -> str:
        """Name the bound."""
        return f"The algorithm reached a gradient norm below {self.eps:g} after {i} iterations."

    def __repr__(self) -> str:
        return f"StopWhenGradientNormLess({self.eps:g})"


class StopWhenRelativeGradientNormLess(StoppingCriterion):
    r"""Stop a problem when the gradient is short compared with that at the start.

    $\lVert \operatorname{grad} f(x_i)\rVert < \varepsilon \lVert \operatorname{grad} f(x_0)\rVert$ with the start
    $x_0$ of the run. Unlike a bound on the norm itself it does not depend on the scale of the cost, but it asks for
    more the better the start is: combine it, as in `StopWhenRelativeGradientNormLess(1e-6) |
    StopWhenGradientNormLess(1e-10)`.

    Args:
        eps: the factor.

    Raises:
        OptionsError: if `eps` is negative.
    """

    indicates_convergence = True
    repeatable = True

    def __init__(self, eps: float) -> None:
        self.eps = eps
        check_range(self, "eps", 0.0, float("inf"), open_low=False)

    def init(self, p: Any, o: Any) -> Any:
        """Remember the length of the gradient at the start."""
        return {"first": gradient_norm(p, o)}

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare the gradient's length with that at the start."""
        return gradient_norm(p, o) < self.eps * self.remembered(p, o, i)["first"]

    def reason(self, o: Any, i: int) -> str:
        """Name the factor."""
        return f"The algorithm reduced the gradient norm by a factor of {self.eps:g} after {i} iterations."

    def __repr__(self) -> str:
        return f"StopWhenRelativeGradientNormLess({self.eps:g})"


class StopWhenSubgradientNormLess(StoppingCriterion):
    r"""Stop a problem when its subgradient satisfies $\lVert \partial f(x_i) \rVert < \varepsilon$, $i \ge 1$.

    The subgradient is the one the solver holds at the current iterate. Near a minimum with a kink subgradients need
    not be short, so that the criterion may never hold.

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
        """Compare the subgradient's length with the bound."""
        if i <= 0:
            return False
        subgradient = o.gradient if o.gradient is not None else p.get_subgradient(o.x)
        return lane_of(p, o).scalar(p.M.norm(o.x, subgradient)) < self.eps

    def reason(self, o: Any, i: int) -> str:
        """Name the bound."""
        return f"The algorithm reached a subgradient norm below {self.eps:g} after {i} iterations."

    def __repr__(self) -> str:
        return f"StopWhenSubgradientNormLess({self.eps:g})"
