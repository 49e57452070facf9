"""Hyperbolic space as a sheet of a hyperboloid."""

import math
from typing import Any

import torch

from manopt_torch.linalg.hyperbolic import arsinh_ratio, cosh_and_sinhc_sqrt, squared_hyperbolic_distance
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.bases import coordinate_basis
from manopt_torch.manifolds.curvature import constant_curvature, curved_repr, negative_curvature
from manopt_torch.manifolds.points import scale
from manopt_torch.manifolds.validation import positive_sizes


class Hyperboloid(Manifold):
    r"""Hyperbolic space of curvature $K < 0$: the sheet $\langle x, x\rangle_M = 1/K$, $x_0 > 0$.

    $\langle u, v\rangle_M = -u_0 v_0 + \sum_{i \ge 1} u_i v_i$ is the Minkowski form, positive on tangent vectors. Use
    it for trees and hierarchies; `PoincareBall` is the same space in other coordinates, and
    `ball_from_hyperboloid` and `hyperboloid_from_ball` lead from one to the other. With $R = 1/\sqrt{-K}$:

    - $d(x, y) = 2R \operatorname{arsinh}(\lVert x - y\rVert_M / 2R)$, from the spatial parts alone and free of
      cancellation, so that nearby points far from the origin keep their distance also in float32;
    - $\exp_x(u) = \cosh(\lVert u\rVert/R)\, x + R \sinh(\lVert u\rVert/R) \frac{u}{\lVert u\rVert}$,
      $\log_x(y) = \frac{d/R}{\sinh(d/R)} (y - \cosh(d/R)\, x)$;
    - $\operatorname{grad} f = P_x J \nabla f$ with $J = \operatorname{diag}(-1, 1, \dots, 1)$,
      $\operatorname{Hess} f[u] = P_x(J \nabla^2 f[u] - K \langle x, \nabla f\rangle u)$;
    - parallel transport $u - K\frac{\langle y, u\rangle_M}{1 + K\langle x, y\rangle_M} (x + y)$.

    A point at distance $r$ from the origin has entries of size $R e^{r/R}$: angles are resolved to
    $\varepsilon e^{r/R}$, so keep to $r \lesssim 7R$ in float32 and $r \lesssim 17R$ in float64.

    Args:
        n: number of entries of a point, the time-like one first; the space has dimension $n - 1$.
        curvature: $K < 0$.

    Shapes:
        points: `(*batch, n)`.

    Raises:
        OptionsError: if `n` is no integer of at least 2 or the curvature is not negative.

    References:
        [Boumal:2023], section 7.6.

    Examples:
        >>> M = Hyperboloid(3)
        >>> x = M.project_point(torch.tensor([0.0, 0.0, 0.0]))
        >>> y = M.exp(x, torch.tensor([0.0, 2.0, 0.0]))
        >>> round(M.dist(x, y).item(), 5)
        2.0
    """

    def __init__(self, n: int, curvature: float = -1.0) -> None:
        positive_sizes("Hyperboloid", (n,), least=2)
        self.curvature: float = negative_curvature("Hyperboloid", curvature)
        self.point_shape = (n,)
        self.dim = n - 1
        self.typical_dist = math.sqrt(n - 1) / math.sqrt(-self.curvature)

    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return minkowski(u, v)

    def norm(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        # in coordinates nothing cancels, and what rounding leaves of zero is not negative
        return torch.linalg.vector_norm(self.to_coordinates(x, u), dim=-1)

    def dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        q = _squared_chord(x, y, -self.curvature)
        zero = q == 0
        root = torch.sqrt(torch.where(zero, 1.0, q))
        return torch.where(zero, 0.0, 2 * torch.asinh(0.5 * root)) / math.sqrt(-self.curvature)

    def squared_dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return squared_hyperbolic_distance(_squared_chord(x, y, -self.curvature)) / -self.curvature

    def project_point(self, z: torch.Tensor) -> torch.Tensor:
        """Keep the spatial part and take the time-like entry that belongs to it."""
        return self._from_spatial(z[..., 1:])

    def project_tangent(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return torch.addcmul(z, minkowski(x, z)[..., None], x, value=-self.curvature)

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return self.project_tangent(x, _flip(g))

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return self.project_tangent(x, torch.addcmul(_flip(h), (x * g).sum(-1, True), u, value=-self.curvature))

    def exp(self, x: torch.Tensor, u: torch.Tensor, t: float | torch.Tensor | None = None) -> torch.Tensor:
        v = scale(u, t, 1)
        c = self.to_coordinates(x, v)
        cosh, sinhc = cosh_and_sinhc_sqrt((c * c).sum(-1, True) * -self.curvature)
        return self._from_spatial(torch.addcmul(cosh * x[..., 1:], sinhc, v[..., 1:]))

    retract_default = exp

    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        q = _squared_chord(x, y, -self.curvature)[..., None]
        # d / sinh d, and y - cosh(d) x with cosh(d) - 1 = q / 2 taken off before it cancels
        factor = arsinh_ratio(q) / torch.sqrt(1 + 0.25 * q)
        # in this order: q x may be out of range
        spatial = torch.addcmul(factor * (y - x)[..., 1:], factor * q, x[..., 1:], value=-0.5)
        return self._tangent(x, spatial)

    def log_defined(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.isfinite(self.squared_dist(x, y))

    def parallel_transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        q = _squared_chord(x, y, -self.curvature)
        factor = -self.curvature * _product_with_tangent(x, y, u, -self.curvature) / (2 + 0.5 * q)
        return self._tangent(y, torch.addcmul(u[..., 1:], factor[..., None], (x + y)[..., 1:]))

    # ---- the connection ---------------------------------------------------------------------------------------------
    @property
    def connection(self) -> "Hyperboloid":
        """What knows the formulas of how tangent vectors bend: the manifold itself."""
        return self

    def bend(self, x: torch.Tensor, u: torch.Tensor, dx: torch.Tensor) -> torch.Tensor:
        r"""Return $-K\langle\dot x, u\rangle_M\, x$, the velocity of a vector that is carried parallel."""
        return -self.curvature * minkowski(dx, u)[..., None] * x

    def bent_gradient(self, x: torch.Tensor, u: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        r"""Return the array whose product with $\dot x$ is that of `g` with `bend(x, u, dx)`."""
        return -self.curvature * (g * x).sum(-1, True) * _flip(u)

    def riemann(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        r"""Return the curvature $R(u, v) w = K (\langle v, w\rangle u - \langle u, w\rangle v)$."""
        return constant_curvature(self, x, u, v, w)

    # ---- coordinates and random elements ----------------------------------------------------------------------------
    def basis(self, x: torch.Tensor) -> torch.Tensor:
        return coordinate_basis(self, x)

    # The boost that takes x to the origin maps the tangent space to the spatial coordinates, orthonormally.
    def to_coordinates(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        e = self._unit(x)
        head, tail = e[..., :1], e[..., 1:]
        along = (tail * u[..., 1:]).sum(-1, True) / (head * (1 + head))
        return torch.addcmul(u[..., 1:], along, tail, value=-1)

    def from_coordinates(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        e = self._unit(x)
        head, tail = e[..., :1], e[..., 1:]
        time = (tail * c).sum(-1, True)
        return torch.cat([time, torch.addcmul(c, time / (1 + head), tail)], dim=-1)

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> torch.Tensor:
        """Draw spatial parts from the normal distribution."""
        shape = (*batch, self.dim)
        spatial = torch.randn(shape, generator=generator, dtype=dtype, device=device)
        return self._from_spatial(spatial / math.sqrt(-self.curvature))

    def off_manifold(self, x: torch.Tensor) -> torch.Tensor:
        """Return the error of the time-like entry, relative to its size."""
        right = self._from_spatial(x[..., 1:])[..., 0]
        return (x[..., 0] - right).abs() / right

    def off_tangent(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """Return the error of the time-like entry, relative to the size of the point."""
        time = (x[..., 1:] * u[..., 1:]).sum(-1) / x[..., 0]
        return (u[..., 0] - time).abs() / self._unit(x)[..., 0]

    def __repr__(self) -> str:
        return curved_repr("Hyperboloid", self.point_shape[0], self.curvature)

    def _unit(self, x: torch.Tensor) -> torch.Tensor:
        """Return the point of the hyperboloid of curvature -1."""
        return x if self.curvature == -1 else x * math.sqrt(-self.curvature)

    def _from_spatial(self, spatial: torch.Tensor) -> torch.Tensor:
        time = torch.sqrt((spatial * spatial).sum(-1, True) - 1 / self.curvature)
        return torch.cat([time, spatial], dim=-1)

    def _tangent(self, x: torch.Tensor, spatial: torch.Tensor) -> torch.Tensor:
        """Complete the spatial part of a tangent vector, so that it is one to rounding also far from the origin."""
        time = (x[..., 1:] * spatial).sum(-1, True) / x[..., :1]
        return torch.cat([time, spatial], dim=-1)


def minkowski(
    u: torch.Tensor,  # shape: (*batch, n)
    v: torch.Tensor,  # shape: (*batch, n)
) -> torch.Tensor:
    """Return the Minkowski form, with the first entry time-like."""
    product = u * v
    return product[..., 1:].sum(-1) - product[..., 0]


def _squared_chord(x: torch.Tensor, y: torch.Tensor, c: float) -> torch.Tensor:
    """Return the Minkowski square of x - y in units of the curvature -c, free of cancellation.

    From the spatial parts: with the difference split along their sum and across it, the part along it is shortened
    by the time-like difference, which the sum of the time-like entries gives without subtracting large numbers. The
    share `a` of that comes near one for points far apart, and the formula divides by `1 - a`. There the inner product
    of the points serves where one of them is next to the origin, and radii and angle where none is. The points are
    not scaled to curvature -1 first: that would round them, by more than the distance of close ones.
    """
    difference, total = (x - y)[..., 1:], (x + y)[..., 1:]
    squared = (total * total).sum(-1, True)
    along = (difference * total).sum(-1, True)
    share = along / torch.where(squared > 0, squared, 1.0)
    across = torch.addcmul(difference, share, total, value=-1)
    a = (share * (along / (x + y)[..., :1].square()))[..., 0]
    apart, remote = a > 0.25, _is_remote(x, c) & _is_remote(y, c)
    far = torch.where(remote, _remote_chord(x, y, along[..., 0], remote, c), -2 * c * minkowski(x, y) - 2)
    return torch.where(apart, far, (4 * a + c * (across * across).sum(-1)) / torch.where(apart, 1.0, 1 - a))


def _is_remote(x: torch.Tensor, c: float) -> torch.Tensor:
    """Tell whether a point is farther from the origin than 1.3, where the length of its spatial part is smooth."""
    return x[..., 0] > 2 / math.sqrt(c)


def _remote_chord(
    x: torch.Tensor,
    y: torch.Tensor,
    along: torch.Tensor,  # shape: (*batch,), difference of the squared lengths of the spatial parts
    remote: torch.Tensor,  # shape: (*batch,), where the value is asked for
    c: float,
) -> torch.Tensor:
    r"""Return the squared chord of points apart, none of them next to the origin, from radii r, s and the angle.

    It is $2(\cosh(r - s) - 1) + \sinh r \sinh s\, \lVert\hat x - \hat y\rVert^2$, and $\sinh(r - s)$ is the
    difference of the squared lengths over $\sinh r \cosh s + \cosh r \sinh s$.
    """
    p, q = torch.where(remote[..., None], x[..., 1:], 1.0), torch.where(remote[..., None], y[..., 1:], 1.0)
    m, n = torch.linalg.vector_norm(p, dim=-1), torch.linalg.vector_norm(q, dim=-1)
    squared_sinh = (along / (m * y[..., 0] + n * x[..., 0])).square()
    turn = p / m[..., None] - q / n[..., None]
    return 2 * squared_sinh / (1 + torch.sqrt(1 + squared_sinh)) + c * m * n * (turn * turn).sum(-1)


def _product_with_tangent(
    x: torch.Tensor,  # shape: (*batch, n)
    y: torch.Tensor,  # shape: (*batch, n)
    u: torch.Tensor,  # shape: (*batch, n), tangent at x
    c: float,
) -> torch.Tensor:
    """Return the Minkowski form of y and a tangent vector at x, shape (*batch,).

    Far from the origin the form is the small difference of two large products. There everything is split along the
    spatial part of x and across it, and the difference is taken of what is left: $(y_r - x_r)(y_r + x_r) / c - x_r^2
    y_t^2$ over a sum of positive numbers. Beyond a right angle nothing cancels.
    """
    remote = _is_remote(x, c)[..., None]
    p, d, v = torch.where(remote, x[..., 1:], 1.0), (y - x)[..., 1:], u[..., 1:]
    m = torch.linalg.vector_norm(p, dim=-1, keepdim=True)
    axis = p / m
    gap, length = (d * axis).sum(-1, True), (v * axis).sum(-1, True)
    across = d - gap * axis
    reach = (y[..., 1:] * axis).sum(-1, True)  # the part of y along x
    ahead = reach > 0
    mixed, other = reach * x[..., :1], y[..., :1] * m
    total = torch.where(ahead & remote, mixed + other, 1.0)
    shared = gap * ((reach + m) / (c * total)) - (across * across).sum(-1, True) * m * (m / total)
    along = length / x[..., :1] * torch.where(ahead, shared, mixed - other)
    split = (across * (v - length * axis)).sum(-1, True) + along
    # <y, u> = <y - x, u>, since u is tangent at x
    return torch.where(remote, split, minkowski(y - x, u)[..., None])[..., 0]


def _flip(g: torch.Tensor) -> torch.Tensor:
    return torch.cat([-g[..., :1], g[..., 1:]], dim=-1)
