"""The rigid motions of n-space."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from manopt_torch.errors import OptionsError, ShapeError
from manopt_torch.linalg.rigid_motions import (
    quaternion_to_rigid,
    rigid_adjoint,
    rigid_exp,
    rigid_inverse,
    rigid_left_jacobian,
    rigid_left_jacobian_inverse,
    rigid_log,
    rigid_motion,
    rigid_to_quaternion,
)
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.bases import coordinate_basis
from manopt_torch.manifolds.points import axpy
from manopt_torch.manifolds.rotations import Rotations
from manopt_torch.manifolds.validation import positive_sizes


class SpecialEuclidean(Manifold):
    r"""Rigid motions $z \mapsto R z + p$, $\mathrm{SE}(n)$, as homogeneous matrices $(R, p; 0, 1)$.

    Use it for poses: registration, hand-eye calibration, pose graphs. A tangent vector is an ambient array
    $(R \Omega, v; 0, 0)$, and the metric is that of $\mathrm{SO}(n) \times \mathbb{R}^n$,

    $$\langle u_1, u_2\rangle = \operatorname{tr}(\Omega_1^\top \Omega_2) + v_1^\top v_2 ,$$

    which is invariant under multiplication from the left. Its geodesics turn along a geodesic of $\mathrm{SO}(n)$ while
    they move on a straight line. No left-invariant metric has the one-parameter groups, the screw motions, as its
    geodesics: these are the methods `group_exp`, `group_log`, `adjoint`, `left_jacobian` for $n = 2, 3$. Their twists
    $(\rho, \omega)$ are a velocity followed by a rotation vector, of one or three entries. The matrix product `x @ y`
    composes motions and `group_inverse` inverts them.

    Exponential, logarithm, retractions and transports are those of `Rotations(n)` on $R$, of $\mathbb{R}^n$ on $p$.
    Multiply $p$ by a factor beforehand where a unit of length should weigh more or less than a radian.

    Args:
        n: dimension of space; points have $n + 1$ rows.

    Shapes:
        points: `(*batch, n + 1, n + 1)`; dimension $n (n + 1) / 2$. Coordinates are those of the rotation, then $v$.
        Twists: `(*batch, 3)` for $n = 2$, `(*batch, 6)` for $n = 3$.

    Raises:
        OptionsError: if `n` is no integer of at least 2.

    References:
        [Park:1995] for the metric; [Sola:2018] and [Barfoot:2017], chapter 7, for the group.

    Examples:
        >>> M = SpecialEuclidean(2)
        >>> x = M.group_exp(torch.tensor([1.0, 0.0, 0.0]))
        >>> x
        tensor([[1., 0., 1.],
                [0., 1., 0.],
                [0., 0., 1.]])
        >>> M.dist(torch.eye(3), x @ x)
        tensor(2.)
    """

    transport_is_isometric = True
    retractions: Mapping[str, str] = dict.fromkeys(Rotations.retractions, "retract")
    inverse_retractions: Mapping[str, str] = dict.fromkeys(Rotations.inverse_retractions, "inverse_retract")

    def __init__(self, n: int) -> None:
        positive_sizes("SpecialEuclidean", (n,), least=2)
        self.n = n
        self.rotations: Rotations = Rotations(n)
        self.point_shape = (n + 1, n + 1)
        self.dim = n * (n + 1) // 2
        self.typical_dist = math.sqrt(self.rotations.typical_dist**2 + n)

    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return (u * v).sum((-2, -1))

    def norm(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(u, dim=(-2, -1))

    def dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        (R, p), (S, q) = _split(x), _split(y)
        parts = torch.stack([self.rotations.dist(R, S), torch.linalg.vector_norm(q - p, dim=-1)], -1)
        return torch.linalg.vector_norm(parts, dim=-1)

    def squared_dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        (R, p), (S, q) = _split(x), _split(y)
        return self.rotations.squared_dist(R, S) + (q - p).square().sum(-1)

    def project_point(self, z: torch.Tensor) -> torch.Tensor:
        Z, p = _split(z)
        return rigid_motion(self.rotations.project_point(Z), p)

    def project_tangent(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        Z, v = _split(z)
        return _tangent(self.rotations.project_tangent(_split(x)[0], Z), v)

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return self.project_tangent(x, g)

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        (R, _), (G, _), (H, v), (U, _) = (_split(a) for a in (x, g, h, u))
        return _tangent(self.rotations.ehess2rhess(R, G, H, U), v)

    def exp(self, x: torch.Tensor, u: torch.Tensor, t: float | torch.Tensor | None = None) -> torch.Tensor:
        (R, p), (U, v) = _split(x), _split(u)
        return _point(self.rotations.exp(R, U, t), axpy(p, v, t, 1), x)

    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        (R, p), (S, q) = _split(x), _split(y)
        return _tangent(self.rotations.log(R, S), q - p)

    def log_defined(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.rotations.log_defined(_split(x)[0], _split(y)[0])

    def retract(self, x: torch.Tensor, u: torch.Tensor, t: Any = None, method: str | None = None) -> torch.Tensor:
        (R, p), (U, v) = _split(x), _split(u)
        return _point(self.rotations.retract(R, U, t, method), axpy(p, v, t, 1), x)

    def retract_default(self, x: torch.Tensor, u: torch.Tensor, t: Any = None) -> torch.Tensor:
        (R, p), (U, v) = _split(x), _split(u)
        return _point(self.rotations.retract_default(R, U, t), axpy(p, v, t, 1), x)

    def inverse_retract(self, x: torch.Tensor, y: torch.Tensor, method: str | None = None) -> torch.Tensor:
        (R, p), (S, q) = _split(x), _split(y)
        return _tangent(self.rotations.inverse_retract(R, S, method), q - p)

    def transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        U, v = _split(u)
        return _tangent(self.rotations.transport(_split(x)[0], _split(y)[0], U), v)

    def parallel_transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        U, v = _split(u)
        return _tangent(self.rotations.parallel_transport(_split(x)[0], _split(y)[0], U), v)

    def injectivity_radius(self, x: Any = None) -> float | torch.Tensor:
        return self.rotations.injectivity_radius()

    def basis(self, x: torch.Tensor) -> torch.Tensor:
        return coordinate_basis(self, x)

    def to_coordinates(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        U, v = _split(u)
        turns = self.rotations.to_coordinates(_split(x)[0], U)
        return torch.cat([turns, v.expand(*turns.shape[:-1], self.n)], -1)

    def from_coordinates(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        turns = self.rotations.dim
        return _tangent(self.rotations.from_coordinates(_split(x)[0], c[..., :turns]), c[..., turns:])

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> torch.Tensor:
        """Draw the rotation uniformly and the translation from the standard normal distribution."""
        R = self.rotations.random_point(*batch, generator=generator, dtype=dtype, device=device)
        return rigid_motion(R, torch.randn((*batch, self.n), generator=generator, dtype=dtype, device=device))

    def off_manifold(self, x: torch.Tensor) -> torch.Tensor:
        R, p = _split(x)
        return self.rotations.off_manifold(R) + torch.linalg.vector_norm(x - rigid_motion(R, p), dim=(-2, -1))

    # ---- the group ----------------------------------------------------------------------------------------------
    def group_exp(self, xi: torch.Tensor) -> torch.Tensor:
        """Return the screw motion with a twist after unit time; as a right factor it moves in the body frame."""
        return rigid_exp(self._checked(xi, "group_exp"))

    def group_log(self, x: torch.Tensor) -> torch.Tensor:
        r"""Return the twist of `x`, with an angle of at most $\pi$."""
        self._in_plane_or_space("group_log")
        return rigid_log(x)

    def group_inverse(self, x: torch.Tensor) -> torch.Tensor:
        """Return the inverse motion."""
        return rigid_inverse(x)

    def adjoint(self, x: torch.Tensor) -> torch.Tensor:
        r"""Return the matrix $a$ with $x \exp(\hat\xi) = \exp(\widehat{a \xi})\,x$ for all twists."""
        self._in_plane_or_space("adjoint")
        return rigid_adjoint(x)

    def left_jacobian(self, xi: torch.Tensor) -> torch.Tensor:
        r"""Return the matrix $J$ with $\exp(\xi + \delta) = \exp(J \delta) \exp(\xi)$ to first order in $\delta$."""
        return rigid_left_jacobian(self._checked(xi, "left_jacobian"))

    def left_jacobian_inverse(self, xi: torch.Tensor) -> torch.Tensor:
        r"""Return the inverse of `left_jacobian(xi)`, for angles below $2\pi$."""
        return rigid_left_jacobian_inverse(self._checked(xi, "left_jacobian_inverse"))

    # ---- storage ------------------------------------------------------------------------------------------------
    def to_quaternion(self, x: torch.Tensor) -> torch.Tensor:
        """Return a motion of space as translation and unit quaternion (x, y, z, w), shape `(*batch, 7)`."""
        self._in_plane_or_space("to_quaternion", only_space=True)
        return rigid_to_quaternion(x)

    def from_quaternion(self, v: torch.Tensor) -> torch.Tensor:
        """Return the point of a translation and a quaternion (x, y, z, w), shape `(*batch, 7)`."""
        self._in_plane_or_space("from_quaternion", only_space=True)
        return quaternion_to_rigid(v)

    def _checked(self, xi: torch.Tensor, method: str) -> torch.Tensor:
        self._in_plane_or_space(method)
        if xi.shape[-1:] != (self.dim,):
            raise ShapeError(f"a twist of {self!r} has shape (*batch, {self.dim}), got {tuple(xi.shape)}")
        return xi

    def _in_plane_or_space(self, method: str, only_space: bool = False) -> None:
        if self.n != 3 and (only_space or self.n != 2):
            where = "n = 3" if only_space else "n = 2 and 3; use exp and log, which have every n"
            raise OptionsError(f"{self!r} has no {method}: there is one for {where}")

    def __repr__(self) -> str:
        return f"SpecialEuclidean({self.n})"


def _split(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the blocks of the rotation and the translation."""
    return x[..., :-1, :-1], x[..., :-1, -1]


def _point(
    R: torch.Tensor,  # shape: (*batch, n, n)
    p: torch.Tensor,  # shape: (*batch, n)
    like: torch.Tensor,
) -> torch.Tensor:
    """Return the matrix with these blocks and the last row of another point, which saves making a row."""
    return _stack(R, p, like[..., -1:, :])


def _tangent(
    U: torch.Tensor,  # shape: (*batch, n, n)
    v: torch.Tensor,  # shape: (*batch, n)
) -> torch.Tensor:
    n = v.shape[-1]
    return _stack(U, v, U.new_zeros(1, n + 1))


def _stack(A: torch.Tensor, b: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
    """Return [[A, b], [last]] with the batch axes of A."""
    top = torch.cat([A, b.expand(A.shape[:-1])[..., None]], -1)
    return torch.cat([top, last.expand(*A.shape[:-2], 1, top.shape[-1])], -2)
