"""What arrays with the metric of Euclidean space share, whether their entries are numbers or angles."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from manopt_torch.linalg.dot import are_few_numbers, sum_of_few
from manopt_torch.linalg.scalar import wrap_angle
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import axpy


class FlatSpace(Manifold):
    """Base of manifolds of arrays in which every array is a tangent vector and the metric is the same everywhere."""

    is_embedded = True
    is_flat = True
    transport_is_isometric = True

    def __init__(self, *shape: int) -> None:
        self.point_shape = shape
        self.dim = math.prod(shape)
        self._ndim = len(shape)
        self._axes = tuple(range(-len(shape), 0))

    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return (u * v).sum(self._axes) if self._ndim else u * v

    def inner_at(self, x: torch.Tensor) -> Callable[..., torch.Tensor | float]:
        few = self._ndim == 1 and 1 < self.dim < 4  # a batch of numbers has as many axes as one vector
        return sum_of_few if few and are_few_numbers(x) else partial(self.inner, x)

    def norm(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(u, dim=self._axes) if self._ndim else u.abs()

    def dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.norm(x, self.log(x, y))

    def project_tangent(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return z

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return g

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return h

    def transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return u

    def parallel_transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return u

    def basis(self, x: torch.Tensor) -> torch.Tensor:
        eye = torch.eye(self.dim, dtype=x.dtype, device=x.device).reshape(self.dim, *self.point_shape)
        return eye.expand(*self.batch_shape(x), self.dim, *self.point_shape)

    def to_coordinates(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return u.reshape((*self.batch_shape(u), self.dim))

    def from_coordinates(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        return c.reshape((*c.shape[:-1], *self.point_shape))


class Angles(FlatSpace):
    r"""Base of manifolds of angles in $[-\pi, \pi)$."""

    def project_point(self, z: torch.Tensor) -> torch.Tensor:
        return wrap_angle(z)

    def exp(self, x: torch.Tensor, u: torch.Tensor, t: float | torch.Tensor | None = None) -> torch.Tensor:
        return wrap_angle(axpy(x, u, t, self._ndim))

    retract_default = exp

    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return wrap_angle(y - x)

    def log_defined(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        angle = wrap_angle(y - x).abs()
        # nearer to the antipode than this, the sign of an angle is rounding error
        return (angle.amax(self._axes) if self._ndim else angle) < math.pi - 8 * torch.finfo(x.dtype).eps

    def injectivity_radius(self, x: Any = None) -> float:
        return math.pi

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> torch.Tensor:
        """Draw each angle uniformly."""
        uniform = torch.rand((*batch, *self.point_shape), generator=generator, dtype=dtype, device=device)
        return wrap_angle((2 * math.pi) * uniform)

    def off_manifold(self, x: torch.Tensor) -> torch.Tensor:
        # pi itself is let pass: it names a point, only not by its usual angle; NaN stays
        return self.norm(x, (x.abs() - math.pi).clamp(min=0))
