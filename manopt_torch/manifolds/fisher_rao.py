r"""Probability vectors with the Fisher-Rao metric, along one axis of an array.

The square root maps them to the positive part of a sphere, $s = \sqrt{x}$, and the metric
$\langle u, v\rangle_x = \sum_i u_i v_i / x_i$ to four times the sphere's: with $w = u / (2 s)$, geodesics, distances
and transport are those of the sphere.
"""

from collections.abc import Mapping
from typing import Any

import torch

from manopt_torch.linalg.scalar import angle_over_sine, cos_and_sinc_sqrt, log_ratio, squared_angle
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.bases import coordinate_basis
from manopt_torch.manifolds.points import scale


class FisherRao(Manifold):
    """Base of manifolds of probability vectors; they stand along `_axis`, and scalars are summed over `_others`."""

    retraction_order = 1
    transport_is_isometric = True
    retractions: Mapping[str, str] = {"softmax": "retract_softmax", "exp": "exp"}
    inverse_retractions: Mapping[str, str] = {"softmax": "inverse_retract_softmax", "exp": "log"}

    _axis: int
    _others: tuple[int, ...]

    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return self._total((u * v / x).sum(self._axis, True))

    def squared_dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        s, t, difference = _roots(x, y)
        chord = difference.square().sum(self._axis, True)
        return 4 * self._total(squared_angle(chord, (s + t).square().sum(self._axis, True)))

    def project_point(self, z: torch.Tensor) -> torch.Tensor:
        """Floor the entries at rounding error of one and divide by the sum."""
        return self._normalise(z.clamp(min=torch.finfo(z.dtype).eps))

    def project_tangent(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return z - z.sum(self._axis, True) * x

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return x * (g - (x * g).sum(self._axis, True))

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        centred = g - (x * g).sum(self._axis, True)
        # of the derivative of the gradient field, corrected by the metric's; what is a multiple of x drops out
        return self.project_tangent(x, x * h + 0.5 * u * centred)

    def exp(self, x: torch.Tensor, u: torch.Tensor, t: float | torch.Tensor | None = None) -> torch.Tensor:
        """Follow the geodesic; beyond `injectivity_radius(x)` it is reflected at the boundary."""
        root = torch.sqrt(x)
        w = 0.5 * scale(u, t, len(self.point_shape)) / root
        cosine, sinc = cos_and_sinc_sqrt((w * w).sum(self._axis, True))
        return torch.addcmul(cosine * root, sinc, w).square()

    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        s, t, difference = _roots(x, y)
        cosine = (s * t).sum(self._axis, True)
        w = difference - (s * difference).sum(self._axis, True) * s
        return 2 * s * w * angle_over_sine((w * w).sum(self._axis, True), cosine)

    def log_defined(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.isfinite(self.squared_dist(x, y))

    def retract_softmax(self, x: torch.Tensor, u: torch.Tensor, t: Any = None) -> torch.Tensor:
        """Multiply by the exponential of the relative step and divide by the sum: always inside, of first order."""
        relative = scale(u, t, len(self.point_shape)) / x
        relative = relative - relative.amax(self._axis, True)
        return self.project_point(self._normalise(x * torch.exp(relative)))

    retract_default = retract_softmax

    def inverse_retract_softmax(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        ratio = log_ratio(x, y)
        return x * (ratio - (x * ratio).sum(self._axis, True))

    def transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        s, t = torch.sqrt(x), torch.sqrt(y)
        total, w = s + t, u / s
        factor = 2 * (total * w).sum(self._axis, True) / total.square().sum(self._axis, True)
        return t * (w - factor * total)

    parallel_transport = transport

    def injectivity_radius(self, x: Any = None) -> float | torch.Tensor:
        """Return the distance to the boundary; zero over the whole manifold."""
        if x is None:
            return 0.0
        least = x.amin(self._axis, True)
        return (2 * torch.asin(torch.sqrt(least))).amin((*self._others, self._axis))

    def basis(self, x: torch.Tensor) -> torch.Tensor:
        return coordinate_basis(self, x)

    def to_coordinates(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        s, w = self._columns_last(torch.sqrt(x)), self._columns_last(u / torch.sqrt(x))
        # the Householder reflection that maps the root to minus the first axis; its entries are positive
        c = w[..., 1:] - s[..., 1:] * w[..., :1] / (1 + s[..., :1])
        return c.flatten(-len(self.point_shape))

    def from_coordinates(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        s = self._columns_last(torch.sqrt(x))
        c = c.reshape(*c.shape[:-1], *s.shape[s.dim() - len(self.point_shape) : -1], s.shape[-1] - 1)
        along = (s[..., 1:] * c).sum(-1, True)
        w = torch.cat([-along, c - s[..., 1:] * along / (1 + s[..., :1])], dim=-1)
        return self._columns_last(s * w)

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> torch.Tensor:
        """Draw weights uniformly in the logarithm over two decades."""
        shape = (*batch, *self.point_shape)
        return self._normalise(10 ** (2 * torch.rand(shape, generator=generator, dtype=dtype, device=device)))

    def off_manifold(self, x: torch.Tensor) -> torch.Tensor:
        """Return the error of the sums, plus one and the size of what is not positive."""
        error = (x.sum(self._axis, True) - 1).abs()
        return self._total(error + torch.where(x > 0, torch.zeros_like(x), 1 - x).sum(self._axis, True))

    def off_tangent(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """Return the length of what sticks out: the sums along the axis."""
        return torch.sqrt(self._total(u.sum(self._axis, True).square()))

    def _total(self, z: torch.Tensor) -> torch.Tensor:
        """Sum numbers that stand for whole probability vectors."""
        return z.sum((*self._others, self._axis))

    def _normalise(self, z: torch.Tensor) -> torch.Tensor:
        return z / z.sum(self._axis, True)

    def _columns_last(self, z: torch.Tensor) -> torch.Tensor:
        return z.mT if self._axis == -2 else z


def _roots(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the roots and their difference, of y less x; common zeros, which are off the manifold, add nothing."""
    s, t = _root(x), _root(y)
    total = s + t
    # without subtracting the roots, which would cancel
    return s, t, (y - x) / torch.where(total == 0, 1.0, total)


def _root(x: torch.Tensor) -> torch.Tensor:
    zero = x == 0
    return torch.where(zero, 0.0, torch.sqrt(torch.where(zero, 1.0, x)))
