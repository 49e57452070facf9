"""Arrays of positive numbers."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from manopt_torch.linalg.scalar import log_ratio
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import scale
from manopt_torch.manifolds.validation import positive_sizes


class Positive(Manifold):
    r"""Arrays of positive numbers, each measured relative to its size.

    $\langle u, v\rangle_x = \sum_i u_i v_i / x_i^2$: the affine-invariant metric of 1 x 1 matrices, entry by entry, in
    which $\log x$ is Euclidean. Use it for scales, rates, variances and concentrations.

    - $\operatorname{grad} f = x^2 \nabla f$, $\operatorname{Hess} f[u] = x^2 \nabla^2 f[u] + u\, x\, \nabla f$;
    - $\exp_x(u) = x\, e^{u/x}$, $\log_x(y) = x \log(y/x)$, $d(x, y) = \lVert \log(y/x)\rVert$;
    - second-order retraction $x + u + u^2/(2x)$, always positive;
    - parallel transport $u\, y / x$.

    All products and quotients are entrywise.

    Args:
        *shape: shape of one point; `Positive()` holds single numbers.

    Shapes:
        points: `(*batch, *shape)`.

    Raises:
        OptionsError: if a size is no integer of at least 1.

    References:
        [Boumal:2023], section 11.6.

    Examples:
        >>> M = Positive(2)
        >>> x, y = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0 * math.e])
        >>> M.dist(x, y)
        tensor(1.0000)
    """

    is_flat = True
    retractions: Mapping[str, str] = {"second_order": "retract_second_order", "exp": "exp"}
    inverse_retractions: Mapping[str, str] = {"second_order": "inverse_retract_second_order", "exp": "log"}

    def __init__(self, *shape: int) -> None:
        positive_sizes("Positive", shape)
        self.point_shape = tuple(shape)
        self.dim = math.prod(shape)
        self.typical_dist = math.sqrt(self.dim)
        self._ndim = len(shape)
        self._axes = tuple(range(-len(shape), 0))

    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return self._sum((u / x) * (v / x))

    def dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        ratio = log_ratio(x, y)
        return torch.linalg.vector_norm(ratio, dim=self._axes) if self._ndim else ratio.abs()

    def squared_dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self._sum(log_ratio(x, y).square())

    def project_point(self, z: torch.Tensor) -> torch.Tensor:
        """Floor the entries at the smallest positive normal number of the dtype."""
        return z.clamp(min=torch.finfo(z.dtype).tiny)

    def project_tangent(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return z

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return x * x * g

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return x * torch.addcmul(u * g, x, h)

    def exp(self, x: torch.Tensor, u: torch.Tensor, t: float | torch.Tensor | None = None) -> torch.Tensor:
        return x * torch.exp(scale(u, t, self._ndim) / x)

    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x * log_ratio(x, y)

    def log_defined(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.isfinite(self.squared_dist(x, y))

    def retract_second_order(self, x: torch.Tensor, u: torch.Tensor, t: Any = None) -> torch.Tensor:
        v = scale(u, t, self._ndim)
        return torch.addcdiv(x + v, v * v, x, value=0.5)

    retract_default = retract_second_order

    def inverse_retract_second_order(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Invert the default retraction, whose values are at least half of `x`; NaN below."""
        # of 1 + r + r^2 / 2 = y / x the larger root, with the numerator made rational against cancellation
        excess = 2 * (y - x) / x
        return x * excess / (torch.sqrt(1 + excess) + 1)

    def transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return (u / x) * y  # the quotient of the points may be out of range

    transport_is_isometric = True

    parallel_transport = transport

    def basis(self, x: torch.Tensor) -> torch.Tensor:
        eye = torch.eye(self.dim, dtype=x.dtype, device=x.device).reshape(self.dim, *self.point_shape)
        return eye * x.unsqueeze(-1 - self._ndim)

    def to_coordinates(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        ratio = u / x
        return ratio.flatten(-self._ndim) if self._ndim else ratio[..., None]

    def from_coordinates(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        return x * c.reshape((*c.shape[:-1], *self.point_shape))

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> torch.Tensor:
        """Draw entries in [0.1, 10], uniformly in the logarithm."""
        shape = (*batch, *self.point_shape)
        return 10 ** (2 * torch.rand(shape, generator=generator, dtype=dtype, device=device) - 1)

    def off_manifold(self, x: torch.Tensor) -> torch.Tensor:
        """Return one plus the size of what is not positive, zero where everything is."""
        return self._sum(torch.where(x > 0, torch.zeros_like(x), 1 - x))

    def _sum(self, z: torch.Tensor) -> torch.Tensor:
        return z.sum(self._axes) if self._ndim else z
