"""Factories: record actions from symbols and numbers."""

from typing import Any

from manopt_torch.errors import UnknownSymbolError
from manopt_torch.plans.options import get_options
from manopt_torch.plans.record.base import RecordAction
from manopt_torch.plans.record.entry import RecordEntry, RecordStoppingReason
from manopt_torch.plans.record.group import RecordEvery, RecordGroup, check_record_action
from manopt_torch.plans.record.value import (
    RecordChange,
    RecordCost,
    RecordGradient,
    RecordGradientNorm,
    RecordIterate,
    RecordIteration,
    RecordProximalParameter,
    RecordStepsize,
    RecordTime,
)
from manopt_torch.plans.symbols import KNOWN, S, check_symbol, field_of, is_symbol, parse_entries

_ACTIONS: dict[str, Any] = {
    S.Change: RecordChange,
    S.Cost: RecordCost,
    S.Gradient: RecordGradient,
    S.GradientNorm: RecordGradientNorm,
    S.Iteration: RecordIteration,
    S.ProximalParameter: RecordProximalParameter,
    S.Stepsize: RecordStepsize,
    S.Stop: RecordStoppingReason,
    S.Time: RecordTime,
}
_SYMBOLS = tuple(symbol for symbol in KNOWN if symbol != S.Progress)


def RecordActionFactory(o: Any, s: Any) -> RecordAction:  # noqa: N802  (named as in Manopt)
    """Make a record action from one entry of a record list.

    Args:
        o: the options, decorated or not.
        s: a symbol (one that is not known names a field of the options), or a record action, which is returned as it
            is.

    Raises:
        UnknownSymbolError: if a symbol is neither known nor a field of the options.
        OptionsError: if it is neither a symbol nor a record action.
    """
    if not isinstance(s, str):
        return check_record_action(s)
    bare = get_options(o)
    if not is_symbol(s):
        hint = f": write {f':{s}'!r}" if f":{s}" in _SYMBOLS or (s.isidentifier() and hasattr(bare, s)) else ""
        raise UnknownSymbolError(f"a record list takes symbols such as ':Cost' and record actions, got {s!r}{hint}")
    check_symbol(bare, s, _SYMBOLS)
    if s == S.Iterate:
        return RecordIterate(bare.x)
    return _ACTIONS[s]() if s in _ACTIONS else RecordEntry(s, getattr(bare, field_of(s)))


def RecordFactory(o: Any, a: Any) -> dict[str, RecordAction]:  # noqa: N802  (named as in Manopt)
    """Make a dictionary of record actions, keyed by place, from a record list.

    Args:
        o: the options, decorated or not.
        a: entries for `RecordActionFactory`, which are grouped under `":All"`; numbers, of which the last one k wraps
            the group so that it records every k-th iteration; and `":Stop"`, which records the code of the reason.

    Raises:
        UnknownSymbolError: if a symbol is neither known nor a field of the options.
        OptionsError: if an entry is none of these.

    Examples:
        >>> import torch
        >>> from manopt_torch import GradientDescentOptions
        >>> RecordFactory(GradientDescentOptions(torch.zeros(2)), [":Iteration", ":Cost"])
        {':All': RecordGroup([RecordIteration(), RecordCost()])}
    """
    entries = parse_entries(a)
    group = RecordGroup([RecordActionFactory(o, entry) for entry in entries.actions])
    places: dict[str, RecordAction] = {S.All: group if entries.every is None else RecordEvery(group, entries.every)}
    if entries.stop:
        places[S.Stop] = RecordStoppingReason()
    return places
