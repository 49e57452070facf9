"""A manifold measured with another unit of length."""

from numbers import Real
from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import map_leaves


class Scaled(Manifold):
    r"""A manifold whose distances are multiplied by a factor $c$: $\langle u, v\rangle' = c^2 \langle u, v\rangle$.

    Geodesics, exponential map, logarithm and transport stay as they are; gradients and Hessians are divided by $c^2$.
    Use it to weigh the factors of a product against each other.

    Args:
        M: the manifold.
        factor: $c > 0$.

    Shapes:
        as for `M`.

    Raises:
        OptionsError: if `M` is no manifold, or the factor no positive number.

    References:
        [Boumal:2023], section 10.2.

    Examples:
        >>> from manopt_torch import Sphere
        >>> M = Scaled(Sphere(3), 10.0)
        >>> M.dist(torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]))
        tensor(15.7080)
    """

    factor: float

    def __init__(self, M: Manifold, factor: float) -> None:
        if not isinstance(M, Manifold):
            raise OptionsError(f"Scaled: M must be a Manifold, got {type(M).__name__}")
        if not isinstance(factor, Real) or not 0 < factor < float("inf"):
            raise OptionsError(f"Scaled: factor must be a positive number, got {factor!r}")
        self.M, self.factor = M, float(factor)
        self.point_shape, self.dim, self.field = M.point_shape, M.dim, M.field
        self.typical_dist = M.typical_dist * self.factor
        self.has_exp, self.has_log, self.has_parallel_transport = M.has_exp, M.has_log, M.has_parallel_transport
        self.is_flat, self.is_embedded = M.is_flat, False  # another inner product than that of the arrays
        self.retraction_order, self.transport_is_isometric = M.retraction_order, M.transport_is_isometric
        self.retractions, self.inverse_retractions = M.retractions, M.inverse_retractions

    def inner(self, x: Any, u: Any, v: Any) -> torch.Tensor:
        return self.M.inner(x, u, v) * self.factor**2

    def norm(self, x: Any, u: Any) -> torch.Tensor:
        return self.M.norm(x, u) * self.factor

    def dist(self, x: Any, y: Any) -> torch.Tensor:
        return self.M.dist(x, y) * self.factor

    def squared_dist(self, x: Any, y: Any) -> torch.Tensor:
        return self.M.squared_dist(x, y) * self.factor**2

    def project_point(self, z: Any) -> Any:
        return self.M.project_point(z)

    def project_tangent(self, x: Any, z: Any) -> Any:
        return self.M.project_tangent(x, z)

    def egrad2rgrad(self, x: Any, g: Any) -> Any:
        return self._times(self.M.egrad2rgrad(x, g), self.factor**-2)

    def ehess2rhess(self, x: Any, g: Any, h: Any, u: Any) -> Any:
        return self._times(self.M.ehess2rhess(x, g, h, u), self.factor**-2)

    def exp(self, x: Any, u: Any, t: float | torch.Tensor | None = None) -> Any:
        return self.M.exp(x, u, t)

    def log(self, x: Any, y: Any) -> Any:
        return self.M.log(x, y)

    def log_defined(self, x: Any, y: Any) -> torch.Tensor:
        return self.M.log_defined(x, y)

    def retract(self, x: Any, u: Any, t: float | torch.Tensor | None = None, method: str | None = None) -> Any:
        return self.M.retract(x, u, t, method)

    def retract_default(self, x: Any, u: Any, t: float | torch.Tensor | None = None) -> Any:
        return self.M.retract_default(x, u, t)

    def inverse_retract(self, x: Any, y: Any, method: str | None = None) -> Any:
        return self.M.inverse_retract(x, y, method)

    def transport(self, x: Any, y: Any, u: Any) -> Any:
        return self.M.transport(x, y, u)

    def parallel_transport(self, x: Any, y: Any, u: Any) -> Any:
        return self.M.parallel_transport(x, y, u)

    def injectivity_radius(self, x: Any = None) -> float | torch.Tensor:
        return self.M.injectivity_radius(x) * self.factor

    def basis(self, x: Any) -> Any:
        return self._times(self.M.basis(x), 1 / self.factor)

    def to_coordinates(self, x: Any, u: Any) -> torch.Tensor:
        return self.M.to_coordinates(x, u) * self.factor

    def from_coordinates(self, x: Any, c: torch.Tensor) -> Any:
        return self.M.from_coordinates(x, c / self.factor)

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> Any:
        return self.M.random_point(*batch, generator=generator, dtype=dtype, device=device)

    def off_manifold(self, x: Any) -> torch.Tensor:
        return self.M.off_manifold(x)

    def off_tangent(self, x: Any, u: Any) -> torch.Tensor:
        return self.M.off_tangent(x, u)

    def __repr__(self) -> str:
        return f"Scaled({self.M!r}, {self.factor:g})"

    @staticmethod
    def _times(u: Any, number: float) -> Any:
        return map_leaves(lambda leaf: leaf * number, u)
