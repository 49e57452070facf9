"""The end of a line: a debug list that prints but nowhere ends a line is given one."""

from typing import Any

from manopt_torch.plans.debug.base import LineAction
from manopt_torch.plans.debug.factory import DebugActionFactory
from manopt_torch.plans.debug.group import DebugDivider, DebugEvery, DebugGroup
from manopt_torch.plans.debug.progress import DebugProgress
from manopt_torch.plans.debug.stop import DebugStoppingCriterion
from manopt_torch.plans.symbols import is_stop


def with_line_end(entries: Any) -> list[Any]:
    """Append a newline to a list that prints but nowhere ends a line; it goes where the last entry prints to."""
    actions = [DebugActionFactory(e) for e in entries if not isinstance(e, (int, float)) and not is_stop(e)]
    printing = [a for a in actions if isinstance(a, LineAction) and not isinstance(a, _ENDS_ITS_LINES)]
    if not printing or any(_ends_line(a) for a in printing):
        return list(entries)
    return [*entries, DebugDivider("\n", print=getattr(printing[-1], "print", None))]


_ENDS_ITS_LINES = (DebugProgress, DebugStoppingCriterion)


def _ends_line(action: Any) -> bool:
    if isinstance(action, DebugGroup):
        return any(_ends_line(member) for member in action.group)
    if isinstance(action, DebugEvery):
        return _ends_line(action.action)
    text = action.divider if isinstance(action, DebugDivider) else getattr(action, "format", None)
    return isinstance(text, str) and text.endswith("\n")
