"""Orthonormal frames."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.linalg.frame_log import frame_log, frame_tolerance, square_frame_log
from manopt_torch.linalg.frames import frame_step, frame_tangent, frame_transport
from manopt_torch.linalg.orthogonal import cayley, from_complement, polar, qr_unique, svd_or_nan, to_complement
from manopt_torch.linalg.scalar import safe_sqrt
from manopt_torch.linalg.skew import skew_dim, skew_from_vector, skew_to_vector
from manopt_torch.linalg.spectral import symmetric_part
from manopt_torch.linalg.sylvester import general_lyapunov, triangular_lyapunov
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.bases import coordinate_basis
from manopt_torch.manifolds.fields import checked_field, field_dtype, real_inner
from manopt_torch.manifolds.points import axpy, scale
from manopt_torch.manifolds.validation import positive_sizes

_METRICS = {"canonical": 1, "euclidean": 2}  # the weight of half of |A|^2 for U = X A + B
_AXES = (-2, -1)


class Stiefel(Manifold):
    r"""Orthonormal frames: $n \times p$ matrices with $X^* X = I$.

    Use it for orthogonal dictionaries, eigenvector bases whose order matters and orthogonal layers; where the cost does
    not change under $X \mapsto XQ$, take `Grassmann`. Tangent vectors are $U = X A + B$ with skew $A = X^* U$ and
    $X^* B = 0$. With $\operatorname{sym} M = \frac12 (M + M^*)$ and $P_X Z = Z - X \operatorname{sym}(X^* Z)$,

    - "euclidean": $\langle U, V\rangle = \operatorname{Re}\operatorname{tr}(U^* V)$, $\operatorname{grad} f = P_X G$
      with the Euclidean gradient $G$, $\operatorname{Hess} f[U] = P_X(\nabla^2 f[U] - U \operatorname{sym}(X^* G))$;
    - "canonical": $\operatorname{Re}\operatorname{tr}(U^* (I - \frac12 X X^*) V)$, so that $A$ counts half;
      $\operatorname{grad} f = G - X G^* X$ and $\operatorname{Hess} f[U] = Z - X Z^* X$ with
      $Z = \nabla^2 f[U] - U \operatorname{sym}(G^* X) - \operatorname{sym}((I - X X^*) G X^*)\, U$;
    - $\exp_X(U) = e^\Omega X e^{-(\kappa - 1) A}$ with $\Omega = X (\kappa A X^* - B^*) + B X^*$, where $\kappa$ is 2
      for the Euclidean metric and 1 for the canonical one, by exponentials of $2p \times 2p$ matrices;
    - retractions "qr", of first order and the default; "polar", the frame nearest to $X + U$, of second order for the
      Euclidean metric; "cayley", $(I - \frac12 W)^{-1} (I + \frac12 W) X$ with the $\Omega$ of the canonical metric for
      $W$, of second order for that one; "exp". All but "cayley" have an inverse, NaN outside their image;
    - `parallel_transport` is exact for both metrics; `transport` projects.

    Square frames turn by the matrix logarithm: $\log_X(Y) = X \log(X^* Y)$ for both metrics, and `log_defined` is true
    unless $X^* Y$ has the eigenvalue -1. Real ones have two components, those that turn and those that mirror: no path
    leads from one to the other, so that the distance is infinite there; `log` then ends at $Y$ with the last column
    reversed. For $p < n$ the logarithm has no closed form: a fixed number of rounds of a damped Newton iteration, in
    the at most $2p$ dimensions that matter, finds it up to rounding. It does so for all points within nine tenths of
    the injectivity radius and for most beyond, antipodes among them. `log_defined` is true where the iteration
    converged to a vector shorter than that radius, which is then the only shortest one. Other results may be a longer
    geodesic, or where it did not converge the best vector found. The work grows like $p^6$: it is meant for $p$ up to
    about 20. `log` and what follows from it (`dist`, `parallel_transport`) have two derivatives.
    `exp` is NaN for steps longer than a few hundred, dozens of times around.

    The injectivity radius is $\pi$ ($\pi\sqrt2$ if $p = n$) for the Euclidean metric and $\pi$ for the canonical one if
    $p$ is 1, $n - 1$ or $n$. Otherwise that is not known for certain, and $\pi\sqrt{4/5}$, a lower bound, stands for it
    (the least upper bound found is $0.913\pi$). Complex frames of $n \times p$ have that of real ones of
    $2n \times 2p$ over $\sqrt2$, a lower bound.

    Args:
        n: number of rows.
        p: number of columns, at most `n`.
        metric: "euclidean" or "canonical".
        field: "real" or "complex".

    Shapes:
        points and tangents: `(*batch, n, p)`; dimension $np - p(p+1)/2$, or $2np - p^2$ if complex.

    Raises:
        OptionsError: if the sizes are no integers with $1 \le p \le n$, metric or field are unknown, or the dimension
            is zero.

    References:
        [EdelmanAriasSmith:1998]; [AbsilMahonySepulchre:2008], examples 4.1.3 and 5.4.2, section 5.3.3; [WenYin:2013];
        [KanekoFioriTanaka:2013] for the inverse retractions; [Nguyen:2023] for the canonical Hessian;
        [Rentmeesters:2013], [ZimmermannStoye:2024] and [AbsilMataigne:2024] for the injectivity radii.

    Examples:
        >>> M = Stiefel(3, 2)
        >>> x = torch.eye(3)[:, :2]
        >>> y = M.retract(x, torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 1.0]]))
        >>> y.T.abs()
        tensor([[1.0000, 0.0000, 0.0000],
                [0.0000, 0.7071, 0.7071]])
        >>> M.dist(x, y)  # an eighth of a turn of one column
        tensor(0.7854)
    """

    retraction_order = 1
    retractions: Mapping[str, str] = {
        "qr": "retract_qr",
        "polar": "retract_polar",
        "cayley": "retract_cayley",
        "exp": "exp",
    }
    inverse_retractions: Mapping[str, str] = {
        "qr": "inverse_retract_qr",
        "polar": "inverse_retract_polar",
        "exp": "log",
    }

    def __init__(self, n: int, p: int, metric: str = "euclidean", field: str = "real") -> None:
        positive_sizes("Stiefel", (n, p))
        if p > n:
            raise OptionsError(f"Stiefel({n}, {p}): a frame has at most as many columns as rows, p <= n")
        if metric not in _METRICS:
            raise OptionsError(f"metric={metric!r} is not known; there is {' and '.join(map(repr, sorted(_METRICS)))}")
        self.field = checked_field(field)
        self.metric = metric
        self.is_embedded = metric == "euclidean"
        self.point_shape = (n, p)
        self.dim = skew_dim(p, field == "complex") + p * (n - p) * (2 if field == "complex" else 1)
        if not self.dim:
            raise OptionsError(f"Stiefel({n}, {p}): has only two points; take a larger n")
        self.typical_dist = math.sqrt(p)
        self._kappa = _METRICS[metric]
        self._is_square = p == n

    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        product = real_inner(u, v, _AXES)
        if self._kappa == 2:
            return product
        a = x.mH @ u
        return product - 0.5 * real_inner(a, a if v is u else x.mH @ v, _AXES)

    def norm(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        if self._kappa == 2:
            return torch.linalg.vector_norm(u, dim=_AXES)
        return safe_sqrt(self.inner(x, u, u))

    def project_point(self, z: torch.Tensor) -> torch.Tensor:
        return polar(z)

    def project_tangent(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return frame_tangent(x, z)

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return frame_tangent(x, g) if self._kappa == 2 else g - x @ (g.mH @ x)

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return Stiefel.ehess2rhess_at(self, x, g)(h, u)

    def ehess2rhess_at(self, x: torch.Tensor, g: torch.Tensor) -> Callable[..., torch.Tensor]:
        inner = x.mH @ g
        weights = symmetric_part(inner)
        if self._kappa == 2:
            return lambda h, u: frame_tangent(x, h - u @ weights)
        normal = g - x @ inner

        def canonical(h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
            bent = h - u @ weights
            bent = bent - 0.5 * (normal @ (x.mH @ u) + x @ (normal.mH @ u))
            return bent - x @ (bent.mH @ x)

        return canonical

    # ---- retractions --------------------------------------------------------------------------------------------
    def retract_qr(self, x: torch.Tensor, u: torch.Tensor, t: Any = None) -> torch.Tensor:
        """Orthonormalize the columns of x + u one after the other: the QR factor with positive diagonal of R."""
        return qr_unique(axpy(x, u, t, 2))[0]

    retract_default = retract_qr

    def retract_polar(self, x: torch.Tensor, u: torch.Tensor, t: Any = None) -> torch.Tensor:
        """Take the frame nearest to x + u."""
        return polar(axpy(x, u, t, 2))

    def retract_cayley(self, x: torch.Tensor, u: torch.Tensor, t: Any = None) -> torch.Tensor:
        """Take the Cayley transform where the canonical geodesic takes the exponential."""
        v = scale(u, t, 2)
        half = v - x @ (0.5 * (x.mH @ v))
        x, half = torch.broadcast_tensors(x, half)
        return cayley(x, torch.cat([half, x], -1), torch.cat([x, -half], -1))

    def inverse_retract_qr(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Invert the retraction by QR where that is possible; NaN elsewhere."""
        return y @ triangular_lyapunov(x.mH @ y) - x

    def inverse_retract_polar(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Invert the polar retraction where that is possible; NaN elsewhere."""
        inner = x.mH @ y
        twice = 2 * torch.eye(self.point_shape[1], dtype=inner.dtype, device=inner.device)
        stretch = symmetric_part(general_lyapunov(inner, twice.expand_as(inner)))
        inside = torch.linalg.cholesky_ex(stretch.detach())[1] == 0
        return y @ torch.where(inside[..., None, None], stretch, math.nan) - x

    # ---- geodesics ----------------------------------------------------------------------------------------------
    def exp(self, x: torch.Tensor, u: torch.Tensor, t: float | torch.Tensor | None = None) -> torch.Tensor:
        y = x + frame_step(x, scale(u, t, 2), self._kappa)
        # a step of Newton's iteration for the nearest frame, so that rounding does not add up
        return 1.5 * y - y @ (0.5 * (y.mH @ y))

    def squared_dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        u = self.log(x, y)
        square = self.inner(x, u, u)
        if not self._is_square or self.field == "complex":
            return square
        return torch.where(torch.linalg.det((x.mT @ y).detach()) < 0, math.inf, square)

    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return square_frame_log(x, y) if self._is_square else frame_log(x, y, self._kappa)[0]

    def log_defined(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        rounding = 8 * self.point_shape[0] * torch.finfo(x.dtype).eps
        if self._is_square:
            # singular values are 2 cos(angle / 2); nearer to pi than this, the turn of `log` is rounding error
            return svd_or_nan(x + y)[1][..., -1] > rounding
        u, residual = frame_log(x, y, self._kappa)
        inside = self.norm(x, u) < (1 - rounding) * self.injectivity_radius()
        return (residual <= frame_tolerance(x)) & inside

    def parallel_transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        if self._is_square:  # half the turn on either side
            half = self.exp(x, self.log(x, y), 0.5)
            return frame_tangent(y, half @ (x.mH @ u) @ (x.mH @ half))
        x, y, u = torch.broadcast_tensors(x, y, u)
        return frame_tangent(y, frame_transport(x, self.log(x, y), u, self._kappa))

    def injectivity_radius(self, x: Any = None) -> float:
        n, p = self.point_shape
        share = 1.0
        if self.field == "complex":  # the real frames that such frames are embed them with twice the squared lengths
            n, p, share = 2 * n, 2 * p, math.sqrt(0.5)
        if self._kappa == 2:
            return share * math.pi * (math.sqrt(2.0) if p == n else 1.0)
        return share * math.pi * (1.0 if p == 1 or p >= n - 1 else math.sqrt(0.8))

    # ---- coordinates and random elements ------------------------------------------------------------------------
    def basis(self, x: torch.Tensor) -> torch.Tensor:
        return coordinate_basis(self, x)

    def to_coordinates(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        n, p = self.point_shape
        turn = math.sqrt(self._kappa) * skew_to_vector(x.mH @ u)
        if p == n:
            return turn
        below = to_complement(x, u).flatten(-2)
        below = torch.view_as_real(below.resolve_conj()).flatten(-2) if below.is_complex() else below
        return torch.cat([turn, below], -1)

    def from_coordinates(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        n, p = self.point_shape
        is_complex = self.field == "complex"
        size = skew_dim(p, is_complex)
        turn = x @ skew_from_vector(c[..., :size] / math.sqrt(self._kappa), p, is_complex)
        if p == n:
            return turn
        below = c[..., size:]
        below = torch.complex(below[..., 0::2], below[..., 1::2]) if is_complex else below
        return turn + from_complement(x, below.unflatten(-1, (n - p, p)))

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> torch.Tensor:
        """Draw frames uniformly."""
        kind, shape = field_dtype(self.field, dtype), (*batch, *self.point_shape)
        return qr_unique(torch.randn(shape, generator=generator, dtype=kind, device=device))[0]

    def random_tangent(self, x: torch.Tensor, generator: Any = None) -> torch.Tensor:
        z = frame_tangent(x, torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device))
        if self._kappa == 1:  # the part that counts half is to be longer, for uniform directions
            z = z + x @ ((math.sqrt(2.0) - 1) * (x.mH @ z))
        return z / self.norm(x, z)[..., None, None]

    def off_manifold(self, x: torch.Tensor) -> torch.Tensor:
        eye = torch.eye(self.point_shape[1], dtype=x.dtype, device=x.device)
        return torch.linalg.vector_norm(x.mH @ x - eye, dim=_AXES)

    def off_tangent(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(symmetric_part(x.mH @ u), dim=_AXES)

    def __repr__(self) -> str:
        n, p = self.point_shape
        metric = "" if self.metric == "euclidean" else f", metric={self.metric!r}"
        return f"Stiefel({n}, {p}{metric}{', field=' + repr(self.field) if self.field == 'complex' else ''})"
