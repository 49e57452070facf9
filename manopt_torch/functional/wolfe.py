"""Wolfe's two conditions by doubling and bisection, as a pure function of a ray."""

import math
from typing import NamedTuple

from manopt_torch._typing import Mask, Scalar
from manopt_torch.functional.linesearch import Found
from manopt_torch.functional.ray import ROUNDS_BEFORE_FLOOR, Ray, found, pick

# a bracket narrower than this, relative to its end, is not halved any more
_NARROW = 1e-8
# nor is, after so many trials, one that promises no more than this share of the decrease found
_TRIALS, _WORTH = 4, 1e-2


class WolfeRule(NamedTuple):
    """Numbers of the search, see `WolfeLinesearch`."""

    sufficient_decrease: float
    sufficient_curvature: float
    far: bool  # double until the cost stops to fall, also past steps that satisfy both conditions
    max_increases: int
    max_trials: int


def wolfe(ray: Ray, step: Scalar, active: Mask, rule: WolfeRule) -> Found:
    r"""Find $s$ with $f(s) \le f(0) + c_1 s f'(0)$ and $f'(s) \ge c_2 f'(0)$.

    A step that violates the first condition bounds the bracket from above, one that satisfies the first but not the
    second from below; the next trial is the middle, or twice the lower end as long as there is no upper one (or where
    a former search has given up, if that is farther). A step still steep that costs more than a shorter one bounds it
    from above too: transported along a long retraction, the direction is no longer that of the curve, and the slope
    misses the valley in between. Where the second condition cannot be met within the bounds, the lowest such step
    found that satisfies the first is taken.

    Args:
        ray: the ray.
        step: first step to try.
        active: problems that search; the others stay at the start.
        rule: the constants and the bounds of the loop.

    References:
        [NocedalWright:2006], section 3.1; [Huang:2014], algorithm 7.
    """
    lane, start, c1 = ray.lane, ray.start, rule.sufficient_decrease
    low, high, curved_low = start, lane.full(math.inf), lane.full(False)
    growing, searching, floor, rounds = lane.full(False), active, lane.full(0.0), 0
    while rounds < rule.max_trials and lane.any(searching):
        rounds += 1
        at = ray.sample(step, c1)
        holds = ray.low_enough(at, c1)
        curved = at.slope >= rule.sufficient_curvature * start.slope
        holds = holds & (curved | (at.value <= low.value + ray.slack))
        up, down = searching & holds, searching & lane.not_(holds)
        low, high = pick(lane, up, at, low), lane.where(down, step, high)
        unbounded = high == math.inf
        at_end = (step >= ray.longest) | (unbounded & (rounds > rule.max_increases))
        ends = (up & (at_end | (curved & lane.not_(growing)))) | (down & growing & curved_low)
        curved_low = lane.where(up, curved, curved_low)
        growing = up & unbounded & rule.far
        if rounds == ROUNDS_BEFORE_FLOOR:
            floor = ray.smallest()
        narrow = low.step >= (1.0 - _NARROW) * high
        if rounds >= _TRIALS:
            hopeless = (low.step - high) * low.slope < _WORTH * (start.value - low.value)
            narrow = narrow | (hopeless & lane.not_(unbounded))
        searching = searching & lane.not_(ends | narrow) & (unbounded | (step > floor))
        longer = lane.min(lane.max(lane.max(2.0 * low.step, ray.reached), floor), ray.longest)
        step = lane.where(searching, lane.where(unbounded, longer, 0.5 * (low.step + high)), step)
    return found(low, active)
