"""Factories: debug actions from symbols, strings and numbers."""

from typing import Any

from manopt_torch.errors import OptionsError
from manopt_torch.plans.debug.clock import DebugTime
from manopt_torch.plans.debug.entry import DebugChange, DebugEntry
from manopt_torch.plans.debug.group import DebugDivider, DebugEvery, DebugGroup, check_callable
from manopt_torch.plans.debug.progress import DebugProgress
from manopt_torch.plans.debug.stop import DebugStoppingCriterion
from manopt_torch.plans.debug.value import (
    DebugCost,
    DebugGradient,
    DebugGradientNorm,
    DebugIterate,
    DebugIteration,
    DebugProximalParameter,
    DebugStepsize,
)
from manopt_torch.plans.symbols import S, is_symbol, parse_entries

_ACTIONS: dict[str, Any] = {
    S.Change: DebugChange,
    S.Cost: DebugCost,
    S.Gradient: DebugGradient,
    S.GradientNorm: DebugGradientNorm,
    S.Iterate: DebugIterate,
    S.Iteration: DebugIteration,
    S.Progress: DebugProgress,
    S.ProximalParameter: DebugProximalParameter,
    S.Stepsize: DebugStepsize,
    S.Stop: DebugStoppingCriterion,
    S.Time: DebugTime,
}
_WITHOUT_FORMAT = (S.Progress, S.Stop)


def DebugActionFactory(s: Any) -> Any:  # noqa: N802  (named as in Manopt)
    """Make a debug action from one entry of a debug list.

    Args:
        s: a symbol (one that is not known names a field of the options), a pair of a symbol and a format, any other
            string (a divider), or an action, which is returned as it is.

    Raises:
        OptionsError: if it is none of these.

    Examples:
        >>> DebugActionFactory(" | ")
        DebugDivider(divider=' | ', print=None)
        >>> DebugActionFactory((":Cost", "f = {:.3e}")).format
        'f = {:.3e}'
    """
    if isinstance(s, str):
        if not is_symbol(s):
            return DebugDivider(s)
        return _ACTIONS[s]() if s in _ACTIONS else DebugEntry(s)
    if isinstance(s, tuple):
        if len(s) != 2 or not is_symbol(s[0]) or not isinstance(s[1], str) or s[0] in _WITHOUT_FORMAT:
            raise OptionsError(
                f"a pair in a debug list is a symbol and a format, as in (':Cost', 'f = {{:.3e}}'), got {s!r}"
            )
        return _ACTIONS[s[0]](format=s[1]) if s[0] in _ACTIONS else DebugEntry(s[0], format=s[1])
    return check_callable(s)


def DebugFactory(a: Any) -> dict[str, Any]:  # noqa: N802  (named as in Manopt)
    r"""Make a dictionary of debug actions, keyed by place, from a debug list.

    Args:
        a: entries for `DebugActionFactory`, which are grouped under `":All"`; numbers, of which the last one k wraps
            the group so that it prints in every k-th iteration; and `":Stop"`, which prints the reason at the end.

    Raises:
        OptionsError: if an entry is none of these.

    Examples:
        >>> {place: type(action).__name__ for place, action in DebugFactory([":Cost", "\n", ":Stop", 10]).items()}
        {':All': 'DebugEvery', ':Stop': 'DebugStoppingCriterion'}
    """
    entries = parse_entries(a)
    places: dict[str, Any] = {}
    members = [DebugActionFactory(entry) for entry in entries.actions]
    # white space beside ":Stop" and nothing else: a line in every step in which nothing stands is not wanted
    blank = entries.stop and all(isinstance(part, DebugDivider) and not part.divider.strip() for part in members)
    if members and not blank:
        group = DebugGroup(members)
        places[S.All] = group if entries.every is None else DebugEvery(group, entries.every)
    if entries.stop:
        places[S.Stop] = DebugStoppingCriterion()
    return places
