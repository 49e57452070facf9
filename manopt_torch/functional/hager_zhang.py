"""The line search of Hager and Zhang as a pure function of a ray."""

import math
from typing import Any, NamedTuple

from manopt_torch._typing import Mask, Scalar
from manopt_torch.functional.linesearch import Found
from manopt_torch.functional.ray import ROUNDS_BEFORE_FLOOR, Ray, Sample, found, pick

# what a problem's last trial was for
_BRACKET, _SECANT, _SECOND_SECANT, _MIDDLE, _BISECT = range(5)
# a bracket narrower than this, relative to its end, holds nothing better
_NARROW = 1e-12


class HagerZhangRule(NamedTuple):
    """Numbers of the search, see `HagerZhangLinesearch`."""

    sufficient_decrease: float
    sufficient_curvature: float
    tolerance: float  # of the cost, relative
    expansion: float
    contraction: float
    max_trials: int


class _Bracket(NamedTuple):
    """The bracket `[a, b]`: at `a` the cost is low and falls, at `b` it rises or is high."""

    a: Scalar
    slope_a: Scalar
    b: Scalar
    slope_b: Scalar
    phase: Scalar
    width: Scalar  # when the round of secant steps began


def hager_zhang(ray: Ray, step: Scalar, active: Mask, rule: HagerZhangRule) -> Found:
    r"""Bracket a minimum along the ray, then narrow the bracket by pairs of secant steps until Wolfe's rule holds.

    Either Wolfe's conditions end the search, or the approximate ones: $(2\delta - 1) f'(0) \ge f'(s) \ge \sigma f'(0)$
    with $f(s) \le f(0) + \epsilon |f(0)|$, which are still meaningful where the cost differs by rounding only.

    Args:
        ray: the ray.
        step: first step to try.
        active: problems that search; the others stay at the start.
        rule: the constants and the bound of the loop.

    References:
        [HagerZhang:2005], [HagerZhang:2006b]. A bisection is followed by a secant step without a check of the width,
        which it has halved at least once.
    """
    lane, start = ray.lane, ray.start
    ceiling = start.value + rule.tolerance * abs(start.value)
    zero = lane.full(0.0)
    bracket = _Bracket(zero, start.slope, lane.full(math.inf), zero, lane.full(_BRACKET), zero)
    best, searching, floor, rounds = start, active, zero, 0
    while rounds < rule.max_trials and lane.any(searching):
        rounds += 1
        at = ray.sample(step)
        good = searching & _satisfied(ray, at, ceiling, rule)
        best = pick(lane, good | (searching & (at.value < best.value)), at, best)
        at_end = (bracket.phase == _BRACKET) & (step >= ray.longest) & (at.slope < 0.0) & (at.value <= ceiling)
        bracket, following = _advance(lane, bracket, at, ceiling, rule)
        narrow = bracket.a >= (1.0 - _NARROW) * bracket.b
        if rounds == ROUNDS_BEFORE_FLOOR:
            floor = ray.smallest()
        expanding = bracket.phase == _BRACKET
        searching = searching & lane.not_(good | at_end | narrow) & (expanding | (step > floor))
        following = lane.where(expanding, lane.max(following, floor), following)
        step = lane.where(searching, lane.min(following, ray.longest), step)
    return found(best, active)


def _satisfied(ray: Ray, at: Sample, ceiling: Scalar, rule: HagerZhangRule) -> Mask:
    """Tell where Wolfe's conditions or the approximate ones hold."""
    curved = at.slope >= rule.sufficient_curvature * ray.start.slope
    flat = (2.0 * rule.sufficient_decrease - 1.0) * ray.start.slope >= at.slope
    return curved & (ray.low_enough(at, rule.sufficient_decrease) | (flat & (at.value <= ceiling)))


def _advance(lane: Any, former: _Bracket, at: Sample, ceiling: Scalar, rule: HagerZhangRule) -> tuple[_Bracket, Scalar]:
    """Take the last trial into the bracket, and choose what to try next."""
    finite = at.value < math.inf
    rises = finite & (at.slope >= 0.0)
    falls = finite & lane.not_(rises) & (at.value <= ceiling)
    crest = lane.not_(rises | falls)  # too high though not rising: there is a minimum before
    a, slope_a = lane.where(falls, at.step, former.a), lane.where(falls, at.slope, former.slope_a)
    b, slope_b = lane.where(falls, former.b, at.step), lane.where(falls, former.slope_b, at.slope)

    middle, width = 0.5 * (a + b), b - a
    expanding = (former.phase == _BRACKET) & falls
    bisecting = crest | ((former.phase == _BISECT) & falls)
    second = lane.where(
        falls, _secant(lane, former.a, former.slope_a, a, slope_a), _secant(lane, former.b, former.slope_b, b, slope_b)
    )
    again = (former.phase == _SECANT) & (second > a) & (second < b) & lane.not_(crest)
    narrowing = (former.phase == _SECANT) | (former.phase == _SECOND_SECANT)
    slow = narrowing & (width > rule.contraction * former.width)
    first = _secant(lane, a, slope_a, b, slope_b)
    by_secant = (first > a) & (first < b) & lane.not_(slow)

    phase = lane.where(by_secant, _SECANT, _MIDDLE)
    following = lane.where(by_secant, first, middle)
    fresh = lane.not_(slow | again)
    phase, following = lane.where(again, _SECOND_SECANT, phase), lane.where(again, second, following)
    phase, following = lane.where(bisecting, _BISECT, phase), lane.where(bisecting, middle, following)
    phase = lane.where(expanding, _BRACKET, phase)
    following = lane.where(expanding, rule.expansion * at.step, following)
    return _Bracket(a, slope_a, b, slope_b, phase, lane.where(fresh, width, former.width)), following


def _secant(lane: Any, a: Scalar, slope_a: Scalar, b: Scalar, slope_b: Scalar) -> Scalar:
    """Return the zero of the line through two slopes."""
    return lane.div(a * slope_b - b * slope_a, slope_b - slope_a)
