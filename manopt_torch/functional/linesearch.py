"""Line searches as pure functions of a lane, a probe and numbers."""

from collections.abc import Callable
from typing import Any, NamedTuple

from manopt_torch._typing import Mask, Scalar
from manopt_torch.functional.masked import Lane

# after so many shrinking rounds it is worth asking for the smallest step that still moves the point
_ROUNDS_BEFORE_FLOOR = 16


class Trial(NamedTuple):
    """A point that has been evaluated: the cost there, and what a gradient there needs besides."""

    x: Any
    cost: Any
    context: Any
    gradient: Any = None  # where the search needed it


class Found(NamedTuple):
    """Outcome of a line search: the step, the trial it leads to, and for whom the search was in vain."""

    step: Scalar
    trial: Trial
    failed: Mask


class ArmijoRule(NamedTuple):
    """Numbers of the backtracking search, see `ArmijoLinesearch`."""

    contraction_factor: float
    sufficient_decrease: float
    max_increases: int
    max_decreases: int
    slack: float  # rounding error of the cost relative to it
    margin: float = 0.0  # decrease relative to the cost that is more than rounding


def armijo(
    lane: Lane,
    probe: Callable[[Scalar], Trial],
    cost: Scalar,
    slope: Scalar,
    step: Scalar,
    active: Mask,
    rule: ArmijoRule,
    smallest: Callable[[], Scalar],
) -> Found:
    r"""Grow the step while $f(s) < f(0) + c\,s\,f'(0)$, then shrink it until $f(s) \le f(0) + c\,s\,f'(0)$.

    Each problem has its own step and its own number of rounds. A non-finite cost is a rejection. The trial returned
    holds the accepted point of every problem: one that is done is evaluated again at the same step, which gives the
    same bits, so that a single backward pass serves the batch.

    Args:
        lane: the lane of the run.
        probe: evaluates the step `s`.
        cost: $f(0)$.
        slope: $f'(0)$, the inner product of gradient and direction.
        step: first step to try.
        active: problems that search; the others keep their step.
        rule: contraction factor, sufficient decrease and the bounds of both loops.
        smallest: returns the smallest step worth trying, asked for only in long searches.

    References:
        [Armijo:1966]; [AbsilMahonySepulchre:2008], section 4.2.
    """
    c, factor = rule.sufficient_decrease, rule.contraction_factor
    slack, margin = rule.slack * abs(cost), rule.margin * abs(cost)
    trial = probe(step)
    value = lane.trial_cost(trial.cost)
    growing = grew = active & (value < cost + c * step * slope - margin)
    former, former_step, rounds = trial, step, 0
    while rounds < rule.max_increases and lane.any(growing):
        rounds += 1
        former, former_step = trial, lane.where(growing, step, former_step)
        step = lane.where(growing, step / factor, step)
        trial = probe(step)
        value = lane.trial_cost(trial.cost)
        growing = growing & (value < cost + c * step * slope - margin)

    # the last enlargement went too far: the step before is known to be good
    back = grew & lane.not_(value <= cost + c * step * slope + slack)
    if lane.lone and back:
        return Found(former_step, former, False)
    shrinking = active & lane.not_(value <= cost + c * step * slope + slack)
    rounds, floor = 0, lane.full(0.0)
    while rounds < rule.max_decreases and lane.any(shrinking):
        rounds += 1
        step = lane.where(shrinking, lane.where(back, former_step, step * factor), step)
        back = back & lane.not_(shrinking)
        trial = probe(step)
        value = lane.trial_cost(trial.cost)
        if rounds == _ROUNDS_BEFORE_FLOOR:
            floor = smallest()
        shrinking = shrinking & lane.not_(value <= cost + c * step * slope + slack) & (step > floor)
    return Found(step, trial, active & lane.not_(value <= cost + c * step * slope + slack))
