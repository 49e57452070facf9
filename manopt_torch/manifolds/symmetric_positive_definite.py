"""Symmetric positive definite matrices."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.linalg.cholesky import cholesky_or_nan, congruence, inverse_triangular, positive_or_nan
from manopt_torch.linalg.spectral import sym_floor, symmetric_part
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.bases import coordinate_basis
from manopt_torch.manifolds.points import scale
from manopt_torch.manifolds.spd_metrics import AffineInvariant, BuresWasserstein, LogCholesky, LogEuclidean, SpdMetric
from manopt_torch.manifolds.validation import positive_sizes

_METRICS: Mapping[str, type[SpdMetric]] = {
    "affine_invariant": AffineInvariant,
    "log_euclidean": LogEuclidean,
    "bures_wasserstein": BuresWasserstein,
    "log_cholesky": LogCholesky,
}
_DEFAULT = "affine_invariant"


class SymmetricPositiveDefinite(Manifold):
    r"""Symmetric positive definite matrices with one of four metrics.

    Use it for covariances, diffusion tensors, kernels and ellipsoids. Write $X = L L^\top$ for the Cholesky factor and
    $S = \operatorname{sym}(\nabla f)$.

    **affine_invariant**, $\langle U, V\rangle_X = \operatorname{tr}(X^{-1} U X^{-1} V)$: the choice where the unit or
    the basis of the data is arbitrary. Distances do not change under $X \mapsto A X A^\top$, nor under inversion, and
    the boundary of the cone is infinitely far away. With $\tilde U = L^{-1} U L^{-\top}$,

    - $\operatorname{grad} f = X S X$ and
      $\operatorname{Hess} f[U] = X \operatorname{sym}(\nabla^2 f[U]) X + \operatorname{sym}(U S X)$;
    - $\exp_X(U) = L \exp(\tilde U) L^\top$, $\log_X(Y) = L \log(\tilde Y) L^\top$, $d(X, Y) = \|\log \tilde Y\|_F$;
    - the default retraction is $X + U + \frac12 U X^{-1} U$, positive definite for every $U$; its inverse
      $L\,((2 \tilde Y - I)^{1/2} - I) L^\top$ exists where $\tilde Y \succeq \frac12 I$ and is NaN elsewhere;
    - parallel transport $E U E^\top$ with $E = L \tilde Y^{1/2} L^{-1}$; `transport` leaves $U$ as it is.

    **log_euclidean**, $d(X, Y) = \|\log X - \log Y\|_F$: flat, so means have a closed form; invariant under rotation,
    scaling and inversion. $\exp_X(U) = \exp(\log X + D\log_X[U])$, and parallel transport, which is `transport` too,
    keeps $D\log_X[U]$.

    **log_cholesky**, $d(X, Y) = \|\phi(Y) - \phi(X)\|_F$, where $\phi$ is the Cholesky factor with the logarithm of its
    diagonal: flat as well, and the cheapest, for no eigenvalues are needed; it depends on the order of the rows.

    **bures_wasserstein**, $\langle U, V\rangle_X = \frac12 \operatorname{tr}(\mathcal{L}_X(U) V)$ with the solution
    $\mathcal{L}_X(U)$ of $X Z + Z X = U$: the distance of optimal transport between centred Gaussians,
    $d^2 = \operatorname{tr} X + \operatorname{tr} Y - 2 \operatorname{tr} (X^{1/2} Y X^{1/2})^{1/2}$. It does not
    punish small eigenvalues, and the boundary is at a finite distance.

    - $\operatorname{grad} f = 4 \operatorname{sym}(S X)$ and
      $\operatorname{Hess} f[U] = 4 \operatorname{sym}\bigl((\nabla^2 f[U] + S \mathcal{L}_X(U)) X\bigr)$;
    - $\exp_X(U) = (I + Z) X (I + Z)$ with $Z = \mathcal{L}_X(U)$. The geodesic ends where $I + Z$ is no longer positive
      definite, at the earliest at the length $\lambda_{\min}(X)^{1/2}$, the injectivity radius at $X$ (0 over the
      whole manifold); beyond its end `exp` is NaN. The default retraction is the same formula without that check: it
      stays in the cone, but for singular matrices on the way, and may fold back;
    - there is no parallel transport in closed form: it raises an error, use `transport`, which leaves $U$ as it is.

    Logarithms exist between any two points, and distances keep their relative accuracy for close points. Derivatives
    are right at repeated eigenvalues too. A step to a matrix that rounding leaves without positive eigenvalues, of a
    condition beyond the precision, is NaN, so that solvers reject it. The Bures-Wasserstein basis follows eigenvectors:
    do not differentiate through its coordinates by $X$.

    Args:
        n: number of rows.
        metric: "affine_invariant", "log_euclidean", "bures_wasserstein" or "log_cholesky".

    Shapes:
        points: `(*batch, n, n)`; dimension $n (n + 1) / 2$.

    Raises:
        OptionsError: if `n` is no positive integer or the metric is unknown.

    References:
        [PennecFillardAyache:2006]; [Bhatia:2007], chapter 6; [Boumal:2023], section 11.7; [ArsignyEtAl:2007] for
        log_euclidean; [BhatiaJainLim:2019] and [HanEtAl:2021] for bures_wasserstein; [Lin:2019] for log_cholesky.

    Examples:
        >>> M = SymmetricPositiveDefinite(2)
        >>> x, y = torch.eye(2), torch.diag(torch.tensor([1.0, math.e]))
        >>> M.dist(x, y)
        tensor(1.)
        >>> M.mid_point(x, y).diagonal()  # geometric means
        tensor([1.0000, 1.6487])
        >>> SymmetricPositiveDefinite(2, metric="log_cholesky").dist(x, y)
        tensor(0.5000)
    """

    # where the exponential map is defined for every tangent vector and cheap enough, both names stand for it
    retractions: Mapping[str, str] = {"second_order": "retract_second_order", "exp": "exp"}
    inverse_retractions: Mapping[str, str] = {"second_order": "inverse_retract_second_order", "exp": "log"}

    def __init__(self, n: int, metric: str = _DEFAULT) -> None:
        positive_sizes("SymmetricPositiveDefinite", (n,))
        if metric not in _METRICS:
            raise OptionsError(f"metric={metric!r} is not known; there is {', '.join(map(repr, _METRICS))}")
        self.metric = metric
        self.geometry: SpdMetric = _METRICS[metric]()
        # formulas of how the arrays of tangent vectors bend; those of the others follow from parallel transport
        self.connection: AffineInvariant | None = self.geometry if isinstance(self.geometry, AffineInvariant) else None
        self.is_flat = self.geometry.is_flat
        self.has_parallel_transport = self.geometry.has_parallel_transport
        self.transport_is_isometric = self.geometry.transport_is_isometric
        self.point_shape = (n, n)
        self.dim = n * (n + 1) // 2
        self.typical_dist = math.sqrt(self.dim)

    # ---- by metric ----------------------------------------------------------------------------------------------
    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return self.geometry.inner(x, u, v)

    def inner_at(self, x: torch.Tensor) -> Callable[..., torch.Tensor]:
        return self.geometry.inner_at(x)

    def norm(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return self.geometry.norm(x, u)

    def dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.geometry.dist(x, y)

    def squared_dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.geometry.squared_dist(x, y)

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return self.geometry.egrad2rgrad(x, g)

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return self.geometry.ehess2rhess(x, g, h, u)

    def ehess2rhess_at(self, x: torch.Tensor, g: torch.Tensor) -> Callable[..., torch.Tensor]:
        return self.geometry.ehess2rhess_at(x, g)

    def exp(self, x: torch.Tensor, u: torch.Tensor, t: float | torch.Tensor | None = None) -> torch.Tensor:
        return positive_or_nan(self.geometry.exp(x, scale(u, t, 2)))

    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.geometry.log(x, y)

    def retract_second_order(self, x: torch.Tensor, u: torch.Tensor, t: Any = None) -> torch.Tensor:
        return positive_or_nan(self.geometry.retract(x, scale(u, t, 2)))

    retract_default = retract_second_order

    def inverse_retract_second_order(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.geometry.inverse_retract(x, y)

    def transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return self.geometry.transport(x, y, u)

    def parallel_transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return self.geometry.parallel_transport(x, y, u)

    def injectivity_radius(self, x: Any = None) -> float | torch.Tensor:
        return self.geometry.injectivity_radius(x)

    # ---- coordinates --------------------------------------------------------------------------------------------
    def basis(self, x: torch.Tensor) -> torch.Tensor:
        return coordinate_basis(self, x)

    def to_coordinates(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        flat = self.geometry.flatten(x, u)
        rows, columns = torch.triu_indices(*self.point_shape, device=x.device)
        # an entry off the diagonal stands for two
        weights = 1 + (math.sqrt(2.0) - 1) * (rows != columns).to(x.dtype)
        return flat[..., rows, columns] * weights

    def from_coordinates(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        n = self.point_shape[0]
        i = torch.arange(n, device=x.device)
        low, high = torch.minimum(i[:, None], i), torch.maximum(i[:, None], i)
        position = low * (2 * n - low - 1) // 2 + high  # of entry (low, high) in the upper triangle, row by row
        weights = 1 + (math.sqrt(0.5) - 1) * (low != high).to(x.dtype)
        return self.geometry.unflatten(x, c[..., position] * weights)

    # ---- by any metric ------------------------------------------------------------------------------------------
    def project_point(self, z: torch.Tensor) -> torch.Tensor:
        """Floor the eigenvalues of the symmetric part, at rounding error relative to the largest."""
        return sym_floor(z, self.tolerance(z.dtype))

    def project_tangent(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return symmetric_part(z)

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
        size = torch.linalg.vector_norm(x, dim=(-2, -1)).clamp(min=torch.finfo(x.dtype).tiny)  # of zero, no NaN
        return torch.linalg.vector_norm(x - x.mT, dim=(-2, -1)) / size + (info != 0)

    def off_tangent(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """Return the size of the skew part relative to `x`."""
        skew = congruence(inverse_triangular(cholesky_or_nan(x)), u - symmetric_part(u))
        return torch.linalg.vector_norm(skew, dim=(-2, -1))

    def __repr__(self) -> str:
        metric = "" if self.metric == _DEFAULT else f', metric="{self.metric}"'
        return f"SymmetricPositiveDefinite({self.point_shape[0]}{metric})"
