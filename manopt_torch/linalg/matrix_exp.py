r"""Exponentials of small matrices by matrix products alone.

`torch.matrix_exp` sorts a batch by norm, which makes the host wait for the device, and loses the digits of a small
matrix. Here every matrix takes the same path, so derivatives of any order, `vmap` and compilation follow from those of
the product.

References:
    [Higham:2008], sections 10.3 and 10.6.
"""

import math

import torch

# Degree of the Taylor polynomial, and the largest norm at which it is e^M - 1 up to rounding, relative to M; by the
# bytes of a real number.
_TAYLOR = {4: (12, 1.6), 8: (20, 1.5)}
# Powers up to this one are formed; the polynomial is summed in blocks of so many terms (Paterson and Stockmeyer).
_BLOCK = 4


def matrix_expm1(
    M: torch.Tensor,  # shape: (*batch, n, n)
    doublings: int = 10,
) -> torch.Tensor:
    r"""Return $e^M - I$, with full relative accuracy also for a tiny matrix.

    A scaled matrix goes through the Taylor polynomial, then $e^{2M} - I = (e^M - I)^2 + 2 (e^M - I)$ as often as it
    was halved. Each matrix of a batch has its own number of doublings; those it does not need are masked.

    Args:
        M: the matrices, real or complex.
        doublings: the largest number of doublings. The result is NaN for a matrix whose 1-norm exceeds
            `1.5 * 2**doublings`, which is about 1500 by default.

    Examples:
        >>> tiny = torch.tensor([[0.0, -1.0], [1.0, 0.0]]) * 2**-40
        >>> matrix_expm1(tiny)[1, 0].item() * 2**40
        1.0
    """
    degree, radius = _TAYLOR[torch.finfo(M.dtype).bits // 8]
    norm = M.detach().abs().sum(-2).amax(-1)[..., None, None]
    halvings = torch.ceil(torch.log2(norm / radius)).clamp(min=0)
    scale = torch.where(halvings <= doublings, torch.exp2(-halvings), math.nan)
    P = _taylor(M * scale, degree)
    needed = halvings[..., None] > torch.arange(doublings, dtype=norm.dtype, device=norm.device)
    for active in needed.unbind(-1):
        P = torch.where(active, torch.add(P @ P, P, alpha=2), P)
    return P


def _taylor(M: torch.Tensor, degree: int) -> torch.Tensor:
    """Sum M^k / k! from one to `degree`, a multiple of four."""
    square = M @ M
    fourth = square @ square
    eye = torch.eye(M.shape[-1], dtype=M.dtype, device=M.device)
    powers = (eye, M, square, square @ M)

    def block(first: int) -> torch.Tensor:
        terms = range(_BLOCK) if first else range(1, _BLOCK)  # without the identity
        total = powers[terms[0]] / math.factorial(first + terms[0])
        for j in terms[1:]:
            total = torch.add(total, powers[j], alpha=1 / math.factorial(first + j))
        return total

    total = torch.add(block(degree - _BLOCK), fourth, alpha=1 / math.factorial(degree))
    for first in range(degree - 2 * _BLOCK, -1, -_BLOCK):
        total = block(first) + fourth @ total
    return total
