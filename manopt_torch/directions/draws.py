"""Random numbers that depend on a seed and a count alone."""

import math
from collections.abc import Callable
from typing import Any

import torch

from manopt_torch.errors import OptionsError, ShapeError
from manopt_torch.functional.masked import host_read

# as in problems/eval_order.py: far enough apart that neighbouring seeds share no stream
_STRIDE = 1_000_003

DISTRIBUTIONS = ("normal", "uniform", "sphere", "rademacher")


def generator_for(seed: int, count: int) -> torch.Generator:
    """Return the generator of draw number `count`, counted from 0.

    There is no running generator to remember: a run taken up from a checkpoint draws what the uninterrupted run would.
    Numbers are drawn on the CPU, whatever torch's default device is, so that they are the same on every device.
    """
    return torch.Generator().manual_seed(seed * _STRIDE + count)


def draw_seed(generator: torch.Generator | None) -> int:
    """Return the seed of a run, taken from a generator or, if None, from torch's own.

    Raises:
        OptionsError: if it is no generator.
    """
    if not isinstance(generator, torch.Generator | None):
        raise OptionsError(
            f"generator must be one such as torch.Generator().manual_seed(0), or None, got {generator!r}"
        )
    device = "cpu" if generator is None else generator.device
    with host_read():
        return int(torch.randint(2**31, (), generator=generator, device=device))


def drawn(distribution: str | Callable[..., Any], n: int, generator: torch.Generator) -> torch.Tensor:
    """Draw `n` coordinates of mean zero and variance one.

    Raises:
        ShapeError: if a callable `distribution(n, generator)` returns something else than `n` numbers.
    """
    if callable(distribution):
        c = distribution(n, generator)
        if not isinstance(c, torch.Tensor) or c.shape != (n,):
            got = f"shape {tuple(c.shape)}" if isinstance(c, torch.Tensor) else type(c).__name__
            raise ShapeError(f"distribution({n}, generator) must return a tensor of shape ({n},), got {got}")
        return c
    if distribution == "rademacher":
        return 2.0 * torch.randint(2, (n,), generator=generator, dtype=torch.float64, device="cpu") - 1.0
    if distribution == "uniform":
        return (2 * torch.rand(n, generator=generator, dtype=torch.float64, device="cpu") - 1) * math.sqrt(3.0)
    c = torch.randn(n, generator=generator, dtype=torch.float64, device="cpu")
    return c if distribution == "normal" else c * (math.sqrt(n) / torch.linalg.vector_norm(c))


def check_distribution(owner: Any) -> None:
    """Raise an OptionsError unless the distribution is known, or a function of one's own."""
    if not callable(owner.distribution) and owner.distribution not in DISTRIBUTIONS:
        known = ", ".join(DISTRIBUTIONS)
        raise OptionsError(f"{type(owner).__name__}: distribution must be one of {known}, got {owner.distribution!r}")
