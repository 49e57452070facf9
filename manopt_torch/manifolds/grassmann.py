"""Linear subspaces of a fixed dimension."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.linalg.orthogonal import from_complement, polar, polar_from_svd, qr_unique, svd_or_nan, to_complement
from manopt_torch.linalg.scalar import arctan2
from manopt_torch.linalg.spectral import spectral_function, sym_eigh, symmetric_part
from manopt_torch.linalg.subspaces import normal_part, principal_angles, subspace_pair
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.bases import coordinate_basis
from manopt_torch.manifolds.fields import checked_field, field_dtype, from_reals, real_inner, to_reals
from manopt_torch.manifolds.points import axpy, scale
from manopt_torch.manifolds.squared_distance import differentiable_by_log
from manopt_torch.manifolds.validation import positive_sizes


class Grassmann(Manifold):
    r"""Subspaces of dimension $p$ in $\mathbb{R}^n$ or $\mathbb{C}^n$, each given by an orthonormal basis.

    A point is an $n \times p$ matrix $X$ with $X^* X = I$; $XQ$ is the same point for every unitary $Q$, so costs must
    not depend on the basis: $f(XQ) = f(X)$. Use it for principal components, subspace tracking and invariant subspaces.
    Tangent vectors are the $U$ with $X^* U = 0$, and $\langle U, V\rangle = \operatorname{Re}\operatorname{tr}(U^* V)$.
    With $P_X Z = Z - X X^* Z$ and principal angles $\theta_1 \ge \dots \ge \theta_p$ in $[0, \pi/2]$,

    - $\operatorname{grad} f = P_X \nabla f$, $\operatorname{Hess} f[U] = P_X \nabla^2 f[U] - U \operatorname{sym}(X^*
      \nabla f)$;
    - $\exp_X(U) = X \cos\sqrt{S} + U \frac{\sin\sqrt{S}}{\sqrt{S}}$ with $S = U^* U$;
    - $\log_X(Y) = P_X(Y Q^*)\, \frac{\Theta}{\sin\Theta}$, where $X^* Y = C Q$ is a polar decomposition and $C =
      \cos\Theta$; the singular values of the logarithm are the $\theta_i$ and $d(X, Y)^2 = \sum_i \theta_i^2$;
    - retractions "polar", the nearest orthonormal matrix to $X + U$ and the default, and "qr": two bases of the same
      subspace, which agrees with $\exp$ to second order. Polar turns the basis least. Their inverse is
      $Y (X^* Y)^{-1} - X$;
    - parallel transport $(U - (X + Y Q^*)(I + C)^{-1} (Y Q^*)^* U)\, Q$; `transport` is $P_Y(U Q)$. Both turn the basis
      of the subspace $X$ into that of $Y$.

    Distances keep full relative accuracy from coincident subspaces to orthogonal ones, in single precision too. Where
    an angle is $\pi/2$ there are several shortest geodesics, `log` is one of them and `log_defined` is false.

    Args:
        n: dimension of the surrounding space.
        p: dimension of the subspaces, less than `n`.
        field: "real" or "complex".

    Shapes:
        points and tangents: `(*batch, n, p)`; dimension $p (n - p)$, twice that if complex.

    Raises:
        OptionsError: if the sizes are no integers with $1 \le p < n$, or the field is unknown.

    References:
        [EdelmanAriasSmith:1998]; [AbsilMahonySepulchre:2008], section 3.4.4; [BendokatZimmermannAbsil:2024];
        [Boumal:2023], chapter 9; [BjorckGolub:1973].

    Examples:
        >>> M = Grassmann(3, 1)
        >>> x, y = torch.tensor([[1.0], [0.0], [0.0]]), torch.tensor([[0.0], [-1.0], [0.0]])
        >>> M.dist(x, y), M.dist(x, -x)
        (tensor(1.5708), tensor(0.))
        >>> M.mid_point(x, y).T.abs()
        tensor([[0.7071, 0.7071, 0.0000]])
    """

    retractions: Mapping[str, str] = {"polar": "retract_polar", "qr": "retract_qr", "exp": "exp"}
    inverse_retractions: Mapping[str, str] = {
        "polar": "inverse_retract_span",
        "qr": "inverse_retract_span",
        "exp": "log",
    }

    def __init__(self, n: int, p: int, field: str = "real") -> None:
        positive_sizes("Grassmann", (n, p))
        if p >= n:
            raise OptionsError(f"Grassmann({n}, {p}): subspaces have a smaller dimension than the space, p < n")
        self.field = checked_field(field)
        self.point_shape = (n, p)
        self.dim = p * (n - p) * (2 if field == "complex" else 1)
        self.typical_dist = math.sqrt(p)

    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return real_inner(u, v, (-2, -1))

    def norm(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(u, dim=(-2, -1))

    def squared_dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        pair = subspace_pair(x.detach(), y.detach())
        angles = arctan2(pair.sines, pair.cosines)
        return differentiable_by_log(self, x, y, angles.square().sum(-1))

    def principal_angles(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the angles between two subspaces, shape `(*batch, p)`, the largest first."""
        return principal_angles(x, y)

    def project_point(self, z: torch.Tensor) -> torch.Tensor:
        return polar(z)

    def project_tangent(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return z - x @ (x.mH @ z)

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return g - x @ (x.mH @ g)

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return Grassmann.ehess2rhess_at(self, x, g)(h, u)

    def ehess2rhess_at(self, x: torch.Tensor, g: torch.Tensor) -> Callable[..., torch.Tensor]:
        # X* grad f is Hermitian if f does not depend on the basis; a rest is rounding
        inner = symmetric_part(x.mH @ g)
        return lambda h, u: self.project_tangent(x, h) - u @ inner

    def retract_polar(self, x: torch.Tensor, u: torch.Tensor, t: Any = None) -> torch.Tensor:
        return polar(axpy(x, u, t, 2))

    retract_default = retract_polar

    def retract_qr(self, x: torch.Tensor, u: torch.Tensor, t: Any = None) -> torch.Tensor:
        """Orthonormalize the columns of x + u by the QR decomposition with positive diagonal."""
        return qr_unique(axpy(x, u, t, 2))[0]

    def inverse_retract_span(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the tangent vector u for which x + u spans y; not finite where an angle is a right one."""
        return torch.linalg.solve_ex(x.mH @ y, normal_part(x, y), left=False).result

    def exp(self, x: torch.Tensor, u: torch.Tensor, t: float | torch.Tensor | None = None) -> torch.Tensor:
        v = scale(u, t, 2)
        S = symmetric_part(v.mH @ v)
        squares, V = sym_eigh(S)
        angles = squares.clamp(min=0).sqrt()
        y = x @ spectral_function(S, squares, V, torch.cos(angles), "cos_sqrt")
        y = y + v @ spectral_function(S, squares, V, torch.sinc(angles / math.pi), "sinc_sqrt")
        # a step of Newton's iteration for the nearest orthonormal matrix, so that rounding does not add up
        return 1.5 * y - y @ (0.5 * (y.mH @ y))

    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        pair = subspace_pair(x, y)
        turn = polar_from_svd(pair.inner, pair.U, pair.Vh)
        factors = torch.where(pair.sines > 0, arctan2(pair.sines, pair.cosines) / pair.sines, 1.0)
        cosine = symmetric_part(pair.inner @ turn.mH)
        stretch = spectral_function(cosine, pair.cosines, pair.U, factors, "angle_over_sine")
        return pair.normal @ (turn.mH @ stretch)

    def log_defined(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        # nearer to a right angle than this, the direction of `log` is rounding error
        return svd_or_nan(x.mH @ y)[1][..., -1] > 8 * torch.finfo(x.dtype).eps

    def transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return self.project_tangent(y, u @ polar(x.mH @ y))

    def parallel_transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        inner = x.mH @ y
        turn = polar(inner)
        aligned = y @ turn.mH
        eye = torch.eye(self.point_shape[1], dtype=x.dtype, device=x.device)
        share = torch.linalg.solve_ex(eye + symmetric_part(inner @ turn.mH), aligned.mH @ u).result
        return (u - (x + aligned) @ share) @ turn

    def injectivity_radius(self, x: Any = None) -> float:
        return math.pi / 2

    def basis(self, x: torch.Tensor) -> torch.Tensor:
        return coordinate_basis(self, x)

    def to_coordinates(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        c = to_complement(x, u)
        return to_reals(c.flatten(-2)) if c.is_complex() else c.flatten(-2)

    def from_coordinates(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        n, p = self.point_shape
        block = from_reals(c) if self.field == "complex" else c
        return from_complement(x, block.unflatten(-1, (n - p, p)))

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> torch.Tensor:
        """Draw subspaces uniformly."""
        kind, shape = field_dtype(self.field, dtype), (*batch, *self.point_shape)
        return qr_unique(torch.randn(shape, generator=generator, dtype=kind, device=device))[0]

    def off_manifold(self, x: torch.Tensor) -> torch.Tensor:
        eye = torch.eye(self.point_shape[1], dtype=x.dtype, device=x.device)
        return torch.linalg.vector_norm(x.mH @ x - eye, dim=(-2, -1))

    def off_tangent(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(x.mH @ u, dim=(-2, -1))

    def __repr__(self) -> str:
        n, p = self.point_shape
        return f"Grassmann({n}, {p}{', field=' + repr(self.field) if self.field == 'complex' else ''})"
