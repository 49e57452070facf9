"""Unitary matrices."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from manopt_torch.linalg.cholesky import cholesky_or_nan
from manopt_torch.linalg.orthogonal import polar, qr_unique
from manopt_torch.linalg.skew import skew_from_vector, skew_to_vector
from manopt_torch.linalg.spectral import symmetric_part
from manopt_torch.linalg.sylvester import triangular_lyapunov
from manopt_torch.linalg.unitary import unitary_angles, unitary_exp, unitary_log, unitary_root
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.bases import coordinate_basis
from manopt_torch.manifolds.fields import field_dtype, real_inner
from manopt_torch.manifolds.points import axpy, scale
from manopt_torch.manifolds.squared_distance import differentiable_by_log
from manopt_torch.manifolds.validation import positive_sizes


class UnitaryGroup(Manifold):
    r"""Unitary matrices $X^* X = I$ with the inner product $\operatorname{Re}\operatorname{tr}(U^* V)$.

    Use it for quantum gates, changes of basis and joint diagonalisation. A tangent vector at $X$ is $U = X \Omega$ with
    $\Omega^* = -\Omega$; with $\operatorname{skew} A = \frac12 (A - A^*)$, $\operatorname{sym} A = \frac12 (A + A^*)$,

    - $P_X Z = X \operatorname{skew}(X^* Z)$, $\operatorname{grad} f = P_X \nabla f$ and
      $\operatorname{Hess} f[U] = X \operatorname{skew}(X^* \nabla^2 f[U] - \Omega \operatorname{sym}(X^* \nabla f))$;
    - $\exp_X(U) = X e^{\Omega}$, $\log_X(Y) = X \log(X^* Y)$; with the angles $\lambda_i \in [-\pi, \pi]$ of the
      eigenvalues of $X^* Y$, $d(X, Y)^2 = \sum_i \lambda_i^2$;
    - retractions "polar", the unitary matrix nearest to $X + U$, of second order and the default, and "qr", of first
      order, each with its inverse;
    - parallel transport $X R\, \Omega R$ with $R = (X^* Y)^{1/2}$; `transport` takes $X \Omega$ to $Y \Omega$, which
      keeps lengths but is not parallel.

    Distance and logarithm keep full relative accuracy from coincident points on, at repeated angles and next to
    $\pm\pi$ too. Where an angle is $\pm\pi$, two geodesics are shortest, `log` is one of them and `log_defined` is
    false.

    Args:
        n: number of rows.

    Shapes:
        points and tangents: `(*batch, n, n)`, complex; dimension $n^2$.

    Raises:
        OptionsError: if `n` is no positive integer.

    References:
        [EdelmanAriasSmith:1998]; [AbsilMahonySepulchre:2008], example 4.1.2; [KanekoFioriTanaka:2013] for the inverse
        retractions.

    Examples:
        >>> M = UnitaryGroup(2)
        >>> x, y = torch.eye(2) + 0j, torch.tensor([[0.0, 1j], [1j, 0.0]])
        >>> M.dist(x, y)  # angles of a right angle, one each way
        tensor(2.2214)
        >>> M.log(x, y).imag
        tensor([[0.0000, 1.5708],
                [1.5708, 0.0000]])
    """

    field = "complex"
    is_embedded = True
    transport_is_isometric = True
    retractions: Mapping[str, str] = {"polar": "retract_polar", "qr": "retract_qr", "exp": "exp"}
    inverse_retractions: Mapping[str, str] = {
        "polar": "inverse_retract_polar",
        "qr": "inverse_retract_qr",
        "exp": "log",
    }

    def __init__(self, n: int) -> None:
        positive_sizes("UnitaryGroup", (n,))
        self.point_shape = (n, n)
        self.dim = n * n
        self.typical_dist = math.pi * math.sqrt(n)

    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return real_inner(u, v, (-2, -1))

    def norm(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(u, dim=(-2, -1))

    def squared_dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        angles = unitary_angles(_relative(x.detach(), y.detach()))
        return differentiable_by_log(self, x, y, angles.square().sum(-1))

    def project_point(self, z: torch.Tensor) -> torch.Tensor:
        return polar(z)

    def project_tangent(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return x @ _skew_part(x.mH @ z)

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return x @ _skew_part(x.mH @ g)

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        adjoint = x.mH
        return x @ _skew_part(adjoint @ h - (adjoint @ u) @ symmetric_part(adjoint @ g))

    def retract_polar(self, x: torch.Tensor, u: torch.Tensor, t: Any = None) -> torch.Tensor:
        return polar(axpy(x, u, t, 2))

    retract_default = retract_polar

    def retract_qr(self, x: torch.Tensor, u: torch.Tensor, t: Any = None) -> torch.Tensor:
        """Take the factor of x + u in the QR decomposition with positive diagonal."""
        return qr_unique(axpy(x, u, t, 2))[0]

    def inverse_retract_polar(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Invert the polar retraction, whose image are the y with angles below a right one; NaN outside."""
        relative = x.mH @ y
        factor = cholesky_or_nan(symmetric_part(relative))
        return x @ torch.cholesky_solve(_skew_part(relative), factor)

    def inverse_retract_qr(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Invert the retraction by QR where that is possible; NaN elsewhere."""
        return y @ triangular_lyapunov(x.mH @ y) - x

    def exp(self, x: torch.Tensor, u: torch.Tensor, t: float | torch.Tensor | None = None) -> torch.Tensor:
        return x @ unitary_exp(-1j * (x.mH @ scale(u, t, 2)))

    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return 1j * (x @ unitary_log(_relative(x, y)))

    def log_defined(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        # nearer to a half turn than this, the sign of an angle is rounding error
        angles = unitary_angles(_relative(x, y))
        return angles.abs().amax(-1) < math.pi - 8 * torch.finfo(x.dtype).eps

    def transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return y @ (x.mH @ u)

    def parallel_transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        root = unitary_root(_relative(x, y))
        return y @ (root.mH @ (x.mH @ u) @ root)  # tangent and of the same length however exact the root is

    def injectivity_radius(self, x: Any = None) -> float:
        return math.pi

    def basis(self, x: torch.Tensor) -> torch.Tensor:
        return coordinate_basis(self, x)

    def to_coordinates(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return math.sqrt(2.0) * skew_to_vector(x.mH @ u)

    def from_coordinates(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        return x @ skew_from_vector(c * math.sqrt(0.5), self.point_shape[0], True)

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> torch.Tensor:
        """Draw matrices uniformly, that is, by Haar measure."""
        kind, shape = field_dtype("complex", dtype), (*batch, *self.point_shape)
        return qr_unique(torch.randn(shape, generator=generator, dtype=kind, device=device))[0]

    def off_manifold(self, x: torch.Tensor) -> torch.Tensor:
        eye = torch.eye(self.point_shape[0], dtype=x.dtype, device=x.device)
        return torch.linalg.vector_norm(x.mH @ x - eye, dim=(-2, -1))

    def off_tangent(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(symmetric_part(x.mH @ u), dim=(-2, -1))

    def __repr__(self) -> str:
        return f"UnitaryGroup({self.point_shape[0]})"


def _skew_part(A: torch.Tensor) -> torch.Tensor:
    return (A - A.mH) * 0.5


def _relative(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return X* Y - I, with full relative accuracy for y next to x."""
    return x.mH @ (y - x)
