"""Quotients of differences that turn into Taylor series where their arguments meet."""

from collections.abc import Callable

import torch

Difference = Callable[..., torch.Tensor]


def by_cases(
    first: Difference,
    arguments: tuple,
    scale: float | torch.Tensor,
    half_second: torch.Tensor,
    fourth: torch.Tensor,
) -> torch.Tensor:
    """Return the quotient of first differences, or the Taylor series where the arguments are close.

    `half_second` is f''/2 and `fourth` f''''/24 at the mean of the arguments, where the term between them vanishes.
    The quotient loses eps / gap, the series gap^4 (gap relative to `scale`): a fifth root of eps balances them.
    """
    hi, mid, lo = arguments
    close = hi - lo <= torch.finfo(hi.dtype).eps ** 0.2 * scale
    mean = (hi + mid + lo) / 3
    spread = ((hi - mean).square() + (mid - mean).square() + (lo - mean).square()) / 2
    quotient = (first(hi, mid) - first(mid, lo)) / torch.where(close, 1.0, hi - lo)
    return torch.where(close, half_second + fourth * spread, quotient)
