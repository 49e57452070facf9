"""Random numbers that depend on a seed and a count alone."""

import torch

from manopt_torch.functional.masked import host_read

# as in problems/eval_order.py: far enough apart that neighbouring seeds share no stream
_STRIDE = 1_000_003


def generator_for(seed: int, count: int) -> torch.Generator:
    """Return the generator of draw number `count`, counted from 0.

    There is no running generator to remember: a run taken up from a checkpoint draws what the uninterrupted run would.
    Numbers are drawn on the CPU, so that they are the same on every device.
    """
    return torch.Generator().manual_seed(seed * _STRIDE + count)


def draw_seed(generator: torch.Generator | None) -> int:
    """Return the seed of a run, taken from a generator or, if None, from torch's own."""
    device = "cpu" if generator is None else generator.device
    with host_read():
        return int(torch.randint(2**31, (), generator=generator, device=device))
