"""Positive semidefinite matrices of fixed rank and unit trace."""

import math
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
from manopt_torch.linalg.scalar import angle_between, angle_over_sine, cos_and_sinc_sqrt
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.bases import coordinate_basis
from manopt_torch.manifolds.points import axpy, scale
from manopt_torch.manifolds.squared_distance import differentiable_by_log
from manopt_torch.manifolds.validation import positive_sizes


class Spectrahedron(Manifold):
    r"""Symmetric positive semidefinite $n \times n$ matrices of rank $k$ and trace one, each given by a factor.

    A point is an $n \times k$ matrix $Y$ of full rank with $\|Y\|_F = 1$ that stands for $Y Y^\top$; $Y Q$ is the same
    point for every orthogonal $Q$, so costs must not depend on it. Use it for density matrices, sparse principal
    components and semidefinite programs with a trace. It is the unit sphere modulo rotations of the columns: tangent
    vectors are the $U$ with $\langle Y, U\rangle = 0$ and symmetric $Y^\top U$. With the projector $P_Y$ on both,

    - $\operatorname{grad} f = P_Y \nabla f$ and
      $\operatorname{Hess} f[U] = P_Y(\nabla^2 f[U] - \langle Y, \nabla f\rangle U)$;
    - $\exp$ and $\log$ are those of the sphere, $\log_Y(Z)$ after turning $Z$ towards $Y$ by the polar factor of
      $Z^\top Y$; $d(Y, Z) = \arccos\|Z^\top Y\|_*$ is at most $\pi / 2$, the Bures angle of $Y Y^\top$ and $Z Z^\top$;
    - retraction $(Y + U) / \|Y + U\|_F$, of second order and the default.

    The injectivity radius at $Y$ is the arc sine of its least singular value, the distance to the matrices of lower
    rank. `transport` takes the factors as they are, see `PSDFixedRank`.

    Args:
        n: number of rows of a point, at least 2.
        k: number of columns, at most `n`.

    Shapes:
        points and tangents: `(*batch, n, k)`; dimension $n k - 1 - k (k - 1) / 2$.

    Raises:
        OptionsError: if the sizes are no integers with $1 \le k \le n$ and $n \ge 2$.

    References:
        [JourneeBachAbsilSepulchre:2010]; [MassartAbsil:2020].

    Examples:
        >>> M = Spectrahedron(2, 1)
        >>> y, z = torch.tensor([[1.0], [0.0]]), torch.tensor([[-0.6], [-0.8]])
        >>> M.dist(y, z), M.dist(z, -z)
        (tensor(0.9273), tensor(0.))
        >>> M.matrix(z).trace()
        tensor(1.)
    """

    retractions: Mapping[str, str] = {"projection": "retract_projection", "exp": "exp"}
    inverse_retractions: Mapping[str, str] = {"projection": "inverse_retract_projection", "exp": "log"}

    def __init__(self, n: int, k: int) -> None:
        positive_sizes("Spectrahedron", (n, k))
        if k > n or n < 2:
            raise OptionsError(f"Spectrahedron({n}, {k}): sizes are integers with 1 <= k <= n and n >= 2")
        self.point_shape = (n, k)
        self.dim = n * k - 1 - k * (k - 1) // 2
        self.typical_dist = math.pi / 2  # no two points are farther apart

    def matrix(self, x: torch.Tensor) -> torch.Tensor:
        r"""Return the matrix $Y Y^\top$ that the point stands for, shape `(*batch, n, n)`."""
        return x @ x.mT

    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return (u * v).sum((-2, -1))

    def norm(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(u, dim=(-2, -1))

    def squared_dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        start = x.detach()
        end = aligned(start, y.detach())
        norm = torch.linalg.vector_norm
        angle = angle_between(norm(end - start, dim=(-2, -1)), norm(end + start, dim=(-2, -1)))
        return differentiable_by_log(self, x, y, angle.square())

    def project_point(self, z: torch.Tensor) -> torch.Tensor:
        return z / torch.linalg.vector_norm(z, dim=(-2, -1), keepdim=True)

    def project_tangent(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        # vertical directions are tangent to the sphere: the order of the two projections does not matter
        return horizontal_part(x, _off_radius(x, z))

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return self.project_tangent(x, g)

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return self.project_tangent(x, torch.addcmul(h, (x * g).sum((-2, -1), True), u, value=-1))

    def retract_projection(self, x: torch.Tensor, u: torch.Tensor, t: Any = None) -> torch.Tensor:
        y = axpy(x, u, t, 2)
        return y / torch.linalg.vector_norm(y, dim=(-2, -1), keepdim=True)

    retract_default = retract_projection

    def inverse_retract_projection(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Invert the default retraction; NaN where `y` is at a right angle to `x`."""
        end = aligned(x, y)
        cosine = (x * end).sum((-2, -1), True)
        return end / torch.where(cosine > 0, cosine, math.nan) - x

    def exp(self, x: torch.Tensor, u: torch.Tensor, t: Any = None) -> torch.Tensor:
        v = scale(u, t, 2)
        cosine, sinc = cos_and_sinc_sqrt((v * v).sum((-2, -1), True))
        return torch.addcmul(cosine * x, sinc, v)

    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        end = aligned(x, y)
        v = _off_radius(x, end - x)  # that of y itself would cancel where the points are close
        cosine = (x * end).sum((-2, -1), True)
        squared_sine = (v * v).sum((-2, -1), True)
        right = cosine <= 0  # by rounding only: the nuclear norm is not negative
        return angle_over_sine(squared_sine, torch.where(right & (squared_sine == 0), 1.0, cosine)) * v

    def log_defined(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        # where this product has a null space up to rounding, so has the turn of y an arbitrary part
        return svd_or_nan(y.mT @ x)[1][..., -1] > 8 * torch.finfo(x.dtype).eps

    def injectivity_radius(self, x: Any = None) -> float | torch.Tensor:
        if self.point_shape[1] == 1:
            return math.pi / 2  # a projective space
        # factors next to those of lower rank have any small radius
        return 0.0 if x is None else torch.asin(svd_or_nan(x)[1][..., -1].clamp(max=1.0))

    def basis(self, x: torch.Tensor) -> torch.Tensor:
        return coordinate_basis(self, x)

    def to_coordinates(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        stretches, rest, s = orbit_coordinates(x, u)
        # the Householder reflection that maps the singular values to the first axis
        inner = stretches[..., 1:] - s[..., 1:] * stretches[..., :1] / (1 + s[..., :1])
        return torch.cat([inner, rest], -1)

    def from_coordinates(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        k = self.point_shape[1]
        s = svd_or_nan(x)[1]
        head, tail, inner = s[..., :1], s[..., 1:], c[..., : k - 1]
        along = (tail * inner).sum(-1, True)
        stretches = torch.cat([-along, inner - tail * along / (1 + head)], -1)
        return from_orbit_coordinates(x, c[..., k - 1 :], stretches)

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> torch.Tensor:
        """Draw factors uniformly on the unit sphere."""
        shape = (*batch, *self.point_shape)
        return self.project_point(torch.randn(shape, generator=generator, dtype=dtype, device=device))

    def off_manifold(self, x: torch.Tensor) -> torch.Tensor:
        """Return how far the norm is off one, plus one if the rank is not full."""
        return (torch.linalg.vector_norm(x, dim=(-2, -1)) - 1).abs() + rank_deficiency(x)


def _off_radius(
    x: torch.Tensor,  # shape: (*batch, n, k), of unit norm
    z: torch.Tensor,  # shape: (*batch, n, k)
) -> torch.Tensor:
    return torch.addcmul(z, (x * z).sum((-2, -1), True), x, value=-1)
