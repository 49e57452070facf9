"""Criteria that end a run by iterations or time. The host decides them, so they fire exactly."""

import time
from datetime import timedelta
from typing import Any

from manopt_torch.errors import OptionsError
from manopt_torch.plans.options import check_count
from manopt_torch.plans.stopping.base import StoppingCriterion


class StopAfterIteration(StoppingCriterion):
    """Stop after exactly `n` steps.

    Args:
        n: number of steps; 0 stops before the first.

    Raises:
        OptionsError: if `n` is not an int of at least 0.

    Examples:
        >>> StopAfterIteration(20)(None, None, 19), StopAfterIteration(20)(None, None, 20)
        (False, True)
    """

    is_budget = True

    def __init__(self, n: int) -> None:
        self.n = n
        check_count(self, "n", 0)

    def __call__(self, p: Any, o: Any, i: int) -> bool:
        """Tell whether `n` steps have been taken."""
        return i >= self.n

    def reason(self, o: Any, i: int) -> str:
        """Name the number of steps."""
        return f"The algorithm reached its maximal number of iterations ({self.n})."

    def __repr__(self) -> str:
        return f"StopAfterIteration({self.n})"


class StopAfter(StoppingCriterion):
    """Stop when the run has lasted this long.

    Args:
        duration: seconds, or a `datetime.timedelta`.

    Raises:
        OptionsError: if the duration is not positive.
    """

    is_budget = True
    memory_is_saved = False  # a run that is taken up gets the whole time again

    def __init__(self, duration: float | timedelta) -> None:
        self.seconds: float = duration.total_seconds() if isinstance(duration, timedelta) else duration
        if not isinstance(self.seconds, (int, float)) or not self.seconds > 0:
            raise OptionsError(f"StopAfter: the duration must be positive, got {duration!r}")

    def init(self, p: Any, o: Any) -> Any:
        """Start the clock."""
        return {"since": time.monotonic()}

    def __call__(self, p: Any, o: Any, i: int) -> bool:
        """Tell whether the time is up; the clock restarts at `i = 0`."""
        return time.monotonic() - self.remembered(p, o, i)["since"] >= self.seconds

    def reason(self, o: Any, i: int) -> str:
        """Name the duration."""
        return f"The algorithm ran out of time ({self.seconds:g} seconds)."

    def __repr__(self) -> str:
        return f"StopAfter({self.seconds:g})"
