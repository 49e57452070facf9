"""Armijo's backtracking line search."""

from dataclasses import KW_ONLY, dataclass
from typing import Any

import torch

from manopt_torch.functional.linesearch import ArmijoRule, Found, Trial, armijo, rounding
from manopt_torch.functional.masked import lane_for
from manopt_torch.manifolds.base import Manifold
from manopt_torch.plans.options import check_count, check_range, lane_of, memory_of
from manopt_torch.problems.base import check_cost
from manopt_torch.problems.gradient import GradientProblem
from manopt_torch.stepsizes.base import probes, told
from manopt_torch.stepsizes.ray_linesearch import check_guess, ray_from
from manopt_torch.stepsizes.two_faced import TwoFacedLinesearch, capped, downhill, note_stagnation, smallest_step

# a step grows only if the cost decreases by more roundings than this: on noise it would grow beyond all measure
_VISIBLE_DECREASE = 4.0
# where every decrease is lost in rounding, a step this much shorter than the initial one has been misled by it
_COLLAPSED = 1e-3
_TINY = torch.finfo(torch.float32).tiny


@dataclass(eq=False, repr=False)
class ArmijoLinesearch(TwoFacedLinesearch):
    r"""Grow or shrink the last step until Armijo's rule just holds.

    $f(\operatorname{retr}_x(s\eta)) \le f(x) + c\,s\,\langle \operatorname{grad} f(x), \eta\rangle_x$. From the
    former step, grow by $1/\kappa$ as long as the rule holds strictly, then shrink by $\kappa$ until it holds. The
    safe choice where nothing is known about the cost; a larger `sufficient_decrease` and a smaller
    `contraction_factor` (0.3 and 0.5, say) often need fewer evaluations.

    A non-finite cost is a rejection. A problem for which no step decreases the cost ends as stagnated (or as
    non-finite, if the cost still is where the search ends).

    Args:
        initial_stepsize: first step to try in a run.
        contraction_factor: $\kappa \in (0, 1)$, ratio of two trials.
        sufficient_decrease: $c \in (0, 1)$.
        initial_guess: first trial of a search, e.g. `HagerZhangInitialGuess()`; None is the last step.
        max_stepsize: longest first trial $s\lVert\eta\rVert$ of a search; None is the injectivity radius, so that the
            search does not start beyond the cut locus.
        max_increases: bound on the growing rounds of one search.
        max_decreases: bound on the shrinking rounds.
        cost_resolution: how much (in units of rounding, relative to the cost) the cost may miss the rule; 0.25, less
            than half a unit in the last place, lets an equal cost pass but none that is higher. A few units let runs
            with a step known to be good go on to gradients that the cost can no longer resolve.
        retraction_method: retraction for calls without options; in a run the options' own is used.

    Shapes:
        returned step: a number, or `(*batch,)`; every problem has its own number of trials.

    Raises:
        OptionsError: if a parameter is out of its range.

    References:
        [Armijo:1966]; [AbsilMahonySepulchre:2008], section 4.2. Numbers as in Manopt.jl [Bergmann:2022]; unlike
        there, the last good trial is kept when an enlargement fails, not evaluated again.

    Examples:
        >>> import torch
        >>> from manopt_torch import ArmijoLinesearch, Euclidean
        >>> x = torch.tensor([1.0], dtype=torch.float64)
        >>> search = ArmijoLinesearch(contraction_factor=0.5)
        >>> search(Euclidean(1), x, lambda x: (x * x).sum(-1), 2 * x)
        0.5
    """

    initial_stepsize: float = 1.0
    contraction_factor: float = 0.95
    sufficient_decrease: float = 0.1
    _: KW_ONLY
    initial_guess: Any = None
    max_stepsize: float | None = None
    max_increases: int = 100  # as in Manopt.jl: an unbounded cost must not grow the step for ever
    max_decreases: int = 1000
    cost_resolution: float = 0.5
    retraction_method: str | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_range(self, "initial_stepsize", 0.0, float("inf"))
        if self.initial_guess is not None:
            check_guess(self)
        check_range(self, "contraction_factor", 0.0, 1.0)
        check_range(self, "sufficient_decrease", 0.0, 1.0)
        if self.max_stepsize is not None:
            check_range(self, "max_stepsize", 0.0, float("inf"), open_high=False)
        check_count(self, "max_increases", 0)
        check_count(self, "max_decreases", 1)
        check_range(self, "cost_resolution", 0.0, float("inf"), open_low=False)

    def init(self, p: Any, o: Any) -> Any:
        """Start from the initial step size."""
        return {"last": lane_of(p, o).full(float(self.initial_stepsize))}

    def _search_in_run(self, p: Any, o: Any, i: int, eta: Any = None) -> Any:
        lane, memory = lane_of(p, o), memory_of(self, p, o)
        cost, gradient = o.cost, o.gradient
        if cost is None or gradient is None:  # called by hand before the run was initialised
            cost, gradient = p.get_cost_and_gradient(o.x)
            eta = lane.scale(-1.0, gradient) if eta is None else eta
        active = lane.full(True) if o.active is None else o.active
        first = memory["last"]
        if self.initial_guess is not None:
            ray = ray_from(lane, p, o.x, cost, gradient, eta, o.retraction_method, float("inf"), 0.0)
            first = self.initial_guess(ray, i, first)
        slope = downhill(p, o)[1] if eta is None else o.along
        found = self._search(p.M, lane, o.x, cost, gradient, eta, slope, first, active, probes(p, o, eta))
        memory["last"], o.trial = found.step, found.trial
        note_stagnation(o, i, gradient if eta is None else eta, found)
        return found.step

    def _search_alone(self, M: Manifold, x: Any, F: Any, gradient: Any, eta: Any = None) -> Any:
        lane, cost = lane_for(M, x), F(x)
        check_cost(cost, lane.shape)

        def evaluate(s: Any) -> Trial:
            y = M.retract(x, gradient if eta is None else eta, -s if eta is None else s, self.retraction_method)
            return Trial(y, F(y), None)

        first = lane.full(float(self.initial_stepsize))
        if self.initial_guess is not None:
            p = GradientProblem(M, F)
            ray = ray_from(lane, p, x, cost, gradient, eta, self.retraction_method, float("inf"), 0.0)
            first = self.initial_guess(ray, 1, first)
        return self._search(M, lane, x, cost, gradient, eta, None, first, lane.full(True), evaluate).step

    def _search(
        self,
        M: Any,
        lane: Any,
        x: Any,
        cost: Any,
        gradient: Any,
        eta: Any,
        slope: Any,
        step: Any,
        active: Any,
        evaluate: Any,
    ) -> Found:
        if slope is None:
            along = lane.scalar(M.inner(x, gradient, gradient if eta is None else eta))
            slope = -along if eta is None else along
        squared_length = -slope if eta is None else None
        rule, value = self._rule(cost.dtype), lane.scalar(cost)
        if self.max_increases:
            least, longest = _least_telling(lane, rule, value, slope), self.initial_stepsize
            # at the bottom no decrease is left to be seen: there only a step that has shrunk to nothing begins anew
            bound = lane.where(least < longest, 0.25 * least, _COLLAPSED * longest)
            step = lane.where(active & (step < bound), lane.min(least, longest), step)
        radius = M.injectivity_radius(x) if self.max_stepsize is None else self.max_stepsize
        if isinstance(radius, torch.Tensor) or radius != float("inf"):
            if squared_length is None:
                squared_length = lane.scalar(M.inner(x, eta, eta))
            step = capped(lane, step, lane.scalar(radius), squared_length)
        direction = gradient if eta is None else eta
        return armijo(lane, evaluate, value, slope, step, active, rule, lambda: smallest_step(lane, x, direction))

    def __repr__(self) -> str:
        return told(self)

    def _rule(self, dtype: torch.dtype) -> ArmijoRule:
        eps = rounding(dtype)
        return ArmijoRule(
            self.contraction_factor,
            self.sufficient_decrease,
            self.max_increases,
            self.max_decreases,
            self.cost_resolution * eps,
            _VISIBLE_DECREASE * eps,
        )


def _least_telling(lane: Any, rule: ArmijoRule, cost: Any, slope: Any) -> Any:
    """Return about the smallest step whose decrease can be told from rounding: no shorter one would ever grow again."""
    roundings = 2 * rule.margin / (1 - rule.sufficient_decrease) * abs(cost)
    return lane.div(roundings + _TINY, -slope)  # never 0 / 0
