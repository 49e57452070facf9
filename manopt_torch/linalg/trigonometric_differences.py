r"""Divided differences of trigonometric functions, the part of `divided_differences` that turns angles.

Sums and differences of angles give closed forms for most first differences. Functions that are analytic around the
range of their arguments are polynomials there, and the divided differences of a polynomial come out of Horner's
scheme without a division: if $q(x) = c + x\,p(x)$, then $q[a, b] = p(a) + p[a, b]\,b$ and
$q[a, b, c] = p[a, b] + p[a, b, c]\,c$.

References:
    [Higham:2008], section B.16; [OlverLozierBoisvertClark:2010], sections 10.49 and 10.51.
"""

import math
from collections.abc import Sequence

import torch

from manopt_torch.linalg.scalar import arctan2
from manopt_torch.linalg.taylor import Difference, by_cases

# Below this square of an angle a dozen terms of the power series reach float64 accuracy; it covers angles up to 2.
_SERIES_BOUND = 4.0
# Higher derivatives of cos(sqrt(s)) and sinc(sqrt(s)) are so small that two Taylor terms reach this much further.
_REACH = 50.0

_COS_SQRT = [(-1.0) ** k / math.factorial(2 * k) for k in range(14)]
_SINC_SQRT = [(-1.0) ** k / math.factorial(2 * k + 1) for k in range(14)]


def _angle_over_sine_series(terms: int) -> list[float]:
    r"""Return the Taylor series of arccos(c) / sin(arccos(c)) around c = 1/2, which converges like 3 to the minus j.

    From $\sum_k 2^k \frac{(k!)^2}{(2k + 1)!} (1 - c)^k$, moved to the middle of [0, 1] by sums of positive terms.
    """
    at_one = [2.0**k / ((2 * k + 1) * math.comb(2 * k, k)) for k in range(4 * terms)]
    return [
        (-1.0) ** j * math.fsum(at_one[k] * math.comb(k, j) * 0.5 ** (k - j) for k in range(j, 4 * terms))
        for j in range(terms)
    ]


_ANGLE_OVER_SINE = _angle_over_sine_series(40)


def _cos(hi: torch.Tensor, lo: torch.Tensor) -> torch.Tensor:
    return -torch.sin((hi + lo) / 2) * _sinc((hi - lo) / 2)


def _sin(hi: torch.Tensor, lo: torch.Tensor) -> torch.Tensor:
    return torch.cos((hi + lo) / 2) * _sinc((hi - lo) / 2)


def _atan(hi: torch.Tensor, lo: torch.Tensor) -> torch.Tensor:
    gap, cosine = hi - lo, 1 + hi * lo
    equal = gap == 0
    return torch.where(equal, 1 / cosine, arctan2(gap, cosine) / torch.where(equal, 1.0, gap))


def _cos_sqrt(hi: torch.Tensor, lo: torch.Tensor) -> torch.Tensor:
    a, b = torch.sqrt(hi.clamp(min=0)), torch.sqrt(lo.clamp(min=0))
    return -0.5 * _sinc((a + b) / 2) * _sinc((a - b) / 2)


def _sinc_sqrt(hi: torch.Tensor, lo: torch.Tensor) -> torch.Tensor:
    gap = hi - lo
    close = gap <= _REACH * torch.finfo(hi.dtype).eps ** 0.2
    _, first, _, third, _ = _bessel_ratios((hi + lo) / 2)
    taylor = -first / 2 - third * gap.square() / 192
    quotient = (_sinc_of_root(hi) - _sinc_of_root(lo)) / torch.where(close, 1.0, gap)
    small = hi < _SERIES_BOUND
    series = _polynomial_first(_SINC_SQRT, torch.where(small, hi, 0.0), torch.where(small, lo, 0.0))
    return torch.where(small, series, torch.where(close, taylor, quotient))


def _angle_over_sine(hi: torch.Tensor, lo: torch.Tensor) -> torch.Tensor:
    return _polynomial_first(_ANGLE_OVER_SINE, hi - 0.5, lo - 0.5)


def _cos_second(hi: torch.Tensor, mid: torch.Tensor, lo: torch.Tensor) -> torch.Tensor:
    cosine = torch.cos((hi + mid + lo) / 3)
    return by_cases(_cos, (hi, mid, lo), 1.0, -cosine / 2, cosine / 24)


def _sin_second(hi: torch.Tensor, mid: torch.Tensor, lo: torch.Tensor) -> torch.Tensor:
    sine = torch.sin((hi + mid + lo) / 3)
    return by_cases(_sin, (hi, mid, lo), 1.0, -sine / 2, sine / 24)


def _atan_second(hi: torch.Tensor, mid: torch.Tensor, lo: torch.Tensor) -> torch.Tensor:
    mean = (hi + mid + lo) / 3
    square = mean * mean
    slope = 1 / (1 + square)
    return by_cases(_atan, (hi, mid, lo), 1.0, -mean * slope**2, mean * (1 - square) * slope**4)


def _cos_sqrt_second(hi: torch.Tensor, mid: torch.Tensor, lo: torch.Tensor) -> torch.Tensor:
    _, first, _, third, _ = _bessel_ratios((hi + mid + lo) / 3)
    return _series_or_cases(_COS_SQRT, _cos_sqrt, (hi, mid, lo), first / 8, third / 384)


def _sinc_sqrt_second(hi: torch.Tensor, mid: torch.Tensor, lo: torch.Tensor) -> torch.Tensor:
    _, _, second, _, fourth = _bessel_ratios((hi + mid + lo) / 3)
    return _series_or_cases(_SINC_SQRT, _sinc_sqrt, (hi, mid, lo), second / 8, fourth / 384)


def _angle_over_sine_second(hi: torch.Tensor, mid: torch.Tensor, lo: torch.Tensor) -> torch.Tensor:
    return _polynomial_second(_ANGLE_OVER_SINE, hi - 0.5, mid - 0.5, lo - 0.5)


def _series_or_cases(
    coefficients: Sequence[float],
    first: Difference,
    arguments: tuple[torch.Tensor, ...],
    half_second: torch.Tensor,
    fourth: torch.Tensor,
) -> torch.Tensor:
    small = arguments[0] < _SERIES_BOUND
    series = _polynomial_second(coefficients, *(torch.where(small, a, 0.0) for a in arguments))
    return torch.where(small, series, by_cases(first, arguments, _REACH, half_second, fourth))


def _sinc(angle: torch.Tensor) -> torch.Tensor:
    return torch.sinc(angle / math.pi)


def _sinc_of_root(s: torch.Tensor) -> torch.Tensor:
    return _sinc(torch.sqrt(s.clamp(min=0)))


def _bessel_ratios(s: torch.Tensor) -> list[torch.Tensor]:
    r"""Return spherical Bessel functions $j_k(\alpha) / \alpha^k$ for k = 0 to 4 and $\alpha = \sqrt{s}$.

    The derivative of each by s is minus half the next, and that of $\cos\sqrt{s}$ minus half the first. Upward
    recursion is accurate where s is not small; elsewhere the values are not used.
    """
    s = s.clamp(min=1.0)
    former, ratios = torch.cos(torch.sqrt(s)), [_sinc_of_root(s)]
    for k in range(4):
        ratios.append(((2 * k + 1) * ratios[-1] - former) / s)
        former = ratios[-2]
    return ratios


def _polynomial_first(coefficients: Sequence[float], a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    value = torch.full_like(a, coefficients[-1])
    first = torch.zeros_like(a)
    for coefficient in reversed(coefficients[:-1]):
        first = torch.addcmul(value, first, b)
        value = value * a + coefficient
    return first


def _polynomial_second(
    coefficients: Sequence[float], a: torch.Tensor, b: torch.Tensor, c: torch.Tensor
) -> torch.Tensor:
    value = torch.full_like(a, coefficients[-1])
    first = second = torch.zeros_like(a)
    for coefficient in reversed(coefficients[:-1]):
        second = torch.addcmul(first, second, c)
        first = torch.addcmul(value, first, b)
        value = value * a + coefficient
    return second


FIRST: dict[str, Difference] = {
    "cos": _cos,
    "sin": _sin,
    "atan": _atan,
    "cos_sqrt": _cos_sqrt,
    "sinc_sqrt": _sinc_sqrt,
    "angle_over_sine": _angle_over_sine,
}
SECOND: dict[str, Difference] = {
    "cos": _cos_second,
    "sin": _sin_second,
    "atan": _atan_second,
    "cos_sqrt": _cos_sqrt_second,
    "sinc_sqrt": _sinc_sqrt_second,
    "angle_over_sine": _angle_over_sine_second,
}
