"""Matrices with unit columns."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.bases import coordinate_basis
from manopt_torch.manifolds.complex_sphere import ComplexSphere
from manopt_torch.manifolds.fields import checked_field, real_inner
from manopt_torch.manifolds.points import axpy, expand_right
from manopt_torch.manifolds.sphere import Sphere
from manopt_torch.manifolds.validation import positive_sizes

_AXES = (-2, -1)


class Oblique(Manifold):
    r"""Matrices with columns of unit length, and the Frobenius inner product.

    Use it for dictionaries, independent component analysis without orthogonality and blind source separation. It is
    the product of one sphere a column, and all formulas are those of `Sphere` or `ComplexSphere`, column by column:
    with $P_X Z = Z - X \operatorname{ddiag}(\operatorname{Re} X^* Z)$, where $\operatorname{ddiag}$ keeps the diagonal,

    - $\operatorname{grad} f = P_X \nabla f$ and $\operatorname{Hess} f[U] = P_X(\nabla^2 f[U] -
      U \operatorname{ddiag}(\operatorname{Re} X^* \nabla f))$;
    - geodesics are great circles in each column, $d(X, Y)^2 = \sum_j \theta_j^2$ for the angles between columns;
    - retraction: $X + U$ with normalised columns, of second order and the default;
    - parallel transport is that of the spheres.

    Distance and logarithm keep full relative accuracy in each column from coincident to antipodal ones. `log_defined`
    is false where a column is the antipode of its counterpart.

    Args:
        n: number of rows, the entries of a column.
        m: number of columns.
        field: "real" or "complex".

    Shapes:
        points and tangents: `(*batch, n, m)`; dimension $m (n - 1)$, or $m (2n - 1)$ if complex.

    Raises:
        OptionsError: if the sizes are no positive integers, real columns have one entry, or the field is unknown.

    References:
        [AbsilGallivan:2006]; [Boumal:2023], section 7.2.

    Examples:
        >>> M = Oblique(2, 2)
        >>> x, y = torch.eye(2), torch.tensor([[0.0, 0.0], [1.0, 1.0]])
        >>> M.dist(x, y)  # a right angle and none
        tensor(1.5708)
        >>> M.retract(x, torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
        tensor([[0.7071, 0.0000],
                [0.7071, 1.0000]])
    """

    is_embedded = True
    retractions: Mapping[str, str] = {"projection": "retract_projection", "exp": "exp"}
    inverse_retractions: Mapping[str, str] = {"projection": "inverse_retract_projection", "exp": "log"}

    def __init__(self, n: int, m: int, field: str = "real") -> None:
        positive_sizes("Oblique", (n, m))
        self.field = checked_field(field)
        if n == 1 and field == "real":
            raise OptionsError(f"Oblique({n}, {m}): real columns have two entries or more, else nothing can move")
        self._sphere = ComplexSphere(n) if field == "complex" else Sphere(n)
        self.point_shape = (n, m)
        self.dim = m * self._sphere.dim
        self.typical_dist = math.pi * math.sqrt(m)

    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return real_inner(u, v, _AXES)

    def norm(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(u, dim=_AXES)

    def dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(self._sphere.dist(x.mT, y.mT), dim=-1)

    def squared_dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self._sphere.squared_dist(x.mT, y.mT).sum(-1)

    def project_point(self, z: torch.Tensor) -> torch.Tensor:
        return z / torch.linalg.vector_norm(z, dim=-2, keepdim=True)

    def project_tangent(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return z - real_inner(x, z, (-2,))[..., None, :] * x

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return g - real_inner(x, g, (-2,))[..., None, :] * x

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return self.project_tangent(x, h - real_inner(x, g, (-2,))[..., None, :] * u)

    def retract_projection(self, x: torch.Tensor, u: torch.Tensor, t: Any = None) -> torch.Tensor:
        y = axpy(x, u, t, 2)
        return y / torch.linalg.vector_norm(y, dim=-2, keepdim=True)

    retract_default = retract_projection

    def inverse_retract_projection(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Invert the default retraction; NaN in the columns at a right angle or more, which are outside its image."""
        return self._sphere.inverse_retract_projection(x.mT, y.mT).mT

    def exp(self, x: torch.Tensor, u: torch.Tensor, t: float | torch.Tensor | None = None) -> torch.Tensor:
        per_column = expand_right(t, 1) if isinstance(t, torch.Tensor) else t
        return self._sphere.exp(x.mT, u.mT, per_column).mT

    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self._sphere.log(x.mT, y.mT).mT

    def log_defined(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self._sphere.log_defined(x.mT, y.mT).all(-1)

    def parallel_transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return self._sphere.parallel_transport(x.mT, y.mT, u.mT).mT

    def injectivity_radius(self, x: Any = None) -> float:
        return math.pi

    def basis(self, x: torch.Tensor) -> torch.Tensor:
        return coordinate_basis(self, x)

    def to_coordinates(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return self._sphere.to_coordinates(x.mT, u.mT).flatten(-2)

    def from_coordinates(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        return self._sphere.from_coordinates(x.mT, c.unflatten(-1, (self.point_shape[1], self._sphere.dim))).mT

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> torch.Tensor:
        """Draw each column uniformly."""
        shape = (*batch, self.point_shape[1])
        return self._sphere.random_point(*shape, generator=generator, dtype=dtype, device=device).mT

    def off_manifold(self, x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(torch.linalg.vector_norm(x, dim=-2) - 1, dim=-1)

    def __repr__(self) -> str:
        n, m = self.point_shape
        return f"Oblique({n}, {m}{', field=' + repr(self.field) if self.field == 'complex' else ''})"
