r"""Damped linear least squares: minimise $\lVert J h + r\rVert^2 + \sum_i d_i h_i^2$ for a batch of matrices.

Ways to the same $h = -(J^\top J + \operatorname{diag} d)^{-1} J^\top r$: each is the best one somewhere. None reads
a value on the host; a problem that has no solution comes out as NaN and leaves the others alone.
"""

import torch

from manopt_torch.linalg.cholesky import cholesky_or_nan


def by_augmented_qr(
    J: torch.Tensor,  # shape: (*batch, m, n)
    r: torch.Tensor,  # shape: (*batch, m)
    d: torch.Tensor,  # shape: (*batch, n), not negative
) -> torch.Tensor:
    r"""Solve by a QR factorisation of $J$ with the rows $\operatorname{diag}\sqrt d$ below, shape `(*batch, n)`.

    The condition of the matrix is not squared, as it is in normal equations: twice the digits where it matters. On a
    GPU the factorisations of a batch run one after the other.

    References:
        [GolubVanLoan:2013], section 5.3; [More:1978].
    """
    n = J.shape[-1]
    below = torch.diag_embed(d.sqrt())
    Q, R = torch.linalg.qr(torch.cat([J, below], dim=-2))
    right = -(Q[..., : J.shape[-2], :].mT @ r.unsqueeze(-1))
    diagonal = R.diagonal(dim1=-2, dim2=-1).abs()
    # without damping, columns may depend on each other
    singular = (diagonal <= n * torch.finfo(R.dtype).eps * diagonal.amax(-1, keepdim=True)).any(-1)
    h = torch.linalg.solve_triangular(R, right, upper=True).squeeze(-1)
    return torch.where(singular.unsqueeze(-1), torch.nan, h)


def by_row_space(
    J: torch.Tensor,  # shape: (*batch, m, n)
    r: torch.Tensor,  # shape: (*batch, m)
    d: torch.Tensor,  # shape: (*batch, n), not negative
) -> torch.Tensor:
    r"""Solve with a matrix of the size of the residuals, for fewer residuals than parameters.

    $h = -W J^\top (J W J^\top + \mu I)^{-1} r$ with $\mu = \max d$ and $W = \mu \operatorname{diag}(d)^{-1}$. Without
    damping it is the shortest solution.

    References:
        [GolubVanLoan:2013], section 5.6.
    """
    mu = d.amax(-1, keepdim=True)
    # a parameter without damping among damped ones gets a trace of it: more digits could not be told apart anyway
    least = torch.finfo(d.dtype).eps ** 0.5 * mu
    W = torch.where(mu > 0, mu / torch.maximum(d, least), torch.ones_like(d))
    scaled = J * W.unsqueeze(-2)
    gram = scaled @ J.mT
    gram = gram + torch.diag_embed(mu.expand(r.shape))
    factor = cholesky_or_nan(gram)
    return -(scaled.mT @ torch.cholesky_solve(r.unsqueeze(-1), factor)).squeeze(-1)


def by_pseudo_inverse(
    H: torch.Tensor,  # shape: (*batch, n, n), symmetric, positive semidefinite
    g: torch.Tensor,  # shape: (*batch, n)
    rtol: float | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Return the shortest minimiser $h = -H^+ g$ and the rank of $H$, for normal equations that may be singular.

    The matrix is scaled to a unit diagonal first, so that the decision about what is zero does not depend on units.

    Args:
        H: the matrices.
        g: the right-hand sides.
        rtol: eigenvalues below this share of the largest are zero; None is the rounding error of the dtype times n.
    """
    inverse, rank = pseudo_inverse(H, rtol)
    return -(inverse @ g.unsqueeze(-1)).squeeze(-1), rank


def pseudo_inverse(
    H: torch.Tensor,  # shape: (*batch, n, n), symmetric, positive semidefinite
    rtol: float | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Return $S\,(S H S)^+ S$ with $S = \operatorname{diag}(H)^{-1/2}$, the inverse where there is one, and the rank.

    Matrices with NaN or infinity have rank zero and a pseudo-inverse of NaN.
    """
    n = H.shape[-1]
    rtol = n * torch.finfo(H.dtype).eps if rtol is None else rtol
    finite = torch.isfinite(H).all(-1).all(-1)
    diagonal = H.diagonal(dim1=-2, dim2=-1)
    S = torch.where(diagonal > 0, diagonal, torch.ones_like(diagonal)).rsqrt()
    scaled = torch.where(finite[..., None, None], S.unsqueeze(-1) * H * S.unsqueeze(-2), torch.zeros_like(H))
    values, vectors = torch.linalg.eigh(scaled)
    kept = values > rtol * values[..., -1:]
    inverse = torch.where(kept, 1 / torch.where(kept, values, torch.ones_like(values)), torch.zeros_like(values))
    whole = S.unsqueeze(-1) * ((vectors * inverse.unsqueeze(-2)) @ vectors.mT) * S.unsqueeze(-2)
    return torch.where(finite[..., None, None], whole, torch.nan), kept.sum(-1)
