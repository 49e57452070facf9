"""Ask the criteria, freeze the problems that are finished, and tell whether any is left."""

from typing import Any

import torch

from manopt_torch.functional.masked import count_active
from manopt_torch.plans.begin import begin
from manopt_torch.plans.dispatch import stop_solver
from manopt_torch.plans.options import NONFINITE, STAGNATED, Options


@stop_solver.register(Options)
def halt(p: Any, o: Options, i: int) -> bool:
    """Tell whether all problems are finished after step `i`; write reason and iteration of those that just ended."""
    if o.active is None:  # stepped by hand, by a solver of one's own that leaves the common state to us
        begin(p, o)
    o.iteration = i
    if o.lane.lone:
        over = _halt_lone(p, o, i)
    else:  # all are asked: some remember the former iterate
        over = _halt_batch(o, i, [criterion.answer(p, o, i) for criterion in o.stop.members])
    o.asked = i
    return over


def _halt_lone(p: Any, o: Options, i: int) -> bool:
    code = 0
    for n, criterion in enumerate(o.stop.members, 1):
        hit = criterion(p, o, i)
        if hit is not False and o.lane.scalar(hit) and not code:
            code = n
    if not o.active:
        return True
    if o.broken:
        code = NONFINITE
    elif not code and o.stagnated:
        code = STAGNATED
    if code:
        o.active, o.iterations, o.reason_code, o.active_count = False, i, code, 0
    return bool(code)


def _halt_batch(o: Options, i: int, hits: list[Any]) -> bool:
    ending = o.broken | o.stagnated
    everyone = False
    for hit in hits:
        if isinstance(hit, torch.Tensor):
            ending = ending | hit
        everyone = everyone or hit is True
    former, still = o.active, o.lane.without(o.active, ending)
    if everyone:
        still, left = torch.zeros_like(former), 0
    elif i % o.check_every:
        left = None  # not known: the host does not ask this time
    else:
        left = count_active(still)
    # without a count, now or before, problems may have ended; with two, they have if these differ
    if left is None or left != o.active_count or o.active_count is None:
        _write_reasons(o, i, hits, o.lane.without(former, still))
    o.active, o.active_count = still, left
    return left == 0


def _write_reasons(o: Options, i: int, hits: list[Any], ended: torch.Tensor) -> None:
    """Note for the problems that ended now when they did and why: the first criterion that held."""
    code = torch.where(o.broken, NONFINITE, 0)
    for n, hit in enumerate(hits, 1):
        if isinstance(hit, torch.Tensor):
            code = torch.where((code == 0) & hit, n, code)
        elif hit is True:
            code = torch.where(code == 0, n, code)
    code = torch.where((code == 0) & o.stagnated, STAGNATED, code)
    o.reason_code = torch.where(ended, code, o.reason_code)
    o.iterations = torch.where(ended, i, o.iterations)
