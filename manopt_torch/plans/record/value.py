"""Record actions for the values of a run."""

import time
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.plans.distance import distance
from manopt_torch.plans.record.base import RecordValue, empty, held, record_or_reset
from manopt_torch.plans.storage import storage_with
from manopt_torch.plans.symbols import (
    S,
    batch_shape_of,
    cost_of,
    gradient_norm_of,
    gradient_of,
    proximal_parameter_of,
    stepsize_of,
)


@dataclass(eq=False)
class RecordIteration(RecordValue):
    """Record the number of the iteration.

    Examples:
        >>> r = RecordIteration()
        >>> for i in (0, 1, 2):
        ...     print(r(None, None, i))
        None
        [1]
        [1, 2]
    """

    symbol = S.Iteration

    def value(self, p: Any, o: Any, i: int) -> int:
        """Return the number of the iteration."""
        return i


@dataclass(eq=False)
class RecordCost(RecordValue):
    """Record the cost, shape `(*batch,)` a row."""

    symbol = S.Cost

    def value(self, p: Any, o: Any, i: int) -> Any:
        """Return the cost."""
        return cost_of(p, o)


@dataclass(eq=False)
class RecordIterate(RecordValue):
    """Record the iterate, shape `(*batch, *point_shape)` a row.

    Args:
        x0: an example of what is recorded, such as the start; it documents the record and may be None.
    """

    x0: Any = field(repr=False)

    symbol = S.Iterate

    def value(self, p: Any, o: Any, i: int) -> Any:
        """Return the iterate."""
        return o.x


@dataclass(eq=False)
class RecordChange(RecordValue):
    """Record how far the last step went, shape `(*batch,)` a row: the distance of the iterate from the one before.

    A finished problem of a batch repeats its last row.

    Args:
        x0: a former iterate for the first call; without it the first value is zero, unless the action has been called
            at the start of the run (as `solve` does).
        storage: where the former iterate is kept; it may be shared with other actions.
    """

    x0: Any = field(default=None, repr=False)
    storage: Any = None

    symbol = S.Change

    def __post_init__(self) -> None:
        """Prepare the storage."""
        self.storage = storage_with(self.storage, "x", self.x0)

    def value(self, p: Any, o: Any, i: int) -> Any:
        """Return the distance from the former iterate."""
        former = self.storage.look(self, p, o, i)
        if i <= 0:
            return None
        if "x" not in former:
            shape = batch_shape_of(p, o)
            return torch.zeros_like(distance(p.M, o.x, o.x)) if shape else 0.0
        return held(o, distance(p.M, o.x, former["x"]), self.recorded_values)

    def __call__(self, p: Any, o: Any, i: int) -> list[Any] | None:
        """Record the change; the storage is updated in any case."""
        return record_or_reset(self, self.value(p, o, i), i)


@dataclass(eq=False)
class RecordGradient(RecordValue):
    """Record the gradient at the iterate, shape `(*batch, *point_shape)` a row.

    Args:
        example: an example of what is recorded; it documents the record and may be None.
    """

    example: Any = field(default=None, repr=False)

    symbol = S.Gradient

    def value(self, p: Any, o: Any, i: int) -> Any:
        """Return the gradient."""
        return gradient_of(p, o)


@dataclass(eq=False)
class RecordGradientNorm(RecordValue):
    """Record the norm of the gradient at the iterate, shape `(*batch,)` a row."""

    symbol = S.GradientNorm

    def value(self, p: Any, o: Any, i: int) -> Any:
        """Return the norm of the gradient."""
        return gradient_norm_of(p, o)


@dataclass(eq=False)
class RecordStepsize(RecordValue):
    """Record the step size of the last step, shape `(*batch,)` a row."""

    symbol = S.Stepsize

    def value(self, p: Any, o: Any, i: int) -> Any:
        """Return the last step size."""
        return stepsize_of(p, o, i)


@dataclass(eq=False)
class RecordProximalParameter(RecordValue):
    """Record the parameter of the proximal maps."""

    symbol = S.ProximalParameter

    def value(self, p: Any, o: Any, i: int) -> Any:
        """Return the parameter."""
        return proximal_parameter_of(p, o, i)


@dataclass(eq=False)
class RecordTime(RecordValue):
    """Record the seconds since the start, or those of the last iteration, on the host's clock.

    Args:
        mode: `"cumulative"` since the start, or `"iterative"` since the call before.

    Raises:
        OptionsError: if the mode is unknown.
    """

    mode: Literal["cumulative", "iterative"] = "cumulative"

    symbol = S.Time

    def __post_init__(self) -> None:
        """Check the mode; the clock starts at the first call."""
        if self.mode not in ("cumulative", "iterative"):
            raise OptionsError(f"RecordTime: mode must be 'cumulative' or 'iterative', got {self.mode!r}")
        self._since: float | None = None

    def reset(self) -> None:
        """Forget all rows and stop the clock; the next call starts it."""
        empty(self)
        self._since = None

    def value(self, p: Any, o: Any, i: int) -> float:
        """Return the seconds; the first call starts the clock."""
        now = time.perf_counter()
        since = now if self._since is None else self._since
        if self._since is None or self.mode == "iterative":
            self._since = now
        return now - since

    def __call__(self, p: Any, o: Any, i: int) -> list[Any] | None:
        """Record the seconds; calls without a step keep the clock going."""
        return record_or_reset(self, self.value(p, o, i), i)
