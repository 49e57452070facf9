"""Complex numbers of modulus one."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from manopt_torch.linalg.scalar import arctan2
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.bases import coordinate_basis
from manopt_torch.manifolds.fields import field_dtype, real_inner
from manopt_torch.manifolds.points import scale
from manopt_torch.manifolds.validation import positive_sizes


class ComplexCircle(Manifold):
    r"""Arrays of phases $e^{i\varphi}$, complex numbers of modulus one, with the arc length of each entry.

    $\langle u, v\rangle = \operatorname{Re} \sum_j \bar u_j v_j$. Use it for phase retrieval, synchronisation and
    unimodular waveforms, whose costs are written in complex numbers; `Circle` stores the angle itself. A tangent vector
    is $u = i \tau x$ with real $\tau = \operatorname{Im}(\bar x u)$, entry by entry, and

    - $\operatorname{grad} f = i \operatorname{Im}(\bar x \nabla f)\, x$ and
      $\operatorname{Hess} f[u] = P_x(\nabla^2 f[u] - \operatorname{Re}(\bar x \nabla f)\, u)$, where the gradient of a
      real cost, as autograd returns it, is $\partial f / \partial \operatorname{Re} x +
      i\, \partial f / \partial \operatorname{Im} x$;
    - $\exp_x(u) = e^{i\tau} x$, the default retraction, and $\log_x(y) = i \delta x$ with the angle $\delta \in
      [-\pi, \pi]$ of $\bar x y$, so that $d(x, y)^2 = \sum_j \delta_j^2$;
    - retraction "projection": $(x + u) / |x + u|$;
    - parallel transport $u\, \bar x y$, also used by `transport`.

    The angle is taken from $\bar x (y - x)$, which keeps full relative accuracy next to coincident points. At the
    antipode of an entry its logarithm is $i \pi x$, and `log_defined` is false.

    Args:
        *shape: shape of one point; `ComplexCircle()` is a single phase.

    Shapes:
        points and tangents: `(*batch, *shape)`, complex.

    Raises:
        OptionsError: if a size is no positive integer.

    References:
        [Boumal:2016].

    Examples:
        >>> M = ComplexCircle(2)
        >>> x, y = torch.tensor([1.0 + 0j, 1.0]), torch.tensor([1j, 1.0])
        >>> M.dist(x, y), M.log(x, y).imag
        (tensor(1.5708), tensor([1.5708, 0.0000]))
    """

    field = "complex"
    is_embedded = True
    is_flat = True
    transport_is_isometric = True
    retractions: Mapping[str, str] = {"exp": "exp", "projection": "retract_projection"}
    inverse_retractions: Mapping[str, str] = {"exp": "log", "projection": "inverse_retract_projection"}

    def __init__(self, *shape: int) -> None:
        positive_sizes("ComplexCircle", shape)
        self.point_shape = tuple(shape)
        self.dim = math.prod(shape)
        self.typical_dist = math.pi * math.sqrt(self.dim)
        self._ndim = len(shape)
        self._axes = tuple(range(-len(shape), 0))

    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return real_inner(u, v, self._axes)

    def norm(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(u, dim=self._axes) if self._ndim else u.abs()

    def dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        angle = _angle(x, y)
        return torch.linalg.vector_norm(angle, dim=self._axes) if self._ndim else angle.abs()

    def squared_dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        square = _angle(x, y).square()
        return square.sum(self._axes) if self._ndim else square

    def project_point(self, z: torch.Tensor) -> torch.Tensor:
        return z / z.abs()

    def project_tangent(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return _turn(x, _rate(x, z))

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return _turn(x, _rate(x, g))

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return _turn(x, _rate(x, h) - real_inner(x, g, ()) * _rate(x, u))

    def exp(self, x: torch.Tensor, u: torch.Tensor, t: float | torch.Tensor | None = None) -> torch.Tensor:
        angle = scale(_rate(x, u), t, self._ndim)
        return x * torch.polar(torch.ones_like(angle), angle)

    retract_default = exp

    def inverse_retract_projection(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Invert the projection, which reaches the half circle around each entry; NaN outside."""
        cosine = real_inner(x, y, ())
        return y / torch.where(cosine > 0, cosine, math.nan) - x

    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return _turn(x, _angle(x, y))

    def log_defined(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        # nearer to the antipode than this, the sign of the angle is rounding error
        defined = (x + y).abs() > 8 * torch.finfo(x.dtype).eps
        return defined.flatten(-self._ndim).all(-1) if self._ndim else defined

    def transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return _turn(y, _rate(x, u))

    def parallel_transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return _turn(y, _rate(x, u))

    def injectivity_radius(self, x: Any = None) -> float:
        return math.pi

    def basis(self, x: torch.Tensor) -> torch.Tensor:
        return coordinate_basis(self, x)

    def to_coordinates(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        rate = _rate(x, u)
        return rate.flatten(-self._ndim) if self._ndim else rate[..., None]

    def from_coordinates(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        return _turn(x, c.reshape((*c.shape[:-1], *self.point_shape)))

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> torch.Tensor:
        kind = field_dtype("real", dtype)
        uniform = torch.rand((*batch, *self.point_shape), generator=generator, dtype=kind, device=device)
        return torch.polar(torch.ones_like(uniform), 2 * math.pi * uniform)

    def off_manifold(self, x: torch.Tensor) -> torch.Tensor:
        error = x.abs() - 1
        return torch.linalg.vector_norm(error, dim=self._axes) if self._ndim else error.abs()


def _rate(x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    r"""Return the real number $\tau$ with $u = i \tau x$ for a tangent vector, or for the tangent part of an array."""
    return x.real * u.imag - x.imag * u.real


def _turn(x: torch.Tensor, rate: torch.Tensor) -> torch.Tensor:
    r"""Return $i \tau x$."""
    return torch.complex(-x.imag * rate, x.real * rate)


def _angle(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the angle from x to y in [-pi, pi], with full relative accuracy where they are close."""
    return arctan2(_rate(x, y - x), real_inner(x, y, ()))
