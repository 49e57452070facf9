r"""Matrices $Y$ up to an orthogonal or unitary matrix from the right: the orbits $\{Y Q : Q^* Q = I\}$.

Directions $Y \Omega$ with a skew $\Omega$ stay in the orbit and are called vertical, those orthogonal to them, the $U$
with Hermitian $Y^* U$, horizontal. With a singular value decomposition $Y = A \operatorname{diag}(\sigma) B^*$,
horizontal means $\sigma_i C_{ij} = \sigma_j \bar C_{ji}$ for $C = A^* U B$, which gives coordinates.

References:
    [MassartAbsil:2020]; [JourneeBachAbsilSepulchre:2010].
"""

from typing import Any

import torch

from manopt_torch.linalg.function import Function
from manopt_torch.linalg.orthogonal import from_complement, polar, svd_or_nan, to_complement
from manopt_torch.linalg.spectral import tracks_derivatives
from manopt_torch.linalg.sylvester import lyapunov


def horizontal_part(
    Y: torch.Tensor,  # shape: (*batch, n, k)
    Z: torch.Tensor,  # shape: (*batch, n, k)
) -> torch.Tensor:
    r"""Return the horizontal matrix nearest to Z.

    It is $Z - Y \Omega$ with $(Y^* Y) \Omega + \Omega (Y^* Y) = Y^* Z - Z^* Y$.

    Examples:
        >>> Y = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
        >>> horizontal_part(Y, torch.tensor([[1.0, 5.0], [0.0, 1.0]]))
        tensor([[1.0000, 4.5000],
                [1.5000, 1.0000]])
    """
    svd = svd_or_nan(Y)
    if not tracks_derivatives():
        return _Horizontal.forward(Y, Z, *svd)
    return _Horizontal.apply(*torch.broadcast_tensors(Y, Z), *svd)


class _Horizontal(Function):
    r"""The projection in singular vectors of Y; linear in Z and self-adjoint.

    Right up to rounding also for singular values so small that their squares are lost in $Y^* Y$.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(Y: Any, Z: Any, A: Any, s: Any, Bh: Any) -> torch.Tensor:
        C = A.mH @ Z @ Bh.mH
        scaled = s[..., :, None] * C
        squares = s[..., :, None].square() + s[..., None, :].square()
        # columns that vanish up to rounding have no vertical direction
        vanishing = squares <= (8 * torch.finfo(s.dtype).eps * s[..., :1, None]).square()
        weight = torch.where(vanishing, 0.0, s[..., :, None] / torch.where(vanishing, 1.0, squares))
        return Z - A @ (weight * (scaled - scaled.mH)) @ Bh

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        ctx.save_for_backward(*inputs[:2], output)
        ctx.save_for_forward(*inputs[:2], output)

    @staticmethod
    def backward(ctx: Any, W: torch.Tensor) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        Y, Z, output = ctx.saved_tensors
        by_Z = horizontal_part(Y, W)
        return by_Z @ _vertical(Y, Y, Z) + output @ _vertical(Y, Y, W), by_Z, None, None, None

    @staticmethod
    def jvp(ctx: Any, dY: Any, dZ: Any, *rest: Any) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        Y, Z, output = ctx.saved_tensors
        return horizontal_part(Y, dZ - dY @ _vertical(Y, Y, Z)) + Y @ _vertical(Y, output, dY)


def _vertical(
    Y: torch.Tensor,  # shape: (*batch, n, k)
    P: torch.Tensor,  # shape: (*batch, n, k)
    Q: torch.Tensor,  # shape: (*batch, n, k)
) -> torch.Tensor:
    r"""Return the skew $\Omega$ with $(Y^* Y) \Omega + \Omega (Y^* Y) = P^* Q - Q^* P$."""
    inner = P.mH @ Q
    return lyapunov(Y.mH @ Y, inner - inner.mH)


def aligned(
    Y: torch.Tensor,  # shape: (*batch, n, k)
    Z: torch.Tensor,  # shape: (*batch, n, k)
) -> torch.Tensor:
    r"""Return the matrix of the orbit of Z nearest to Y: $Z Q$ with the polar factor $Q$ of $Z^* Y$.

    Examples:
        >>> aligned(torch.tensor([[1.0], [1.0]]), torch.tensor([[-1.0], [-3.0]])).T
        tensor([[1., 3.]])
    """
    return Z @ polar(Z.mH @ Y)


def rank_deficiency(
    Y: torch.Tensor,  # shape: (*batch, n, k), n >= k
) -> torch.Tensor:
    """Return zero where the columns of Y are independent, one where they are not up to rounding, NaN where Y is."""
    s = svd_or_nan(Y)[1]
    spread = torch.finfo(s.dtype).eps * s[..., 0]
    return torch.where(s[..., -1] > spread, 0.0, 1.0).to(s.dtype) + 0 * spread


def orbit_coordinates(
    Y: torch.Tensor,  # shape: (*batch, n, k)
    U: torch.Tensor,  # shape: (*batch, n, k), horizontal
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the coordinates of U in an orthonormal basis of the horizontal space, and the singular values of Y.

    The first are `k` of stretches of singular values, the second the rest, shape `(*batch, n k - k (k + 1) / 2)`,
    which are complex if U is.
    """
    A, s, Bh = svd_or_nan(Y)
    turned = U @ Bh.mH
    C = A.mH @ turned
    weighted = C * _weights(s)
    rows, columns = torch.triu_indices(*C.shape[-2:], offset=1, device=Y.device)
    pairs = (weighted + weighted.mH)[..., rows, columns]
    outside = to_complement(A, turned).flatten(-2)
    return C.diagonal(dim1=-2, dim2=-1).real, torch.cat([pairs, outside], -1), s


def from_orbit_coordinates(
    Y: torch.Tensor,  # shape: (*batch, n, k)
    rest: torch.Tensor,  # shape: (*batch, n k - k (k + 1) / 2)
    stretches: torch.Tensor,  # shape: (*batch, k), real
) -> torch.Tensor:
    """Return the horizontal vector with coordinates `stretches` and `rest`."""
    n, k = Y.shape[-2:]
    A, s, Bh = svd_or_nan(Y)
    count = k * (k - 1) // 2
    i = torch.arange(k, device=Y.device)
    low, high = torch.minimum(i[:, None], i), torch.maximum(i[:, None], i)
    position = low * (2 * k - low - 1) // 2 + high - low - 1  # of entry (low, high) above the diagonal, row by row
    C = torch.diag_embed(stretches)
    if count:
        pairs = rest[..., :count][..., position.clamp(min=0, max=count - 1)]
        pairs = torch.where(i[:, None] > i, pairs.conj(), pairs)
        C = C + torch.where(low == high, 0.0, pairs * _weights(s))
    C = C.to(A.dtype)
    return (A @ C + from_complement(A, rest[..., count:].unflatten(-1, (n - k, k)))) @ Bh


def _weights(
    s: torch.Tensor,  # shape: (*batch, k)
) -> torch.Tensor:
    """Return the entries (i, j) and (j, i) of the unit horizontal vectors that mix two columns."""
    length = torch.sqrt(s[..., :, None].square() + s[..., None, :].square())
    return s[..., None, :] / torch.where(length > 0, length, 1.0)
