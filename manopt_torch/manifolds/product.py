"""Products of manifolds."""

import math
from collections.abc import Callable, Mapping
from functools import reduce
from operator import add
from typing import Any

import torch

from manopt_torch._typing import Parts
from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.bases import coordinate_basis
from manopt_torch.manifolds.points import joined, rebuild


class Product(Manifold):
    r"""Tuples of points, a factor each, with the sum of the factors' metrics.

    $\langle u, v\rangle_x = \sum_i \langle u_i, v_i\rangle_{x_i}$, hence $d(x, y)^2 = \sum_i d(x_i, y_i)^2$; all else
    is done factor by factor. Use it for unknowns of several kinds, say a direction and a scale. Factors may be
    products; a named tuple of tensors is a point too, and what comes out has its type. `Euclidean()` is a scalar.

    The injectivity radius is the least of the factors; `typical_dist` is the root of the sum of their squares. The
    coordinates of a tangent vector are those of its parts, one after the other, and each vector of `basis` is zero
    outside one factor. A retraction named by `method=` is used in every factor, so each must have it.

    Args:
        *manifolds: the factors, at least one.

    Shapes:
        points and tangents: tuples of `(*batch, *factor.point_shape)`, the same batch axes in each part.

    Raises:
        OptionsError: if there is no factor, or one that is no manifold.

    References:
        [AbsilMahonySepulchre:2008], section 3.1.6.

    Examples:
        >>> from manopt_torch.manifolds import Euclidean, Sphere
        >>> M = Product(Sphere(3), Euclidean())
        >>> x = (torch.tensor([1.0, 0.0, 0.0]), torch.tensor(2.0))
        >>> y = (torch.tensor([1.0, 0.0, 0.0]), torch.tensor(5.0))
        >>> M.dist(x, y), M.log(x, y)[1]
        (tensor(3.), tensor(3.))
    """

    def __init__(self, *manifolds: Manifold) -> None:
        if not manifolds or not all(isinstance(M, Manifold) for M in manifolds):
            raise OptionsError(f"Product{manifolds!r}: pass one or more manifolds, each as an argument of its own")
        self.manifolds = manifolds
        self.point_shape = tuple(M.point_shape for M in manifolds)
        self.dim = sum(M.dim for M in manifolds)
        self.field = "complex" if any(M.field == "complex" for M in manifolds) else "real"
        self.typical_dist = math.sqrt(sum(M.typical_dist**2 for M in manifolds))
        self.has_exp = all(M.has_exp for M in manifolds)
        self.has_log = all(M.has_log for M in manifolds)
        self.has_parallel_transport = all(M.has_parallel_transport for M in manifolds)
        self.is_flat = all(M.is_flat for M in manifolds)
        self.is_embedded = all(M.is_embedded for M in manifolds)
        self.retraction_order = min(M.retraction_order for M in manifolds)
        self.transport_is_isometric = all(M.transport_is_isometric for M in manifolds)
        self.retractions = _shared_names([M.retractions for M in manifolds], "retract")
        self.inverse_retractions = _shared_names([M.inverse_retractions for M in manifolds], "inverse_retract")

    def inner(self, x: Parts, u: Parts, v: Parts) -> torch.Tensor:
        return reduce(torch.add, [M.inner(*p) for M, *p in zip(self.manifolds, x, u, v, strict=True)])

    def inner_at(self, x: Parts) -> Callable[..., torch.Tensor | float]:
        inner: list[Callable[..., Any]] = [M.inner_at(part) for M, part in zip(self.manifolds, x, strict=True)]
        return lambda u, v: reduce(add, [at(*p) for at, *p in zip(inner, u, v, strict=True)])

    def squared_dist(self, x: Parts, y: Parts) -> torch.Tensor:
        return reduce(torch.add, [M.squared_dist(*p) for M, *p in zip(self.manifolds, x, y, strict=True)])

    def project_point(self, z: Parts) -> Parts:
        return rebuild(z, [M.project_point(part) for M, part in zip(self.manifolds, z, strict=True)])

    def project_tangent(self, x: Parts, z: Parts) -> Parts:
        return rebuild(x, [M.project_tangent(*p) for M, *p in zip(self.manifolds, x, z, strict=True)])

    def egrad2rgrad(self, x: Parts, g: Parts) -> Parts:
        return rebuild(x, [M.egrad2rgrad(*p) for M, *p in zip(self.manifolds, x, g, strict=True)])

    def ehess2rhess(self, x: Parts, g: Parts, h: Parts, u: Parts) -> Parts:
        return rebuild(x, [M.ehess2rhess(*p) for M, *p in zip(self.manifolds, x, g, h, u, strict=True)])

    def exp(self, x: Parts, u: Parts, t: float | torch.Tensor | None = None) -> Parts:
        return rebuild(x, [M.exp(p, v, t) for M, p, v in zip(self.manifolds, x, u, strict=True)])

    def log(self, x: Parts, y: Parts) -> Parts:
        return rebuild(x, [M.log(*p) for M, *p in zip(self.manifolds, x, y, strict=True)])

    def log_defined(self, x: Parts, y: Parts) -> torch.Tensor:
        return torch.stack([M.log_defined(*p) for M, *p in zip(self.manifolds, x, y, strict=True)]).all(0)

    def retract(self, x: Parts, u: Parts, t: float | torch.Tensor | None = None, method: str | None = None) -> Parts:
        return rebuild(x, [M.retract(p, v, t, method) for M, p, v in zip(self.manifolds, x, u, strict=True)])

    def retract_default(self, x: Parts, u: Parts, t: float | torch.Tensor | None = None) -> Parts:
        return rebuild(x, [M.retract_default(p, v, t) for M, p, v in zip(self.manifolds, x, u, strict=True)])

    def inverse_retract(self, x: Parts, y: Parts, method: str | None = None) -> Parts:
        return rebuild(x, [M.inverse_retract(p, q, method) for M, p, q in zip(self.manifolds, x, y, strict=True)])

    def transport(self, x: Parts, y: Parts, u: Parts) -> Parts:
        return rebuild(x, [M.transport(*p) for M, *p in zip(self.manifolds, x, y, u, strict=True)])

    def parallel_transport(self, x: Parts, y: Parts, u: Parts) -> Parts:
        return rebuild(x, [M.parallel_transport(*p) for M, *p in zip(self.manifolds, x, y, u, strict=True)])

    def injectivity_radius(self, x: Parts | None = None) -> float | torch.Tensor:
        points = (None,) * len(self.manifolds) if x is None else x
        radii = [M.injectivity_radius(part) for M, part in zip(self.manifolds, points, strict=True)]
        least = min(radius for radius in [math.inf, *radii] if not isinstance(radius, torch.Tensor))
        per_point = [radius.clamp(max=least) for radius in radii if isinstance(radius, torch.Tensor)]
        return torch.stack(per_point).amin(0) if per_point else least

    def basis(self, x: Parts) -> Parts:
        return coordinate_basis(self, x)

    def to_coordinates(self, x: Parts, u: Parts) -> torch.Tensor:
        return joined([M.to_coordinates(*p) for M, *p in zip(self.manifolds, x, u, strict=True)])

    def from_coordinates(self, x: Parts, c: torch.Tensor) -> Parts:
        blocks = c.split([M.dim for M in self.manifolds], dim=-1)
        return rebuild(x, [M.from_coordinates(*p) for M, *p in zip(self.manifolds, x, blocks, strict=True)])

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> Parts:
        return tuple(M.random_point(*batch, generator=generator, dtype=dtype, device=device) for M in self.manifolds)

    def off_manifold(self, x: Parts) -> torch.Tensor:
        residuals = [M.off_manifold(part) for M, part in zip(self.manifolds, x, strict=True)]
        return torch.linalg.vector_norm(torch.stack(residuals), dim=0)

    def off_tangent(self, x: Parts, u: Parts) -> torch.Tensor:
        residuals = [M.off_tangent(*p) for M, *p in zip(self.manifolds, x, u, strict=True)]
        return torch.linalg.vector_norm(torch.stack(torch.broadcast_tensors(*residuals)), dim=0)

    def __repr__(self) -> str:
        return f"Product({', '.join(map(repr, self.manifolds))})"


def _shared_names(tables: list[Mapping[str, str]], method: str) -> dict[str, str]:
    return {name: method for name in tables[0] if all(name in table for table in tables)}
