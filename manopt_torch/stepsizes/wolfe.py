"""The line search for Wolfe's conditions that takes long steps."""

from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from manopt_torch.functional.linesearch import Found
from manopt_torch.functional.ray import Ray
from manopt_torch.functional.wolfe import WolfeRule, wolfe
from manopt_torch.plans.options import check_count, check_range
from manopt_torch.stepsizes.initial_guess import ConstantInitialGuess
from manopt_torch.stepsizes.ray_linesearch import RayLinesearch


@dataclass(eq=False, repr=False)
class WolfeLinesearch(RayLinesearch):
    r"""Double or halve the step until the cost falls enough and its slope is no longer steep, then bisect.

    $$f(\operatorname{retr}_x(s\eta)) \le f(x) + c_1 s \langle \operatorname{grad} f(x), \eta\rangle_x, \qquad
    \langle \operatorname{grad} f(y), T_{x \to y}\eta\rangle_y \ge c_2 \langle \operatorname{grad} f(x),
    \eta\rangle_x$$

    with $y = \operatorname{retr}_x(s\eta)$ and the manifold's transport $T$. The second condition keeps the curvature
    positive that a quasi-Newton method measures along the step. A first trial whose slope is too steep is doubled as
    long as the cost falls enough, also past steps that satisfy both conditions: such steps are long.
    `WolfeBinaryLinesearch` takes the first that satisfies both.

    A trial whose cost or gradient is not finite is a rejection. The gradient found at the accepted point serves the
    solver, so the search costs no more than its trials.

    Args:
        sufficient_decrease: $c_1$.
        sufficient_curvature: $c_2 > c_1$; the larger, the weaker. 0.9 is usual for quasi-Newton directions, 0.1 for
            conjugate gradients.
        initial_stepsize: the step that counts as the last one in the first iteration.
        initial_guess: first trial of a search. The default suits directions of Newton's kind; for gradients
            `ArmijoInitialGuess()`, the last step, needs fewer trials.
        max_stepsize: longest $s\lVert\eta\rVert$ tried; None is the injectivity radius.
        max_increases: bound on the doublings of one search.
        max_trials: bound on all its trials.
        cost_resolution: how much (in units of rounding, relative to the cost) the cost may miss the first condition.
        retraction_method: retraction for calls without options; in a run the options' own is used.

    Shapes:
        returned step: a number, or `(*batch,)`; every problem has its own number of trials.

    Raises:
        OptionsError: if a parameter is out of its range.

    References:
        [Wolfe:1969]; [NocedalWright:2006], section 3.1. Numbers as in Manopt.jl [Bergmann:2022].

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, WolfeLinesearch
        >>> x = torch.tensor([1.0], dtype=torch.float64)
        >>> WolfeLinesearch()(Euclidean(1), x, lambda x: 4 * (x * x).sum(-1), 8 * x)
        0.125
    """

    sufficient_decrease: float = 1e-4
    sufficient_curvature: float = 0.999
    _: KW_ONLY
    initial_stepsize: float = 1.0
    initial_guess: Any = field(default_factory=ConstantInitialGuess)
    max_stepsize: float | None = None
    max_increases: int = 30  # a doubling each: to a billion times the first trial, Manopt's bound
    max_trials: int = 100
    cost_resolution: float = 0.5
    retraction_method: str | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_wolfe(self)

    def search(self, ray: Ray, step: Any, active: Any) -> Found:
        """Search along a ray."""
        return wolfe(ray, step, active, rule_of(self, far=True))


def check_wolfe(search: Any) -> None:
    """Check the parameters of one of these searches."""
    check_range(search, "sufficient_decrease", 0.0, 1.0)
    check_range(search, "sufficient_curvature", search.sufficient_decrease, 1.0)
    check_count(search, "max_increases", 0)
    check_count(search, "max_trials", 1)
    search.check_shared()


def rule_of(search: Any, *, far: bool) -> WolfeRule:
    """Return the numbers of one of these searches."""
    return WolfeRule(
        search.sufficient_decrease, search.sufficient_curvature, far, search.max_increases, search.max_trials
    )
