"""The line search for Wolfe's conditions by plain bisection."""

from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from manopt_torch.functional.linesearch import Found
from manopt_torch.functional.ray import Ray
from manopt_torch.functional.wolfe import wolfe
from manopt_torch.stepsizes.initial_guess import ConstantInitialGuess
from manopt_torch.stepsizes.ray_linesearch import RayLinesearch
from manopt_torch.stepsizes.wolfe import check_wolfe, rule_of


@dataclass(eq=False, repr=False)
class WolfeBinaryLinesearch(RayLinesearch):
    r"""Bisect until Wolfe's conditions hold, and take the first step that satisfies both.

    The conditions are those of `WolfeLinesearch`. A step at which the cost does not fall enough bounds the bracket
    from above, one with a slope still too steep from below; the next trial is the middle, or twice the step as long
    as there is no upper bound.

    Args:
        sufficient_decrease: $c_1$.
        sufficient_curvature: $c_2 > c_1$.
        initial_stepsize: see `WolfeLinesearch`, as for the following.
        initial_guess: first trial of a search.
        max_stepsize: longest $s\lVert\eta\rVert$ tried; None is the injectivity radius.
        max_increases: bound on the doublings of one search.
        max_trials: bound on all its trials.
        cost_resolution: how much the cost may miss the first condition.
        retraction_method: retraction for calls without options.

    Shapes:
        returned step: a number, or `(*batch,)`.

    Raises:
        OptionsError: if a parameter is out of its range.

    References:
        [Huang:2014], algorithm 7; [LewisOverton:2013]. Unlike in Manopt.jl, no bound on the step but the one given
        ends the bisection.

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, WolfeBinaryLinesearch
        >>> x = torch.tensor([1.0], dtype=torch.float64)
        >>> WolfeBinaryLinesearch()(Euclidean(1), x, lambda x: 2 * (x * x).sum(-1), 4 * x)
        0.25
    """

    sufficient_decrease: float = 1e-4
    sufficient_curvature: float = 0.999
    _: KW_ONLY
    initial_stepsize: float = 1.0
    initial_guess: Any = field(default_factory=ConstantInitialGuess)
    max_stepsize: float | None = None
    max_increases: int = 30
    max_trials: int = 100
    cost_resolution: float = 0.5
    retraction_method: str | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_wolfe(self)

    def search(self, ray: Ray, step: Any, active: Any) -> Found:
        """Search along a ray."""
        return wolfe(ray, step, active, rule_of(self, far=False))
