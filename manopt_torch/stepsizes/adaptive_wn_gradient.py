"""The adaptive step size of Grapiglia and Stella."""

from dataclasses import KW_ONLY, dataclass
from typing import Any

from manopt_torch.plans.options import check_count, check_range, lane_of, memory_of
from manopt_torch.stepsizes.base import Stepsize, told
from manopt_torch.stepsizes.lengths import squared_length


@dataclass(eq=False, repr=False)
class AdaptiveWNGradient(Stepsize):
    r"""Divide by a number that grows with the gradients seen, and falls when they have become short.

    $s_i = 1 / b_i$ with $b_{i} = b_{i-1} + \lVert g_i\rVert^2 / b_{i-1}$, from $b_1 = b$. When the gradient has been
    shorter than $\alpha\omega$ for $\hat c$ iterations in a row, $b_i$ is instead $\min(b, \max(b_{\min}, b_{i-1} /
    (3\hat c)))$, and $\omega$, at first the length of the gradient at the start, becomes that of the present one. No
    evaluation of the cost, and no knowledge of the Lipschitz constant of the gradient.

    Args:
        gradient_reduction: $\alpha \in [0, 1)$; 0 is the plain WNGrad, whose steps never grow.
        count_threshold: $\hat c$.
        gradient_bound: $b$; None is the length of the gradient at the start, which makes the first step one of
            length 1 and does not depend on how the cost is scaled.
        minimal_bound: $b_{\min}$.

    Shapes:
        returned step: a number, or `(*batch,)`.

    Raises:
        OptionsError: if a parameter is out of its range.

    References:
        [GrapigliaStella:2023]; [WuWardBottou:2018].

    Examples:
        >>> AdaptiveWNGradient(gradient_bound=2.0)
        AdaptiveWNGradient(gradient_bound=2.0)
    """

    gradient_reduction: float = 0.9
    _: KW_ONLY
    count_threshold: int = 4
    gradient_bound: float | None = None
    minimal_bound: float = 1e-4

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_range(self, "gradient_reduction", 0.0, 1.0, open_low=False)
        check_count(self, "count_threshold", 1)
        check_range(self, "minimal_bound", 0.0, float("inf"))
        if self.gradient_bound is not None:
            check_range(self, "gradient_bound", self.minimal_bound, float("inf"), open_low=False)

    def init(self, p: Any, o: Any) -> Any:
        """Know no gradient yet."""
        lane = lane_of(p, o)
        zero = lane.full(0.0)
        return {"first": zero, "bound": zero, "weight": zero, "count": zero, "seen": None}

    def __call__(self, p: Any, o: Any, i: int, eta: Any = None) -> Any:
        """Return the step size; asked again in the same iteration, the same."""
        lane, memory = lane_of(p, o), memory_of(self, p, o)
        if i != memory["seen"]:
            self._update(
                lane, memory, squared_length(p, o, lane, eta), lane.full(True) if o.active is None else o.active
            )
            memory["seen"] = i
        return lane.div(1.0, memory["bound"])

    def _update(self, lane: Any, memory: Any, squared: Any, active: Any) -> None:
        """Take the gradient into account; a bound of zero is one that has not been set yet."""
        length, bound, n = lane.sqrt(squared), memory["bound"], float(self.count_threshold)
        fresh = bound <= 0.0
        weight = lane.where(length > 0.0, length, 1.0)
        start = lane.max(weight, self.minimal_bound) if self.gradient_bound is None else self.gradient_bound
        first = lane.where(fresh, start, memory["first"])

        short = lane.not_(fresh) & (length < self.gradient_reduction * memory["weight"])
        falls = short & (memory["count"] + 1.0 >= n)
        lower = lane.min(lane.max(bound * (1.0 / (3.0 * n)), self.minimal_bound), first)
        following = lane.where(falls, lower, bound + lane.div(squared, bound))
        following = lane.where(fresh, first, following)
        count = lane.where(short & lane.not_(falls), memory["count"] + 1.0, 0.0)
        weight = lane.where(fresh | falls, weight, memory["weight"])
        for name, value in (("bound", following), ("first", first), ("weight", weight), ("count", count)):
            memory[name] = lane.where(active, value, memory[name])

    def __repr__(self) -> str:
        return told(self)
