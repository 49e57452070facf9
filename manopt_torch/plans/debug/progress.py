"""The debug action that shows how far a run has come, by a bar or in lines."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.plans.action import STOP
from manopt_torch.plans.debug.base import Sink, TextAction
from manopt_torch.plans.debug.reading import Summary, count, over, readable
from manopt_torch.plans.stopping import StopAfterIteration
from manopt_torch.plans.symbols import batch_shape_of, cost_of


class Progress(NamedTuple):
    """How far a run has come.

    Examples:
        >>> print(Progress(20, 100, 0.5, 12, 64, False))
        iteration 20/100: cost 0.5, active 12/64
    """

    iteration: int
    total: int | None  # the largest number of iterations, where one is set
    cost: Any  # a number, or its summary over a batch
    active: int
    problems: int
    done: bool

    @property
    def typical_cost(self) -> Any:
        """The cost in one number: the median of a batch."""
        return self.cost.median if isinstance(self.cost, Summary) else self.cost

    def __str__(self) -> str:
        of = "" if self.total is None else f"/{self.total}"
        batch = "" if self.problems == 1 else f", active {self.active}/{self.problems}"
        return f"iteration {self.iteration}{of}: cost {self.cost}{batch}"


Bar = Callable[[Progress], Any]
_registered: list[Callable[[], Bar]] = []


def register_progress_bar(make: Callable[[], Bar] | None) -> None:
    """Set what makes the bar of a `DebugProgress` that is given none; None goes back to plain lines.

    Args:
        make: returns a new bar, a callable that takes a `Progress`.
    """
    _registered[:] = [] if make is None else [make]


@dataclass(eq=False)
class DebugProgress(TextAction):
    """Show how far the run has come: iteration, cost, and how many problems of a batch are active.

    Args:
        bar: called with a `Progress` at the start, in every `interval`-th iteration and at the stop. None is the bar
            that has been registered, and plain lines if there is none or `print` is given.
        interval: number of iterations between two messages.
        total: the largest number of iterations; None asks the stopping criterion for a `StopAfterIteration`.
        print: takes the lines; None is the builtin print, without newline.

    Raises:
        OptionsError: if the interval is not an int of at least 1.
    """

    bar: Bar | None = None
    interval: int = 1
    total: int | None = None
    print: Sink = None

    def __post_init__(self) -> None:
        """Check the interval."""
        if not isinstance(self.interval, int) or isinstance(self.interval, bool) or self.interval < 1:
            raise OptionsError(f"DebugProgress: interval must be an int >= 1, got {self.interval!r}")
        self._shown: Bar | None = self.bar

    def text(self, p: Any, o: Any, i: int) -> str:
        """Move the bar, or return a line."""
        if i == 0 and self.bar is None and self.print is None:
            self._shown = _registered[0]() if _registered else None
        if self._shown is not None:
            if i == STOP or (i >= 0 and i % self.interval == 0 and not over(o, i)):
                self._shown(self.progress(p, o, i))
            return ""
        if i < 0 or i % self.interval or over(o, i):
            return ""
        return f"{self.progress(p, o, i)}\n"

    def progress(self, p: Any, o: Any, i: int) -> Progress:
        """Read how far the run has come."""
        shape = batch_shape_of(p, o)
        active = count(o.active) if isinstance(o.active, torch.Tensor) else math.prod(shape)
        step = o.iteration if i == STOP else i
        cost = readable(cost_of(p, o), shape)
        total = _largest(o) if self.total is None else self.total
        return Progress(step, total, cost, active, math.prod(shape), i == STOP)


def _largest(o: Any) -> int | None:
    bounds = [c.n for c in getattr(o.stop, "members", ()) if isinstance(c, StopAfterIteration)]
    return min(bounds, default=None)
