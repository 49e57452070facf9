"""Backtracking by parabolas, with a first trial that is mostly the last one."""

import math
from dataclasses import KW_ONLY, dataclass
from functools import lru_cache, partial
from typing import Any

import torch

from manopt_torch.functional.linesearch import Found, Trial, rounding
from manopt_torch.functional.masked import lane_for
from manopt_torch.functional.parabolic import ParabolicRule, parabolic
from manopt_torch.manifolds.base import Manifold
from manopt_torch.plans.options import check_count, check_range, lane_of, memory_of
from manopt_torch.problems.base import check_cost
from manopt_torch.stepsizes.base import probes, told
from manopt_torch.stepsizes.conjugate_bend import are_conjugate, expected_bend, learn_bend, nothing_seen
from manopt_torch.stepsizes.two_faced import (
    TwoFacedLinesearch,
    Way,
    capped,
    downhill,
    note_stagnation,
    smallest_step,
    way_along,
)

# the cost must bend by more roundings than this, else the curvature would be noise
_VISIBLE_BEND = 8.0


@dataclass(eq=False, repr=False)
class ParabolicLinesearch(TwoFacedLinesearch):
    r"""Learn the curvature along the way, and step to the minimum of the parabola that has it.

    The cost at the start, the slope there and the cost at a trial are those of a parabola. Its curvature
    $L \lVert\eta\rVert^2$ gives the first trial of the next search, $s = -\langle\operatorname{grad} f(x), \eta\rangle
    / (L \lVert\eta\rVert^2)$; conjugate gradients have a relation between the curvatures of their directions, which has
    its share in it (see `stepsizes/conjugate_bend.py`). A trial that misses Armijo's rule
    $f(\operatorname{retr}_x(s\eta)) \le f(x) + c\,s\,\langle \operatorname{grad} f(x), \eta\rangle_x$ is followed by
    one at the minimum of its parabola, and so is, once, a trial much shorter than that. For `conjugate_gradient`,
    whose directions need steps close to the minimum: most searches take one evaluation, where backtracking by a
    fixed factor takes two.

    A non-finite cost is a rejection. A problem for which no step decreases the cost ends as stagnated.

    Args:
        initial_stepsize: first trial of a run along minus the gradient.
        sufficient_decrease: $c \in (0, 1/2)$; on a parabola steps beyond $2 - 2 c$ times the best are refused.
        growth_threshold: a trial shorter than the best step by more than this factor is tried again there; the default
            is the bound for longer ones.
        max_stepsize: longest first trial $s\lVert\eta\rVert$ of a search; None is the injectivity radius.
        max_decreases: bound on the shrinking rounds.
        cost_resolution: how much (in units of rounding, relative to the cost) the cost may miss the rule.
        retraction_method: retraction for calls without options; in a run the options' own is used.

    Shapes:
        returned step: a number, or `(*batch,)`; every problem has its own number of trials.

    Raises:
        OptionsError: if a parameter is out of its range.

    References:
        [NocedalWright:2006], section 3.5.

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, ParabolicLinesearch
        >>> x = torch.tensor([1.0], dtype=torch.float64)
        >>> ParabolicLinesearch()(Euclidean(1), x, lambda x: 2 * (x * x).sum(-1), 4 * x)
        0.25
    """

    initial_stepsize: float = 1.0
    sufficient_decrease: float = 0.4
    _: KW_ONLY
    growth_threshold: float = 1.2
    max_stepsize: float | None = None
    max_decreases: int = 60
    cost_resolution: float = 0.5
    retraction_method: str | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_range(self, "initial_stepsize", 0.0, float("inf"))
        check_range(self, "sufficient_decrease", 0.0, 0.5)
        check_range(self, "growth_threshold", 1.0, float("inf"), open_high=False)
        if self.max_stepsize is not None:
            check_range(self, "max_stepsize", 0.0, float("inf"), open_high=False)
        check_count(self, "max_decreases", 1)
        check_range(self, "cost_resolution", 0.0, float("inf"), open_low=False)

    def init(self, p: Any, o: Any) -> Any:
        """Start from the curvature for which the initial step size is the best."""
        lane = lane_of(p, o)
        memory = {"curvature": lane.full(1.0 / self.initial_stepsize)}
        return memory | nothing_seen(lane) if are_conjugate(o) else memory

    def _search_in_run(self, p: Any, o: Any, i: int, eta: Any = None) -> Any:
        lane, memory = lane_of(p, o), memory_of(self, p, o)
        cost, gradient = o.cost, o.gradient
        if cost is None or gradient is None:  # called by hand before the run was initialised
            cost, gradient = p.get_cost_and_gradient(o.x)
            eta = lane.scale(-1.0, gradient) if eta is None else eta
        active = lane.full(True) if o.active is None else o.active
        way = downhill(p, o) if eta is None else way_along(p.M, lane, o.x, gradient, eta, o.along)
        bend = memory["curvature"] * way[2]
        if "quotient" in memory:
            bend = expected_bend(lane, o, memory, bend)
        found, best, searching = self._search(p.M, lane, o.x, cost, way, bend, active, probes(p, o, eta))
        met = lane.div(-way[1], best)
        sensible = searching & (met > 0.0) & (met < math.inf)
        memory["curvature"] = lane.where(sensible, lane.div(met, way[2]), memory["curvature"])
        if "quotient" in memory:  # a best step that is the step taken: rounding has hidden how the cost bends
            learn_bend(lane, o, memory, met, sensible & (best != found.step))
        o.trial = found.trial
        note_stagnation(o, i, way[0], found)
        return found.step

    def _search_alone(self, M: Manifold, x: Any, F: Any, gradient: Any, eta: Any = None) -> Any:
        lane, cost = lane_for(M, x), F(x)
        check_cost(cost, lane.shape)
        eta = lane.scale(-1.0, gradient) if eta is None else eta

        def evaluate(s: Any) -> Trial:
            y = M.retract(x, eta, s, self.retraction_method)
            return Trial(y, F(y), None)

        way = way_along(M, lane, x, gradient, eta, None)
        bend = way[2] / self.initial_stepsize
        return self._search(M, lane, x, cost, way, bend, lane.full(True), evaluate)[0].step

    def _search(
        self, M: Any, lane: Any, x: Any, cost: Any, way: Way, bend: Any, active: Any, evaluate: Any
    ) -> tuple[Found, Any, Any]:
        """Return what was found for an expected bend, where the last parabola has its minimum, and who searched."""
        direction, slope, squared_length = way
        searching = active & (slope < 0.0)
        first = lane.div(-slope, bend)
        radius = M.injectivity_radius(x) if self.max_stepsize is None else self.max_stepsize
        if not (isinstance(radius, float) and radius == math.inf):
            first = capped(lane, first, lane.scalar(radius), squared_length)
        if searching is not True:
            first = lane.where(searching, first, 0.0)
        rule = _rule(
            self.sufficient_decrease, self.growth_threshold, self.max_decreases, self.cost_resolution, cost.dtype
        )
        smallest = partial(smallest_step, lane, x, direction)
        found, best = parabolic(lane, evaluate, lane.scalar(cost), slope, first, searching, rule, smallest)
        if searching is not True:
            found.failed = found.failed | lane.without(active, searching)
        return found, best, searching

    def __repr__(self) -> str:
        return told(self)


@lru_cache
def _rule(
    sufficient_decrease: float, growth_threshold: float, max_decreases: int, resolution: float, dtype: torch.dtype
) -> ParabolicRule:
    eps = rounding(dtype)
    return ParabolicRule(sufficient_decrease, growth_threshold, max_decreases, resolution * eps, _VISIBLE_BEND * eps)
