"""The line search by cubic interpolation in a bracket."""

from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from manopt_torch.functional.cubic_bracketing import CubicRule, cubic_bracketing
from manopt_torch.functional.linesearch import Found
from manopt_torch.functional.ray import Ray
from manopt_torch.plans.options import check_count, check_range
from manopt_torch.stepsizes.initial_guess import ArmijoInitialGuess
from manopt_torch.stepsizes.ray_linesearch import RayLinesearch


@dataclass(eq=False, repr=False)
class CubicBracketingLinesearch(RayLinesearch):
    r"""Find a step at which the slope along the ray is nearly zero, by cubics in a bracket.

    With $\phi(s) = f(\operatorname{retr}_x(s\eta))$ the search ends where $|\phi'(s)| < \kappa|\phi'(0)|$ and
    $\phi(s) \le \phi(0)$, or where the bracket is narrow. Steps grow from the last one until two of them enclose a
    minimum; the bracket is divided at the minimum of the cubic with the costs and slopes of its ends. Use it where
    directions are few and dear, so that a nearly exact minimum along each pays, e.g. for quasi-Newton methods.

    A trial whose cost or gradient is not finite counts as too long. The gradient found at the accepted point serves
    the solver.

    Args:
        sufficient_curvature: $\kappa \in (0, 1)$.
        stepsize_increase: factor between trials as long as there is no bracket.
        min_bracket_width: width at which the search ends, and least distance of a trial from the ends; relative to
            the longer end where that is below 1.
        hybrid: whether trials that narrow the bracket too little are followed by its middle.
        initial_stepsize: first step to try in a run.
        initial_guess: first trial of a search.
        max_stepsize: longest $s\lVert\eta\rVert$ tried; None is the injectivity radius.
        max_trials: bound on the trials of one search.
        cost_resolution: how much (in units of rounding, relative to the cost) the cost may exceed $\phi(0)$.
        retraction_method: retraction for calls without options; in a run the options' own is used.

    Shapes:
        returned step: a number, or `(*batch,)`; every problem has its own number of trials.

    Raises:
        OptionsError: if a parameter is out of its range.

    References:
        [Hager:1989]. Numbers as in Manopt.jl [Bergmann:2022]; unlike there, the best trial is taken, not the last.

    Examples:
        >>> import torch
        >>> from manopt_torch import CubicBracketingLinesearch, Euclidean
        >>> x = torch.tensor([1.0], dtype=torch.float64)
        >>> round(CubicBracketingLinesearch()(Euclidean(1), x, lambda x: 2 * (x * x).sum(-1), 4 * x), 6)
        0.25
    """

    sufficient_curvature: float = 0.2
    _: KW_ONLY
    stepsize_increase: float = 1.5
    min_bracket_width: float = 1e-4
    hybrid: bool = True
    initial_stepsize: float = 1.0
    initial_guess: Any = field(default_factory=ArmijoInitialGuess)
    max_stepsize: float | None = None
    max_trials: int = 100
    cost_resolution: float = 0.5
    retraction_method: str | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_range(self, "sufficient_curvature", 0.0, 1.0)
        check_range(self, "stepsize_increase", 1.0, float("inf"))
        check_range(self, "min_bracket_width", 0.0, float("inf"), open_low=False)
        check_count(self, "max_trials", 1)
        self.check_shared()

    def search(self, ray: Ray, step: Any, active: Any) -> Found:
        """Search along a ray."""
        rule = CubicRule(
            self.stepsize_increase, self.sufficient_curvature, self.min_bracket_width, self.hybrid, self.max_trials
        )
        return cubic_bracketing(ray, step, active, rule)
