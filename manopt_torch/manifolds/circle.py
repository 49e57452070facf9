"""The circle as angles."""

import math
from typing import Any

import torch

from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import axpy


class Circle(Manifold):
    r"""Angles in $[-\pi, \pi)$ with the arc length as distance.

    $\exp_x(u) = \operatorname{wrap}(x + u)$, $\log_x(y) = \operatorname{wrap}(y - x)$, where $\operatorname{wrap}$
    adds the multiple of $2\pi$ that leads to $[-\pi, \pi)$. Use it for phases and headings, and `Power(Circle(), n)`
    for phase-valued signals. The circle is flat: transport does nothing, and gradients and Hessians are the
    Euclidean ones. `log` of an antipode is $-\pi$, where `log_defined` is false.

    Shapes:
        points: `(*batch,)`, one angle each.

    References:
        [Boumal:2023], section 7.2, on the unit circle that the angles stand for.

    Examples:
        >>> M = Circle()
        >>> M.dist(torch.tensor(3.0), torch.tensor(-3.0))
        tensor(0.2832)
        >>> M.exp(torch.tensor(3.0), torch.tensor(1.0))
        tensor(-2.2832)
    """

    transport_is_isometric = True

    def __init__(self) -> None:
        self.point_shape = ()
        self.dim = 1
        self.typical_dist = math.pi / 2

    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return u * v

    def norm(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return u.abs()

    def dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return wrap_angle(y - x).abs()

    def project_point(self, z: torch.Tensor) -> torch.Tensor:
        return wrap_angle(z)

    def project_tangent(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return z

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return g

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return h

    def exp(self, x: torch.Tensor, u: torch.Tensor, t: float | torch.Tensor | None = None) -> torch.Tensor:
        return wrap_angle(axpy(x, u, t, 0))

    retract_default = exp

    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return wrap_angle(y - x)

    def log_defined(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        # nearer to the antipode than this, the sign of `log` is rounding error
        return self.dist(x, y) < math.pi - 8 * torch.finfo(x.dtype).eps

    def transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return u

    def parallel_transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return u

    def injectivity_radius(self, x: Any = None) -> float:
        return math.pi

    def basis(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ones_like(x)[..., None]

    def to_coordinates(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return u[..., None]

    def from_coordinates(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        return c[..., 0]

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> torch.Tensor:
        uniform = torch.rand(batch, generator=generator, dtype=dtype, device=device)
        return wrap_angle((2 * math.pi) * uniform)

    def off_manifold(self, x: torch.Tensor) -> torch.Tensor:
        # pi itself is let pass: it names a point, only not by its usual angle
        return (x.abs() - math.pi).clamp(min=0)


def wrap_angle(
    z: torch.Tensor,  # shape: any
) -> torch.Tensor:
    r"""Add the multiple of $2\pi$ that brings an angle to $[-\pi, \pi)$; small angles come out unchanged in bits.

    Examples:
        >>> wrap_angle(torch.tensor([7.0, 1e-9, -math.pi, math.pi]))
        tensor([ 7.1681e-01,  1.0000e-09, -3.1416e+00, -3.1416e+00])
    """
    turn = 2 * math.pi
    near = torch.sub(z, torch.round(z / turn), alpha=turn)
    # rounding the quotient may leave an angle at the edge on the wrong side by one unit in the last place
    near = torch.where(near >= math.pi, near - turn, near)
    return torch.where(near < -math.pi, near + turn, near)
