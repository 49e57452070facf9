"""Powers of a manifold."""

import math
from collections.abc import Callable
from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.bases import coordinate_basis
from manopt_torch.manifolds.points import expand_right, is_nested
from manopt_torch.manifolds.validation import positive_sizes


class Power(Manifold):
    r"""Arrays of points of one manifold, such as signals and images with values in it.

    A point of $\mathcal{M}^{n_1 \times \dots \times n_k}$ has $n_1 \cdots n_k$ entries on $\mathcal{M}$, and the
    metric sums over them: $\langle u, v\rangle_x = \sum_j \langle u_j, v_j\rangle_{x_j}$, so that
    $d(x, y)^2 = \sum_j d(x_j, y_j)^2$. Everything else is done entry by entry. The entries are one problem with one
    step size; for independent problems use batch axes.

    The injectivity radius is the least of the entries; `typical_dist` grows with the root of their number.

    Args:
        M: the manifold of one entry; it may be a `Product` or another power.
        *shape: numbers of entries, at least one.

    Shapes:
        points: `(*batch, *shape, *M.point_shape)`, each leaf of a tuple likewise. A step `t` of shape
        `(*batch,)` applies to all entries of its problem.

    Raises:
        OptionsError: if `M` is no manifold, or a size is missing or no positive integer.

    References:
        [Bergmann:2022].

    Examples:
        >>> from manopt_torch.manifolds import Sphere
        >>> M = Power(Sphere(3), 4)
        >>> M.point_shape, M.dim
        ((4, 3), 8)
        >>> north, east = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
        >>> M.dist(north.expand(4, 3), east.expand(4, 3))  # the root of four right angles squared
        tensor(3.1416)
    """

    def __init__(self, M: Manifold, *shape: int) -> None:
        if not isinstance(M, Manifold) or not shape:
            raise OptionsError(f"Power({M!r}, ...): pass a manifold, then one or more numbers of entries")
        positive_sizes("Power", shape)
        self.M = M
        self.shape: tuple[int, ...] = tuple(shape)
        self.point_shape = _prepend(self.shape, M.point_shape)
        self.dim = math.prod(shape) * M.dim
        self.field = M.field
        self.typical_dist = math.sqrt(math.prod(shape)) * M.typical_dist
        self.has_exp = M.has_exp
        self.has_log = M.has_log
        self.has_parallel_transport = M.has_parallel_transport
        self.is_flat, self.is_embedded = M.is_flat, M.is_embedded
        self.retraction_order = M.retraction_order
        self.transport_is_isometric = M.transport_is_isometric
        self.retractions = dict.fromkeys(M.retractions, "retract")
        self.inverse_retractions = dict.fromkeys(M.inverse_retractions, "inverse_retract")
        self._axes = tuple(range(-len(shape), 0))  # of a scalar per entry

    def inner(self, x: Any, u: Any, v: Any) -> torch.Tensor:
        return self.M.inner(x, u, v).sum(self._axes)

    def inner_at(self, x: Any) -> Callable[..., torch.Tensor]:
        inner: Callable[..., Any] = self.M.inner_at(x)
        return lambda u, v: inner(u, v).sum(self._axes)

    def norm(self, x: Any, u: Any) -> torch.Tensor:
        return torch.linalg.vector_norm(self.M.norm(x, u), dim=self._axes)

    def dist(self, x: Any, y: Any) -> torch.Tensor:
        return torch.linalg.vector_norm(self.M.dist(x, y), dim=self._axes)

    def squared_dist(self, x: Any, y: Any) -> torch.Tensor:
        return self.M.squared_dist(x, y).sum(self._axes)

    def project_point(self, z: Any) -> Any:
        return self.M.project_point(z)

    def project_tangent(self, x: Any, z: Any) -> Any:
        return self.M.project_tangent(x, z)

    def egrad2rgrad(self, x: Any, g: Any) -> Any:
        return self.M.egrad2rgrad(x, g)

    def ehess2rhess(self, x: Any, g: Any, h: Any, u: Any) -> Any:
        return self.M.ehess2rhess(x, g, h, u)

    def exp(self, x: Any, u: Any, t: float | torch.Tensor | None = None) -> Any:
        return self.M.exp(x, u, self._per_entry(t))

    def log(self, x: Any, y: Any) -> Any:
        return self.M.log(x, y)

    def log_defined(self, x: Any, y: Any) -> torch.Tensor:
        return self.M.log_defined(x, y).flatten(-len(self.shape)).all(-1)

    def retract(self, x: Any, u: Any, t: float | torch.Tensor | None = None, method: str | None = None) -> Any:
        return self.M.retract(x, u, self._per_entry(t), method)

    def retract_default(self, x: Any, u: Any, t: float | torch.Tensor | None = None) -> Any:
        return self.M.retract_default(x, u, self._per_entry(t))

    def inverse_retract(self, x: Any, y: Any, method: str | None = None) -> Any:
        return self.M.inverse_retract(x, y, method)

    def transport(self, x: Any, y: Any, u: Any) -> Any:
        return self.M.transport(x, y, u)

    def parallel_transport(self, x: Any, y: Any, u: Any) -> Any:
        return self.M.parallel_transport(x, y, u)

    def injectivity_radius(self, x: Any = None) -> float | torch.Tensor:
        radius = self.M.injectivity_radius(x)
        return radius.amin(self._axes) if isinstance(radius, torch.Tensor) else radius

    def basis(self, x: Any) -> Any:
        return coordinate_basis(self, x)

    def to_coordinates(self, x: Any, u: Any) -> torch.Tensor:
        return self.M.to_coordinates(x, u).flatten(-1 - len(self.shape))

    def from_coordinates(self, x: Any, c: torch.Tensor) -> Any:
        return self.M.from_coordinates(x, c.reshape(*c.shape[:-1], *self.shape, self.M.dim))

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> Any:
        return self.M.random_point(*batch, *self.shape, generator=generator, dtype=dtype, device=device)

    def off_manifold(self, x: Any) -> torch.Tensor:
        return torch.linalg.vector_norm(self.M.off_manifold(x), dim=self._axes)

    def off_tangent(self, x: Any, u: Any) -> torch.Tensor:
        return torch.linalg.vector_norm(self.M.off_tangent(x, u), dim=self._axes)

    def _per_entry(self, t: float | torch.Tensor | None) -> float | torch.Tensor | None:
        return expand_right(t, len(self.shape)) if isinstance(t, torch.Tensor) else t

    def __repr__(self) -> str:
        return f"Power({self.M!r}, {', '.join(map(str, self.shape))})"


def _prepend(shape: tuple[int, ...], point_shape: tuple[Any, ...]) -> tuple[Any, ...]:
    if is_nested(point_shape):
        return tuple(_prepend(shape, part) for part in point_shape)
    return (*shape, *point_shape)
