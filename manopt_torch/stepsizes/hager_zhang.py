"""The line search of Hager and Zhang."""

from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from manopt_torch.errors import OptionsError
from manopt_torch.functional.hager_zhang import HagerZhangRule, hager_zhang
from manopt_torch.functional.linesearch import Found
from manopt_torch.functional.ray import Ray
from manopt_torch.plans.options import check_count, check_range
from manopt_torch.stepsizes.initial_guess import HagerZhangInitialGuess
from manopt_torch.stepsizes.ray_linesearch import RayLinesearch


@dataclass(eq=False, repr=False)
class HagerZhangLinesearch(RayLinesearch):
    r"""Bracket a minimum along the ray and narrow it by secant steps, until Wolfe's conditions hold nearly.

    The search ends where, with $\phi(s) = f(\operatorname{retr}_x(s\eta))$, either $\phi(s) \le \phi(0) + \delta s
    \phi'(0)$ and $\phi'(s) \ge \sigma\phi'(0)$, or approximately $(2\delta - 1)\phi'(0) \ge \phi'(s) \ge
    \sigma\phi'(0)$ and $\phi(s) \le \phi(0) + \epsilon|\phi(0)|$. The second pair asks the slope instead of the cost
    whether the cost falls, so that runs go on where costs differ by rounding only: to gradients of the size of the
    rounding error instead of its root. It allows the cost to rise by $\epsilon|\phi(0)|$ a step.

    A trial whose cost or gradient is not finite counts as too long. The gradient found at the accepted point serves
    the solver.

    Args:
        sufficient_decrease: $\delta \in (0, 1/2)$.
        sufficient_curvature: $\sigma \in [\delta, 1)$.
        tolerance: $\epsilon$.
        expansion: factor between trials as long as there is no bracket.
        contraction: a pair of secant steps has to narrow the bracket by this factor, else it is halved.
        initial_stepsize: the step that counts as the last one in the first iteration.
        initial_guess: first trial of a search.
        max_stepsize: longest $s\lVert\eta\rVert$ tried; None is the injectivity radius.
        max_trials: bound on the trials of one search; after it the best one is taken.
        cost_resolution: how much (in units of rounding, relative to the cost) the cost may miss the first condition.
        retraction_method: retraction for calls without options; in a run the options' own is used.

    Shapes:
        returned step: a number, or `(*batch,)`; every problem has its own number of trials.

    Raises:
        OptionsError: if a parameter is out of its range.

    References:
        [HagerZhang:2005], [HagerZhang:2006b]. Unlike there, both pairs of conditions are looked at from the start.

    Examples:
        >>> import torch
        >>> from manopt_torch import HagerZhangLinesearch, Sphere, steepest_descent
        >>> x = torch.tensor([0.6, 0.8, 0.0], dtype=torch.float64)
        >>> x = steepest_descent(Sphere(3), lambda x: x[..., 2], x, stepsize=HagerZhangLinesearch())
        >>> round(float(x[2]), 6)
        -1.0
    """

    sufficient_decrease: float = 0.1
    sufficient_curvature: float = 0.9
    _: KW_ONLY
    tolerance: float = 1e-6
    expansion: float = 5.0
    contraction: float = 0.66
    initial_stepsize: float = 1.0
    initial_guess: Any = field(default_factory=HagerZhangInitialGuess)
    max_stepsize: float | None = None
    max_trials: int = 50
    cost_resolution: float = 0.5
    retraction_method: str | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_range(self, "sufficient_decrease", 0.0, 0.5)
        check_range(self, "sufficient_curvature", 0.0, 1.0)
        if self.sufficient_curvature < self.sufficient_decrease:
            raise OptionsError(
                "HagerZhangLinesearch: sufficient_curvature must be at least sufficient_decrease, got "
                f"{self.sufficient_curvature} and {self.sufficient_decrease}"
            )
        check_range(self, "tolerance", 0.0, 1.0, open_low=False)
        check_range(self, "expansion", 1.0, float("inf"))
        check_range(self, "contraction", 0.0, 1.0)
        check_count(self, "max_trials", 1)
        self.check_shared()

    def search(self, ray: Ray, step: Any, active: Any) -> Found:
        """Search along a ray."""
        rule = HagerZhangRule(
            self.sufficient_decrease,
            self.sufficient_curvature,
            self.tolerance,
            self.expansion,
            self.contraction,
            self.max_trials,
        )
        return hager_zhang(ray, step, active, rule)
