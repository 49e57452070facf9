"""A backtracking search along a projection arc, as a pure function of a lane and a probe."""

from collections.abc import Callable
from typing import NamedTuple

from manopt_torch._typing import Mask, Scalar
from manopt_torch.functional.linesearch import Found, Trial
from manopt_torch.functional.masked import Lane

# after so many shrinking rounds it is worth asking for the smallest step that still moves the point
_ROUNDS_BEFORE_FLOOR = 16


class ArcRule(NamedTuple):
    """Numbers of the search, see `ProjectedGradientOptions`."""

    contraction_factor: float
    sufficient_decrease: float
    max_decreases: int
    slack: float  # rounding error of the cost relative to it


def projected_search(
    lane: Lane,
    probe: Callable[[Scalar], tuple[Trial, Scalar]],
    cost: Scalar,
    first: tuple[Trial, Scalar],
    step: Scalar,
    active: Mask,
    rule: ArcRule,
    smallest: Callable[[], Scalar],
) -> Found:
    r"""Shrink the step until $f(x(s)) \le f(x) - \frac{c}{s} d(x, x(s))^2$ for the points $x(s)$ of an arc.

    Each problem has its own step and its own number of rounds. A non-finite cost is a rejection. One that is done is
    evaluated again at the same step, which gives the same bits, so that a single backward pass serves the batch.

    Args:
        lane: the lane of the run.
        probe: evaluates the step `s`, and returns the squared distance $d(x, x(s))^2$ as well.
        cost: $f(x)$.
        first: what `probe` returns at the first step.
        step: first step.
        active: problems that search; the others keep their step.
        rule: contraction factor, sufficient decrease, and the bound of the loop.
        smallest: returns the smallest step worth trying, asked for only in long searches.

    References:
        [Bertsekas:1976].
    """
    slack, floor, rounds = rule.slack * abs(cost), lane.full(0.0), 0

    def too_high(trial: Trial, squared: Scalar) -> Mask:
        bound = cost - rule.sufficient_decrease * lane.div(squared, step) + slack
        return lane.not_(lane.trial_cost(trial.cost) <= bound)

    trial, squared = first
    refused = active & too_high(trial, squared)
    while rounds < rule.max_decreases and lane.any(refused & (step > floor)):
        rounds += 1
        step = lane.where(refused & (step > floor), step * rule.contraction_factor, step)
        trial, squared = probe(step)
        refused = refused & too_high(trial, squared)
        if rounds == _ROUNDS_BEFORE_FLOOR:
            floor = smallest()
    return Found(step, trial, refused)
