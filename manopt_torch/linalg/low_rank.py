r"""The nearest matrix of lower rank, from factors, with derivatives that need no differences of kept singular values.

References:
    [AbsilOseledets:2015], section 3; [FepponLermusiaux:2018] for the derivative.
"""

from collections.abc import Callable

import torch

from manopt_torch.linalg.known_value import known_to_be_finite
from manopt_torch.linalg.orthogonal import polar, svd_or_nan
from manopt_torch.linalg.scalar import tiny_root
from manopt_torch.linalg.spectral import tracks_derivatives

Times = Callable[[torch.Tensor], torch.Tensor]

# rows from which a product with a small matrix is quicker by its transpose
_TALL = 400


def truncate(
    W: Times,  # multiplies an n x r matrix from the left by W
    Wt: Times,  # multiplies an m x r matrix from the left by the transpose of W
    left: torch.Tensor,  # shape: (*batch, m, p), orthonormal, spans the columns of W
    right: torch.Tensor,  # shape: (*batch, n, q), orthonormal, spans its rows
    U: torch.Tensor,  # shape: (*batch, m, k)
    V: torch.Tensor,  # shape: (*batch, n, k)
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    r"""Return orthonormal factors $U_1, S_1, V_1$ of the matrix $U_1 S_1 V_1^\top$ of rank `k` nearest to `W`.

    Of all bases of the column space, $U_1$ is the one nearest to `U`, likewise $V_1$: so the factors are smooth, also
    where singular values meet, as long as number `k` is larger than the next. Singular values below rounding error are
    raised to it, which keeps the rank. The first two derivatives are right; those of the bases `left` and `right` are
    not needed.
    """
    k = U.shape[-1]
    left, right = left.detach(), right.detach()
    A, s, Bh = svd_or_nan(left.mT @ W(right))
    A, B = left @ A, right @ Bh.mT
    L, R = A[..., :k], B[..., :k]
    if tracks_derivatives():
        L, R = _moving(W, Wt, (A, s, B), k)
    turn_left, turn_right = polar(L.mT @ U), polar(R.mT @ V)
    raised = torch.diag_embed((_least(s) - s[..., :k]).clamp(min=0))
    return L @ turn_left, turn_left.mT @ (L.mT @ W(R) + raised) @ turn_right, R @ turn_right


def truncate_factored(
    F: torch.Tensor,  # shape: (*batch, m, 2k), the first k columns orthonormal
    K: torch.Tensor,  # shape: (*batch, k, k)
    S: torch.Tensor,  # shape: (*batch, k, k)
    G: torch.Tensor,  # shape: (*batch, n, 2k), the first k columns orthonormal
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    r"""Return the values of `truncate` for $F \begin{pmatrix} K & S \\ S & 0 \end{pmatrix} G^\top$, as constants.

    The bases are those nearest to the first halves of `F` and `G`. After two QR factorisations everything else has the
    size of the matrix between.
    """
    k = K.shape[-1]
    (left, a), (right, b) = torch.linalg.qr(F.detach()), torch.linalg.qr(G.detach())
    K, S, first = K.detach(), S.detach(), a[..., :k]
    core = beside(first @ K + a[..., k:] @ S, first @ S) @ b.mT
    finite = known_to_be_finite(core)
    A, s, Bh = torch.linalg.svd(core if finite else _finite(core), full_matrices=False)
    A, B, s = A[..., :k], Bh.mT[..., :k], torch.maximum(s[..., :k], _least(s)).unsqueeze(-1)
    s = s if finite else s + (core * 0).sum((-2, -1), keepdim=True)  # NaN unless the matrix is finite
    overlaps = A.mT @ first, B.mT @ b[..., :k]
    turn_left, turn_right = (_nearest_turn(Z if finite else _finite(Z)) for Z in overlaps)
    return tall_times(left, A @ turn_left), turn_left.mT @ (s * turn_right), tall_times(right, B @ turn_right)


def _nearest_turn(Z: torch.Tensor) -> torch.Tensor:
    """Return the polar factor of a finite square matrix, as a constant."""
    P, _, Qh = torch.linalg.svd(Z)
    return P @ Qh


def beside(A: torch.Tensor, B: torch.Tensor) -> torch.Tensor:
    """Return the columns of A, then those of B.

    Examples:
        >>> beside(torch.ones(2, 1, 1), torch.zeros(1, 1)).shape
        torch.Size([2, 1, 2])
    """
    if A.shape != B.shape:
        A, B = torch.broadcast_tensors(A, B)
    elif A.shape[-2] >= _TALL:
        return torch.cat((A.mT, B.mT), -2).mT  # as LAPACK wants them
    return torch.cat((A, B), -1)


def _finite(Z: torch.Tensor) -> torch.Tensor:
    """Return the matrix with zeros for what is not finite, which LAPACK refuses to decompose."""
    return torch.nan_to_num(Z, 0.0, 0.0, 0.0)


def _least(s: torch.Tensor) -> torch.Tensor:
    """Return what singular values below rounding error are raised to."""
    return (s[..., :1] * (8 * torch.finfo(s.dtype).eps)).clamp(min=tiny_root(s.dtype))


def _moving(W: Times, Wt: Times, svd: tuple[torch.Tensor, ...], k: int) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Return the leading singular vectors L, R again, now with derivatives.

    The subspaces are $L + E$ and $R + F$ with E, F orthogonal to L, R, that is $P W (R + F) = E L^\top W (R + F)$ for
    the projector P off L, and its mirror image. E and F are zero, and each round of Newton's iteration with a fixed
    matrix makes one derivative more of them right. Along the other singular vectors it divides by differences of kept
    and dropped singular values, elsewhere by kept ones.
    """
    A, s, B = svd
    L, R, kept = A[..., :k], B[..., :k], s[..., None, :k]
    count = min(A.shape[-1], B.shape[-1])
    low_left, low_right, low = A[..., k:count], B[..., k:count], s[..., k:, None]
    present = kept > torch.finfo(s.dtype).eps * s[..., None, :1]
    inverse = torch.where(present, 1 / torch.where(present, kept, 1.0), 0.0)
    gap = kept.square() - low.square()
    ratio = torch.where(gap > 0, low * inverse / torch.where(gap > 0, gap, 1.0), 0.0)
    E, F = torch.zeros_like(L), torch.zeros_like(R)
    for _ in range(2):
        forward, backward = W(R + F), Wt(L + E)
        e = off(L, forward) - E @ (L.mT @ forward)
        f = off(R, backward) - F @ (R.mT @ backward)
        a, b = low_left.mT @ e, low_right.mT @ f
        E = _without_value(E + e * inverse + low_left @ (ratio * (low * a + kept * b)))
        F = _without_value(F + f * inverse + low_right @ (ratio * (kept * a + low * b)))
    return _orthonormal(L, E), _orthonormal(R, F)


def _without_value(E: torch.Tensor) -> torch.Tensor:
    """Return zero with the derivatives of E, whose value is rounding error."""
    return E - E.detach()


def less(
    Z: torch.Tensor,  # shape: (*batch, m, r)
    L: torch.Tensor,  # shape: (*batch, m, k)
    M: torch.Tensor,  # shape: (*batch, k, r)
) -> torch.Tensor:
    """Return Z - L M, of lone matrices in one operation, see `tall_times` for tall ones.

    Examples:
        >>> less(torch.ones(2, 1), torch.eye(2), torch.full((2, 1), 3.0))
        tensor([[-2.],
                [-2.]])
    """
    if not Z.dim() == L.dim() == M.dim() == 2:
        return Z - L @ M
    if L.shape[0] < _TALL:
        return torch.addmm(Z, L, M, alpha=-1)
    return torch.addmm(Z.mT, M.mT, L.mT, alpha=-1).mT


def tall_times(
    L: torch.Tensor,  # shape: (*batch, m, r)
    M: torch.Tensor,  # shape: (*batch, r, k)
) -> torch.Tensor:
    """Return L M; for a tall L by the transposes, for which BLAS takes as little as a third of the time.

    The columns of the product then lie one after the other in memory, as LAPACK has them too.

    Examples:
        >>> tall_times(torch.ones(2, 1), torch.full((1, 1), 3.0))
        tensor([[3.],
                [3.]])
    """
    return (M.mT @ L.mT).mT if L.dim() == M.dim() == 2 and L.shape[0] >= _TALL else L @ M


def off(
    L: torch.Tensor,  # shape: (*batch, m, k), orthonormal columns
    Z: torch.Tensor,  # shape: (*batch, m, r)
) -> torch.Tensor:
    """Return the part of Z orthogonal to the columns of L.

    Examples:
        >>> off(torch.eye(2, 1), torch.ones(2, 1))
        tensor([[0.],
                [1.]])
    """
    return less(Z, L, L.mT @ Z)


def _orthonormal(L: torch.Tensor, E: torch.Tensor) -> torch.Tensor:
    """Return an orthonormal basis of the columns of L + E, up to terms of third order in E, whose value is zero."""
    return (L + E) - L @ (0.5 * (E.mT @ E))
