"""Euclidean space of arrays."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import axpy
from manopt_torch.manifolds.validation import positive_sizes


class Euclidean(Manifold):
    r"""Arrays of a fixed shape with the Frobenius inner product.

    $\langle u, v\rangle = \sum_i u_i v_i$, $\exp_x(u) = x + u$, $\log_x(y) = y - x$; transport does nothing. The
    manifold of unconstrained problems, and of the unconstrained part of a `Product`.

    Args:
        *shape: shape of one point; `Euclidean()` holds scalars.

    Shapes:
        points: `(*batch, *shape)`.

    Raises:
        OptionsError: if a size is not a positive integer.

    References:
        [Boumal:2023], section 7.1.

    Examples:
        >>> M = Euclidean(2)
        >>> M.dist(torch.tensor([0.0, 0.0]), torch.tensor([3.0, 4.0]))
        tensor(5.)
    """

    transport_is_isometric = True
    retractions: Mapping[str, str] = {"exp": "exp", "projection": "exp"}  # the straight step needs no projection
    inverse_retractions: Mapping[str, str] = {"exp": "log", "projection": "log"}

    def __init__(self, *shape: int) -> None:
        positive_sizes("Euclidean", shape)
        self.point_shape = tuple(shape)
        self.dim = math.prod(shape)
        self.typical_dist = math.sqrt(self.dim)
        self._ndim = len(shape)
        self._axes = tuple(range(-len(shape), 0))

    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return (u * v).sum(self._axes) if self._ndim else u * v

    def norm(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(u, dim=self._axes) if self._ndim else u.abs()

    def dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.norm(x, x - y)

    def squared_dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        d = x - y
        return self.inner(x, d, d)

    def project_point(self, z: torch.Tensor) -> torch.Tensor:
        return z

    def project_tangent(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return z

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return g

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return h

    def exp(self, x: torch.Tensor, u: torch.Tensor, t: float | torch.Tensor | None = None) -> torch.Tensor:
        return axpy(x, u, t, self._ndim)

    retract_default = exp

    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return y - x

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

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> torch.Tensor:
        return torch.randn((*batch, *self.point_shape), generator=generator, dtype=dtype, device=device)

    def off_manifold(self, x: torch.Tensor) -> torch.Tensor:
        zero = x * 0  # NaN where x is not finite, which is no point
        return zero.sum(self._axes).abs() if self._ndim else zero.abs()
