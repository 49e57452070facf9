"""The short step of Frank-Wolfe methods, with the curvature found by backtracking."""

from dataclasses import KW_ONLY, dataclass
from functools import lru_cache, partial
from typing import Any

import torch

from manopt_torch.functional.linesearch import ArmijoRule, Found, Trial, armijo, rounding
from manopt_torch.functional.masked import lane_for
from manopt_torch.manifolds.base import Manifold
from manopt_torch.plans.options import check_count, check_range, lane_of, memory_of
from manopt_torch.problems.base import check_cost
from manopt_torch.stepsizes.base import probes, told
from manopt_torch.stepsizes.two_faced import (
    TwoFacedLinesearch,
    Way,
    downhill,
    note_stagnation,
    smallest_step,
    way_along,
)


@dataclass(eq=False, repr=False)
class ShortStepLinesearch(TwoFacedLinesearch):
    r"""Minimise a quadratic model along the direction, never going beyond its end; the curvature is learnt.

    $s = \min\bigl(s_{\max},\, -\langle \operatorname{grad} f(x), \eta\rangle_x / (L \lVert\eta\rVert_x^2)\bigr)$,
    shrunk until
    $f(\operatorname{retr}_x(s\eta)) \le f(x) + \frac12 s \langle \operatorname{grad} f(x), \eta\rangle_x$, which holds
    once $L$ is the curvature of the cost along the way. For `frank_wolfe`, where a step of at most one stays inside a
    convex set. Each problem has its own $L$, which follows the curvature up at once and down slowly.

    A non-finite cost is a rejection. A problem for which no step decreases the cost ends as stagnated.

    Args:
        curvature: first $L$; 0 tries the longest step first.
        decay: factor of $L$ from one search to the next, in $(0, 1]$.
        max_stepsize: $s_{\max}$.
        contraction_factor: ratio of two trials.
        max_decreases: bound on the shrinking rounds.
        cost_resolution: how much (in units of rounding, relative to the cost) the cost may miss the rule.
        retraction_method: retraction for calls without options; in a run the options' own is used.

    Shapes:
        returned step: a number, or `(*batch,)`; every problem has its own number of trials.

    Raises:
        OptionsError: if a parameter is out of its range.

    References:
        [PedregosaNegiarAskariJaggi:2020], whose test is this one wherever the step is not cut off at $s_{\max}$.

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, ShortStepLinesearch
        >>> x = torch.tensor([1.0], dtype=torch.float64)
        >>> ShortStepLinesearch(curvature=4.0)(Euclidean(1), x, lambda x: 2 * (x * x).sum(-1), 4 * x)
        0.25
    """

    curvature: float = 0.0
    decay: float = 0.9
    _: KW_ONLY
    max_stepsize: float = 1.0
    contraction_factor: float = 0.5
    max_decreases: int = 100
    cost_resolution: float = 0.5
    retraction_method: str | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_range(self, "curvature", 0.0, float("inf"), open_low=False)
        check_range(self, "decay", 0.0, 1.0, open_high=False)
        check_range(self, "max_stepsize", 0.0, float("inf"))
        check_range(self, "contraction_factor", 0.0, 1.0)
        check_count(self, "max_decreases", 1)
        check_range(self, "cost_resolution", 0.0, float("inf"), open_low=False)

    def init(self, p: Any, o: Any) -> Any:
        """Start from the curvature given."""
        return {"curvature": lane_of(p, o).full(float(self.curvature))}

    def initial(self, p: Any, o: Any) -> Any:
        """Return the longest step."""
        return lane_of(p, o).full(float(self.max_stepsize))

    def _search_in_run(self, p: Any, o: Any, i: int, eta: Any = None) -> Any:
        lane, memory = lane_of(p, o), memory_of(self, p, o)
        cost, gradient = o.cost, o.gradient
        if cost is None or gradient is None:  # called by hand before the run was initialised
            cost, gradient = p.get_cost_and_gradient(o.x)
            eta = lane.scale(-1.0, gradient) if eta is None else eta
        active = lane.full(True) if o.active is None else o.active
        way = downhill(p, o) if eta is None else way_along(p.M, lane, o.x, gradient, eta, o.along)
        found, memory["curvature"] = self._search(lane, o.x, cost, way, memory["curvature"], active, probes(p, o, eta))
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

        curvature = lane.full(float(self.curvature))
        way = way_along(M, lane, x, gradient, eta, None)
        return self._search(lane, x, cost, way, curvature, lane.full(True), evaluate)[0].step

    def _search(
        self, lane: Any, x: Any, cost: Any, way: Way, curvature: Any, active: Any, evaluate: Any
    ) -> tuple[Found, Any]:
        """Return what was found and the curvature to start the next search from."""
        direction, slope, squared_length = way
        searching = active & (slope < 0.0)
        first = lane.min(lane.div(-slope, curvature * squared_length), self.max_stepsize)
        if searching is not True:
            first = lane.where(searching, first, 0.0)
        rule = _rule(self.contraction_factor, self.max_decreases, self.cost_resolution, cost.dtype)
        smallest = partial(smallest_step, lane, x, direction)
        found = armijo(lane, evaluate, lane.scalar(cost), slope, first, searching, rule, smallest)
        if found.step is first and searching is True:  # a lone problem, nearly always
            return found, self.decay * curvature
        learnt = self.decay * lane.where(found.step < first, lane.div(-slope, found.step * squared_length), curvature)
        found.failed = found.failed | lane.without(active, searching)
        return found, lane.where(searching, learnt, curvature)

    def __repr__(self) -> str:
        return told(self)


@lru_cache
def _rule(factor: float, max_decreases: int, resolution: float, dtype: torch.dtype) -> ArmijoRule:
    return ArmijoRule(factor, 0.5, 0, max_decreases, resolution * rounding(dtype))
