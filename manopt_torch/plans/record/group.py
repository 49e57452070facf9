"""Record actions made of record actions."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from manopt_torch.errors import OptionsError
from manopt_torch.plans.record.base import RecordAction, iterations_of


class RecordGroup(RecordAction):
    """Record several values a row.

    Args:
        group: the record actions.

    Raises:
        OptionsError: if a member is no record action.

    Examples:
        >>> from manopt_torch import RecordIteration
        >>> g = RecordGroup([RecordIteration(), RecordIteration()])
        >>> g(None, None, 1), g(None, None, 2)
        (None, None)
        >>> g.recorded_values
        [(1, 1), (2, 2)]
    """

    def __init__(self, group: Iterable[RecordAction]) -> None:
        self.group: list[RecordAction] = list(group)
        for member in self.group:
            check_record_action(member)

    def __call__(self, p: Any, o: Any, i: int) -> None:
        """Call the members one after the other."""
        for member in self.group:
            member(p, o, i)

    def schedule(self) -> Iterable[tuple[int, Callable[..., Any]]]:
        """Have the members called without the group between."""
        if type(self) is not RecordGroup:
            return ((1, self),)
        return [entry for member in self.group for entry in member.schedule()]

    def reset(self) -> None:
        """Forget the rows of all members."""
        for member in self.group:
            member.reset()

    @property
    def recorded_iterations(self) -> list[int]:
        """The iterations in which any member has recorded."""
        columns = [iterations_of(member) for member in self.group]
        if all(column == columns[0] for column in columns):
            return list(columns[0]) if columns else []
        return sorted({i for column in columns for i in column})

    @property
    def recorded_values(self) -> list[tuple[Any, ...]]:
        """One tuple an iteration; None where a member has not recorded in it."""
        rows = self.recorded_iterations
        columns = []
        for member in self.group:
            at = dict(zip(iterations_of(member), member.recorded_values, strict=True))
            columns.append([at.get(i) for i in rows])
        return list(zip(*columns, strict=True))

    def __repr__(self) -> str:
        return f"RecordGroup({self.group})"


class RecordEvery(RecordAction):
    """Record in every k-th iteration.

    Args:
        action: what to record.
        every: k.
        always_update: whether in the other iterations the action still updates what it keeps (by a call with index 0).

    Raises:
        OptionsError: if `every` is not an int of at least 1.
    """

    def __init__(self, action: RecordAction, every: int = 1, always_update: bool = True) -> None:
        self.action: Any = check_record_action(action)
        if not isinstance(every, int) or isinstance(every, bool) or every < 1:
            raise OptionsError(f"RecordEvery: every must be an int >= 1, got {every!r}")
        self.every = every
        self.always_update = always_update

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Let the action record, update or reset."""
        if i <= 0 or i % self.every == 0:
            return self.action(p, o, i)
        return self.action(p, o, 0) if self.always_update else None

    def reset(self) -> None:
        """Forget the rows of the action inside."""
        self.action.reset()

    @property
    def recorded_iterations(self) -> Any:
        """The iterations of the rows."""
        return iterations_of(self.action)

    @property
    def recorded_values(self) -> Any:
        """The rows of the action inside."""
        return self.action.recorded_values

    def __repr__(self) -> str:
        return f"RecordEvery({self.action!r}, {self.every}, always_update={self.always_update})"


def leaves_of(action: RecordAction) -> Iterator[RecordAction]:
    """Yield the record actions that hold values, through groups and `RecordEvery`."""
    if isinstance(action, RecordGroup):
        for member in action.group:
            yield from leaves_of(member)
    elif isinstance(action, RecordEvery):
        yield from leaves_of(action.action)
    else:
        yield action


def drop_rows_after(action: RecordAction, last: int) -> None:
    """Drop the rows of iterations after the last one in which a problem was active."""
    for leaf in leaves_of(action):
        iterations = iterations_of(leaf)
        kept = [row for row, i in enumerate(iterations) if i <= last]
        if len(kept) < len(iterations):
            leaf.recorded_values = [leaf.recorded_values[row] for row in kept]
            leaf.recorded_iterations = [iterations[row] for row in kept]


def check_record_action(action: Any) -> Any:
    """Return a record action, or raise.

    Raises:
        OptionsError: if it is none.
    """
    if isinstance(action, type):
        raise OptionsError(f"{action.__name__} is a class: write {action.__name__}()")
    if not isinstance(action, RecordAction):
        raise OptionsError(f"expected a RecordAction, got {action!r}")
    return action
