"""Write the outcome of a step into the options: one masked write, in which finished problems stay as they are."""

import math
from typing import Any

import torch

from manopt_torch.functional.masked import count_active
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.plans.gradient_norm import norm_at
from manopt_torch.plans.options import Options


def commit(o: Options, **new: Any) -> None:
    """Move the active problems to their new state; freeze those whose new cost or gradient is not finite.

    A problem met with NaN or infinity keeps its former point, cost and gradient (its last finite ones) and is marked
    in `o.broken`; a problem in `o.stagnated` does not move either. Nothing is read on the host, but for a batch that
    goes in pieces.

    Args:
        o: the options.
        **new: state fields with their new values, at least `cost`; None where a field has none in this run.
    """
    lane = o.lane
    if lane.lone:
        if not _finite_alone(o, new):
            o.broken = True
        elif not o.stagnated:
            vars(o).update(new)
            return
        # as in a batch: criteria ask for a last step size, also where there has been none
        vars(o).update({name: _nothing(value) for name, value in new.items() if getattr(o, name) is None})
        return
    ok = lane.finite(new["cost"])
    if "gradient" in new:
        ok = ok & lane.finite(new["gradient"])
    o.broken = o.broken | lane.without(o.active, ok)
    moves = lane.without(o.active & ok, o.stagnated)
    # of a large batch a copy is worth a question
    everyone = o.piece_size is not None and count_active(moves) == moves.numel()
    done: dict[str, Any] = {}
    for name, value in new.items():
        if everyone or value is None:
            done[name] = value
            continue
        former = getattr(o, name)
        if former is None:
            former = _nothing(value)
        done[name] = lane.pick(moves, value, former)
    vars(o).update(done)  # at once: whoever interrupts finds fields that belong together


def _nothing(value: Any) -> Any:
    """Return what a field holds for a problem that ends before it has had a value there: zeros."""
    if value is None:
        return None
    return map_leaves(lambda leaf: torch.zeros_like(leaf) if isinstance(leaf, torch.Tensor) else type(leaf)(0), value)


def _finite_alone(o: Options, new: dict[str, Any]) -> bool:
    """Tell whether the new cost and gradient of a lone problem are finite."""
    if not math.isfinite(new["cost"].item()):
        return False
    gradient, held = new.get("gradient"), o.measured
    if gradient is None:
        return True
    # in a run that asks for the length of its gradients: one that is finite says all, but it may overflow
    asked = held is not None and (held[0] is gradient or held[0] is o.gradient)
    if asked and math.isfinite(norm_at(o.manifold, o, new.get("x", o.x), gradient)):
        return True
    return o.lane.finite(gradient)


def finite_point(o: Options, x: Any, cost: torch.Tensor, gradient: Any) -> tuple[Any, Any]:
    """Return where to go on computing from a trial before it is committed: its point and its gradient.

    Where cost or gradient is not finite they are the former point and zero. `commit` drops what comes of them, and a
    user's callable that factorises its argument need not mind NaN.

    Args:
        o: the options.
        x: the point of the trial.
        cost: the cost there.
        gradient: the gradient there.
    """
    ok = o.lane.finite(cost) & o.lane.finite(gradient)
    return o.lane.pick(ok, x, o.x), o.lane.pick(ok, gradient, map_leaves(torch.zeros_like, gradient))
