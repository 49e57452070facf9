"""The flat torus as angles."""

import math
from typing import Any

import torch

from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.circle import wrap_angle
from manopt_torch.manifolds.points import axpy
from manopt_torch.manifolds.validation import positive_sizes


class Torus(Manifold):
    r"""Vectors of angles in $[-\pi, \pi)$, each with the arc length of its circle.

    $\langle u, v\rangle = \sum_i u_i v_i$; $\exp_x(u) = \operatorname{wrap}(x + u)$ and
    $\log_x(y) = \operatorname{wrap}(y - x)$, where $\operatorname{wrap}$ adds the multiples of $2\pi$ that lead to
    $[-\pi, \pi)$. Use it for joint angles of robots and molecules and for phases of several signals. The torus is flat:
    transport does nothing, and gradients and Hessians are the Euclidean ones. Where two angles are antipodes the
    logarithm is $-\pi$, and `log_defined` is false.

    Args:
        n: number of angles.

    Shapes:
        points: `(*batch, n)`.

    Raises:
        OptionsError: if `n` is no positive integer.

    References:
        [BergmannLausSteidlWeinmann:2014].

    Examples:
        >>> M = Torus(2)
        >>> x, y = torch.tensor([3.0, 0.0]), torch.tensor([-3.0, 0.5])
        >>> M.log(x, y)
        tensor([0.2832, 0.5000])
        >>> M.exp(x, torch.tensor([1.0, 1.0]))
        tensor([-2.2832,  1.0000])
    """

    transport_is_isometric = True

    def __init__(self, n: int) -> None:
        positive_sizes("Torus", (n,))
        self.point_shape = (n,)
        self.dim = n
        self.typical_dist = math.pi / 2 * math.sqrt(n)  # as the power of a circle

    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return (u * v).sum(-1)

    def norm(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(u, dim=-1)

    def dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(wrap_angle(y - x), dim=-1)

    def squared_dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return wrap_angle(y - x).square().sum(-1)

    def project_point(self, z: torch.Tensor) -> torch.Tensor:
        return wrap_angle(z)

    def project_tangent(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return z

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return g

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return h

    def exp(self, x: torch.Tensor, u: torch.Tensor, t: float | torch.Tensor | None = None) -> torch.Tensor:
        return wrap_angle(axpy(x, u, t, 1))

    retract_default = exp

    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return wrap_angle(y - x)

    def log_defined(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        # nearer to the antipode than this, the sign of an angle is rounding error
        return wrap_angle(y - x).abs().amax(-1) < math.pi - 8 * torch.finfo(x.dtype).eps

    def transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return u

    def parallel_transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return u

    def injectivity_radius(self, x: Any = None) -> float:
        return math.pi

    def basis(self, x: torch.Tensor) -> torch.Tensor:
        n = self.dim
        return torch.eye(n, dtype=x.dtype, device=x.device).expand(*self.batch_shape(x), n, n)

    def to_coordinates(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return u

    def from_coordinates(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        return c

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> torch.Tensor:
        uniform = torch.rand((*batch, *self.point_shape), generator=generator, dtype=dtype, device=device)
        return wrap_angle((2 * math.pi) * uniform)

    def off_manifold(self, x: torch.Tensor) -> torch.Tensor:
        # pi itself is let pass: it names a point, only not by its usual angle; NaN stays
        return torch.linalg.vector_norm((x.abs() - math.pi).clamp(min=0), dim=-1)
