"""The unit sphere of a complex space."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.bases import coordinate_basis
from manopt_torch.manifolds.fields import field_dtype, from_reals, real_inner, to_reals
from manopt_torch.manifolds.points import axpy
from manopt_torch.manifolds.sphere import Sphere
from manopt_torch.manifolds.validation import positive_sizes


class ComplexSphere(Manifold):
    r"""Unit vectors of $\mathbb{C}^n$ with the real inner product $\operatorname{Re}(u^* v)$.

    Use it for quantum states, beamforming weights and complex Rayleigh quotients. It is the sphere of the $2n$ real
    and imaginary parts, so with $P_x z = z - \operatorname{Re}(x^* z) x$ all formulas are those of `Sphere`:

    - $\operatorname{grad} f = P_x \nabla f$ and
      $\operatorname{Hess} f[u] = P_x(\nabla^2 f[u] - \operatorname{Re}(x^* \nabla f) u)$, where the gradient of a real
      cost, as autograd returns it, is $\partial f / \partial \operatorname{Re} x +
      i\, \partial f / \partial \operatorname{Im} x$;
    - $\exp_x(u) = \cos\|u\|\, x + \frac{\sin\|u\|}{\|u\|} u$, $\log_x(y) = \frac{\theta}{\sin\theta} P_x y$ with
      $\theta = d(x, y) = 2\operatorname{atan2}(\|x - y\|, \|x + y\|)$;
    - retraction $(x + u) / \|x + u\|$, of second order and the default.

    Vectors that differ by a phase are different points here; where they are not to be, take
    `Grassmann(n, 1, field="complex")`.

    Args:
        n: number of complex entries of a point; the sphere has dimension $2n - 1$.

    Shapes:
        points and tangents: `(*batch, n)`, complex.

    Raises:
        OptionsError: if `n` is no positive integer.

    References:
        [AbsilMahonySepulchre:2008], examples 3.5.1, 4.1.1 and 5.4.1; [Boumal:2023], section 7.2.

    Examples:
        >>> M = ComplexSphere(2)
        >>> x, y = torch.tensor([1.0 + 0j, 0.0]), torch.tensor([1j, 0.0])
        >>> M.dist(x, y)
        tensor(1.5708)
        >>> M.mid_point(x, y)
        tensor([0.7071+0.7071j, 0.0000+0.0000j])
    """

    field = "complex"
    is_embedded = True
    retractions: Mapping[str, str] = {"projection": "retract_projection", "exp": "exp"}
    inverse_retractions: Mapping[str, str] = {"projection": "inverse_retract_projection", "exp": "log"}

    def __init__(self, n: int) -> None:
        positive_sizes("ComplexSphere", (n,))
        self.point_shape = (n,)
        self.dim = 2 * n - 1
        self.typical_dist = math.pi
        self._sphere = Sphere(2 * n)

    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return real_inner(u, v, (-1,))

    def norm(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(u, dim=-1)

    def dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self._sphere.dist(x, y)

    def squared_dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self._sphere.squared_dist(to_reals(x), to_reals(y))

    def project_point(self, z: torch.Tensor) -> torch.Tensor:
        return z / torch.linalg.vector_norm(z, dim=-1, keepdim=True)

    def project_tangent(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return z - real_inner(x, z, (-1,))[..., None] * x

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return g - real_inner(x, g, (-1,))[..., None] * x

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return self.project_tangent(x, h - real_inner(x, g, (-1,))[..., None] * u)

    def retract_projection(self, x: torch.Tensor, u: torch.Tensor, t: Any = None) -> torch.Tensor:
        y = axpy(x, u, t, 1)
        return y / torch.linalg.vector_norm(y, dim=-1, keepdim=True)

    retract_default = retract_projection

    def inverse_retract_projection(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Invert the default retraction, whose image is the open half sphere around `x`; NaN outside."""
        return from_reals(self._sphere.inverse_retract_projection(to_reals(x), to_reals(y)))

    def exp(self, x: torch.Tensor, u: torch.Tensor, t: Any = None) -> torch.Tensor:
        return from_reals(self._sphere.exp(to_reals(x), to_reals(u), t))

    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return from_reals(self._sphere.log(to_reals(x), to_reals(y)))

    def log_defined(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self._sphere.log_defined(to_reals(x), to_reals(y))

    def parallel_transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return from_reals(self._sphere.parallel_transport(to_reals(x), to_reals(y), to_reals(u)))

    def injectivity_radius(self, x: Any = None) -> float:
        return math.pi

    def basis(self, x: torch.Tensor) -> torch.Tensor:
        return coordinate_basis(self, x)

    def to_coordinates(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return self._sphere.to_coordinates(to_reals(x), to_reals(u))

    def from_coordinates(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        return from_reals(self._sphere.from_coordinates(to_reals(x), c))

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> torch.Tensor:
        kind, shape = field_dtype("complex", dtype), (*batch, *self.point_shape)
        return self.project_point(torch.randn(shape, generator=generator, dtype=kind, device=device))

    def off_manifold(self, x: torch.Tensor) -> torch.Tensor:
        return (torch.linalg.vector_norm(x, dim=-1) - 1).abs()
