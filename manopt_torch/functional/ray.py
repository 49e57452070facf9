"""Costs and slopes along a ray from a point: what line searches with derivatives are written in."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from manopt_torch._typing import Mask, Scalar
from manopt_torch.functional.linesearch import Found, Trial
from manopt_torch.manifolds.base import Manifold

# after so many rounds it is worth asking for the smallest step that still moves the point
ROUNDS_BEFORE_FLOOR = 16


class Sample(NamedTuple):
    """What is known at one step of each problem; a value or slope that is not finite makes the value infinite."""

    step: Scalar
    value: Scalar
    slope: Scalar  # derivative of the cost along the ray
    trial: Trial


class Ray(NamedTuple):
    r"""The curve $s \mapsto \operatorname{retr}_x(s\eta)$, its start, and how to evaluate it."""

    lane: Any
    M: Manifold
    direction: Any  # eta or its negative
    start: Sample
    longest: Scalar  # no trial is longer
    slack: Scalar  # rounding error of the cost
    probe: Callable[[Scalar], Trial]
    differentiate: Callable[[Trial], tuple[Any, Scalar]]  # gradient and slope at a trial
    smallest: Callable[[], Scalar]  # step below which rounding swallows the move
    squared_length: Callable[[], Scalar]  # of the direction
    reached: Scalar = 0.0  # how far a former search has gone without finding an end

    def length(self) -> Scalar:
        """Return the length of the direction."""
        return self.lane.sqrt(self.squared_length())

    def low_enough(self, at: Sample, c: float) -> Mask:
        r"""Tell where $f(s) \le f(0) + c\,s\,f'(0)$, up to rounding."""
        return at.value <= self.start.value + c * at.step * self.start.slope + self.slack

    def sample(self, step: Scalar, c: float | None = None) -> Sample:
        """Evaluate cost and slope at a step; a lone trial that is not `low_enough` for `c` gets no slope."""
        lane, trial = self.lane, self.probe(step)
        at = Sample(step, lane.trial_cost(trial.cost), math.nan, trial)
        if lane.lone and c is not None and not self.low_enough(at, c):
            return at
        gradient, slope = self.differentiate(trial)
        trial = Trial(trial.x, trial.cost, None, gradient)
        return Sample(step, lane.where(lane.isfinite(slope), at.value, math.inf), slope, trial)


def pick(lane: Any, mask: Mask, a: Sample, b: Sample) -> Sample:
    """Choose samples per problem, with their points and gradients."""
    if lane.lone:
        return a if mask else b
    u, v = a.trial, b.trial
    trial = Trial(
        lane.pick(mask, u.x, v.x),
        lane.where(mask, u.cost, v.cost),
        None,
        lane.pick(mask, u.gradient, v.gradient),
    )
    step, value, slope = (lane.where(mask, p, q) for p, q in zip(a[:3], b[:3], strict=True))
    return Sample(step, value, slope, trial)


def found(best: Sample, active: Mask) -> Found:
    """Return the best sample as the outcome; a search that never left the start was in vain."""
    return Found(best.step, best.trial, active & (best.step <= 0.0))
