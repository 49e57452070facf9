"""The rotations of n-space."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from manopt_torch.linalg.cholesky import cholesky_or_nan
from manopt_torch.linalg.orthogonal import polar, qr_unique, svd_or_nan
from manopt_torch.linalg.rotations import exp_coefficients, hat, rotation_angle, rotation_vector, so3_exp
from manopt_torch.linalg.skew import skew_from_vector, skew_to_vector
from manopt_torch.linalg.special_orthogonal import nearest_rotation, rotation_expm1, rotation_log, skew_part
from manopt_torch.linalg.sylvester import triangular_lyapunov
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.bases import coordinate_basis
from manopt_torch.manifolds.points import axpy, scale
from manopt_torch.manifolds.validation import positive_sizes

_ROOT_2 = math.sqrt(2.0)


class Rotations(Manifold):
    r"""Orthogonal matrices of determinant one, $\mathrm{SO}(n)$, with the inner product $\operatorname{tr}(u^\top v)$.

    Use it for orientations, camera poses, orthogonal mixing matrices and rotation synchronisation. A tangent vector at
    $x$ is $u = x \Omega$ with a skew $\Omega$. The metric is the same from the left and from the right; turning by an
    angle $\theta$ in one plane has length $\sqrt2\,\theta$. With $Q = x^\top y$,

    - $\operatorname{grad} f = x \operatorname{skew}(x^\top \nabla f)$ and $\operatorname{Hess} f[u] =
      x \operatorname{skew}(x^\top \nabla^2 f[u] - \Omega \operatorname{sym}(x^\top \nabla f))$;
    - $\exp_x(u) = x e^\Omega$, $\log_x(y) = x \log Q$, $d(x, y)^2 = \sum_i \theta_i^2$ over the angles of all
      eigenvalues $e^{i \theta_i}$ of $Q$;
    - retractions: "cayley" $x + u (I - \frac12 \Omega)^{-1}$, of second order, the default, whose inverse is defined
      where the logarithm is; "polar", the rotation nearest to $x + u$, of second order; "qr", of first order. The
      inverses of the last two are NaN where there is none, that of "polar" from an angle of $\pi / 2$ on;
    - parallel transport $x\,e^{A/2}\,\Omega\,e^{A/2}$ with $A = \log Q$; `transport` keeps $\Omega$: an isometry.

    For $n \le 3$ there are closed forms, for larger $n$ one Hermitian eigenproblem each. Distance and logarithm keep
    full relative accuracy from coincident points to the cut locus, angle $\pi$, where `log` is one of the shortest
    vectors and `log_defined` is false. Derivatives are right at equal points, repeated angles and next to $\pi$.

    Args:
        n: number of rows.

    Shapes:
        points: `(*batch, n, n)`; dimension $n (n - 1) / 2$. Coordinates are $\sqrt2$ times the entries of $\Omega$
        below the diagonal, row by row.

    Raises:
        OptionsError: if `n` is no integer of at least 2.

    References:
        [Boumal:2023], section 7.4; [EdelmanAriasSmith:1998]; [KanekoFioriTanaka:2013] for the inverse retractions.

    Examples:
        >>> M = Rotations(2)
        >>> x, y = torch.eye(2), torch.tensor([[0.0, -1.0], [1.0, 0.0]])  # a right angle apart
        >>> M.dist(x, y) / math.sqrt(2)
        tensor(1.5708)
        >>> M.mid_point(x, y)
        tensor([[ 0.7071, -0.7071],
                [ 0.7071,  0.7071]])
    """

    is_embedded = True
    transport_is_isometric = True
    retractions: Mapping[str, str] = {
        "cayley": "retract_cayley",
        "polar": "retract_polar",
        "qr": "retract_qr",
        "exp": "exp",
    }
    inverse_retractions: Mapping[str, str] = {
        "cayley": "inverse_retract_cayley",
        "polar": "inverse_retract_polar",
        "qr": "inverse_retract_qr",
        "exp": "log",
    }

    def __init__(self, n: int) -> None:
        positive_sizes("Rotations", (n,), least=2)
        self.n = n
        self.point_shape = (n, n)
        self.dim = n * (n - 1) // 2
        self.is_flat = n == 2
        self.typical_dist = math.pi * math.sqrt(n)

    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return (u * v).sum((-2, -1))

    def norm(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(u, dim=(-2, -1))

    def dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if self.n <= 3:
            return _ROOT_2 * rotation_angle(_difference(x, y))
        return torch.linalg.vector_norm(rotation_log(_difference(x, y)), dim=(-2, -1))

    def squared_dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if self.n <= 3:
            return 2 * rotation_vector(_difference(x, y)).square().sum(-1)
        return rotation_log(_difference(x, y)).square().sum((-2, -1))

    def project_point(self, z: torch.Tensor) -> torch.Tensor:
        return nearest_rotation(z)

    def project_tangent(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return x @ skew_part(x.mT @ z)

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return x @ skew_part(x.mT @ g)

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        inner = x.mT @ g
        # x Omega = u saves a product
        return self.project_tangent(x, torch.sub(h, u @ (inner + inner.mT), alpha=0.5))

    def retract_cayley(self, x: torch.Tensor, u: torch.Tensor, t: Any = None) -> torch.Tensor:
        v = scale(u, t, 2)
        A = x.mT @ v
        if self.n > 3:
            eye = torch.eye(self.n, dtype=x.dtype, device=x.device)
            return _orthonormal(x + torch.linalg.solve_ex(torch.sub(eye, A, alpha=0.5), v, left=False)[0])
        # here A^3 = -theta^2 A, and the inverse is a polynomial; 2 theta^2 is the sum of squares
        squares = (v * v).sum((-2, -1), True)
        return _orthonormal(torch.addcdiv(x, torch.add(v, v @ A, alpha=0.5), 8 + squares, value=8))

    retract_default = retract_cayley

    def retract_polar(self, x: torch.Tensor, u: torch.Tensor, t: Any = None) -> torch.Tensor:
        return polar(axpy(x, u, t, 2))

    def retract_qr(self, x: torch.Tensor, u: torch.Tensor, t: Any = None) -> torch.Tensor:
        return qr_unique(axpy(x, u, t, 2))[0]

    def inverse_retract_cayley(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        E = _difference(x, y)
        eye = torch.eye(self.n, dtype=x.dtype, device=x.device)
        return x @ skew_part(torch.linalg.solve_ex(eye + 0.5 * E, E)[0])

    def inverse_retract_polar(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        E = _difference(x, y)
        eye = torch.eye(self.n, dtype=x.dtype, device=x.device)
        cosine = cholesky_or_nan(eye + 0.5 * (E + E.mT))
        return x @ skew_part(torch.cholesky_solve(skew_part(E), cosine))

    def inverse_retract_qr(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        Q = x.mT @ y
        return x @ skew_part(Q @ triangular_lyapunov(Q))

    def exp(self, x: torch.Tensor, u: torch.Tensor, t: float | torch.Tensor | None = None) -> torch.Tensor:
        v = scale(u, t, 2)
        A = x.mT @ v
        if self.n > 3:
            return _orthonormal(x + x @ rotation_expm1(skew_part(A)))
        sine, versine = exp_coefficients(0.5 * (v * v).sum((-2, -1), True))
        return _orthonormal(torch.addcmul(torch.addcmul(x, sine, v), versine, v @ A))

    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        E = _difference(x, y)
        return x @ (hat(rotation_vector(E)) if self.n <= 3 else rotation_log(E))

    def log_defined(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        # singular values are 2 cos(angle / 2); nearer to pi than this, the plane or sense of `log` is rounding error
        least = svd_or_nan(x + y)[1][..., -1]
        return least > 8 * self.n * torch.finfo(x.dtype).eps

    def transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return y @ skew_part(x.mT @ u)

    def parallel_transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        A = skew_part(x.mT @ u)
        if self.n == 2:
            return y @ A  # turns of the plane commute
        half = _half_turn(_difference(x, y))
        return y @ skew_part(half.mT @ A @ half)

    def injectivity_radius(self, x: Any = None) -> float:
        return _ROOT_2 * math.pi

    def basis(self, x: torch.Tensor) -> torch.Tensor:
        return coordinate_basis(self, x)

    def to_coordinates(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return _ROOT_2 * skew_to_vector(skew_part(x.mT @ u))

    def from_coordinates(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        return x @ skew_from_vector(c / _ROOT_2, self.n, False)

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> torch.Tensor:
        """Draw from the uniform (Haar) distribution."""
        gaussian = torch.randn((*batch, self.n, self.n), generator=generator, dtype=dtype, device=device)
        Q, _ = qr_unique(gaussian)
        first = torch.where(torch.linalg.det(Q) < 0, -1.0, 1.0).to(Q.dtype)[..., None, None]
        return torch.cat([Q[..., :1] * first, Q[..., 1:]], -1)

    def off_manifold(self, x: torch.Tensor) -> torch.Tensor:
        """Return how far the columns are from orthonormal, plus one for a reflection."""
        eye = torch.eye(self.n, dtype=x.dtype, device=x.device)
        reflection = (torch.linalg.det(x) < 0).to(x.dtype)
        return torch.linalg.vector_norm(x.mT @ x - eye, dim=(-2, -1)) + reflection

    def __repr__(self) -> str:
        return f"Rotations({self.n})"


def _difference(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return x' y - I, of which the skew part is accurate relative to the distance."""
    return x.mT @ (y - x)


def _half_turn(E: torch.Tensor) -> torch.Tensor:
    """Return the rotation by half the angles of I + E."""
    n = E.shape[-1]
    if n <= 3:
        return so3_exp(0.5 * rotation_vector(E))
    return torch.eye(n, dtype=E.dtype, device=E.device) + rotation_expm1(0.5 * rotation_log(E))


def _orthonormal(y: torch.Tensor) -> torch.Tensor:
    """Return the columns orthonormal to rounding, from columns that nearly are: a Newton step for the polar factor.

    Rounding errors of many steps would add up otherwise.
    """
    return torch.add(1.5 * y, y @ (y.mT @ y), alpha=-0.5)
