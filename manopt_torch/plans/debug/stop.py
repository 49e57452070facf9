"""The debug action that says why a run stopped."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import torch

from manopt_torch.functional.masked import host_read
from manopt_torch.plans.action import STOP
from manopt_torch.plans.debug.base import Sink, TextAction
from manopt_torch.plans.debug.reading import count
from manopt_torch.plans.report import get_reason, reason_text


@dataclass(eq=False)
class DebugStoppingCriterion(TextAction):
    """Print why the run stopped, on a line of its own; nothing as long as it goes on.

    For a batch, one line for each reason says how many problems stopped for it.

    Args:
        print: takes the text; None is the builtin print, without newline.
    """

    print: Sink = None

    def text(self, p: Any, o: Any, i: int) -> str:
        """Return the reason, or one line a reason."""
        if i < 0 and i != STOP:
            return ""
        if o.reason_code is None:
            return _asked(p, o, i)
        if i != STOP and _goes_on(o):
            return ""
        if isinstance(o.reason_code, torch.Tensor) and o.reason_code.dim():
            return _counted(o)
        reason = get_reason(o)
        return f"{reason}\n" if reason else ""


def _goes_on(o: Any) -> bool:
    return count(o.active) > 0 if isinstance(o.active, torch.Tensor) else bool(o.active)


def _asked(p: Any, o: Any, i: int) -> str:
    """Ask the criterion itself: the action is called outside of a run."""
    if i == STOP or o.stop is None:
        return ""
    hit = o.stop(p, o, i)
    with host_read():
        stops = bool(hit.all()) if isinstance(hit, torch.Tensor) else bool(hit)
    return f"{o.stop.reason(o, i)}\n" if stops else ""


def _counted(o: Any) -> str:
    """Count the problems per reason. Iterations differ within a reason: the text speaks of the last one."""
    if o.reason_code.is_meta:
        return ""
    with host_read():
        codes, steps = o.reason_code.flatten().tolist(), o.iterations.flatten().tolist()
    latest: dict[int, list[int]] = defaultdict(list)
    for code, k in zip(codes, steps, strict=True):
        latest[code].append(k)
    ranked = sorted(latest.items(), key=lambda item: -len(item[1]))
    return "".join(
        f"{len(ks)} of {len(codes)} problems: {reason_text(o, code, max(ks)) or 'still running'}\n"
        for code, ks in ranked
    )
