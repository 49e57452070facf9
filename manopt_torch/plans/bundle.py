"""What bundle methods share: their state, the start of a run, trials, and the end of a step.

Their options have the parameters `bundle_size`, `contraction_factor`, `max_decreases` and `max_stepsize`.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from manopt_torch._typing import Mask
from manopt_torch.functional.bundle import Combination, Cut, added, first_bundle
from manopt_torch.functional.linesearch import Trial
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.plans.begin import begin, first_evaluation
from manopt_torch.plans.commit import commit
from manopt_torch.plans.options import Options, check_count, check_range, state


@dataclass(eq=False)
class BundleOptions(Options):
    """Base of the options of bundle methods: the state that they keep; `gradient` holds the subgradient."""

    needs: ClassVar[tuple[str, ...]] = ("cost", "subgradient")

    # updated every step
    bundle: Any = state()
    direction_norm: Any = state()  # the length of the last direction
    error: Any = state()  # the combination of the linearisation errors
    multiplier: Any = state()  # the predicted decrease
    last_stepsize: Any = state()


def check_bundle(o: Any) -> None:
    """Raise unless the parameters that bundle methods share are in their ranges."""
    check_count(o, "bundle_size", 2)
    check_count(o, "max_decreases", 1)
    check_range(o, "contraction_factor", 0.0, 1.0)
    if o.max_stepsize is not None:
        check_range(o, "max_stepsize", 0.0, math.inf, open_high=False)


def begin_bundle(p: Any, o: Any) -> None:
    """Begin a run as `begin` does, with a bundle that holds the start."""
    begin(p, o)
    first_evaluation(p, o)
    lane = o.lane
    subgradient = lane.pick(o.broken, map_leaves(torch.zeros_like, o.gradient), o.gradient)
    o.bundle = first_bundle(p.M, lane, Cut(o.x, subgradient, lane.scalar(o.cost)), o.bundle_size)
    o.error, o.direction_norm, o.multiplier = lane.full(0.0), lane.full(math.inf), lane.full(math.inf)
    o.last_stepsize = None


def tried(p: Any, q: Any) -> Trial:
    """Evaluate cost and subgradient at a point."""
    value, context = p.trial(q)
    return Trial(q, value, context, p.gradient_from(q, context))


def commit_bundle(
    p: Any, o: Any, i: int, g: Combination, trial: Trial, serious: Mask, learns: Mask, **new: Any
) -> None:
    """Move where the step is serious, and put what the trial has shown into the bundle where that learns.

    Args:
        p: the problem.
        o: the options.
        i: the iteration.
        g: the combination of the bundle; its aggregate makes room in a full one.
        trial: the last trial.
        serious: whose cost is low enough.
        learns: whose subgradient is to be kept.
        **new: state fields to write for all active problems.
    """
    lane, bundle = o.lane, o.bundle._replace(weights=g.weights)
    cut = Cut(trial.x, trial.gradient, lane.scalar(trial.cost))
    aggregate = Cut(o.x, g.subgradient, lane.scalar(o.cost) - g.error)
    commit(
        o,
        x=lane.pick(serious, trial.x, o.x),
        cost=lane.where(serious, trial.cost, o.cost),
        gradient=lane.pick(serious, trial.gradient, o.gradient),
        bundle=added(p.M, lane, bundle, cut, aggregate, i, learns),
        error=g.error,
        **new,
    )
