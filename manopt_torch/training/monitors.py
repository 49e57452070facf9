"""What is watched while a loss falls: numbers of each batch, averaged over an epoch."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from manopt_torch._host import host_read
from manopt_torch.errors import OptionsError, ShapeError

Monitors = dict[str, Callable[..., Any]]


def monitors_of(given: Any) -> Monitors:
    """Check monitors, a mapping or pairs from names to functions of a batch.

    Raises:
        OptionsError: if a name is no string or taken, or a monitor is no function.
    """
    pairs = list(given.items()) if isinstance(given, Mapping) else list(given or ())
    for pair in pairs:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not isinstance(pair[0], str):
            raise OptionsError(f"monitors: expected a dict, or pairs (name, function of a batch), got {pair!r}")
        if not callable(pair[1]):
            raise OptionsError(f"monitors: {pair[0]} must be a function of a batch, got {type(pair[1]).__name__}")
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names) or "loss" in names:
        raise OptionsError(f"monitors: names must differ from each other and from 'loss', got {', '.join(names)}")
    return dict(pairs)


class Means:
    """Means over batches, each batch with the same weight; they stay on the device until they are read."""

    def __init__(self) -> None:
        self._sums: dict[str, torch.Tensor] = {}
        self._count = 0

    def add(self, values: Iterable[tuple[str, Any]]) -> None:
        """Add the values of a batch."""
        self._count += 1
        for name, value in values:
            number = _number(name, value)
            self._sums[name] = number if self._count == 1 else self._sums[name] + number

    def read(self) -> dict[str, float]:
        """Return the means as numbers: the one read of an epoch."""
        if not self._count:
            return {}
        sums = list(self._sums.values())
        with host_read():
            numbers = torch.stack([total.to(sums[0]) for total in sums]).tolist()
        return {name: number / self._count for name, number in zip(self._sums, numbers, strict=True)}


def _number(name: str, value: Any) -> torch.Tensor:
    try:
        number = torch.as_tensor(value).detach()
    except (TypeError, ValueError, RuntimeError):
        raise ShapeError(f"monitor {name!r} must return one number, got {type(value).__name__}") from None
    if number.numel() != 1:
        raise ShapeError(f"monitor {name!r} must return one number, got shape {tuple(number.shape)}")
    # a copy, since the value may be an entry of a parameter, which moves; mps knows no float64
    return number.reshape(()).to(torch.float32 if number.device.type == "mps" else torch.float64, copy=True)
