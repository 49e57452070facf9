"""Criteria of constrained solvers: how far the iterate is from being stationary on its set."""

from typing import Any

from manopt_torch.errors import OptionsError
from manopt_torch.plans.options import check_range, lane_of
from manopt_torch.plans.stopping.base import StoppingCriterion


class StopWhenGapLess(StoppingCriterion):
    r"""Stop a problem when its Frank-Wolfe gap $-\langle \operatorname{grad} f(x), \log_x q\rangle_x < \varepsilon$.

    The gap is that of the current iterate, also before the first step. For a (geodesically) convex cost it bounds
    $f(x) - f^*$.

    Args:
        eps: the bound.

    Raises:
        OptionsError: if `eps` is negative; at the start of a run, if its options have no gap.
    """

    indicates_convergence = True

    def __init__(self, eps: float) -> None:
        self.eps = eps
        check_range(self, "eps", 0.0, float("inf"), open_low=False)

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare the gap with the bound."""
        return _below(p, o, i, "gap", self)

    def reason(self, o: Any, i: int) -> str:
        """Name the bound."""
        return f"The algorithm reached a Frank-Wolfe gap below {self.eps:g} after {i} iterations."

    def __repr__(self) -> str:
        return f"StopWhenGapLess({self.eps:g})"


class StopWhenStationarityLess(StoppingCriterion):
    r"""Stop a problem when its projected gradient step, in units of the step size, is below $\varepsilon$.

    That is $\lVert \log_x P(\operatorname{retr}_x(-s \operatorname{grad} f(x))) \rVert_x / s$ at the current iterate,
    also before the first step; where no constraint is active it is the gradient norm.

    Args:
        eps: the bound.

    Raises:
        OptionsError: if `eps` is negative; at the start of a run, if its options have no stationarity.
    """

    indicates_convergence = True

    def __init__(self, eps: float) -> None:
        self.eps = eps
        check_range(self, "eps", 0.0, float("inf"), open_low=False)

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare the stationarity with the bound."""
        return _below(p, o, i, "stationarity", self)

    def reason(self, o: Any, i: int) -> str:
        """Name the bound."""
        return f"The algorithm reached a projected gradient below {self.eps:g} after {i} iterations."

    def __repr__(self) -> str:
        return f"StopWhenStationarityLess({self.eps:g})"


class StopWhenGradientMappingNormLess(StoppingCriterion):
    r"""Stop a problem when its last proximal gradient step, in units of the step size, is below $\varepsilon$.

    That is $\lVert \log_a x\rVert_a / s$ for the step from $a$ to $x$; where the cost is smooth it is the gradient norm
    at $a$.

    Args:
        eps: the bound.

    Raises:
        OptionsError: if `eps` is negative; at the start of a run, if its options have no gradient mapping.
    """

    indicates_convergence = True

    def __init__(self, eps: float) -> None:
        self.eps = eps
        check_range(self, "eps", 0.0, float("inf"), open_low=False)

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare the gradient mapping with the bound; before the first step there is none."""
        return _below(p, o, i, "gradient_mapping", self)

    def reason(self, o: Any, i: int) -> str:
        """Name the bound."""
        return f"The algorithm reached a gradient mapping below {self.eps:g} after {i} iterations."

    def __repr__(self) -> str:
        return f"StopWhenGradientMappingNormLess({self.eps:g})"


def _below(p: Any, o: Any, i: int, field: str, criterion: Any) -> Any:
    if i <= 0 and not hasattr(o, field):
        name = type(criterion).__name__
        raise OptionsError(f"{name} needs the field {field}, {type(o).__name__} has none")
    value = getattr(o, field)
    return False if value is None else lane_of(p, o).scalar(value) < criterion.eps
