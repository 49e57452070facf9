r"""Orthonormal frames: the factors and moves that keep columns orthonormal.

References:
    [GolubVanLoan:2013], section 5.2; [Higham:2008], chapter 8; [WenYin:2013] for the Cayley transform.
"""

from typing import Any

import torch

from manopt_torch.linalg.function import Function
from manopt_torch.linalg.spectral import tracks_derivatives
from manopt_torch.linalg.sylvester import lyapunov


def qr_unique(
    Z: torch.Tensor,  # shape: (*batch, n, p), n >= p
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the QR factors with positive diagonal of R, which makes them unique and smooth for full rank.

    A zero on the diagonal counts as positive, so that Q is orthonormal in any case.

    Examples:
        >>> Q, R = qr_unique(torch.tensor([[-3.0, 1.0], [0.0, 2.0]]))
        >>> R
        tensor([[ 3., -1.],
                [ 0.,  2.]])
    """
    # LAPACK beats unrolled Gram-Schmidt and Cholesky-QR even on a thousand 10 x 3 matrices, and is exact at any rank
    Q, R = torch.linalg.qr(Z)
    diagonal = R.diagonal(dim1=-2, dim2=-1).detach().real
    sign = torch.copysign(torch.ones_like(diagonal), diagonal)
    return Q * sign[..., None, :], R * sign[..., :, None]


def polar(
    Z: torch.Tensor,  # shape: (*batch, n, p), n >= p
) -> torch.Tensor:
    r"""Return the orthonormal matrix nearest to `Z`, the factor $Q$ of $Z = Q P$ with $P \succeq 0$; NaN stays NaN.

    For $Z$ of full rank it is unique and smooth, with derivatives of any order that need no differences of singular
    values. Otherwise it is one of the nearest, and derivatives leave out the directions that have none.

    References:
        [Higham:2008], theorem 8.4.

    Examples:
        >>> polar(torch.tensor([[0.0, -2.0], [1.0, 0.0], [0.0, 0.0]]))
        tensor([[ 0., -1.],
                [ 1.,  0.],
                [ 0.,  0.]])
    """
    U, _, Vh = svd_or_nan(Z)
    return polar_from_svd(Z, U, Vh)


def polar_from_svd(
    Z: torch.Tensor,  # shape: (*batch, n, p), n >= p
    U: torch.Tensor,  # shape: (*batch, n, p)
    Vh: torch.Tensor,  # shape: (*batch, p, p)
) -> torch.Tensor:
    """Return the polar factor $U V^*$ from singular vectors of Z, which count as constants; Z has the derivative."""
    return _Polar.apply(Z, U, Vh) if tracks_derivatives() else U @ Vh


def svd_or_nan(
    Z: torch.Tensor,  # shape: (*batch, n, p)
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    r"""Return the thin singular value decomposition $U, s, V^*$, as constants; U and s are NaN where Z is not finite.

    LAPACK refuses a whole batch that holds one NaN. Here such a matrix gets NaN, its neighbours are safe.

    Examples:
        >>> svd_or_nan(torch.tensor([[[3.0]], [[float("nan")]]]))[1].flatten()
        tensor([3., nan])
    """
    Z = Z.detach()
    not_a_number = (Z * 0).sum((-2, -1), keepdim=True).abs()  # zero for a finite matrix
    U, s, Vh = torch.linalg.svd(torch.where(not_a_number == 0, Z, 0.0), full_matrices=False)
    return U + not_a_number, s + not_a_number[..., 0], Vh


class _Polar(Function):
    """The product of singular vectors; Z itself is an argument only to receive the derivative."""

    generate_vmap_rule = True

    @staticmethod
    def forward(Z: Any, U: Any, Vh: Any) -> torch.Tensor:
        return U @ Vh

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        ctx.save_for_backward(inputs[0], output)
        ctx.save_for_forward(inputs[0], output)

    @staticmethod
    def backward(ctx: Any, W: torch.Tensor) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        Z, Q = ctx.saved_tensors
        return _polar_derivative(Z, Q, W), None, None

    @staticmethod
    def jvp(ctx: Any, dZ: torch.Tensor, *rest: Any) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        Z, Q = ctx.saved_tensors
        return _polar_derivative(Z, Q, dZ)


def _polar_derivative(Z: torch.Tensor, Q: torch.Tensor, W: torch.Tensor) -> torch.Tensor:
    """Return the derivative of the polar factor along W; it is self-adjoint, so this is the backward as well.

    With P = Q'Z and skew K: P K + K P = Q'W - W'Q, and the part of W off the columns of Q is divided by P.
    """
    P, inner = Q.mH @ Z, Q.mH @ W
    P = (P + P.mH) * 0.5
    turn = Q @ lyapunov(P, inner - inner.mH)
    if Z.shape[-2] == Z.shape[-1]:
        return turn
    eye = torch.eye(P.shape[-1], dtype=P.dtype, device=P.device)
    return turn + (W - Q @ inner) @ lyapunov(P, (2 * eye).expand_as(P))  # that is the inverse of P


def cayley(
    X: torch.Tensor,  # shape: (*batch, n, p)
    F: torch.Tensor,  # shape: (*batch, n, k)
    G: torch.Tensor,  # shape: (*batch, n, k)
) -> torch.Tensor:
    r"""Return $(I - \frac12 W)^{-1} (I + \frac12 W) X$ for the skew matrix $W = F G^*$, by a solve of size `k`.

    Examples:
        >>> X, Z = torch.eye(2)[:, :1], 2 * torch.eye(2)[:, 1:]
        >>> cayley(X, torch.cat([Z, X], 1), torch.cat([X, -Z], 1)).T  # twice the arc tangent of one: a right angle
        tensor([[0., 1.]])
    """
    inner = G.mH @ torch.cat([F, X], -1)
    k = F.shape[-1]
    eye = torch.eye(k, dtype=F.dtype, device=F.device)
    return X + F @ torch.linalg.solve_ex(eye - 0.5 * inner[..., :k], inner[..., k:])[0]


def to_complement(
    X: torch.Tensor,  # shape: (*batch, n, p), orthonormal
    U: torch.Tensor,  # shape: (*batch, n, m)
) -> torch.Tensor:
    """Return the coordinates, shape `(*batch, n - p, m)`, of `U` in an orthonormal basis of the complement of `X`."""
    V, K = _block_reflector(X)
    p = X.shape[-1]
    return U[..., p:, :] - X[..., p:, :] @ (K @ (V.mH @ U))


def from_complement(
    X: torch.Tensor,  # shape: (*batch, n, p), orthonormal
    B: torch.Tensor,  # shape: (*batch, n - p, m)
) -> torch.Tensor:
    """Return the matrix, shape `(*batch, n, m)`, whose coordinates by `to_complement` are `B`."""
    V, K = _block_reflector(X)
    p = X.shape[-1]
    padded = torch.cat(
        [B.new_zeros(*B.shape[:-2], p, B.shape[-1]), B], -2
    )  # old versions of torch do not pad where m is zero
    return padded - V @ (K @ (X[..., p:, :].mH @ B))


def _block_reflector(X: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Return V, K such that the symmetric orthogonal matrix I - V K V' maps X to minus its polar factor on top.

    Its other columns are a basis of the complement. V = X + [W; 0] adds where the reflection of a sphere adds a sign,
    hence V'V = 2 (I + P) is never singular.
    """
    p = X.shape[-1]
    top = X[..., :p, :]
    W = polar(top)
    V = torch.cat([top + W, X[..., p:, :]], -2)
    eye = torch.eye(p, dtype=X.dtype, device=X.device)
    return V, torch.linalg.inv_ex(eye + W.mH @ top)[0]
