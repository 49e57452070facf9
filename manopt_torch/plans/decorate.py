"""Decorators: options that print and options that record."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch

from manopt_torch._keywords import strict_keywords
from manopt_torch.errors import OptionsError, UnknownSymbolError
from manopt_torch.functional.masked import host_read
from manopt_torch.plans.action import Action
from manopt_torch.plans.debug.bare_names import warn_of_bare_names
from manopt_torch.plans.debug.base import DebugAction
from manopt_torch.plans.debug.entry import DebugEntry, DebugEntryChange
from manopt_torch.plans.debug.factory import DebugFactory
from manopt_torch.plans.debug.group import DebugEvery, DebugGroup, check_callable
from manopt_torch.plans.debug.line_end import with_line_end
from manopt_torch.plans.debug.stop import DebugStoppingCriterion
from manopt_torch.plans.dispatch import initialize_solver, step_solver, stop_solver
from manopt_torch.plans.hooks import STOP, Hooks, run_hooks
from manopt_torch.plans.options import OptionsDecorator, get_options
from manopt_torch.plans.record.base import RecordAction
from manopt_torch.plans.record.entry import RecordEntry, RecordEntryChange, RecordStoppingReason
from manopt_torch.plans.record.factory import RecordFactory
from manopt_torch.plans.record.group import RecordEvery, check_record_action, drop_rows_after
from manopt_torch.plans.storage import StoreOptionsAction
from manopt_torch.plans.symbols import PLACES, S, check_symbol, is_stop, is_symbol


class DebugOptions(OptionsDecorator):
    r"""Options that print while a solver works on them.

    Args:
        options: the options, which may be decorated already.
        debug: a `DebugAction` (called at every place), a list for `DebugFactory`, or a dict of actions or lists, keyed
            by place: `":Start"`, `":Step"`, `":Stop"`, `":All"`.

    Raises:
        UnknownSymbolError: if a symbol is neither known nor a field of the options, or a place is unknown.
        OptionsError: if `debug` is none of these.

    Warns:
        UserWarning: if a text is the name of a known symbol without its colon, "Cost" for ":Cost", say.

    Examples:
        >>> import torch
        >>> from manopt_torch import GradientDescentOptions
        >>> o = DebugOptions(GradientDescentOptions(torch.zeros(2)), [":Cost", "\n", ":Stop"])
        >>> {place: type(action).__name__ for place, action in o.debug_dictionary.items()}
        {':All': 'DebugGroup', ':Stop': 'DebugStoppingCriterion'}
    """

    def __init__(self, options: Any, debug: Any) -> None:
        OptionsDecorator.__init__(self, options)
        self.debug_dictionary: dict[str, Any] = _debug_places(get_options(options), debug)
        warn_of_bare_names(debug)
        _check_fields(get_options(options), self.debug_dictionary.values())

    def hook_table(self) -> Hooks:
        """Return the actions by the moment at which they are called, after their storages have been emptied."""
        return Hooks((_EmptyStorages(self.debug_dictionary),)) + Hooks.from_places(self.debug_dictionary)

    def __repr__(self) -> str:
        return f"DebugOptions({self.options!r}, {self.debug_dictionary})"


class RecordOptions(OptionsDecorator):
    """Options that record while a solver works on them; read the record with `get_record`.

    Records are emptied when a run begins. Where the host asks for the stop only now and then (`check_every`), the
    rows of iterations in which no problem took part any more are dropped at the end.

    Args:
        options: the options, which may be decorated already.
        record: a `RecordAction` (called at every place), a list for `RecordFactory`, or a dict of actions or lists,
            keyed by place: `":Start"`, `":Step"`, `":Stop"`, `":All"`.

    Raises:
        UnknownSymbolError: if a symbol is neither known nor a field of the options, or a place is unknown.
        OptionsError: if `record` is none of these.

    Examples:
        >>> import torch
        >>> from manopt_torch import GradientDescentOptions
        >>> o = RecordOptions(GradientDescentOptions(torch.zeros(2)), [":Iteration", ":Cost"])
        >>> o.record_dictionary
        {':All': RecordGroup([RecordIteration(), RecordCost()])}
    """

    def __init__(self, options: Any, record: Any) -> None:
        OptionsDecorator.__init__(self, options)
        self.record_dictionary: dict[str, RecordAction] = _record_places(get_options(options), record)
        _check_fields(get_options(options), self.record_dictionary.values())

    def hook_table(self) -> Hooks:
        """Return the actions by the moment at which they are called, with the care of the rows around them."""
        hooks = Hooks.from_places(self.record_dictionary)
        return Hooks((_EmptyRecords(self.record_dictionary),)) + hooks._replace(
            stop=(_DropLateRows(self.record_dictionary), *hooks.stop)
        )

    def __repr__(self) -> str:
        return f"RecordOptions({self.options!r}, {self.record_dictionary})"


@strict_keywords
def decorate_options(o: Any, debug: Any = None, record: Any = None) -> Any:
    r"""Wrap options so that they print and record; the debug decorator is the inner one.

    Args:
        o: the options, decorated or not.
        debug: as for `DebugOptions`, None for nothing. A list that nowhere ends a line gets a `"\n"` at its end.
        record: as for `RecordOptions`, None for nothing.

    Returns:
        The options, wrapped in `DebugOptions` and `RecordOptions` as asked for.

    Raises:
        UnknownSymbolError: if a symbol is neither known nor a field of the options; nothing has been printed then.
        OptionsError: if `debug` or `record` is not understood.

    Examples:
        >>> import torch
        >>> from manopt_torch import GradientDescentOptions
        >>> o = decorate_options(GradientDescentOptions(torch.zeros(2)), debug=[":Cost"], record=[":Cost"])
        >>> type(o).__name__, type(o.options).__name__, len(o.options.debug_dictionary[":All"].group)
        ('RecordOptions', 'DebugOptions', 2)
    """
    if debug is not None:
        entries = [debug] if isinstance(debug, str) else debug
        o = DebugOptions(o, with_line_end(entries) if isinstance(entries, (list, tuple)) else entries)
    if record is not None:
        o = RecordOptions(o, record)
    return o


def record_places_of(o: Any) -> dict[str, RecordAction] | None:
    """Return the record actions by place of the outermost decorator that records, None if there is none."""
    get_options(o)
    return getattr(o, "record_dictionary", None)  # decorators pass on what they have not


# ---- stepping by hand: the actions of a decorator follow the verb of the options inside -----------------------------


def _initialize(p: Any, o: Any) -> None:
    initialize_solver(p, o.options)
    run_hooks(o.hook_table().start, p, get_options(o), 0)


def _step(p: Any, o: Any, i: int) -> None:
    step_solver(p, o.options, i)
    run_hooks(o.hook_table().step, p, get_options(o), i)


def _stop(p: Any, o: Any, i: int) -> bool:
    stops = stop_solver(p, o.options, i)
    if stops:
        run_hooks(o.hook_table().stop, p, get_options(o), STOP)
    return stops


for _kind in (DebugOptions, RecordOptions):
    initialize_solver.register(_kind)(_initialize)
    step_solver.register(_kind)(_step)
    stop_solver.register(_kind)(_stop)


# ---- what the constructors take -------------------------------------------------------------------------------------


def _debug_places(o: Any, debug: Any) -> dict[str, Any]:
    if isinstance(debug, dict):
        return {_place(key): _debug_at_place(o, value) for key, value in debug.items()}
    if isinstance(debug, str):
        debug = [debug]
    if isinstance(debug, (list, tuple)):
        _check_symbols(o, debug)
        return DebugFactory(debug)
    if isinstance(debug, DebugAction) or callable(debug):
        return {S.All: check_callable(debug)}
    raise OptionsError(f"debug takes a list such as [':Cost', 10], a DebugAction or a dict of them, got {debug!r}")


def _debug_at_place(o: Any, value: Any) -> Any:
    if not isinstance(value, (list, tuple, str)):
        return check_callable(value)
    entries = [value] if isinstance(value, str) else list(value)
    # at one place, ":Stop" is the action that prints the reason, not a place of its own
    made = _debug_places(o, [DebugStoppingCriterion() if is_stop(e) else e for e in entries])
    return made.get(S.All, DebugGroup([]))


def _record_places(o: Any, record: Any) -> dict[str, RecordAction]:
    if isinstance(record, dict):
        return {_place(key): _record_at_place(o, value) for key, value in record.items()}
    if isinstance(record, str):
        record = [record]
    if isinstance(record, (list, tuple)):
        return RecordFactory(o, record)
    return {S.All: check_record_action(record)}


def _record_at_place(o: Any, value: Any) -> RecordAction:
    if isinstance(value, (list, tuple, str)):
        entries = [value] if isinstance(value, str) else list(value)
        # at one place, ":Stop" is the action that records the reason, not a place of its own
        return RecordFactory(o, [RecordStoppingReason() if is_stop(e) else e for e in entries])[S.All]
    return check_record_action(value)


def _place(key: Any) -> str:
    if key not in PLACES:
        raise UnknownSymbolError(f"{key!r} is no place of an action: the places are {', '.join(PLACES)}")
    return key


def _check_symbols(o: Any, entries: Any) -> None:
    for entry in entries:
        symbol: Any = entry[0] if isinstance(entry, tuple) and entry else entry
        if is_symbol(symbol):
            check_symbol(o, symbol)


def _check_fields(o: Any, actions: Iterable[Any]) -> None:
    """Raise before the run, not in the middle of it, where an action reads a field that the options do not have."""
    for action in _all_actions(actions):
        if isinstance(action, _READ_A_FIELD):
            check_symbol(o, f":{action.field}", ())


def _all_actions(actions: Iterable[Any]) -> Iterator[Any]:
    """Yield the actions, and those inside of groups and of what calls others now and then."""
    for action in actions:
        yield action
        yield from _all_actions(getattr(action, "group", ()))
        if isinstance(action, (DebugEvery, RecordEvery)):
            yield from _all_actions((action.action,))


_READ_A_FIELD = (DebugEntry, DebugEntryChange, RecordEntry, RecordEntryChange)


# ---- care of storages and rows --------------------------------------------------------------------------------------


class _Care(Action):
    """Base of what a decorator does besides calling its actions."""

    def __init__(self, places: dict[str, Any]) -> None:
        self.places = places


class _EmptyStorages(_Care):
    """At the start of a run: let the storages of the actions forget what a former run has left there."""

    def __call__(self, p: Any, o: Any, i: int) -> None:
        for action in _all_actions(self.places.values()):
            storage = action if isinstance(action, StoreOptionsAction) else getattr(action, "storage", None)
            if isinstance(storage, StoreOptionsAction):
                storage.forget()


class _EmptyRecords(_EmptyStorages):
    """At the start of a run: empty the records, too, and make them those of the options."""

    def __call__(self, p: Any, o: Any, i: int) -> None:
        _EmptyStorages.__call__(self, p, o, i)
        for action in self.places.values():
            action.reset()
        o.record_places = self.places


class _DropLateRows(_Care):
    """At the stop: drop the rows of iterations after the last one in which a problem took part."""

    def __call__(self, p: Any, o: Any, i: int) -> None:
        if o.check_every == 1 or not isinstance(o.iterations, torch.Tensor) or o.iterations.is_meta:
            return
        with host_read():
            last = int(o.iterations.max()) if o.iterations.numel() else 0
        for action in self.places.values():
            drop_rows_after(action, last)
