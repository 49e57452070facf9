r"""Hyperbolic functions of squared lengths, smooth at zero; see `scalar` for how."""

import math

import torch

from manopt_torch.linalg.taylor import SERIES_BOUND, polynomial

_COSH = [1.0 / math.factorial(2 * k) for k in range(5)]
_SINHC = [1.0 / math.factorial(2 * k + 1) for k in range(5)]
_TANHC = [1.0, -1 / 3, 2 / 15, -17 / 315, 62 / 2835, -1382 / 155925, 21844 / 6081075, -929569 / 638512875]
# of 2 arsinh(sqrt(q) / 2) over sqrt(q), and of its square over one
_ARSINH_RATIO = [(-1.0) ** k * math.comb(2 * k, k) / (16.0**k * (2 * k + 1)) for k in range(7)]
_SQUARED_ARSINH = [(-1.0) ** k * 2.0 / ((k + 1) ** 2 * math.comb(2 * k + 2, k + 1)) for k in range(7)]


def cosh_and_sinhc_sqrt(
    s: torch.Tensor,  # shape: any, s >= 0
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Return $\cosh\sqrt{s}$ and $\sinh\sqrt{s} / \sqrt{s}$, differentiable at zero.

    Examples:
        >>> [value.item() for value in cosh_and_sinhc_sqrt(torch.zeros(()))]
        [1.0, 1.0]
    """
    near, small, root = _split(s)
    # torch's own cosh and sinh round the last few entries of a tensor in another way than the others
    grown = torch.expm1(root)
    inverse = 1 / (1 + grown)
    cosh = torch.where(near, polynomial(small, _COSH), 0.5 * (1 + grown + inverse))
    return cosh, torch.where(near, polynomial(small, _SINHC), 0.5 * (grown + grown * inverse) / root)


def tanhc_sqrt(
    s: torch.Tensor,  # shape: any, s >= 0
) -> torch.Tensor:
    r"""Return $\tanh\sqrt{s} / \sqrt{s}$, differentiable at zero.

    Examples:
        >>> tanhc_sqrt(torch.tensor(0.0)).item()
        1.0
    """
    near, small, root = _split(s)
    return torch.where(near, polynomial(small, _TANHC), torch.tanh(root) / root)


def arsinh_ratio(
    q: torch.Tensor,  # shape: any, q >= 0
) -> torch.Tensor:
    r"""Return $d / \sqrt{q}$ for the hyperbolic distance $d = 2 \operatorname{arsinh}(\sqrt{q} / 2)$.

    Examples:
        >>> arsinh_ratio(torch.tensor(0.0)).item()
        1.0
    """
    near, small, root = _split(q)
    return torch.where(near, polynomial(small, _ARSINH_RATIO), 2 * torch.asinh(0.5 * root) / root)


def squared_hyperbolic_distance(
    q: torch.Tensor,  # shape: any, q >= 0
) -> torch.Tensor:
    r"""Return $d^2$ for the distance $d = 2 \operatorname{arsinh}(\sqrt{q} / 2)$ of points with squared chord $q$.

    Examples:
        >>> squared_hyperbolic_distance(torch.tensor(0.0)).item()
        0.0
    """
    near, small, root = _split(q)
    far = 2 * torch.asinh(0.5 * root)
    return torch.where(near, small * polynomial(small, _SQUARED_ARSINH), far * far)


def _split(s: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return where the series serves, its argument (zero elsewhere), and the root (one elsewhere)."""
    near = s < SERIES_BOUND
    return near, torch.where(near, s, 0.0), torch.sqrt(torch.where(near, 1.0, s))
