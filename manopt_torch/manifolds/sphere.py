"""The unit sphere."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import add, addcmul, dot, is_grad_enabled  # a name of one's own is found in less time than one of torch's
from torch.linalg import vector_norm

from manopt_torch.linalg.dot import LONG, are_few_numbers, sum_of_few, sum_of_products
from manopt_torch.linalg.known_value import tracks_derivatives
from manopt_torch.linalg.scalar import angle_between, angle_over_sine, cos_and_sinc_sqrt, squared_angle, tiny_root
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.bases import coordinate_basis
from manopt_torch.manifolds.points import axpy, scale
from manopt_torch.manifolds.validation import positive_sizes


class Sphere(Manifold):
    r"""Unit vectors of $\mathbb{R}^n$ with the inner product of the surrounding space.

    Use it for directions, normalised weights and Rayleigh quotients. With $P_x z = z - \langle x, z\rangle x$,

    - $\operatorname{grad} f = P_x \nabla f$ and
      $\operatorname{Hess} f[u] = P_x(\nabla^2 f[u] - \langle x, \nabla f\rangle u)$;
    - $\exp_x(u) = \cos\|u\|\, x + \frac{\sin\|u\|}{\|u\|} u$, $\log_x(y) = \frac{\theta}{\sin\theta} P_x y$ with
      $\theta = d(x, y) = 2\operatorname{atan2}(\|x - y\|, \|x + y\|)$;
    - retraction $(x + u) / \|x + u\|$, of second order and the default, and its inverse $y / \langle x, y\rangle - x$;
    - parallel transport $u - 2\frac{\langle s, u\rangle}{\|s\|^2} s$ with $s = x + y$.

    Distance and logarithm keep full relative accuracy from coincident to antipodal points. At $y = -x$, where every
    direction is shortest, `log` goes towards the axis of the smaller of the first two entries, and `log_defined` is
    false.

    Args:
        n: number of entries of a point; the sphere has dimension $n - 1$.

    Shapes:
        points: `(*batch, n)`.

    Raises:
        OptionsError: if `n` is no integer of at least 2.

    References:
        [AbsilMahonySepulchre:2008], examples 3.5.1, 4.1.1 and 5.4.1; [Boumal:2023], section 7.2.

    Examples:
        >>> M = Sphere(3)
        >>> x, y = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        >>> M.log(x, y)
        tensor([0.0000, 1.5708, 0.0000])
        >>> M.retract(x, torch.tensor([0.0, 0.0, 1.0]))
        tensor([0.7071, 0.0000, 0.7071])
    """

    is_embedded = True
    retractions: Mapping[str, str] = {"projection": "retract_projection", "exp": "exp"}
    inverse_retractions: Mapping[str, str] = {"projection": "inverse_retract_projection", "exp": "log"}

    def __init__(self, n: int) -> None:
        positive_sizes("Sphere", (n,), least=2)
        self.point_shape = (n,)
        self.dim = n - 1
        self.typical_dist = math.pi

    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return sum_of_products(u, v)

    def inner_at(self, x: torch.Tensor) -> Callable[..., torch.Tensor | float]:
        if self.dim >= LONG:
            return dot if x.dim() == 1 else sum_of_products
        return sum_of_few if self.dim < 3 and are_few_numbers(x) else sum_of_products

    def norm(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return _length(u)

    def dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return angle_between(vector_norm(x - y, dim=-1), vector_norm(x + y, dim=-1))

    def squared_dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return squared_angle((x - y).square().sum(-1), (x + y).square().sum(-1))

    def project_point(self, z: torch.Tensor) -> torch.Tensor:
        return z / vector_norm(z, dim=-1, keepdim=True)

    def project_tangent(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        if self.dim >= LONG and z.dim() == 1:
            try:  # at once what succeeds nearly always
                return addcmul(z, dot(x, z), x, value=-1)
            except RuntimeError:  # of two dtypes, or with a batch of points
                return addcmul(z, sum_of_products(x, z, True), x, value=-1)
        if self.dim < 3 and z.dim() == 1 and are_few_numbers(x):
            return add(z, x, alpha=-sum_of_few(x, z))
        return addcmul(z, sum_of_products(x, z, True), x, value=-1)

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return self.project_tangent(x, g)

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return Sphere.ehess2rhess_at(self, x, g)(h, u)

    def ehess2rhess_at(self, x: torch.Tensor, g: torch.Tensor) -> Callable[..., torch.Tensor]:
        if self.dim < 3 and g.dim() == 1 and are_few_numbers(x):
            falling = -sum_of_few(x, g)
            return lambda h, u: self.project_tangent(x, add(h, u, alpha=falling))
        slope = sum_of_products(x, g, True)
        return lambda h, u: self.project_tangent(x, addcmul(h, slope, u, value=-1))

    def retract_projection(self, x: torch.Tensor, u: torch.Tensor, t: Any = None) -> torch.Tensor:
        y = add(x, u, alpha=t) if type(t) is float else axpy(x, u, t, 1)
        length = _length(y, True)
        return y / length if is_grad_enabled() else y.div_(length)  # a derivative of the length wants `y` as it is

    retract_default = retract_projection

    def inverse_retract_projection(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Invert the default retraction, whose image is the open half sphere around `x`; NaN outside."""
        cosine = (x * y).sum(-1, True)
        return y / torch.where(cosine > 0, cosine, math.nan) - x

    def exp(self, x: torch.Tensor, u: torch.Tensor, t: Any = None) -> torch.Tensor:
        v = scale(u, t, 1)
        cosine, sinc = cos_and_sinc_sqrt((v * v).sum(-1, True))
        y = addcmul(cosine * x, sinc, v)
        # a point off by rounding has tangents off by as much: unchecked, the error would grow from step to step;
        # for derivatives the length is the constant one
        return y / vector_norm(y.detach(), dim=-1, keepdim=True)

    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        cosine = (x * y).sum(-1, True)
        side = torch.sign(cosine)
        # y + x and y - x have the same projection as y; the shorter one is free of cancellation near its end
        short = addcmul(y, side, x, value=-1)
        # at the antipode it is zero: there what is added points along an axis, elsewhere it is lost in rounding
        short[..., :2].add_(_beyond_rounding(side) * _smaller_of_two(x))
        v = self.project_tangent(x, short)
        squared_sine = (v * v).sum(-1, True)
        if tracks_derivatives():  # there is none at the antipode
            v = torch.where(torch.maximum(squared_sine, cosine) < torch.finfo(x.dtype).eps ** 4, v.detach(), v)
        return angle_over_sine(squared_sine, cosine) * v

    def log_defined(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        # nearer to the antipode than this, the direction of `log` is rounding error
        return vector_norm(x + y, dim=-1) > 8 * torch.finfo(x.dtype).eps

    def parallel_transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        s = x + y
        # a reflection, so lengths are kept also near the antipode; at the antipode itself u is kept
        factor = (s * u).sum(-1, True) / (s * s).sum(-1, True).clamp(min=tiny_root(s.dtype))
        return addcmul(u, factor, s, value=-2)

    def injectivity_radius(self, x: Any = None) -> float:
        return math.pi

    def basis(self, x: torch.Tensor) -> torch.Tensor:
        return coordinate_basis(self, x)

    def to_coordinates(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        head, tail = x[..., :1], x[..., 1:]
        along = _sign(head) * u[..., :1]
        return u[..., 1:] - tail * along / (1 + head.abs())

    def from_coordinates(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        # the Householder reflection that maps x to a multiple of the first axis maps the other axes to this basis
        head, tail = x[..., :1], x[..., 1:]
        along = (tail * c).sum(-1, True)
        return torch.cat([-_sign(head) * along, c - tail * along / (1 + head.abs())], dim=-1)

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> torch.Tensor:
        shape = (*batch, *self.point_shape)
        return self.project_point(torch.randn(shape, generator=generator, dtype=dtype, device=device))

    def off_manifold(self, x: torch.Tensor) -> torch.Tensor:
        return (_length(x) - 1.0).abs()


def _length(u: torch.Tensor, keepdim: bool = False) -> torch.Tensor:
    """Return the length of a vector, or the lengths of vectors over the last axis; the bits are the same."""
    return vector_norm(u) if u.dim() == 1 else vector_norm(u, dim=-1, keepdim=keepdim)


def _smaller_of_two(x: torch.Tensor) -> torch.Tensor:
    """Mark the smaller of the first two entries, shape `(*batch, 2)`: its axis is at least 45 degrees off the point."""
    a, b = x[..., :1].detach().abs(), x[..., 1:2].detach().abs()
    return torch.cat([a <= b, a > b], -1).to(x.dtype)


def _beyond_rounding(
    side: torch.Tensor,  # shape: (*batch, 1)
) -> torch.Tensor:
    """Return zero where `side` is positive, and where it is -1 less than is left of a sum that should be zero."""
    return side.clamp(max=0) * (-(torch.finfo(side.dtype).eps ** 2) / 8)


def _sign(
    head: torch.Tensor,  # shape: (*batch, 1)
) -> torch.Tensor:
    return torch.copysign(torch.ones_like(head), head)
