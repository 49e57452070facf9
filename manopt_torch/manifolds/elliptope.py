"""Correlation matrices of bounded rank."""

from collections.abc import Mapping
from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.linalg.orbits import horizontal_part
from manopt_torch.linalg.orthogonal import from_complement, qr_unique, svd_or_nan, to_complement
from manopt_torch.linalg.scalar import cos_and_sinc_sqrt
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.bases import coordinate_basis
from manopt_torch.manifolds.points import axpy, scale
from manopt_torch.manifolds.sphere import Sphere
from manopt_torch.manifolds.validation import positive_sizes


class Elliptope(Manifold):
    r"""Correlation matrices of rank at most $k$, each given by a factor: the search space of max-cut.

    A point is an $n \times k$ matrix $Y$ with rows of length one that stands for the correlation matrix $Y Y^\top$;
    $Y Q$ is the same point for every orthogonal $Q$, so costs must not depend on it. Use it for semidefinite programs
    with unit diagonal by the method of Burer and Monteiro: with $k (k + 1) / 2 > n$ almost every such program has no
    local minima but the global ones. Tangent vectors have rows orthogonal to those of $Y$ and are horizontal,
    $Y^\top U$ symmetric; $\langle U, V\rangle = \operatorname{tr}(U^\top V)$.

    - $P_Y Z = R - Y \Omega$ with $R = Z - \operatorname{diag}(Z Y^\top) Y$, row by row, and
      $(Y^\top Y) \Omega + \Omega (Y^\top Y) = Y^\top R - R^\top Y$;
    - $\operatorname{grad} f = P_Y \nabla f$ and $\operatorname{Hess} f[U] = P_Y(\nabla^2 f[U] -
      \operatorname{diag}(\nabla f\, Y^\top) U)$;
    - $\exp_Y(U)$ follows a great circle in each row; retraction: divide the rows of $Y + U$ by their lengths, of
      second order and the default.

    Where $Y$ has lower rank, as at most solutions of max-cut, it is a point all the same: the projection leaves out
    what vanishes. There is no formula for the logarithm. `transport` takes the factors as they are: they must be turned
    to each other, as those of `exp` and `retract` are.

    Args:
        n: number of rows, the size of the correlation matrix.
        k: number of columns, from 2 to `n`.

    Shapes:
        points and tangents: `(*batch, n, k)`; dimension $n (k - 1) - k (k - 1) / 2$.

    Raises:
        OptionsError: if the sizes are no integers with $2 \le k \le n$.

    References:
        [BurerMonteiro:2003]; [BoumalVoroninskiBandeira:2016]; [JourneeBachAbsilSepulchre:2010].

    Examples:
        >>> M = Elliptope(3, 2)
        >>> y = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
        >>> M.matrix(y)
        tensor([[1.0000, 0.6000, 0.0000],
                [0.6000, 1.0000, 0.8000],
                [0.0000, 0.8000, 1.0000]])
    """

    retractions: Mapping[str, str] = {"projection": "retract_projection", "exp": "exp"}
    inverse_retractions: Mapping[str, str] = {}

    def __init__(self, n: int, k: int) -> None:
        positive_sizes("Elliptope", (n, k), least=2)
        if k > n:
            raise OptionsError(f"Elliptope({n}, {k}): a matrix with {n} rows has rank {n} at most, k <= n")
        self.point_shape = (n, k)
        self.dim = n * (k - 1) - k * (k - 1) // 2
        self.typical_dist = 10.0 * k
        self._row = Sphere(k)

    def matrix(self, x: torch.Tensor) -> torch.Tensor:
        r"""Return the correlation matrix $Y Y^\top$ that the point stands for, shape `(*batch, n, n)`."""
        return x @ x.mT

    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return (u * v).sum((-2, -1))

    def norm(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(u, dim=(-2, -1))

    def project_point(self, z: torch.Tensor) -> torch.Tensor:
        return z / torch.linalg.vector_norm(z, dim=-1, keepdim=True)

    def project_tangent(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        # vertical directions are tangent to the spheres: the second projection keeps what the first has made
        return horizontal_part(x, torch.addcmul(z, (x * z).sum(-1, True), x, value=-1))

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return self.project_tangent(x, g)

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return self.project_tangent(x, torch.addcmul(h, (x * g).sum(-1, True), u, value=-1))

    def retract_projection(self, x: torch.Tensor, u: torch.Tensor, t: Any = None) -> torch.Tensor:
        y = axpy(x, u, t, 2)
        return y / torch.linalg.vector_norm(y, dim=-1, keepdim=True)

    retract_default = retract_projection

    def exp(self, x: torch.Tensor, u: torch.Tensor, t: Any = None) -> torch.Tensor:
        v = scale(u, t, 2)
        cosine, sinc = cos_and_sinc_sqrt((v * v).sum(-1, True))
        return torch.addcmul(cosine * x, sinc, v)

    def injectivity_radius(self, x: Any = None) -> float | torch.Tensor:
        """Return the least singular value: there is no formula for the radius, and no step within this lowers the rank.

        It is the radius of the matrices without unit rows; see `PSDFixedRank`.
        """
        return 0.0 if x is None else svd_or_nan(x)[1][..., -1]

    def basis(self, x: torch.Tensor) -> torch.Tensor:
        return coordinate_basis(self, x)

    def to_coordinates(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        rows = self._row.to_coordinates(x, u).flatten(-2)
        return to_complement(self._vertical(x), rows[..., None])[..., 0]

    def from_coordinates(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        n, k = self.point_shape
        rows = from_complement(self._vertical(x), c[..., None])[..., 0]
        return self._row.from_coordinates(x, rows.unflatten(-1, (n, k - 1)))

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> torch.Tensor:
        """Draw the rows uniformly on the sphere."""
        shape = (*batch, *self.point_shape)
        return self.project_point(torch.randn(shape, generator=generator, dtype=dtype, device=device))

    def off_manifold(self, x: torch.Tensor) -> torch.Tensor:
        """Return the largest error of the length of a row."""
        return (torch.linalg.vector_norm(x, dim=-1) - 1).abs().amax(-1)

    def _vertical(self, x: torch.Tensor) -> torch.Tensor:
        """Return orthonormal coordinates, row by row, of the directions along the orbit, one a column."""
        k = self.point_shape[1]
        i, j = torch.triu_indices(k, k, offset=1, device=x.device)
        eye = torch.eye(k, dtype=x.dtype, device=x.device)
        units = eye[i][:, :, None] * eye[j][:, None, :]
        start = x[..., None, :, :]
        return qr_unique(self._row.to_coordinates(start, start @ (units - units.mT)).flatten(-2).mT)[0]
