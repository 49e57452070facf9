"""Hager's line search by cubic interpolation as a pure function of a ray, and its parts."""

from typing import Any, NamedTuple

from manopt_torch._typing import Mask, Scalar
from manopt_torch.functional.linesearch import Found
from manopt_torch.functional.ray import ROUNDS_BEFORE_FLOOR, Ray, found, pick

# what a problem's last trial was for
_BRACKET, _CUBIC, _FOLLOW_UP, _MIDDLE = range(4)


class CubicRule(NamedTuple):
    """Numbers of the search, see `CubicBracketingLinesearch`."""

    increase: float
    sufficient_curvature: float
    min_bracket_width: float  # relative to steps below 1
    hybrid: bool
    max_trials: int


class End(NamedTuple):
    """An end of a bracket: step, cost, and slope there."""

    step: Scalar
    value: Scalar
    slope: Scalar


class _State(NamedTuple):
    a: End  # the better end; the slope there points into the bracket
    b: End
    old: End  # the former trial while there is no bracket, then the former `a`
    span: Scalar
    phase: Scalar


def cubic_bracketing(ray: Ray, step: Scalar, active: Mask, rule: CubicRule) -> Found:
    r"""Find $s$ with $|f'(s)| < \kappa |f'(0)|$ and $f(s) \le f(0)$.

    Steps grow until two of them bracket a minimum. The bracket is then divided at the minimum of the cubic that has
    the values and slopes of its ends, and now and then halved, so that it cannot shrink slowly.

    Args:
        ray: the ray.
        step: first step to try.
        active: problems that search; the others stay at the start.
        rule: the constants and the bound of the loop.

    References:
        [Hager:1989].
    """
    lane, start = ray.lane, ray.start
    origin = End(lane.full(0.0), start.value, start.slope)
    state = _State(origin, origin, origin, lane.full(0.0), lane.full(_BRACKET))
    best, searching, floor, rounds = start, active, lane.full(0.0), 0
    while rounds < rule.max_trials and lane.any(searching):
        rounds += 1
        at = ray.sample(step)
        flat = searching & (abs(at.slope) < rule.sufficient_curvature * abs(start.slope)) & ray.low_enough(at, 0.0)
        best = pick(lane, flat | (searching & (at.value < best.value)), at, best)
        state = _take_in(lane, state, End(*at[:3]), rule)
        bracketing = state.phase == _BRACKET
        at_end = bracketing & (step >= ray.longest)
        narrow = lane.not_(bracketing) & (abs(state.a.step - state.b.step) <= _least_width(lane, state, rule))
        if rounds == ROUNDS_BEFORE_FLOOR:
            floor = ray.smallest()
        # a narrow bracket at the start holds no step yet: there is a wall, or a steep rise
        ends = flat | at_end | (narrow & (best.step > 0.0))
        searching = searching & lane.not_(ends) & (bracketing | (step > floor))
        state, following = _choose(lane, state, End(*at[:3]), rule)
        following = lane.where(bracketing, lane.max(following, floor), following)
        step = lane.where(searching, lane.min(following, ray.longest), step)
    return found(best, active)


def _take_in(lane: Any, state: _State, c: End, rule: CubicRule) -> _State:
    """Let the last trial make the bracket, or narrow it; a state that stays in the first phase has none yet."""
    old, bracketing = state.old, state.phase == _BRACKET
    beyond = bracketing & (c.value >= old.value) & (old.slope * (c.step - old.step) < 0.0)
    before = bracketing & lane.not_(beyond) & (c.value <= old.value) & (c.slope * (old.step - c.step) < 0.0)
    narrower_a, narrower_b = narrowed(lane, state.a, state.b, c)
    a = _choose_end(lane, bracketing, _choose_end(lane, before, c, old), narrower_a)
    b = _choose_end(lane, bracketing, _choose_end(lane, before, old, c), narrower_b)
    former_a = _choose_end(lane, bracketing, c, state.a)
    fresh = beyond | before
    span = lane.where(fresh, 2.0 * abs(a.step - b.step), 0.5 * state.span)
    # a bracket just made is to be divided by the cubic, as after a halving
    return _State(a, b, former_a, span, lane.where(fresh, _MIDDLE, state.phase))


def _choose(lane: Any, state: _State, c: End, rule: CubicRule) -> tuple[_State, Scalar]:
    """Choose the next trial: grow, the cubic through both ends, that through `c` and the former end, or the middle."""
    a, b, old, phase = state.a, state.b, state.old, state.phase
    middle = 0.5 * (a.step + b.step)
    by_ends = cubic_minimum(lane, a, b)
    start_over = (phase == _MIDDLE) | (not rule.hybrid)
    by_last = cubic_minimum(lane, old, c)
    inside = (by_last >= lane.min(a.step, b.step)) & (by_last <= lane.max(a.step, b.step))
    convex = (c.slope - old.slope) * (c.step - old.step) > 0.0
    follow_up = inside & convex & (abs(old.step - c.step) <= state.span) & lane.not_(start_over)
    candidate = lane.where(start_over, by_ends, by_last)
    candidate = lane.where(lane.isfinite(candidate), candidate, middle)
    interpolated = kept_apart(lane, a.step, b.step, candidate, _least_width(lane, state, rule))
    following = lane.where(start_over | follow_up, interpolated, middle)
    following = lane.where(phase == _BRACKET, rule.increase * c.step, following)
    chosen = lane.where(start_over, _CUBIC, lane.where(follow_up, _FOLLOW_UP, _MIDDLE))
    span = lane.where(start_over, 2.0 * abs(a.step - b.step), state.span)
    return state._replace(phase=lane.where(phase == _BRACKET, _BRACKET, chosen), span=span), following


def _least_width(lane: Any, state: _State, rule: CubicRule) -> Scalar:
    """Return the width of a narrow bracket: steps below 1 are measured by their own size."""
    return rule.min_bracket_width * lane.min(lane.max(state.a.step, state.b.step), 1.0)


def narrowed(lane: Any, a: End, b: End, c: End) -> tuple[End, End]:
    """Return the part of the bracket `[a, b]` on the one or other side of `c` that still brackets a minimum.

    Of the three cases of [Hager:1989], (R3) to (R5), the first is a trial no better than `a`.
    """
    backwards = c.slope * (a.step - c.step)  # negative: the cost falls from c towards a
    forwards = a.slope * (b.step - a.step)
    lower, same = c.value < a.value, c.value == a.value
    taken = lower | (same & ((backwards < 0.0) | lane.not_(forwards < 0.0)))
    turned = taken & ((backwards < 0.0) | (lower & (backwards <= 0.0)))
    new_b = _choose_end(lane, taken, _choose_end(lane, turned, a, b), c)
    return _choose_end(lane, taken, c, a), new_b


def cubic_minimum(lane: Any, a: End, b: End) -> Scalar:
    """Return where the cubic with the values and slopes of two ends has its minimum, [NocedalWright:2006], (3.59)."""
    width = b.step - a.step
    d = a.slope + b.slope - 3.0 * lane.div(b.value - a.value, width)
    # below zero by rounding only, where a bracket has been found
    root = lane.sqrt(lane.max(d * d - a.slope * b.slope, 0.0))
    root = lane.where(width < 0.0, -root, root)
    return b.step - width * lane.div(b.slope + root - d, b.slope - a.slope + 2.0 * root)


def kept_apart(lane: Any, a: Scalar, b: Scalar, c: Scalar, distance: Scalar) -> Scalar:
    """Move a trial `c` to a distance from both ends of the bracket, to the middle if there is no room."""
    low, high, middle = lane.min(a, b), lane.max(a, b), 0.5 * (a + b)
    upper_half = c > middle
    least, most = lane.min(low + distance, middle), lane.max(high - distance, middle)
    return lane.where(upper_half, lane.min(c, most), lane.max(c, least))


def _choose_end(lane: Any, mask: Mask, p: End, q: End) -> End:
    return End(*(lane.where(mask, u, v) for u, v in zip(p, q, strict=True)))
