"""Actions: small functors called as `(p, o, i)` at the places of a run."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

from manopt_torch._keywords import KnownKeywords

# The index with which actions are called once when the stop has fired.
STOP = -sys.maxsize - 1


class Action(KnownKeywords, ABC):
    """Something done at the start, after every step or at the stop of a run.

    The index says which: `i > 0` after step `i`; `i == 0` at initialisation; `i < 0` update what is kept inside, but
    give no output; `STOP` the call from a stop that fired. The options handed over are never decorated.
    """

    @abstractmethod
    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Act on problem `p`, options `o` and iteration `i`."""

    def schedule(self) -> Iterable[tuple[int, Callable[..., Any]]]:
        """Return what a run calls for this action, in order: pairs `(k, act)`, called after every k-th step.

        By default that is the action itself, after every step. An action that only passes calls on may say so, to
        spare the steps in which nothing comes of them; it is asked when a run begins.
        """
        return ((1, self),)
