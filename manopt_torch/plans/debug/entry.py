"""Debug actions that print a field of the options, or how much it has changed."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from manopt_torch.errors import OptionsError
from manopt_torch.plans.debug.base import Sink, TextAction
from manopt_torch.plans.debug.reading import check_format, over, readable
from manopt_torch.plans.debug.value import written
from manopt_torch.plans.distance import distance
from manopt_torch.plans.storage import StoreOptionsAction, storage_with
from manopt_torch.plans.symbols import batch_shape_of, field_of, field_value


@dataclass(eq=False)
class DebugEntry(TextAction):
    """Print a field of the options, at the start and after every step.

    Args:
        field: its name, with or without the leading colon.
        prefix: what stands before the value, by default the name and a colon; a blank follows it.
        format: template of the text, such as `"radius = {:.2e}"`; it replaces the default prefix.
        index: print the value of this problem of the batch.
        print: takes the text; None is the builtin print, without newline.

    Raises:
        OptionsError: if the format has no place for a value.

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, CostProblem, GradientDescentOptions
        >>> p = CostProblem(Euclidean(1), lambda x: x[..., 0])
        >>> DebugEntry("check_every")(p, GradientDescentOptions(torch.zeros(1)), 0)
        check_every: 1
    """

    field: str
    prefix: str | None = None
    format: str | None = None
    index: int | tuple[int, ...] | None = None
    print: Sink = None

    remembers = False

    def __post_init__(self) -> None:
        """Strip the colon, check the format."""
        self.field = field_of(self.field)
        check_format(self, 0.0, 0, "")

    def text(self, p: Any, o: Any, i: int) -> str:
        """Return prefix and value."""
        if i < 0 or over(o, i):
            return ""
        shown = readable(field_value(o, self.field), batch_shape_of(p, o), self.index)
        return written(shown, None if self.prefix is None else f"{self.prefix} ", f"{self.field}: ", self.format)


@dataclass(eq=False)
class StoredChange(TextAction):
    """Base of the actions that compare a field with its value at their last call."""

    @abstractmethod
    def measure(self, p: Any, o: Any, former: Any) -> Any:
        """Return the distance of the former value from the present one."""

    def changed(self, p: Any, o: Any, i: int, field: str) -> str:
        """Return prefix and distance once there is a former value; the storage is updated in any case."""
        action: Any = self
        former = action.storage.look(self, p, o, i)
        if i <= 0 or field not in former or over(o, i):
            return ""
        active = o.active if action.index is None and not isinstance(o.active, bool) else None
        change = readable(self.measure(p, o, former[field]), batch_shape_of(p, o), action.index, active)
        return written(change, action.prefix, action.default_prefix, action.format)


@dataclass(eq=False, kw_only=True)
class DebugChange(StoredChange):
    """Print how far the last step went: the distance of the iterate from the one before.

    For a batch, smallest, median and largest over the active problems.

    Args:
        x0: a former iterate for the first call; without it nothing is printed then.
        storage: where the former iterate is kept; it may be shared with other actions.
        prefix: what stands before the number.
        format: template of the text, such as `"step {:.1e}"`; it replaces the default prefix.
        index: print the value of this problem of the batch.
        print: takes the text; None is the builtin print, without newline.

    Raises:
        OptionsError: if the format cannot write a number.
    """

    x0: Any = None
    storage: StoreOptionsAction | None = None
    prefix: str | None = None
    format: str | None = None
    index: int | tuple[int, ...] | None = None
    print: Sink = None

    default_prefix = "Last Change: "

    def __post_init__(self) -> None:
        """Prepare the storage, check the format."""
        self.storage = storage_with(self.storage, "x", self.x0)
        check_format(self, 0.0)

    def measure(self, p: Any, o: Any, former: Any) -> Any:
        """Return the distance on the manifold."""
        return distance(p.M, o.x, former)

    def text(self, p: Any, o: Any, i: int) -> str:
        """Return prefix and distance."""
        return self.changed(p, o, i, "x")


@dataclass(eq=False)
class DebugEntryChange(StoredChange):
    """Print how much a field of the options has changed since the last iteration.

    Args:
        field: its name, with or without the leading colon.
        distance: `distance(p, o, present, former)` compares two values.
        storage: where the former value is kept; it may be shared with other actions.
        prefix: what stands before the number, by default `Change of` and the name.
        start: a former value for the first call; without it nothing is printed then.
        format: template of the text; it replaces the default prefix.
        index: print the value of this problem of the batch.
        print: takes the text; None is the builtin print, without newline.

    Raises:
        OptionsError: if `distance` is no callable, or the format cannot write a number.
    """

    field: str
    distance: Callable[[Any, Any, Any, Any], Any]
    storage: StoreOptionsAction | None = None
    prefix: str | None = None
    start: Any = None
    format: str | None = None
    index: int | tuple[int, ...] | None = None
    print: Sink = None

    def __post_init__(self) -> None:
        """Prepare the storage, check distance and format."""
        self.field = field_of(self.field)
        self.default_prefix: str = f"Change of {self.field}:"
        self.storage = storage_with(self.storage, self.field, self.start)
        if not callable(self.distance):
            raise OptionsError(
                f"DebugEntryChange: distance is called as (p, o, present, former), got {self.distance!r}"
            )
        check_format(self, 0.0, 0)

    def measure(self, p: Any, o: Any, former: Any) -> Any:
        """Return the user's distance."""
        return self.distance(p, o, field_value(o, self.field), former)

    def text(self, p: Any, o: Any, i: int) -> str:
        """Return prefix and distance."""
        return self.changed(p, o, i, self.field)
