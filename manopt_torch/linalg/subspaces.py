r"""Pairs of subspaces, given by orthonormal columns: principal angles and vectors.

The singular values of $X^* Y$ are the cosines of the principal angles $\theta$, those of the part of Y orthogonal to X
are the sines. Cosines lose half the digits of small angles and sines those next to $\pi / 2$; together they lose none.

References:
    [BjorckGolub:1973]; [EdelmanAriasSmith:1998], section 4.3.
"""

from typing import NamedTuple

import torch

from manopt_torch.linalg.orthogonal import svd_or_nan
from manopt_torch.linalg.scalar import arctan2


class SubspacePair(NamedTuple):
    """Two subspaces in each other's terms; only the first two entries are differentiable."""

    inner: torch.Tensor  # shape: (*batch, p, p), X* Y
    normal: torch.Tensor  # shape: (*batch, n, p), the part of Y orthogonal to X
    U: torch.Tensor  # shape: (*batch, p, p), left singular vectors of `inner`
    cosines: torch.Tensor  # shape: (*batch, p), of the principal angles, descending
    Vh: torch.Tensor  # shape: (*batch, p, p), right singular vectors of `inner`
    sines: torch.Tensor  # shape: (*batch, p)


def subspace_pair(
    X: torch.Tensor,  # shape: (*batch, n, p), orthonormal
    Y: torch.Tensor,  # shape: (*batch, n, p), orthonormal
) -> SubspacePair:
    """Return the principal vectors of two subspaces with cosines and sines of their angles.

    Angles whose cosines agree up to rounding share their vectors, so that the sine of each may be off; the sum of
    their squares, and of any smooth function of them, is not.
    """
    inner, normal = X.mH @ Y, normal_part(X, Y)
    U, cosines, Vh = svd_or_nan(inner)
    sines = torch.linalg.vector_norm(normal.detach() @ Vh.mH, dim=-2)
    return SubspacePair(inner, normal, U, cosines, Vh, sines)


def normal_part(
    X: torch.Tensor,  # shape: (*batch, n, p), orthonormal
    Y: torch.Tensor,  # shape: (*batch, n, p)
) -> torch.Tensor:
    r"""Return $Y - X X^* Y$ with full relative accuracy, also for Y next to X.

    This one difference decides how well a distance is known. It is taken from Y - X where that is short, twice, so
    that X may be off orthonormal by rounding, and in double precision where points are single, except on devices
    without: equal subspaces may have different bases.

    Examples:
        >>> X = torch.tensor([[1.0], [0.0]])
        >>> normal_part(X, torch.tensor([[1.0], [1e-7]])).T
        tensor([[0.0000e+00, 1.0000e-07]])
    """
    kind = X.dtype
    if X.device.type != "mps":
        double = torch.complex128 if X.is_complex() else torch.float64
        X, Y = X.to(double), Y.to(double)
    difference = Y - X
    near = difference.detach().abs().square().sum((-2, -1), keepdim=True) < 0.25
    part = torch.where(near, difference, Y)
    part = part - X @ (X.mH @ part)
    return (part - X @ (X.mH @ part)).to(kind)


def principal_angles(
    X: torch.Tensor,  # shape: (*batch, n, p), orthonormal
    Y: torch.Tensor,  # shape: (*batch, n, p), orthonormal
) -> torch.Tensor:
    """Return the principal angles between two subspaces, shape `(*batch, p)`, the largest first; NaN stays NaN.

    Examples:
        >>> principal_angles(torch.eye(3)[:, :2], torch.eye(3)[:, 1:])
        tensor([1.5708, 0.0000])
    """
    # both descend, and the largest cosine belongs to the smallest sine
    return arctan2(_svdvals(normal_part(X, Y)), _svdvals(X.mH @ Y).flip(-1))


def _svdvals(Z: torch.Tensor) -> torch.Tensor:
    not_a_number = (Z.detach() * 0).sum((-2, -1), keepdim=True).abs()  # LAPACK refuses a whole batch for one NaN
    return torch.linalg.svdvals(torch.where(not_a_number == 0, Z, 0.0)) + not_a_number[..., 0]
