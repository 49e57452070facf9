"""What linear spaces of square matrices share: everything is Euclidean once projected."""

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch

from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import axpy


class MatrixSubspace(Manifold):
    """Base of linear spaces of n x n matrices whose entries below the diagonal follow from those above."""

    is_embedded = True
    is_flat = True
    transport_is_isometric = True
    retractions: Mapping[str, str] = {"exp": "exp", "projection": "exp"}
    inverse_retractions: Mapping[str, str] = {"exp": "log", "projection": "log"}

    _offset: int  # of the first diagonal that counts
    _sign: float  # of the entries below the diagonal

    @abstractmethod
    def part(self, z: torch.Tensor) -> torch.Tensor:
        """Return the orthogonal projection of square matrices to the space."""

    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return (u * v).sum((-2, -1))

    def norm(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(u, dim=(-2, -1))

    def dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(y - x, dim=(-2, -1))

    def squared_dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (y - x).square().sum((-2, -1))

    def project_point(self, z: torch.Tensor) -> torch.Tensor:
        return self.part(z)

    def project_tangent(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return self.part(z)

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return self.part(g)

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return self.part(h)

    def exp(self, x: torch.Tensor, u: torch.Tensor, t: float | torch.Tensor | None = None) -> torch.Tensor:
        return axpy(x, u, t, 2)

    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return y - x

    def transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return u

    parallel_transport = transport

    def basis(self, x: torch.Tensor) -> torch.Tensor:
        eye = torch.eye(self.dim, dtype=x.dtype, device=x.device)
        basis = self.from_coordinates(x, eye)
        return basis.expand(*self.batch_shape(x), *basis.shape)

    def to_coordinates(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        rows, columns = torch.triu_indices(*self.point_shape, offset=self._offset, device=u.device)
        # an entry off the diagonal stands for two
        weights = 1 + (math.sqrt(2.0) - 1) * (rows != columns).to(u.dtype)
        return u[..., rows, columns] * weights

    def from_coordinates(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        n, skip = self.point_shape[0], self._offset
        i = torch.arange(n, device=c.device)
        low, high = torch.minimum(i[:, None], i), torch.maximum(i[:, None], i)
        # of entry (low, high) in the upper triangle, row by row; a diagonal that does not count points anywhere
        position = low * (2 * n - low + 1 - 2 * skip) // 2 + high - low - skip
        above, diagonal = i[:, None] < i, i[:, None] == i
        off_diagonal = math.sqrt(0.5) * torch.where(above, 1.0, self._sign).to(c.dtype)
        weights = torch.where(diagonal, 1.0 - skip, off_diagonal).to(c.dtype)
        return c[..., position.clamp(min=0, max=self.dim - 1)] * weights

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> torch.Tensor:
        shape = (*batch, *self.point_shape)
        return self.part(torch.randn(shape, generator=generator, dtype=dtype, device=device))

    def off_manifold(self, x: torch.Tensor) -> torch.Tensor:
        norm = torch.linalg.vector_norm
        return norm(x - self.part(x), dim=(-2, -1)) / norm(x, dim=(-2, -1)).clamp(min=1.0)
