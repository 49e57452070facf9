"""What a debug action is, and how its text gets out."""

from abc import abstractmethod
from collections.abc import Callable
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeAlias

from manopt_torch.plans.action import Action

# where text goes: a callable that takes one string; None is the builtin print, without newline
Sink: TypeAlias = Callable[[str], Any] | None

# the index that asks an action to update what it keeps, but to print nothing
UPDATE = -1


class DebugAction(Action):
    """Print something about a run, called as `(p, o, i)`.

    By convention `i > 0` prints, `i == 0` prints what makes sense at initialisation, `i < 0` only updates what is
    kept inside, and `STOP` is the call after the last iteration. To write one of your own, subclass this and define
    `__call__`; any other callable with these arguments may stand in a debug list as well.

    Examples:
        >>> class Dot(DebugAction):
        ...     def __call__(self, p, o, i):
        ...         if i > 0:
        ...             print(".")
        >>> Dot()(None, None, 1)
        .
    """


class Line:
    """Text on its way out: pieces with the same destination are joined, so that each gets one string a call."""

    __slots__ = ("_awaited", "_pieces", "_told")

    def __init__(self) -> None:
        self._pieces: list[tuple[Sink, str]] = []
        self._told = self._awaited = False

    def add(self, sink: Sink, text: str, divider: bool = False) -> None:
        """Append a piece; a divider alone is no reason to print a line in which a value could have stood."""
        self._awaited = self._awaited or not divider
        if text:
            self._told = self._told or not divider
            self._pieces.append((sink, text))

    def flush(self, complete: bool = True) -> None:
        """Print what has been gathered; a complete line that holds dividers where values should be is dropped."""
        if self._pieces and (self._told or not (self._awaited and complete)):
            for sink, pieces in groupby(self._pieces, key=itemgetter(0)):
                emit(sink, "".join(text for _, text in pieces))
        self._pieces = []

    def text(self) -> str:
        """Return what has been gathered as one string, and forget it."""
        text = "".join(text for _, text in self._pieces) if self._told or not self._awaited else ""
        self._pieces = []
        return text


class LineAction(DebugAction):
    """A debug action that hands its text to a `Line`, so that groups can join the texts of their members."""

    @abstractmethod
    def write(self, line: Line, p: Any, o: Any, i: int) -> None:
        """Append the text of this call to the line."""

    def __call__(self, p: Any, o: Any, i: int) -> None:
        """Print the text of this call."""
        line = Line()
        self.write(line, p, o, i)
        line.flush()


class TextAction(LineAction):
    """A debug action with a text of its own, printed by its `print`."""

    print: Sink
    is_divider = False
    remembers = True  # whether a call that prints nothing still has something to update

    @abstractmethod
    def text(self, p: Any, o: Any, i: int) -> str:
        """Return the text of this call, empty where there is nothing to print."""

    def write(self, line: Line, p: Any, o: Any, i: int) -> None:
        """Append the text of this call to the line."""
        line.add(self.print, self.text(p, o, i), self.is_divider)


def emit(sink: Sink, text: str) -> None:
    """Hand one string to the destination."""
    if sink is None:
        print(text, end="")  # noqa: T201  (printing is what these actions are for)
    else:
        sink(text)


def write_to(line: Line, action: Any, p: Any, o: Any, i: int) -> None:
    """Let an action write into a line; one that prints by itself is called in its turn."""
    if isinstance(action, LineAction):
        if i != UPDATE or getattr(action, "remembers", True):
            action.write(line, p, o, i)
    else:
        line.flush(complete=False)
        action(p, o, i)
