"""Let the stepsize of some problems forget what it remembers: where a new kind of direction begins."""

from typing import Any

import torch

from manopt_torch.plans.options import functors_of


def renew(stepsize: Any, p: Any, o: Any, mask: Any) -> None:
    """Put what a stepsize (and every functor in it) remembers back to its start, for the problems of the mask."""
    for functor in (stepsize, *(part for _, part in functors_of(stepsize))):
        former = o.memory.get(functor)
        if former is not None:
            o.memory[functor] = _mixed(o.lane, mask, functor.init(p, o), former)


def _mixed(lane: Any, mask: Any, fresh: Any, former: Any) -> Any:
    if isinstance(former, dict):
        return {key: _mixed(lane, mask, fresh[key], value) for key, value in former.items()}
    if isinstance(former, (tuple, torch.Tensor)) or lane.lone:
        return lane.pick(mask, fresh, former)
    return former  # belongs to the run, not to a problem
