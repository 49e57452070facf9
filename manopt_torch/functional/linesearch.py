"""Line searches as pure functions of a lane, a probe and numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from manopt_torch._typing import Mask, Scalar

# after so many shrinking rounds it is worth asking for the smallest step that still moves the point
_ROUNDS_BEFORE_FLOOR = 16


@dataclass(eq=False, slots=True)  # made and read in less time than a named tuple
class Trial:
    """A point that has been evaluated: the cost there, and what a gradient there needs besides."""

    x: Any
    cost: Any
    context: Any
    gradient: Any = None  # where the search needed it


@dataclass(eq=False, slots=True)
class Found:
    """Outcome of a line search: the step, the trial it leads to, and for whom the search was in vain."""

    step: Scalar
    trial: Trial
    failed: Mask


@cache  # searches ask at every step
def rounding(dtype: torch.dtype) -> float:
    """Return the relative spacing of the numbers of a dtype."""
    return torch.finfo(dtype).eps


@dataclass(eq=False, slots=True)
class ArmijoRule:
    """Numbers of the backtracking search, see `ArmijoLinesearch`."""

    contraction_factor: float
    sufficient_decrease: float
    max_increases: int
    max_decreases: int
    slack: float  # rounding error of the cost relative to it
    margin: float = 0.0  # decrease relative to the cost that is more than rounding


def armijo(
    lane: Any,
    probe: Callable[[Scalar], Trial],
    cost: Scalar,
    slope: Scalar,
    step: Scalar,
    active: Mask,
    rule: ArmijoRule,
    smallest: Callable[[], Scalar],
) -> Found:
    r"""Grow the step while $f(s) < f(0) + c\,s\,f'(0)$, or shrink it until $f(s) \le f(0) + c\,s\,f'(0)$.

    Each problem has its own step and its own number of rounds; some grow while others shrink. Where an enlargement
    goes too far, the step before is taken, which is known to be good. A non-finite cost is a rejection. The trial
    returned holds the accepted point of every problem: one that is done is evaluated again at the same step, which
    gives the same bits, so that a single backward pass serves the batch.

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
    factor, fall, size = rule.contraction_factor, rule.sufficient_decrease * slope, abs(cost)
    slack, margin = rule.slack * size, rule.margin * size
    trial = probe(step)
    value, bound = lane.trial_cost(trial.cost), cost + step * fall
    good = value <= bound + slack
    growing = active & (value < bound - margin) if rule.max_increases else None
    if lane.lone and good and not growing:  # over at once, as most searches are
        return Found(step, trial, False)

    def judge(step: Scalar, trial: Trial, growing: Mask | None) -> tuple[Mask, Mask]:
        """Tell who may go on growing, and whose step is good."""
        value, bound = lane.trial_cost(trial.cost), cost + step * fall
        return lane.full(False) if growing is None else growing & (value < bound - margin), value <= bound + slack

    earlier, back, mixed, rounds, floor = step, None, False, 0, None
    growing, shrinking = lane.full(False) if growing is None else growing, lane.without(active, good)
    grow, shrink = lane.any_of(growing, shrinking)
    while grow or shrink:
        rounds += 1
        moved, following = growing | shrinking, step
        following = lane.where(growing, step / factor, following) if grow else following
        following = lane.where(shrinking, step * factor, following) if shrink else following
        if mixed:
            moved, following = moved | back, lane.where(back, earlier, following)
        former, earlier, step = trial, step, following
        trial = probe(step)
        longer, good = judge(step, trial, growing if grow and rounds < rule.max_increases else None)
        back, growing = lane.without(growing, good) if grow else growing, longer
        shrinking = lane.without(shrinking, good) if rounds < rule.max_decreases else lane.full(False)
        if rounds >= _ROUNDS_BEFORE_FLOOR:
            floor = smallest() if floor is None else floor
            shrinking = shrinking & (step > floor)
        stay, grow, shrink, mixed = lane.any_of(lane.without(moved, back), growing, shrinking, back)
        if not stay:  # all that moved go back to the former trial, in which the others are as well
            return Found(earlier, former, lane.without(lane.without(active, good), back))
    if mixed:  # one trial for all of them; nothing new is tried
        step, good = lane.where(back, earlier, step), good | back
        trial = probe(step)
    return Found(step, trial, lane.without(active, good))
