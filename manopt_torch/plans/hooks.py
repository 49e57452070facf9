"""Hooks: the actions of all decorators, flattened to three tuples so that a bare run loops over nothing."""

import math
from typing import Any, NamedTuple

from manopt_torch.plans.action import STOP, Action
from manopt_torch.plans.options import OptionsDecorator

# places of an action in a decorator's dictionary
START, STEP, ALL, END = ":Start", ":Step", ":All", ":Stop"


class Hooks(NamedTuple):
    """Actions called with index 0 at the start, with `i` after step `i`, and with `STOP` when the stop has fired."""

    start: tuple[Action, ...] = ()
    step: tuple[Action, ...] = ()
    stop: tuple[Action, ...] = ()

    @classmethod
    def from_places(cls, places: dict[str, Any]) -> "Hooks":
        """Order the actions of one decorator: those of the place itself, then those of `:All`."""
        at = {place: (places[place],) if place in places else () for place in (START, STEP, ALL, END)}
        return cls(at[START] + at[ALL], at[STEP] + at[ALL], at[END] + at[ALL])

    def __add__(self, other: Any) -> "Hooks":
        return Hooks(self.start + other.start, self.step + other.step, self.stop + other.stop)


class Agenda:
    """What is called after which step, laid out when a run begins, so that most steps need not ask the actions.

    `always` is called after every step before `due`; `at` tells what else is called when that step has come.

    Args:
        actions: the actions after a step, in order.
        i: the last iteration before the run.
    """

    __slots__ = ("_entries", "always", "due")

    def __init__(self, actions: tuple[Any, ...], i: int) -> None:
        self._entries = [entry for action in actions for entry in _schedule_of(action)]
        self.always: tuple[Any, ...] = tuple(act for every, act in self._entries if every == 1)
        self.due = self._next_after(i)

    def at(self, i: int) -> tuple[Any, ...]:
        """Return what is called after step `i`, in order."""
        self.due: float = self._next_after(i)
        return tuple(act for every, act in self._entries if i % every == 0)

    def _next_after(self, i: int) -> float:
        """Return the first iteration after `i` in which an action is called that not every step calls."""
        return min((i - i % every + every for every, _ in self._entries if every > 1), default=math.inf)


def _schedule_of(action: Any) -> Any:
    return action.schedule() if isinstance(action, Action) else ((1, action),)


def collect_hooks(o: Any) -> Hooks:
    """Join the hooks of all decorators around the options, the innermost first."""
    hooks = Hooks()
    while isinstance(o, OptionsDecorator):
        hooks = (o.hook_table() or Hooks()) + hooks
        o = o.options
    return hooks


def run_hooks(actions: tuple[Action, ...], p: Any, o: Any, i: int) -> None:
    """Call the actions in order with the undecorated options."""
    for action in actions:
        action(p, o, i)


__all__ = ["ALL", "END", "START", "STEP", "STOP", "Agenda", "Hooks", "collect_hooks", "run_hooks"]
