"""Hyperbolic space as a ball."""

import math
from typing import Any

import torch

from manopt_torch.linalg.ball_distance import ball_distance, ball_edge_distance
from manopt_torch.linalg.hyperbolic import arsinh_ratio, squared_hyperbolic_distance, tanhc_sqrt
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.curvature import (
    ball_from_hyperboloid,
    constant_curvature,
    curved_repr,
    negative_curvature,
)
from manopt_torch.manifolds.points import scale
from manopt_torch.manifolds.validation import positive_sizes

# points are kept this many roundings away from the boundary, a distance of about 15 from the centre in float32
_MARGIN = 4


class PoincareBall(Manifold):
    r"""Hyperbolic space of curvature $K = -c < 0$ as the ball $\lVert x\rVert < 1/\sqrt{c}$.

    The metric is conformal, $\langle u, v\rangle_x = \lambda_x^2 \langle u, v\rangle$ with
    $\lambda_x = 2 / (1 - c\lVert x\rVert^2)$. Use it for embeddings of trees and words. With Moebius addition $\oplus$:

    - $d(x, y) = \frac{2}{\sqrt c} \operatorname{arsinh}\sqrt{s}$, $s = c\lVert x - y\rVert^2 / ((1 - c\lVert
      x\rVert^2)(1 - c\lVert y\rVert^2))$;
    - $\exp_x(u) = x \oplus \tanh(\tfrac{\sqrt c \lambda_x \lVert u\rVert}{2}) \frac{u}{\sqrt c \lVert u\rVert}$,
      $\log_x(y) = \frac{d(x, y)}{\lambda_x} \frac{-x \oplus y}{\lVert -x \oplus y\rVert}$;
    - $\operatorname{grad} f = \lambda_x^{-2} \nabla f$ and $\operatorname{Hess} f[u] = \lambda_x^{-1} (\lambda_x^{-1}
      h + c (\langle g, x\rangle u - \langle x, u\rangle g - \langle g, u\rangle x))$ with $g = \nabla f$,
      $h = \nabla^2 f[u]$;
    - parallel transport $\frac{\lambda_x}{\lambda_y} \operatorname{gyr}[y, -x] u$.

    Points are kept 4 roundings off the boundary, at a distance of about 15 from the centre in float32 and 35 in
    float64; `at_boundary` tells which have been stopped there.

    Args:
        n: number of entries of a point, the dimension.
        curvature: $K < 0$.

    Shapes:
        points: `(*batch, n)`.

    Raises:
        OptionsError: if `n` is no integer of at least 1 or the curvature is not negative.

    References:
        [Boumal:2023], section 7.6; [Ungar:2008].

    Examples:
        >>> M = PoincareBall(2)
        >>> y = M.exp(torch.zeros(2), torch.tensor([0.5, 0.0]))  # tangents at the centre count double
        >>> round(M.dist(torch.zeros(2), y).item(), 6)
        1.0
    """

    transport_is_isometric = True

    def __init__(self, n: int, curvature: float = -1.0) -> None:
        positive_sizes("PoincareBall", (n,))
        self.curvature: float = negative_curvature("PoincareBall", curvature)
        self.point_shape = (n,)
        self.dim = n
        self.typical_dist = math.sqrt(n) / math.sqrt(-self.curvature)
        self._c = -self.curvature

    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return (u * v).sum(-1) * self._conformal(x)[..., 0].square()

    def norm(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(u, dim=-1) * self._conformal(x)[..., 0]

    def dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return ball_distance(x, y, self._c)

    def edge_dist(
        self,
        x: torch.Tensor,  # shape: (nodes, n)
        i: torch.Tensor,  # shape: (edges,), numbers of nodes
        j: torch.Tensor,  # shape: (edges,)
    ) -> torch.Tensor:
        """Return `dist(x[i], x[j])`, shape `(edges,)`, in half the time: for embeddings of graphs with many edges.

        An edge from a node to itself has length and derivative zero.
        """
        return ball_edge_distance(x, i, j, self._c)

    def squared_dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return squared_hyperbolic_distance(4 * self._ratio(x, y)[..., 0]) / self._c

    def project_point(self, z: torch.Tensor) -> torch.Tensor:
        """Bring what is outside, or too near the boundary to be resolved, back inside."""
        largest = self._largest_norm(z)
        squared = (z * z).sum(-1, True)
        outside = squared > largest * largest
        # the root is taken outside only: at the centre it has no derivative
        return z * torch.where(outside, largest / torch.sqrt(torch.where(outside, squared, 1.0)), 1.0)

    def at_boundary(self, x: torch.Tensor) -> torch.Tensor:
        """Tell per problem whether a point lies where points are stopped before the boundary, up to rounding."""
        slack = _MARGIN * torch.finfo(x.dtype).eps
        return torch.linalg.vector_norm(x, dim=-1) >= self._largest_norm(x) * (1 - slack)

    def project_tangent(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return z

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return g * (0.5 - (0.5 * self._c) * (x * x).sum(-1, True)).square()

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        factor = self._conformal(x)
        bent = (g * x).sum(-1, True) * u - (x * u).sum(-1, True) * g - (g * u).sum(-1, True) * x
        return torch.add(h / factor, bent, alpha=self._c) / factor

    def exp(self, x: torch.Tensor, u: torch.Tensor, t: float | torch.Tensor | None = None) -> torch.Tensor:
        c, room_x = self._c, 1 - self._c * (x * x).sum(-1, True)
        half = scale(u, t, 1) / room_x
        hh = (half * half).sum(-1, True)
        stretch = tanhc_sqrt(c * hh)
        return self.project_point(self._sum(x, torch.addcmul(x, stretch, half), room_x, 1 - c * stretch.square() * hh))

    retract_default = exp

    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        # the Moebius sum -x + y, by the difference of the points: nothing cancels where they are close
        c, d = self._c, y - x
        dd, room_x, room_y = (d * d).sum(-1, True), 1 - c * (x * x).sum(-1, True), 1 - c * (y * y).sum(-1, True)
        ratio = c * dd / (room_x * room_y)
        factor = arsinh_ratio(4 * ratio) / torch.sqrt(1 + ratio) / room_y
        return factor * torch.addcmul(room_x * d, dd, x, value=-c)

    def log_defined(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.isfinite(self.squared_dist(x, y))

    def transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        # gyr[y, -x] u, written with the difference of the points: next to the boundary all but that cancels
        c, d = self._c, y - x
        room_x, room_y = 1 - c * (x * x).sum(-1, True), 1 - c * (y * y).sum(-1, True)
        dd, dx = (d * d).sum(-1, True), (d * x).sum(-1, True)
        du, xu = (d * u).sum(-1, True), (x * u).sum(-1, True)
        along_d = 2 * c * dx * xu - (1 - room_x) * du - room_x * xu
        bent = along_d * d + (room_x * du - c * dd * xu) * x
        return (u + 2 * c * bent / (room_x * room_y + c * dd)) * (room_y / room_x)

    parallel_transport = transport

    def mobius_add(
        self,
        x: torch.Tensor,  # shape: (*batch, n)
        y: torch.Tensor,  # shape: (*batch, n)
    ) -> torch.Tensor:
        r"""Return the Moebius sum $x \oplus y$, the translation of hyperbolic space that takes 0 to $x$."""
        c = self._c
        return self._sum(x, x + y, 1 - c * (x * x).sum(-1, True), 1 - c * (y * y).sum(-1, True))

    # ---- the connection ---------------------------------------------------------------------------------------------
    @property
    def connection(self) -> "PoincareBall":
        """What knows the formulas of how tangent vectors bend: the manifold itself."""
        return self

    def bend(self, x: torch.Tensor, u: torch.Tensor, dx: torch.Tensor) -> torch.Tensor:
        r"""Return $c\lambda_x (\langle\dot x, u\rangle x - \langle x, \dot x\rangle u - \langle x, u\rangle \dot x)$.

        That is the velocity of a vector that is carried parallel.
        """
        return self._bent(x, u, dx, x)

    def bent_gradient(self, x: torch.Tensor, u: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        r"""Return the array whose product with $\dot x$ is that of `g` with `bend(x, u, dx)`."""
        return self._bent(x, x, g, u)

    def riemann(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        r"""Return the curvature $R(u, v) w = K (\langle v, w\rangle u - \langle u, w\rangle v)$."""
        return constant_curvature(self, x, u, v, w)

    # ---- coordinates and random elements ----------------------------------------------------------------------------
    def basis(self, x: torch.Tensor) -> torch.Tensor:
        eye = torch.eye(self.dim, dtype=x.dtype, device=x.device)
        return eye / self._conformal(x)[..., None]

    def to_coordinates(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return u * self._conformal(x)

    def from_coordinates(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        return c / self._conformal(x)

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> torch.Tensor:
        """Draw as `Hyperboloid` does."""
        z = torch.randn((*batch, self.dim), generator=generator, dtype=dtype, device=device)
        time = torch.sqrt(1 + (z * z).sum(-1, True))
        return ball_from_hyperboloid(torch.cat([time, z], dim=-1)) / math.sqrt(self._c)

    def off_manifold(self, x: torch.Tensor) -> torch.Tensor:
        """Return by how much, relative to the radius, a point is beyond the largest norm kept."""
        return (torch.linalg.vector_norm(x, dim=-1) / self._largest_norm(x) - 1).clamp(min=0)

    def __repr__(self) -> str:
        return curved_repr("PoincareBall", self.point_shape[0], self.curvature)

    def _conformal(self, x: torch.Tensor) -> torch.Tensor:
        return 2 / (1 - self._c * (x * x).sum(-1, True))

    def _largest_norm(self, x: torch.Tensor) -> float:
        return (1 - _MARGIN * torch.finfo(x.dtype).eps) / math.sqrt(self._c)

    def _ratio(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the squared hyperbolic sine of half the distance in units of the curvature, shape (*batch, 1)."""
        d, c = x - y, self._c
        inside = (1 - c * (x * x).sum(-1, True)) * (1 - c * (y * y).sum(-1, True))
        return c * (d * d).sum(-1, True) / inside

    def _bent(self, x: torch.Tensor, a: torch.Tensor, b: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
        ab, bd, ad = (a * b).sum(-1, True), (b * d).sum(-1, True), (a * d).sum(-1, True)
        return self._c * self._conformal(x) * (ab * d - bd * a - ad * b)

    def _sum(self, x: torch.Tensor, total: torch.Tensor, room_x: torch.Tensor, room_y: torch.Tensor) -> torch.Tensor:
        """Return the Moebius sum of x and y from `total = x + y` and what is left of one, free of cancellation."""
        squared = self._c * (total * total).sum(-1, True)
        whole = torch.addcmul(squared, room_x, room_y)
        return torch.addcmul(room_x / whole * total, squared / whole, x)
