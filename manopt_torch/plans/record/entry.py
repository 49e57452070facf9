"""Record actions for fields of the options, and for why a run stopped."""

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field as slot
from typing import Any

from manopt_torch.errors import OptionsError
from manopt_torch.plans.action import STOP
from manopt_torch.plans.record.base import RecordValue, held, record_or_reset
from manopt_torch.plans.storage import detached, storage_with
from manopt_torch.plans.symbols import S, field_of, field_value


@dataclass(eq=False)
class RecordEntry(RecordValue):
    """Record a field of the options.

    Args:
        field: its name, with or without the leading colon.
        example: an example (or the type) of what is recorded; it documents the record and may be None.
    """

    field: str
    example: Any = slot(default=None, repr=False)

    def __post_init__(self) -> None:
        """Strip the colon."""
        self.field = field_of(self.field)
        self.symbol = f":{self.field}"

    def value(self, p: Any, o: Any, i: int) -> Any:
        """Return the field's value."""
        return field_value(o, self.field)


@dataclass(eq=False)
class RecordEntryChange(RecordValue):
    """Record how much a field of the options has changed since the last iteration.

    A finished problem of a batch repeats its last row.

    Args:
        field: its name, with or without the leading colon.
        distance: `distance(p, o, present, former)` compares two values.
        storage: where the former value is kept; it may be shared with other actions.
        start: a former value for the first call; without it the first value is zero, unless the action has been
            called at the start of the run (as `solve` does).

    Raises:
        OptionsError: if `distance` is no callable.
    """

    field: str
    distance: Callable[[Any, Any, Any, Any], Any]
    storage: Any = None
    start: Any = slot(default=None, repr=False)

    def __post_init__(self) -> None:
        """Prepare the storage, check the distance."""
        self.field = field_of(self.field)
        self.symbol = f":{self.field}Change"
        self.storage = storage_with(self.storage, self.field, self.start)
        if not callable(self.distance):
            raise OptionsError(
                f"RecordEntryChange: distance is called as (p, o, present, former), got {self.distance!r}"
            )

    def value(self, p: Any, o: Any, i: int) -> Any:
        """Return the distance of the present value from the former one."""
        former = self.storage.look(self, p, o, i)
        if i <= 0:
            return None
        if self.field not in former:
            return 0.0
        change = self.distance(p, o, field_value(o, self.field), former[self.field])
        return held(o, change, self.recorded_values)

    def __call__(self, p: Any, o: Any, i: int) -> list[Any] | None:
        """Record the change; the storage is updated in any case."""
        return record_or_reset(self, self.value(p, o, i), i)


@dataclass(eq=False)
class RecordStoppingReason(RecordValue):
    """Record once, at the stop, the code of the reason: `n > 0` for the n-th criterion, negative for a failure."""

    symbol = S.Stop

    def value(self, p: Any, o: Any, i: int) -> Any:
        """Return the code of the reason."""
        return o.reason_code

    def __call__(self, p: Any, o: Any, i: int) -> list[Any] | None:
        """Record the code at the stop; other calls only empty the record where `i < 0`."""
        if i != STOP:
            return None if i >= 0 else record_or_reset(self, None, i)
        self.recorded_values.append(detached(self.value(p, o, i)))
        self.recorded_iterations.append(o.iteration)
        return self.recorded_values
