"""Actions: small functors called as `(p, o, i)` at the places of a run."""

import sys
from abc import ABC, abstractmethod
from typing import Any

# The index with which actions are called once when the stop has fired.
STOP = -sys.maxsize - 1


class Action(ABC):
    """Something done at the start, after every step or at the stop of a run.

    The index says which: `i > 0` after step `i`; `i == 0` at initialisation; `i < 0` update what is kept inside, but
    give no output; `STOP` the call from a stop that fired. The options handed over are never decorated.
    """

    @abstractmethod
    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Act on problem `p`, options `o` and iteration `i`."""
