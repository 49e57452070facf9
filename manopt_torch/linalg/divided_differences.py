r"""Divided differences of the scalar functions behind `spectral`.

$f[a, b] = \frac{f(a) - f(b)}{a - b}$ and $f[a, b, c] = \frac{f[a, b] - f[b, c]}{a - c}$, which tend to $f'(a)$ and
$\frac12 f''(a)$ where the arguments meet. Written so that nothing cancels: in closed form where there is one, else
by the Taylor series around the mean where all three arguments are close.

References:
    [Higham:2008], section B.16.
"""

import torch

from manopt_torch.linalg import trigonometric_differences as trigonometric
from manopt_torch.linalg.taylor import Difference, by_cases


def first_difference(
    name: str,
    x: torch.Tensor,  # shape: (*batch, n), ascending
    y: torch.Tensor | None = None,  # shape: (*batch, n)
) -> torch.Tensor:
    """Return the matrix of all first divided differences $f[x_i, y_j]$, shape `(*batch, n, n)`; y is x if None."""
    a, b = x[..., :, None], (x if y is None else y)[..., None, :]
    return _FIRST[name](torch.maximum(a, b), torch.minimum(a, b))


def second_difference(
    name: str,
    x: torch.Tensor,  # shape: (*batch, n), ascending
) -> torch.Tensor:
    """Return the array of all second divided differences, shape `(*batch, n, n, n)`."""
    a, b, c = x[..., :, None, None], x[..., None, :, None], x[..., None, None, :]
    larger, smaller = torch.maximum(a, b), torch.minimum(a, b)
    middle = torch.maximum(smaller, torch.minimum(larger, c))
    return _SECOND[name](torch.maximum(larger, c), middle, torch.minimum(smaller, c))


def _exp(hi: torch.Tensor, lo: torch.Tensor) -> torch.Tensor:
    gap = hi - lo
    equal = gap == 0
    ratio = -torch.expm1(-gap) / torch.where(equal, 1.0, gap)
    return torch.exp(hi) * torch.where(equal, 1.0, ratio)


def _log(hi: torch.Tensor, lo: torch.Tensor) -> torch.Tensor:
    gap = (hi - lo) / lo
    equal = gap == 0
    return torch.where(equal, 1.0, torch.log1p(gap) / torch.where(equal, 1.0, gap)) / lo


def _sqrt(hi: torch.Tensor, lo: torch.Tensor) -> torch.Tensor:
    return 1 / (torch.sqrt(hi) + torch.sqrt(lo))


def _inverse_sqrt(hi: torch.Tensor, lo: torch.Tensor) -> torch.Tensor:
    a, b = torch.sqrt(hi), torch.sqrt(lo)
    return -1 / (a * b * (a + b))


def _positive_part(hi: torch.Tensor, lo: torch.Tensor) -> torch.Tensor:
    # one above zero, zero below it, in between the share of the gap that is above
    crossing = (hi > 0) & (lo < 0)
    share = hi / torch.where(crossing, hi - lo, 1.0)
    return torch.where(crossing, share, (hi > 0).to(hi.dtype))


def _exp_second(hi: torch.Tensor, mid: torch.Tensor, lo: torch.Tensor) -> torch.Tensor:
    mean = torch.exp((hi + mid + lo) / 3)
    return by_cases(_exp, (hi, mid, lo), torch.ones_like(hi), mean / 2, mean / 24)


def _log_second(hi: torch.Tensor, mid: torch.Tensor, lo: torch.Tensor) -> torch.Tensor:
    inverse_square = ((hi + mid + lo) / 3) ** -2
    return by_cases(_log, (hi, mid, lo), lo, -inverse_square / 2, -inverse_square * inverse_square / 4)


def _sqrt_second(hi: torch.Tensor, mid: torch.Tensor, lo: torch.Tensor) -> torch.Tensor:
    return -_sqrt(hi, mid) * _sqrt(mid, lo) * _sqrt(hi, lo)


def _inverse_sqrt_second(hi: torch.Tensor, mid: torch.Tensor, lo: torch.Tensor) -> torch.Tensor:
    a, b, c = torch.sqrt(hi), torch.sqrt(mid), torch.sqrt(lo)
    return (a + b + c) / (a * b * c * (a + b) * (b + c) * (a + c))


def _positive_part_second(hi: torch.Tensor, mid: torch.Tensor, lo: torch.Tensor) -> torch.Tensor:
    crossing = (hi > 0) & (lo < 0)
    change = _positive_part(hi, mid) - _positive_part(mid, lo)
    return torch.where(crossing, change / torch.where(crossing, hi - lo, 1.0), 0.0)


_FIRST: dict[str, Difference] = {
    "exp": _exp,
    "log": _log,
    "sqrt": _sqrt,
    "inverse_sqrt": _inverse_sqrt,
    "positive_part": _positive_part,
    **trigonometric.FIRST,
}
_SECOND: dict[str, Difference] = {
    "exp": _exp_second,
    "log": _log_second,
    "sqrt": _sqrt_second,
    "inverse_sqrt": _inverse_sqrt_second,
    "positive_part": _positive_part_second,
    **trigonometric.SECOND,
}
