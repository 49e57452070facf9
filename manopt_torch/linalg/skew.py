r"""Skew-symmetric and skew-Hermitian matrices: coordinates, and the exponential with its derivative.

A skew matrix is $V \operatorname{diag}(i \theta) V^*$ with unitary $V$, real or not, so functions of it cost one
Hermitian eigendecomposition.
"""

import math
from typing import NamedTuple

import torch


def skew_dim(n: int, is_complex: bool) -> int:
    """Return the real dimension of the skew matrices of n rows."""
    return n * n if is_complex else n * (n - 1) // 2


def skew_from_vector(
    c: torch.Tensor,  # shape: (*batch, skew_dim)
    n: int,
    is_complex: bool,
) -> torch.Tensor:
    r"""Return the skew matrix whose entries below the diagonal, row by row, are `c`.

    For complex ones the imaginary parts of the lower triangle follow, those of the diagonal times $\sqrt2$, so that
    half the squared Frobenius norm is that of `c` in either case.

    Examples:
        >>> skew_from_vector(torch.tensor([1.0, 2.0, 3.0]), 3, False)
        tensor([[ 0., -1., -2.],
                [ 1.,  0., -3.],
                [ 2.,  3.,  0.]])
    """
    i = torch.arange(n, device=c.device)
    row, column = torch.maximum(i[:, None], i), torch.minimum(i[:, None], i)
    sign = (i[:, None] > i).to(c.dtype) - (i[:, None] < i).to(c.dtype)
    strict = n * (n - 1) // 2
    if strict:
        real = c[..., (row * (row - 1) // 2 + column).clamp(max=strict - 1)] * sign
    else:
        real = c.new_zeros((*c.shape[:-1], n, n))
    if not is_complex:
        return real
    weight = 1 + (math.sqrt(2.0) - 1) * (i[:, None] == i).to(c.dtype)
    return torch.complex(real, c[..., strict + row * (row + 1) // 2 + column] * weight)


def skew_to_vector(
    A: torch.Tensor,  # shape: (*batch, n, n)
) -> torch.Tensor:
    """Undo `skew_from_vector`; only the lower triangle is read.

    Examples:
        >>> skew_to_vector(skew_from_vector(torch.tensor([1.0, 2.0, 3.0]), 3, False))
        tensor([1., 2., 3.])
    """
    n = A.shape[-1]
    row, column = torch.tril_indices(n, n, -1, device=A.device)
    real = A[..., row, column].real
    if not A.is_complex():
        return real
    row, column = torch.tril_indices(n, n, device=A.device)
    weight = 1 + (math.sqrt(0.5) - 1) * (row == column).to(real.dtype)
    return torch.cat([real, A[..., row, column].imag * weight], -1)


class SkewEigen(NamedTuple):
    """Eigenvalues divided by i, and eigenvectors, of a skew matrix."""

    angles: torch.Tensor  # shape: (*batch, n), real
    vectors: torch.Tensor  # shape: (*batch, n, n), complex


def skew_expm1(
    eigen: SkewEigen,
    columns: int,
) -> torch.Tensor:
    """Return the first columns of the exponential less the identity, as a complex matrix.

    Examples:
        >>> quarter_turn = torch.tensor([[0.0, -math.pi / 2], [math.pi / 2, 0.0]])
        >>> skew_expm1(SkewEigen(*torch.linalg.eigh(-1j * quarter_turn)), 1).real.T.round(decimals=4)
        tensor([[-1.,  1.]])
    """
    angles, V = eigen
    half = 0.5 * angles
    values = torch.polar(2 * torch.sin(half), half + 0.5 * math.pi)  # exp(i a) - 1 without cancellation
    return (V * values[..., None, :]) @ V[..., :columns, :].mH


def skew_exp_integral(
    eigen: SkewEigen,
    columns: int,
) -> torch.Tensor:
    r"""Return the leading block, `columns` by `columns`, of $\int_0^1 e^{sM}\,ds$, as a complex matrix."""
    angles, V = eigen
    V = V[..., :columns, :]
    return (V * torch.polar(torch.sinc(angles / (2 * math.pi)), 0.5 * angles)[..., None, :]) @ V.mH


def skew_exp_derivative(
    eigen: SkewEigen,
    directions: torch.Tensor,  # shape: (k, ..., n, n), complex and skew
    columns: int,
) -> torch.Tensor:
    r"""Return the derivatives of the first columns of the exponential, shape `(*batch, k, ..., n, columns)`.

    In the eigenbasis, entry $(i, j)$ of a direction is multiplied by
    $\frac{e^{i\theta_i} - e^{i\theta_j}}{i(\theta_i - \theta_j)} = e^{i(\theta_i + \theta_j)/2}
    \operatorname{sinc}\frac{\theta_i - \theta_j}2$, which has no cancellation. Axes of a direction between the first
    and the last two go with the last ones of the batch.
    """
    axis = -directions.dim()
    angles, V = eigen
    half = 0.5 * angles
    first, second = half[..., :, None], half[..., None, :]
    factors = torch.polar(torch.sinc((first - second) / math.pi), first + second).unsqueeze(axis)
    V = V.unsqueeze(axis)
    return V @ ((V.mH @ (directions @ V) * factors) @ V[..., :columns, :].mH)
