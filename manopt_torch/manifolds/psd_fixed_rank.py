"""Positive semidefinite matrices of fixed rank."""

from collections.abc import Mapping
from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.linalg.orbits import (
    aligned,
    from_orbit_coordinates,
    horizontal_part,
    orbit_coordinates,
    rank_deficiency,
)
from manopt_torch.linalg.orthogonal import svd_or_nan
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.bases import coordinate_basis
from manopt_torch.manifolds.fields import checked_field, field_dtype, from_reals, real_inner, to_reals
from manopt_torch.manifolds.points import axpy
from manopt_torch.manifolds.squared_distance import differentiable_by_log
from manopt_torch.manifolds.validation import positive_sizes


class PSDFixedRank(Manifold):
    r"""Symmetric or Hermitian positive semidefinite $n \times n$ matrices of rank $k$, each given by a factor.

    A point is an $n \times k$ matrix $Y$ of full rank that stands for $Y Y^*$; $Y Q$ is the same point for every
    orthogonal (unitary) $Q$, so costs must not depend on it: $f(Y Q) = f(Y)$. Use it for low-rank covariances, kernels,
    distance matrices and semidefinite programs, with complex numbers for quantum states and phase retrieval: nothing of
    size $n \times n$ is formed unless the cost does. Tangent vectors are horizontal, the $U$ with Hermitian $Y^* U$,
    and $\langle U, V\rangle = \operatorname{Re} \operatorname{tr}(U^* V)$.

    - $P_Y Z = Z - Y \Omega$ with $(Y^* Y) \Omega + \Omega (Y^* Y) = Y^* Z - Z^* Y$;
    - $\operatorname{grad} f = P_Y \nabla f$ (which is $\nabla f$ if the cost keeps its rule) and
      $\operatorname{Hess} f[U] = P_Y \nabla^2 f[U]$;
    - $\exp_Y(U) = Y + U$, also the retraction: a geodesic as long as the rank stays full;
    - $\log_Y(Z) = Z Q - Y$ with the polar factor $Q$ of $Z^* Y$, and $d(Y, Z) = \|Z Q - Y\|_F$, which for $k = n$ is
      the Bures-Wasserstein distance of $Y Y^*$ and $Z Z^*$.

    The injectivity radius at $Y$ is its least singular value, the distance to the matrices of lower rank. `transport`
    is the projection at $Z$ of a vector at $Y$ and takes the factors as they are: they must be turned to each other,
    as those of `exp` are; $Y + \log_Y(Z)$ turns $Z$ so.

    Args:
        n: number of rows of a point.
        k: number of columns, at most `n`.
        field: "real" or "complex".

    Shapes:
        points and tangents: `(*batch, n, k)`; dimension $n k - k (k - 1) / 2$, over the complex numbers $2 n k - k^2$.

    Raises:
        OptionsError: if the sizes are no integers with $1 \le k \le n$, or the field is not known.

    References:
        [MassartAbsil:2020]; [JourneeBachAbsilSepulchre:2010]; [Boumal:2023], chapter 9.

    Examples:
        >>> M = PSDFixedRank(2, 1)
        >>> y, z = torch.tensor([[3.0], [0.0]]), torch.tensor([[-3.0], [4.0]])
        >>> M.dist(y, z)
        tensor(4.)
        >>> M.matrix(M.mid_point(y, z))
        tensor([[ 9., -6.],
                [-6.,  4.]])
    """

    retractions: Mapping[str, str] = {"exp": "exp"}

    def __init__(self, n: int, k: int, field: str = "real") -> None:
        positive_sizes("PSDFixedRank", (n, k))
        if k > n:
            raise OptionsError(f"PSDFixedRank({n}, {k}): a matrix with {n} rows has rank {n} at most, k <= n")
        self.point_shape = (n, k)
        self.field = checked_field(field)
        self.dim = 2 * n * k - k * k if field == "complex" else n * k - k * (k - 1) // 2
        self.typical_dist = 10.0 * k

    def matrix(self, x: torch.Tensor) -> torch.Tensor:
        r"""Return the matrix $Y Y^*$ that the point stands for, shape `(*batch, n, n)`."""
        return x @ x.mH

    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return real_inner(u, v, (-2, -1))

    def norm(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(u, dim=(-2, -1))

    def squared_dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        difference = aligned(x.detach(), y.detach()) - x.detach()
        return differentiable_by_log(self, x, y, real_inner(difference, difference, (-2, -1)))

    def project_point(self, z: torch.Tensor) -> torch.Tensor:
        """Return `z`: almost every matrix is a point."""
        return z

    def project_tangent(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return horizontal_part(x, z)

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return horizontal_part(x, g)

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return horizontal_part(x, h)

    def exp(self, x: torch.Tensor, u: torch.Tensor, t: Any = None) -> torch.Tensor:
        return axpy(x, u, t, 2)

    retract_default = exp

    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return aligned(x, y) - x

    def log_defined(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        # where this product has a null space up to rounding, so has the turn of y an arbitrary part
        s = svd_or_nan(y.mH @ x)[1]
        return s[..., -1] > 8 * torch.finfo(x.dtype).eps * s[..., 0]

    def injectivity_radius(self, x: Any = None) -> float | torch.Tensor:
        # factors next to those of lower rank have any small radius
        return 0.0 if x is None else svd_or_nan(x)[1][..., -1]

    def basis(self, x: torch.Tensor) -> torch.Tensor:
        return coordinate_basis(self, x)

    def to_coordinates(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        stretches, rest, _ = orbit_coordinates(x, u)
        return torch.cat([stretches, to_reals(rest) if rest.is_complex() else rest], -1)

    def from_coordinates(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        k = self.point_shape[1]
        rest = from_reals(c[..., k:]) if x.is_complex() else c[..., k:]
        return from_orbit_coordinates(x, rest, c[..., :k])

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> torch.Tensor:
        """Draw Gaussian factors."""
        kind = field_dtype(self.field, dtype)
        return torch.randn((*batch, *self.point_shape), generator=generator, dtype=kind, device=device)

    def off_manifold(self, x: torch.Tensor) -> torch.Tensor:
        """Return zero for a matrix of full rank, else one."""
        return rank_deficiency(x)

    def __repr__(self) -> str:
        n, k = self.point_shape
        return f"PSDFixedRank({n}, {k}{', field=' + repr(self.field) if self.field == 'complex' else ''})"
