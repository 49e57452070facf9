"""Symmetric positive definite matrices."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.linalg.cholesky import cholesky_or_nan, congruence, inverse_triangular
from manopt_torch.linalg.spectral import sym_expm, sym_floor, sym_sqrtm, symmetric_part
from manopt_torch.linalg.whitening import whitened_log
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.bases import coordinate_basis
from manopt_torch.manifolds.points import scale
from manopt_torch.manifolds.validation import positive_sizes

_METRICS = ("affine_invariant",)


class SymmetricPositiveDefinite(Manifold):
    r"""Symmetric positive definite matrices with the affine-invariant metric.

    $\langle U, V\rangle_X = \operatorname{tr}(X^{-1} U X^{-1} V)$. Use it for covariances, diffusion tensors and
    ellipsoids: distances do not change under $X \mapsto A X A^\top$, nor under inversion, and the boundary of the cone
    is infinitely far away. With a Cholesky factor $X = L L^\top$ and $\tilde U = L^{-1} U L^{-\top}$,

    - $\operatorname{grad} f = X S X$ with $S = \operatorname{sym}(\nabla f)$, and
      $\operatorname{Hess} f[U] = X \operatorname{sym}(\nabla^2 f[U]) X + \operatorname{sym}(U S X)$;
    - $\exp_X(U) = L \exp(\tilde U) L^\top$, $\log_X(Y) = L \log(\tilde Y) L^\top$, $d(X, Y) = \|\log \tilde Y\|_F$;
    - retraction $X + U + \frac12 U X^{-1} U$, of second order, positive definite for every $U$ and the default; its
      inverse $L\,((2 \tilde Y - I)^{1/2} - I) L^\top$ exists where $\tilde Y \succeq \frac12 I$ and is NaN elsewhere;
    - parallel transport $E U E^\top$ with $E = L \tilde Y^{1/2} L^{-1}$; `transport` leaves $U$ as it is.

    Exp and log are one to one on the whole manifold. Derivatives are right at repeated eigenvalues too.

    Args:
        n: number of rows.
        metric: "affine_invariant"; there is no other yet.

    Shapes:
        points: `(*batch, n, n)`; dimension $n (n + 1) / 2$.

    Raises:
        OptionsError: if `n` is no positive integer or the metric is unknown.

    References:
        [PennecFillardAyache:2006]; [Bhatia:2007], chapter 6; [Boumal:2023], section 11.7.

    Examples:
        >>> M = SymmetricPositiveDefinite(2)
        >>> x, y = torch.eye(2), torch.diag(torch.tensor([1.0, math.e]))
        >>> M.dist(x, y)
        tensor(1.)
        >>> M.mid_point(x, y).diagonal()  # geometric means
        tensor([1.0000, 1.6487])
    """

    retractions: Mapping[str, str] = {"second_order": "retract_second_order", "exp": "exp"}
    inverse_retractions: Mapping[str, str] = {"second_order": "inverse_retract_second_order", "exp": "log"}

    def __init__(self, n: int, metric: str = "affine_invariant") -> None:
        positive_sizes("SymmetricPositiveDefinite", (n,))
        if metric not in _METRICS:
            raise OptionsError(f"metric={metric!r} is not known; there is {', '.join(map(repr, _METRICS))}")
        self.metric = metric
        self.point_shape = (n, n)
        self.dim = n * (n + 1) // 2
        self.typical_dist = math.sqrt(self.dim)

    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        inverse = inverse_triangular(cholesky_or_nan(x))
        a = congruence(inverse, u)
        b = a if v is u else congruence(inverse, v)
        return (a * b).sum((-2, -1))

    def norm(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        whitened = congruence(inverse_triangular(cholesky_or_nan(x)), u)
        return torch.linalg.vector_norm(whitened, dim=(-2, -1))

    def dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        logarithm = whitened_log(inverse_triangular(cholesky_or_nan(x)), x, y)
        return torch.linalg.vector_norm(logarithm, dim=(-2, -1))

    def squared_dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return whitened_log(inverse_triangular(cholesky_or_nan(x)), x, y).square().sum((-2, -1))

    def project_point(self, z: torch.Tensor) -> torch.Tensor:
        """Floor the eigenvalues of the symmetric part, at rounding error relative to the largest."""
        return sym_floor(z, self.tolerance(z.dtype))

    def project_tangent(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return symmetric_part(z)

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return symmetric_part(x @ symmetric_part(g) @ x)

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return symmetric_part((x @ symmetric_part(h) + u @ symmetric_part(g)) @ x)

    def retract_second_order(self, x: torch.Tensor, u: torch.Tensor, t: Any = None) -> torch.Tensor:
        v = scale(u, t, 2)
        half = torch.linalg.solve_triangular(cholesky_or_nan(x), v, upper=False)
        return symmetric_part(torch.add(x + v, half.mT @ half, alpha=0.5))

    retract_default = retract_second_order

    def inverse_retract_second_order(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        factor = cholesky_or_nan(x)
        difference = congruence(inverse_triangular(factor), y - x)  # 2 (whitened y) - I is I + 2 difference
        eye = torch.eye(self.point_shape[0], dtype=x.dtype, device=x.device)
        return symmetric_part(congruence(factor, sym_sqrtm(torch.add(eye, difference, alpha=2)) - eye))

    def exp(self, x: torch.Tensor, u: torch.Tensor, t: float | torch.Tensor | None = None) -> torch.Tensor:
        factor = cholesky_or_nan(x)
        whitened = congruence(inverse_triangular(factor), scale(u, t, 2))
        return symmetric_part(congruence(factor, sym_expm(whitened)))

    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        factor = cholesky_or_nan(x)
        return symmetric_part(congruence(factor, whitened_log(inverse_triangular(factor), x, y)))

    def transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return u

    def parallel_transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        factor = cholesky_or_nan(x)
        inverse = inverse_triangular(factor)
        carrier = factor @ sym_sqrtm(congruence(inverse, y)) @ inverse
        return symmetric_part(congruence(carrier, u))

    def basis(self, x: torch.Tensor) -> torch.Tensor:
        return coordinate_basis(self, x)

    def to_coordinates(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        whitened = congruence(inverse_triangular(cholesky_or_nan(x)), u)
        rows, columns = torch.triu_indices(*self.point_shape, device=x.device)
        # an entry off the diagonal stands for two
        weights = 1 + (math.sqrt(2.0) - 1) * (rows != columns).to(x.dtype)
        return whitened[..., rows, columns] * weights

    def from_coordinates(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        n = self.point_shape[0]
        i = torch.arange(n, device=x.device)
        low, high = torch.minimum(i[:, None], i), torch.maximum(i[:, None], i)
        position = low * (2 * n - low - 1) // 2 + high  # of entry (low, high) in the upper triangle, row by row
        weights = 1 + (math.sqrt(0.5) - 1) * (low != high).to(x.dtype)
        return symmetric_part(congruence(cholesky_or_nan(x), c[..., position] * weights))

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> torch.Tensor:
        """Draw eigenvalues in [0.1, 10], uniformly in the logarithm, and their eigenvectors uniformly."""
        n = self.point_shape[0]
        gaussian = torch.randn((*batch, n, n), generator=generator, dtype=dtype, device=device)
        uniform = torch.rand((*batch, n), generator=generator, dtype=dtype, device=device)
        frame, _ = torch.linalg.qr(gaussian)
        return symmetric_part((frame * 10 ** (2 * uniform[..., None, :] - 1)) @ frame.mT)

    def off_manifold(self, x: torch.Tensor) -> torch.Tensor:
        """Return the relative asymmetry, plus one where the symmetric part is not positive definite."""
        _, info = torch.linalg.cholesky_ex(symmetric_part(x))
        norm = torch.linalg.vector_norm
        return norm(x - x.mT, dim=(-2, -1)) / norm(x, dim=(-2, -1)) + (info != 0)

    def off_tangent(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return self.norm(x, u - symmetric_part(u))

    def __repr__(self) -> str:
        return f"SymmetricPositiveDefinite({self.point_shape[0]})"
