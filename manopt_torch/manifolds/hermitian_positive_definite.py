"""Hermitian positive definite matrices."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from manopt_torch.linalg.cholesky import positive_or_nan
from manopt_torch.linalg.skew import skew_from_vector, skew_to_vector
from manopt_torch.linalg.spectral import sym_floor, symmetric_part
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.bases import coordinate_basis
from manopt_torch.manifolds.fields import field_dtype
from manopt_torch.manifolds.points import scale
from manopt_torch.manifolds.spd_metrics import AffineInvariant
from manopt_torch.manifolds.validation import positive_sizes


class HermitianPositiveDefinite(Manifold):
    r"""Hermitian positive definite matrices with the affine-invariant metric.

    $\langle U, V\rangle_X = \operatorname{tr}(X^{-1} U X^{-1} V)$, a real number for Hermitian $U, V$. Use it for
    covariances of complex signals: radar, antenna arrays, quantum states of full rank. Distances do not change under
    $X \mapsto A X A^*$, nor under inversion, and the boundary of the cone is infinitely far away. The real matrices
    among them are `SymmetricPositiveDefinite`, with the same formulas. With a Cholesky factor $X = L L^*$, $\tilde U =
    L^{-1} U L^{-*}$ and $\operatorname{sym} A = \frac12 (A + A^*)$,

    - $\operatorname{grad} f = X S X$ with $S = \operatorname{sym}(\nabla f)$, and
      $\operatorname{Hess} f[U] = X \operatorname{sym}(\nabla^2 f[U]) X + \operatorname{sym}(U S X)$;
    - $\exp_X(U) = L \exp(\tilde U) L^*$, $\log_X(Y) = L \log(\tilde Y) L^*$, $d(X, Y) = \|\log \tilde Y\|_F$;
    - retraction $X + U + \frac12 U X^{-1} U$, of second order, positive definite for every $U$ and the default; its
      inverse $L\,((2 \tilde Y - I)^{1/2} - I) L^*$ exists where $\tilde Y \succeq \frac12 I$ and is NaN elsewhere;
    - parallel transport $E U E^*$ with $E = L \tilde Y^{1/2} L^{-1}$; `transport` leaves $U$ as it is.

    Exp and log are one to one on the whole manifold. Derivatives are right at repeated eigenvalues too.

    Args:
        n: number of rows.

    Shapes:
        points and tangents: `(*batch, n, n)`, complex; dimension $n^2$.

    Raises:
        OptionsError: if `n` is no positive integer.

    References:
        [PennecFillardAyache:2006]; [Bhatia:2007], chapter 6.

    Examples:
        >>> M = HermitianPositiveDefinite(2)
        >>> x, y = torch.eye(2) + 0j, torch.tensor([[2.0, 1j], [-1j, 2.0]])
        >>> M.dist(x, y)  # eigenvalues 1 and 3
        tensor(1.0986)
    """

    geometry: AffineInvariant
    connection: AffineInvariant

    field = "complex"
    retractions: Mapping[str, str] = {"second_order": "retract_second_order", "exp": "exp"}
    inverse_retractions: Mapping[str, str] = {"second_order": "inverse_retract_second_order", "exp": "log"}

    def __init__(self, n: int) -> None:
        positive_sizes("HermitianPositiveDefinite", (n,))
        self.geometry = self.connection = AffineInvariant()
        self.point_shape = (n, n)
        self.dim = n * n
        self.typical_dist = math.sqrt(self.dim)

    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return self.geometry.inner(x, u, v)

    def inner_at(self, x: torch.Tensor) -> Callable[..., torch.Tensor]:
        return self.geometry.inner_at(x)

    def norm(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return self.geometry.norm(x, u)

    def squared_dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.geometry.squared_dist(x, y)

    def project_point(self, z: torch.Tensor) -> torch.Tensor:
        """Floor the eigenvalues of the Hermitian part, at rounding error relative to the largest."""
        return sym_floor(z, self.tolerance(z.dtype))

    def project_tangent(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return symmetric_part(z)

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return self.geometry.egrad2rgrad(x, g)

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return self.geometry.ehess2rhess(x, g, h, u)

    def ehess2rhess_at(self, x: torch.Tensor, g: torch.Tensor) -> Callable[..., torch.Tensor]:
        return self.geometry.ehess2rhess_at(x, g)

    def retract_second_order(self, x: torch.Tensor, u: torch.Tensor, t: Any = None) -> torch.Tensor:
        return positive_or_nan(self.geometry.retract(x, scale(u, t, 2)))

    retract_default = retract_second_order

    def inverse_retract_second_order(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.geometry.inverse_retract(x, y)

    def exp(self, x: torch.Tensor, u: torch.Tensor, t: float | torch.Tensor | None = None) -> torch.Tensor:
        return positive_or_nan(self.geometry.exp(x, scale(u, t, 2)))

    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.geometry.log(x, y)

    def transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return u

    def parallel_transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return self.geometry.parallel_transport(x, y, u)

    def basis(self, x: torch.Tensor) -> torch.Tensor:
        return coordinate_basis(self, x)

    def to_coordinates(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        # i times a Hermitian matrix is skew-Hermitian
        return math.sqrt(2.0) * skew_to_vector(1j * self.geometry.flatten(x, u))

    def from_coordinates(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        return self.geometry.unflatten(x, -1j * skew_from_vector(c * math.sqrt(0.5), self.point_shape[0], True))

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> torch.Tensor:
        """Draw eigenvalues in [0.1, 10], uniformly in the logarithm, and their eigenvectors uniformly."""
        n, kind = self.point_shape[0], field_dtype("complex", dtype)
        gaussian = torch.randn((*batch, n, n), generator=generator, dtype=kind, device=device)
        uniform = torch.rand((*batch, n), generator=generator, dtype=gaussian.real.dtype, device=device)
        frame, _ = torch.linalg.qr(gaussian)
        return symmetric_part((frame * 10 ** (2 * uniform[..., None, :] - 1)) @ frame.mH)

    def off_manifold(self, x: torch.Tensor) -> torch.Tensor:
        """Return the relative skew-Hermitian part, plus one where the Hermitian part is not positive definite."""
        _, info = torch.linalg.cholesky_ex(symmetric_part(x))
        size = torch.linalg.vector_norm(x, dim=(-2, -1)).clamp(min=torch.finfo(x.dtype).tiny)  # of zero, no NaN
        return torch.linalg.vector_norm(x - x.mH, dim=(-2, -1)) / size + (info != 0)

    def off_tangent(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return self.norm(x, u - symmetric_part(u))

    def __repr__(self) -> str:
        return f"HermitianPositiveDefinite({self.point_shape[0]})"
