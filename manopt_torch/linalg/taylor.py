"""Taylor series, and quotients of differences that turn into them where their arguments meet."""

from collections.abc import Callable, Sequence

import torch

Difference = Callable[..., torch.Tensor]

# Below this squared length the series of functions of it take over. Five to eight terms reach float64 accuracy there.
# Near the bound, derivatives lose alike on both sides, three digits each: to truncation below, to cancellation above.
SERIES_BOUND = 0.01


def polynomial(
    s: torch.Tensor,  # shape: any
    coefficients: Sequence[float],  # two at least, that of degree zero first
) -> torch.Tensor:
    """Return the value of a polynomial, by Horner's scheme.

    Examples:
        >>> polynomial(torch.tensor([0.0, 2.0]), [1.0, 3.0, 1.0])
        tensor([ 1., 11.])
    """
    value = coefficients[-1] * s + coefficients[-2]
    for coefficient in reversed(coefficients[:-2]):
        value = value * s + coefficient
    return value


def by_cases(
    first: Difference,
    arguments: tuple[torch.Tensor, ...],
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
