"""What a record action is, and how values get into it."""

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any

import torch

from manopt_torch.plans.action import STOP, Action
from manopt_torch.plans.storage import detached


class RecordAction(Action):
    """Record something about a run, called as `(p, o, i)`.

    By convention `i > 0` records a value, `i == 0` only updates what is kept inside, `i < 0` empties the record, and
    `STOP` is the call after the last iteration. To write one of your own, subclass this, set `recorded_values` to an
    empty list, and call `record_or_reset`. A `symbol` names its column in exports.

    Examples:
        >>> class RecordParity(RecordAction):
        ...     symbol = ":Parity"
        ...     def __init__(self):
        ...         self.recorded_values = []
        ...     def __call__(self, p, o, i):
        ...         return record_or_reset(self, i % 2, i)
        >>> r = RecordParity()
        >>> r(None, None, 1), r(None, None, 2), r(None, None, 0), r(None, None, -1)
        ([1, 0], [1, 0], None, [])
    """

    recorded_values: Any  # one value a row
    recorded_iterations: Any  # the iteration of each row
    symbol: str

    def reset(self) -> None:
        """Forget all rows; called before a run. Lists handed out before stay as they are."""
        empty(self)


def record_or_reset(r: Any, v: Any, i: int) -> list[Any] | None:
    """Append a value to a record (`i > 0`), or empty it (`STOP < i < 0`).

    Args:
        r: the record action.
        v: the value; tensors are kept where they are, without their graph.
        i: the iteration.

    Returns:
        The recorded values, None where nothing is done.
    """
    if i > 0:
        values = r.recorded_values
        if not hasattr(r, "recorded_iterations"):
            r.recorded_iterations = list(iterations_of(r))
        values.append(detached(v))
        r.recorded_iterations.append(i)
        return values
    if i in (0, STOP):
        return None
    r.reset()
    return r.recorded_values


def empty(r: Any) -> None:
    """Give a record action new, empty lists."""
    r.recorded_values, r.recorded_iterations = [], []


def iterations_of(r: Any) -> Any:
    """Return the iteration of each row; a record that has not kept account counts from one."""
    kept = getattr(r, "recorded_iterations", None)
    rows = len(r.recorded_values)
    return kept if kept is not None and len(kept) == rows else range(1, rows + 1)


def held(o: Any, value: Any, rows: list[Any]) -> Any:
    """Repeat the last row where a problem took no part in the step."""
    if not rows or not isinstance(value, torch.Tensor) or not isinstance(o.active, torch.Tensor):
        return value
    if value.shape != o.active.shape:
        return value
    return torch.where(o.active, value, rows[-1])


@dataclass(eq=False)
class RecordValue(RecordAction):
    """Base of the record actions that append one value a call."""

    recorded_values: list[Any] = field(default_factory=list, init=False, repr=False)
    recorded_iterations: list[int] = field(default_factory=list, init=False, repr=False)

    @abstractmethod
    def value(self, p: Any, o: Any, i: int) -> Any:
        """Return the value to record."""

    def __call__(self, p: Any, o: Any, i: int) -> list[Any] | None:
        """Record the value, or empty the record."""
        if i <= 0:
            return record_or_reset(self, None, i)
        self.recorded_values.append(detached(self.value(p, o, i)))
        self.recorded_iterations.append(i)
        return self.recorded_values
