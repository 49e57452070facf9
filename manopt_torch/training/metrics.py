"""What is logged of an epoch besides the loss: metrics, means over its samples."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.training.batch_tree import samples


class Average:
    """The mean of a function of outputs and targets over samples, with the methods of torchmetrics."""

    def __init__(self, name: str, function: Callable[[Any, Any], Any]) -> None:
        self.name, self.function, self.total, self.seen = name, function, 0.0, 0

    def update(self, outputs: Any, targets: Any) -> None:
        """Take in a batch."""
        size = samples(outputs, targets)
        value = number_of(self.name, self.function(outputs, targets))
        self.total, self.seen = self.total + value * size, self.seen + size

    def compute(self) -> float:
        """Return the mean so far."""
        return self.total / self.seen

    def reset(self) -> None:
        """Forget all batches."""
        self.total, self.seen = 0.0, 0


def metrics_of(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return metrics by name, of which functions are averaged and those of torchmetrics stay as they are.

    Raises:
        OptionsError: if one is neither, or they are no dict.
    """
    if given is not None and not isinstance(given, Mapping):
        raise OptionsError(f'metrics must be a dict such as {{"mae": function}}, got {type(given).__name__}')
    return {name: _metric(name, metric) for name, metric in (given or {}).items()}


def number_of(name: str, value: Any) -> float:
    """Return what a metric gave as a number.

    Raises:
        OptionsError: if it is not one.
    """
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        got = f"shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
        raise OptionsError(f"metric {name!r} must return one number, got {got}") from None


def _metric(name: str, metric: Any) -> Any:
    if all(callable(getattr(metric, method, None)) for method in ("update", "compute", "reset")):
        return metric
    if not callable(metric):
        raise OptionsError(f"metric {name!r} must be a function of outputs and targets, got {type(metric).__name__}")
    return Average(name, metric)
