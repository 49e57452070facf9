"""Backtracking by parabolas as a pure function of a lane, a probe and numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from manopt_torch._typing import Mask, Scalar
from manopt_torch.functional.linesearch import Found, Trial

# a parabola is believed only so far
_LEAST_SHRINKING, _MOST_SHRINKING, _MOST_GROWTH = 0.7, 0.1, 100.0
# the next guess where the cost bends down, or does not bend
_STRAIGHT_GROWTH = 4.0
# after so many shrinking rounds it is worth asking for the smallest step that still moves the point
_ROUNDS_BEFORE_FLOOR = 8


@dataclass(eq=False, slots=True)
class ParabolicRule:
    """Numbers of the search, see `ParabolicLinesearch`."""

    sufficient_decrease: float
    growth_threshold: float
    max_decreases: int
    slack: float  # rounding error of the cost relative to it
    noise: float  # a bend of the cost below this, relative to it, may be rounding


def parabolic(
    lane: Any,
    probe: Callable[[Scalar], Trial],
    cost: Scalar,
    slope: Scalar,
    step: Scalar,
    active: Mask,
    rule: ParabolicRule,
    smallest: Callable[[], Scalar],
) -> tuple[Found, Scalar]:
    r"""Go to the minimum of the parabola with $f(0)$, $f'(0)$ and $f(s)$, unless $s$ is near it or low enough.

    A step that is low enough but much too short is tried once more, farther; one that is too high is shortened until
    $f(s) \le f(0) + c\,s\,f'(0)$. As in `armijo`, a cost that is not finite is a rejection, and the trial returned
    holds the accepted point of every problem.

    Args:
        lane: the lane of the run.
        probe: evaluates the step `s`.
        cost: $f(0)$.
        slope: $f'(0)$, the inner product of gradient and direction.
        step: first step to try.
        active: problems that search; the others keep their step.
        rule: the constants and the bound of the loop.
        smallest: returns the smallest step worth trying, asked for only in long searches.

    Returns:
        What was found, and where the last parabola has its minimum.

    References:
        [NocedalWright:2006], section 3.5.
    """
    slack, noise = rule.slack * abs(cost), rule.noise * abs(cost)

    def evaluate(s: Scalar) -> tuple[Trial, Scalar, Mask, Scalar]:
        """Return a trial, its value, whether it is low enough, and the minimum of the parabola through it."""
        trial = probe(s)
        value, linear = lane.trial_cost(trial.cost), s * slope
        bend, low = value - cost - linear, value <= cost + rule.sufficient_decrease * linear + slack
        if lane.lone and bend > noise:  # what the next lines say, for nearly all trials
            return trial, value, low, -0.5 * linear * s / bend
        # where rounding hides the bend the step itself
        straight = lane.where(-linear > 10.0 * noise, _STRAIGHT_GROWTH * s, s)
        return trial, value, low, lane.where(bend > noise, lane.div(-0.5 * linear * s, bend), straight)

    trial, value, low, minimum = evaluate(step)
    longer, high = active & low & (minimum > rule.growth_threshold * step), lane.without(active, low)
    if lane.lone and not longer and not high:  # over at once, as most searches are
        return Found(step, trial, False), minimum
    if lane.any(longer):
        former, former_value = trial, value
        farther = lane.min(minimum, _MOST_GROWTH * step)
        trial, value, _, minimum = evaluate(lane.where(longer, farther, step))
        better = longer & (value < former_value)
        if lane.lone:
            return (Found(farther, trial, False) if better else Found(step, former, False)), minimum
        step = lane.where(better, farther, step)
        if lane.any(longer & lane.not_(better)):
            trial = probe(step)

    rounds, shrinking, floor = 0, high, 0.0
    while lane.any(shrinking) and rounds < rule.max_decreases:
        rounds += 1
        shorter = lane.max(lane.min(minimum, _LEAST_SHRINKING * step), _MOST_SHRINKING * step)
        step = lane.where(shrinking, shorter, step)
        trial, _, low, following = evaluate(step)
        minimum = lane.where(shrinking, following, minimum)
        if rounds == _ROUNDS_BEFORE_FLOOR:
            floor = smallest()
        shrinking = lane.without(shrinking, low) & (step > floor)
    return Found(step, trial, lane.without(high, low)), minimum
