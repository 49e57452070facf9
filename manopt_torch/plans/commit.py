"""Write the outcome of a step into the options: one masked write, in which finished problems stay as they are."""

from typing import Any

import torch

from manopt_torch.manifolds.points import map_leaves
from manopt_torch.plans.options import Options


def commit(o: Options, **new: Any) -> None:
    """Move the active problems to their new state; freeze those whose new cost or gradient is not finite.

    A problem met with NaN or infinity keeps its former point, cost and gradient (its last finite ones) and is marked
    in `o.broken`; a problem in `o.stagnated` does not move either. Nothing is read on the host.

    Args:
        o: the options.
        **new: state fields with their new values, at least `cost`.
    """
    lane = o.lane
    ok = lane.finite(new["cost"])
    if "gradient" in new:
        ok = ok & lane.finite(new["gradient"])
    if lane.lone:
        if not ok:
            o.broken = True
        elif not o.stagnated:
            for name, value in new.items():
                setattr(o, name, value)
        return
    o.broken = o.broken | (o.active & ~ok)
    moves = o.active & ok & ~o.stagnated
    for name, value in new.items():
        former = getattr(o, name)
        if former is None:
            former = map_leaves(torch.zeros_like, value)
        setattr(o, name, lane.pick(moves, value, former))
