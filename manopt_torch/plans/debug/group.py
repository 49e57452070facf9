"""Debug actions made of debug actions, and the divider between them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from manopt_torch.errors import OptionsError
from manopt_torch.plans.action import STOP
from manopt_torch.plans.debug.base import UPDATE, Line, LineAction, Sink, TextAction, write_to
from manopt_torch.plans.debug.reading import over


@dataclass(eq=False)
class DebugDivider(TextAction):
    """Print a string at the start and after every step.

    Args:
        divider: the string.
        print: takes the text; None is the builtin print, without newline.

    Examples:
        >>> DebugDivider(" | ")(None, None, 1)
         |
    """

    divider: str = " | "
    print: Sink = None

    is_divider = True
    remembers = False

    def text(self, p: Any, o: Any, i: int) -> str:
        """Return the string."""
        return self.divider if i >= 0 and not over(o, i) else ""


class DebugGroup(LineAction):
    """Run debug actions one after the other; texts that go to the same place are joined to one string.

    Dividers are not printed where all other members have nothing to print, so that no empty lines appear at the
    start of a run.

    Args:
        group: the actions; other callables `(p, o, i)` are called in their turn.
        print: takes the text of the whole group; None leaves it to the members.
    """

    def __init__(self, group: Iterable[Any], *, print: Sink = None) -> None:
        self.group: list[Any] = list(group)
        self.print = print
        for member in self.group:
            check_callable(member)

    @property
    def remembers(self) -> bool:
        """Whether a call that prints nothing still has something to update in a member."""
        return any(getattr(member, "remembers", True) for member in self.group)

    def write(self, line: Line, p: Any, o: Any, i: int) -> None:
        """Let the members write, or only update what they keep once no problem is active."""
        index = UPDATE if over(o, i) else i
        inner = line if self.print is None else Line()
        for member in self.group:
            write_to(inner, member, p, o, index)
        if inner is not line:
            line.add(self.print, inner.text())

    def __repr__(self) -> str:
        return f"DebugGroup({self.group})"


class DebugEvery(LineAction):
    """Run a debug action at the start and in every k-th iteration.

    Args:
        action: what to run.
        every: k.
        always_update: whether in the other iterations the action still updates what it keeps, so that a change is the
            one of the last iteration, not that of the last k.
        print: takes the text; None leaves it to the action.

    Raises:
        OptionsError: if `every` is not an int of at least 1.
    """

    def __init__(self, action: Any, every: int = 1, always_update: bool = True, *, print: Sink = None) -> None:
        self.action: Any = check_callable(action)
        if not isinstance(every, int) or isinstance(every, bool) or every < 1:
            raise OptionsError(f"DebugEvery: every must be an int >= 1, got {every!r}")
        self.every = every
        self.always_update = always_update
        self.print = print

    @property
    def remembers(self) -> bool:
        """Whether a call that prints nothing still has something to update in the action."""
        return getattr(self.action, "remembers", True)

    def schedule(self) -> Iterable[tuple[int, Callable[..., Any]]]:
        """Spare the steps in which the action has nothing to print and nothing to update."""
        idle = type(self) is DebugEvery and not (self.always_update and self.remembers)
        return ((self.every if idle else 1, self),)

    def write(self, line: Line, p: Any, o: Any, i: int) -> None:
        """Let the action write, update, or neither. The call at the stop is always passed on."""
        if i == STOP or (i >= 0 and i % self.every == 0):
            index = i
        elif self.always_update:
            index = UPDATE
        else:
            return
        inner = line if self.print is None else Line()
        write_to(inner, self.action, p, o, index)
        if inner is not line:
            line.add(self.print, inner.text())

    def __repr__(self) -> str:
        return f"DebugEvery({self.action!r}, {self.every}, always_update={self.always_update})"


def check_callable(action: Any) -> Any:
    """Return a debug action or another callable, or raise.

    Raises:
        OptionsError: if it cannot be called as `(p, o, i)`.
    """
    if isinstance(action, type):
        raise OptionsError(f"{action.__name__} is a class: write {action.__name__}()")
    if not callable(action):
        raise OptionsError(f"a debug action is called as (p, o, i), got {action!r}")
    return action
