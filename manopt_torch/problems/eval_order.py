"""Orders in which a solver visits the parts of a sum.

An order is a function of the cycle's number alone (the random ones by their seed), so it needs no memory: a run taken
up from a checkpoint visits the parts as the uninterrupted run would.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch

from manopt_torch._keywords import KnownKeywords
from manopt_torch.errors import OptionsError


class EvalOrder(KnownKeywords, ABC):
    """The order in which `n` parts are visited in cycle `i`: `order(n, i)` returns their indices."""

    @abstractmethod
    def __call__(self, n: int, i: int) -> tuple[int, ...]:
        """Return a permutation of `0, ..., n - 1` for cycle `i`."""


@dataclass(frozen=True)
class LinearEvalOrder(EvalOrder):
    """Visit the parts in the order `0, 1, ..., n - 1`, every time.

    Examples:
        >>> LinearEvalOrder()(3, 7)
        (0, 1, 2)
    """

    def __call__(self, n: int, i: int) -> tuple[int, ...]:
        """Return `0, ..., n - 1`."""
        return tuple(range(n))


@dataclass(frozen=True)
class RandomEvalOrder(EvalOrder):
    """Visit the parts in a new random order in every cycle.

    Args:
        seed: seed of the random orders; the same seed gives the same orders.

    Raises:
        OptionsError: if the seed is no int.
    """

    seed: int = 0

    def __post_init__(self) -> None:
        """Check the seed."""
        _check_seed(self)

    def __call__(self, n: int, i: int) -> tuple[int, ...]:
        """Return the permutation of cycle `i`."""
        return _permutation(n, self.seed * 1_000_003 + i + 1)


@dataclass(frozen=True)
class FixedRandomEvalOrder(EvalOrder):
    """Visit the parts in one random order, the same in every cycle.

    Args:
        seed: seed of the random order.

    Raises:
        OptionsError: if the seed is no int.
    """

    seed: int = 0

    def __post_init__(self) -> None:
        """Check the seed."""
        _check_seed(self)

    def __call__(self, n: int, i: int) -> tuple[int, ...]:
        """Return the one permutation, whatever the cycle."""
        return _permutation(n, self.seed)


def _check_seed(order: RandomEvalOrder | FixedRandomEvalOrder) -> None:
    if not isinstance(order.seed, int):
        raise OptionsError(f"{type(order).__name__}: seed must be an int, got {order.seed!r}")


def _permutation(n: int, seed: int) -> tuple[int, ...]:
    return tuple(torch.randperm(n, generator=torch.Generator().manual_seed(seed), device="cpu").tolist())
