"""Storage: values of the options kept from one iteration to the next, for actions that look at changes."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from manopt_torch.errors import UnknownSymbolError
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.plans.action import Action


class StoreOptionsAction(Action):
    """Keep fields of the options until the next iteration.

    Values are kept as detached references: solvers never write into a tensor that they have handed out.

    Several actions may share one storage. `get_storage` gives the value stored last, by whichever of them came first
    in an iteration; an action that wants the change since *its own* last call uses `look`, which keeps account for
    each reader, so that no reader finds its former value overwritten by another.

    Args:
        keys: names of fields, with or without the leading colon.
        once: whether only the first call in an iteration stores; calls without a step (`i <= 0`) always do.

    Examples:
        >>> storage = StoreOptionsAction(["x"])
        >>> has_storage(storage, "x")
        False
        >>> update_storage(storage, {"x": 3.0})
        ('x',)
        >>> get_storage(storage, "x")
        3.0
    """

    last_stored: int

    def __init__(self, keys: Iterable[str] = (), once: bool = True) -> None:
        self.keys: tuple[str, ...] = tuple(_bare(key) for key in ([keys] if isinstance(keys, str) else keys))
        self.once = once
        self.values: dict[str, Any] = {}
        self.last_stored = -1
        self._given: dict[str, Any] = {}  # what has been set from outside
        self._seen: dict[Any, dict[str, Any]] = {}  # reader -> values at its last look

    def __call__(self, p: Any, o: Any, i: int) -> None:
        """Store the present values, unless that has been done in this iteration."""
        self._store(_read(o, self), i)

    def _store(self, present: dict[str, Any], i: int) -> None:
        if not self.once or i <= 0 or i != self.last_stored:
            self.values.update(present)
            self.last_stored = i

    def look(self, reader: Any, p: Any, o: Any, i: int) -> dict[str, Any]:
        """Return the values as they stood when `reader` looked last, and store the present ones.

        Args:
            reader: the action that looks; at its first look it gets what is stored, which may be nothing.
            p: the problem.
            o: the options.
            i: the iteration.
        """
        former = self._seen.get(reader)
        if former is None:
            former = dict(self.values)
        present = self._seen[reader] = _read(o, self)
        self._store(present, i)
        return former

    def add_key(self, key: str) -> None:
        """Store one field more from now on."""
        if _bare(key) not in self.keys:
            self.keys = (*self.keys, _bare(key))

    def put(self, values: Mapping[str, Any]) -> None:
        """Set values from outside, for all readers."""
        given = {_bare(key): detached(value) for key, value in values.items()}
        for key in given:
            self.add_key(key)
        for held in (self._given, self.values, *self._seen.values()):
            held.update(given)

    def forget(self) -> None:
        """Keep what has been set from outside only, as at the start of a run: the former run may have been another."""
        self.values, self.last_stored, self._seen = dict(self._given), -1, {}

    def __repr__(self) -> str:
        return f"StoreOptionsAction({self.keys}, once={self.once})"


def get_storage(a: StoreOptionsAction, key: str) -> Any:
    """Return the value stored last under `key`.

    Raises:
        KeyError: if nothing is stored there.
    """
    return a.values[_bare(key)]


def has_storage(a: StoreOptionsAction, key: str) -> bool:
    """Tell whether a value is stored under `key`."""
    return _bare(key) in a.values


def update_storage(a: StoreOptionsAction, o_or_dict: Any) -> tuple[str, ...]:
    """Set stored values from options (the storage's own keys) or from a dict (which may bring new keys).

    Args:
        a: the storage.
        o_or_dict: options, or a dict of values by field name.

    Returns:
        The keys of the storage.
    """
    a.put(o_or_dict if isinstance(o_or_dict, Mapping) else _read(o_or_dict, a))
    return a.keys


def storage_with(storage: StoreOptionsAction | None, field: str, start: Any = None) -> StoreOptionsAction:
    """Return the storage, or a new one, prepared to keep a field; a start value counts as stored already."""
    storage = StoreOptionsAction() if storage is None else storage
    storage.add_key(field)
    if start is not None:
        storage.put({field: start})
    return storage


def detached(value: Any) -> Any:
    """Return a value whose tensors carry no graph."""
    if isinstance(value, tuple):
        return map_leaves(detached, value)
    return value.detach() if isinstance(value, torch.Tensor) and value.requires_grad else value


def _bare(key: str) -> str:
    return key.removeprefix(":")


def _read(o: Any, a: StoreOptionsAction) -> dict[str, Any]:
    present = {key: detached(getattr(o, key)) for key in a.keys if hasattr(o, key)}
    if len(present) < len(a.keys):
        # what was set from a dict need not be a field
        unknown = [key for key in a.keys if key not in present and key not in a.values]
        if unknown:
            known = ", ".join(getattr(o, "__dataclass_fields__", vars(o)))
            raise UnknownSymbolError(f"{type(o).__name__} has no field {', '.join(unknown)} to store; it has {known}")
    return present
