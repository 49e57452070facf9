"""Matrices of fixed rank."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.linalg.known_value import OfLastMatrix, with_value
from manopt_torch.linalg.low_rank import Times, beside, less, off, tall_times, truncate, truncate_factored
from manopt_torch.linalg.orbits import rank_deficiency
from manopt_torch.linalg.orthogonal import from_complement, polar, qr_unique, svd_or_nan, to_complement
from manopt_torch.linalg.spectral import sym_sqrtm_pair, symmetric_part, tracks_derivatives
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.bases import coordinate_basis
from manopt_torch.manifolds.images import ProductsOfImages
from manopt_torch.manifolds.points import axpy, joined, scale
from manopt_torch.manifolds.validation import positive_sizes


class FixedRankPoint(NamedTuple):
    r"""The matrix $U S V^\top$ by orthonormal $U$ and $V$ and an invertible $S$, which need not be diagonal."""

    U: torch.Tensor  # shape: (*batch, m, k)
    S: torch.Tensor  # shape: (*batch, k, k)
    V: torch.Tensor  # shape: (*batch, n, k)


class FixedRankTangent(NamedTuple):
    r"""The velocity $(\dot U, \dot S, \dot V)$ of a `FixedRankPoint` with $U^\top \dot U = 0$, $V^\top \dot V = 0$."""

    U: torch.Tensor  # shape: (*batch, m, k)
    S: torch.Tensor  # shape: (*batch, k, k)
    V: torch.Tensor  # shape: (*batch, n, k)


class FixedRank(Manifold):
    r"""Matrices in $\mathbb{R}^{m \times n}$ of rank $k$, with the inner product of that space.

    Use it for matrix completion, low-rank regression and compression. A point is a named tuple $(U, S, V)$ for the
    matrix $X = U S V^\top$; $(U A, A^\top S B, V B)$ is the same point for orthogonal $A$, $B$. A tangent vector is the
    velocity $(\dot U, \dot S, \dot V)$ of the factors with $U^\top \dot U = 0$ and $V^\top \dot V = 0$. It stands for
    $\dot X = U M V^\top + U_p V^\top + U V_p^\top$ with $M = \dot S$, $U_p = \dot U S$, $V_p = \dot V S^\top$ (see
    `components`), and $\langle \dot X, \dot Y\rangle = \operatorname{tr}(\dot X^\top \dot Y)$. No matrix of size
    $m \times n$ is formed unless the cost does. With $P = I - U U^\top$,

    - a cost $f(U, S, V)$ that depends on $U S V^\top$ only has $M = \nabla_S f$, $U_p = P\, \nabla_U f\, S^{-\top}$ and
      $V_p = (I - V V^\top) \nabla_V f\, S^{-1}$: no differences of singular values; the Hessian has
      $M = h_S - \dot U^\top U_p - V_p^\top \dot V$ and
      $U_p = P (h_U - \nabla_U f\, S^{-\top} \dot S^\top) S^{-\top} + \dot U
      \operatorname{sym}(\nabla_S f\, S^\top - U^\top \nabla_U f) S^{-\top}$, $V_p$ alike;
    - a cost of the matrix $X$ with Euclidean gradient $G$ has as $\operatorname{grad} f$ what
      `project_ambient(x, G @ V, G.mT @ U)` returns, with sparse or factored $G$ too; `ambient_hessian` is its Hessian.
      `project_point`, `project_tangent`, `egrad2rgrad` and `ehess2rhess` also take dense $m \times n$ arrays;
    - retractions "projection", the matrix of rank $k$ nearest to $X + \dot X$ and the default, from a singular value
      decomposition of size $2 k$, and "orthographic", the matrix of rank $k$ with projection $X + \dot X$, the inverse
      of which is $P_X(Y - X)$. Both are of second order and turn $U$ and $V$ least.

    There is no formula for exponential map, logarithm and distance.

    Args:
        m: number of rows.
        n: number of columns.
        k: rank, at most the smaller size.

    Shapes:
        points and tangents: named tuples `(*batch, m, k)`, `(*batch, k, k)`, `(*batch, n, k)`; dimension
        $k (m + n - k)$.

    Raises:
        OptionsError: if the sizes are no integers with $1 \le k \le \min(m, n)$.

    References:
        [Vandereycken:2013]; [AbsilOseledets:2015]; [Boumal:2023], section 7.5.

    Examples:
        >>> M = FixedRank(3, 2, 1)
        >>> x = M.project_point(torch.tensor([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
        >>> M.matrix(x).abs()
        tensor([[3., 0.],
                [0., 0.],
                [0., 0.]])
        >>> M.norm(x, M.project_tangent(x, torch.ones(3, 2))).square()  # of six ones, two are normal
        tensor(4.)
    """

    retractions: Mapping[str, str] = {"projection": "retract_projection", "orthographic": "retract_orthographic"}
    inverse_retractions: Mapping[str, str] = {"orthographic": "inverse_retract_orthographic"}

    def __init__(self, m: int, n: int, k: int) -> None:
        positive_sizes("FixedRank", (m, n, k))
        if k > min(m, n):
            raise OptionsError(f"FixedRank({m}, {n}, {k}): a matrix of size {m} x {n} has rank {min(m, n)} at most")
        self.point_shape = ((m, k), (k, k), (n, k))
        self.dim = k * (m + n - k)
        self.typical_dist = float(self.dim)
        self._inverse = OfLastMatrix(_inverse)  # of S

    def matrix(self, x: Any) -> torch.Tensor:
        r"""Return the matrix $U S V^\top$ that the point stands for, shape `(*batch, m, n)`."""
        U, S, V = x
        return U @ S @ V.mT

    def components(self, x: Any, u: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        r"""Return $M, U_p, V_p$ of the tangent vector $U M V^\top + U_p V^\top + U V_p^\top$."""
        dU, dS, dV = u
        return dS, dU @ x[1], dV @ x[1].mT

    def inner(self, x: Any, u: Any, v: Any) -> torch.Tensor:
        a = _flattened(x, u)
        return _dot(a, a if v is u else _flattened(x, v))

    def inner_at(self, x: Any) -> Callable[[Any, Any], torch.Tensor]:
        return ProductsOfImages(partial(_flattened, x), _dot)

    def norm(self, x: Any, u: Any) -> torch.Tensor:
        return torch.linalg.vector_norm(_flattened(x, u), dim=(-2, -1))

    def project_point(self, z: Any) -> FixedRankPoint:
        """Return the nearest matrix of rank k to a dense array, or the matrix of a triple in orthonormal factors."""
        if isinstance(z, torch.Tensor):
            left, _, right = svd_or_nan(z)
            k = self.point_shape[1][0]
            frames = (left, right.mT, left[..., :k], right.mT[..., :k])
            return FixedRankPoint(*truncate(lambda b: z @ b, lambda a: z.mT @ a, *frames))
        U, V = polar(z[0]), polar(z[2])
        return FixedRankPoint(U, (U.mT @ z[0]) @ z[1] @ (z[2].mT @ V), V)

    def project_tangent(self, x: Any, z: Any) -> FixedRankTangent:
        """Project a dense array, or drop the parts of a triple that turn the bases within their spans."""
        U, _, V = x
        if isinstance(z, torch.Tensor):
            return self.project_ambient(x, z @ V, z.mT @ U)
        return FixedRankTangent(off(U, z[0]), z[1].clone(), off(V, z[2]))

    def project_ambient(self, x: Any, zv: torch.Tensor, ztu: torch.Tensor) -> FixedRankTangent:
        r"""Return the projection of an $m \times n$ matrix $Z$ from the products $Z V$ and $Z^\top U$."""
        U, S, V = x
        M = U.mT @ zv
        return self._velocity(S, M, less(zv, U, M), off(V, ztu))

    def egrad2rgrad(self, x: Any, g: Any) -> FixedRankTangent:
        if isinstance(g, torch.Tensor):
            return self.project_tangent(x, g)
        U, S, V = x
        inverse = self._inverse(S)
        return FixedRankTangent(
            off(U, g[0] @ (inverse.mT @ inverse)), g[1].clone(), off(V, g[2] @ (inverse @ inverse.mT))
        )

    def ehess2rhess(self, x: Any, g: Any, h: Any, u: Any) -> FixedRankTangent:
        (U, S, V), (dU, dS, dV) = x, u
        if isinstance(g, torch.Tensor):
            return self.ambient_hessian(x, h @ V, h.mT @ U, g @ dV, g.mT @ dU)
        inverse = self._inverse(S)
        gv, gtu = g[0] @ inverse.mT, g[2] @ inverse
        # symmetric anyway if f does not depend on the bases
        left = symmetric_part(g[1] @ S.mT - U.mT @ g[0])
        right = symmetric_part(g[1].mT @ S - V.mT @ g[2])
        M = h[1] - dU.mT @ off(U, gv) - off(V, gtu).mT @ dV
        Up = (off(U, h[0] - gv @ dS.mT) + dU @ left) @ inverse.mT
        Vp = (off(V, h[2] - gtu @ dS) + dV @ right) @ inverse
        return FixedRankTangent(Up @ inverse, M, Vp @ inverse.mT)

    def ambient_hessian(
        self, x: Any, hv: torch.Tensor, htu: torch.Tensor, gdv: torch.Tensor, gtdu: torch.Tensor
    ) -> FixedRankTangent:
        r"""Return the Hessian along $\dot X$ of a cost with gradient $G$ and Hessian product $H = \nabla^2 f[\dot X]$.

        From the products $H V$, $H^\top U$, $G \dot V$ and $G^\top \dot U$.
        """
        U, S, V = x
        return self._velocity(S, U.mT @ hv, off(U, hv + gdv), off(V, htu + gtdu))

    def retract_projection(self, x: Any, u: Any, t: Any = None) -> FixedRankPoint:
        """Return the matrix of rank k nearest to the straight step."""
        (U, S, V), (dU, dS, dV) = x, u
        moved = scale(S, t, 2)
        rows, columns = beside(U, dU), beside(V, dV)
        core = axpy(S, dS, t, 2)
        found = truncate_factored(rows, core, moved, columns)
        if tracks_derivatives():
            times, transposed = _products(U, core, V, dU @ moved, dV @ moved.mT)
            left, right = (torch.linalg.qr(side.detach()).Q for side in (rows, columns))
            found = map(with_value, truncate(times, transposed, left, right, U, V), found)
        return FixedRankPoint(*found)

    retract_default = retract_projection

    def retract_orthographic(self, x: Any, u: Any, t: Any = None) -> FixedRankPoint:
        r"""Return the matrix of rank k whose projection to the tangent space is the straight step.

        $(U + U_p C^{-1})\, C\, (V + V_p C^{-\top})^\top$ with $C = S + M$; not finite where $C$ is singular.
        """
        (U, S, V), (dU, dS, dV) = x, u
        core, moved = axpy(S, dS, t, 2), scale(S, t, 2)
        inverse = _inverse(core)
        E, F = dU @ (moved @ inverse), dV @ (inverse @ moved).mT
        eye = torch.eye(S.shape[-1], dtype=S.dtype, device=S.device)
        (a, a_inverse), (b, b_inverse) = (sym_sqrtm_pair(eye + D.mT @ D) for D in (E, F))
        return FixedRankPoint((U + E) @ a_inverse, a @ core @ b, (V + F) @ b_inverse)

    def inverse_retract_orthographic(self, x: Any, y: Any) -> FixedRankTangent:
        """Project the difference of the matrices."""
        (U, S, V), (A, C, B) = x, y
        return self.project_ambient(x, A @ (C @ (B.mT @ V)) - U @ S, B @ (C.mT @ (A.mT @ U)) - V @ S.mT)

    def transport(self, x: Any, y: Any, u: Any) -> FixedRankTangent:
        """Project the matrix that the tangent vector stands for."""
        (U, S, V), (dU, dS, dV), (A, C, B) = x, u, y
        # it is [U dU] K [V dV]'
        rows, K, columns = beside(U, dU), _blocks(dS, S), beside(V, dV)
        p, q, inverse = rows.mT @ A, columns.mT @ B, self._inverse(C)
        Kq = K @ q
        left, right = Kq @ inverse, K.mT @ p @ inverse.mT
        dA, dB = less(tall_times(rows, left), A, p.mT @ left), less(tall_times(columns, right), B, q.mT @ right)
        return FixedRankTangent(dA, p.mT @ Kq, dB)

    def injectivity_radius(self, x: Any = None) -> float | torch.Tensor:
        """Return the least singular value, the distance to the matrices of lower rank: no shorter step reaches them."""
        return 0.0 if x is None else svd_or_nan(x[1])[1][..., -1]

    def zero_tangent(self, x: Any) -> FixedRankTangent:
        return FixedRankTangent(*(torch.zeros_like(leaf) for leaf in x))

    def basis(self, x: Any) -> FixedRankTangent:
        return coordinate_basis(self, x)

    def to_coordinates(self, x: Any, u: Any) -> torch.Tensor:
        M, Up, Vp = self.components(x, u)
        return joined([part.flatten(-2) for part in (M, to_complement(x[0], Up), to_complement(x[2], Vp))])

    def from_coordinates(self, x: Any, c: torch.Tensor) -> FixedRankTangent:
        U, S, V = x
        (m, k), _, (n, _) = self.point_shape
        M, a, b = c.split([k * k, (m - k) * k, (n - k) * k], -1)
        Up = from_complement(U, a.unflatten(-1, (m - k, k)))
        return self._velocity(S, M.unflatten(-1, (k, k)), Up, from_complement(V, b.unflatten(-1, (n - k, k))))

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> FixedRankPoint:
        """Draw singular values uniformly in [0.5, 2] and their vectors uniformly."""
        (m, k), _, (n, _) = self.point_shape
        kind: Any = {"generator": generator, "dtype": dtype, "device": device}
        U, V = (qr_unique(torch.randn((*batch, size, k), **kind))[0] for size in (m, n))
        return FixedRankPoint(U, torch.diag_embed(0.5 + 1.5 * torch.rand((*batch, k), **kind)), V)

    def off_manifold(self, x: Any) -> torch.Tensor:
        """Return how far the bases are off orthonormal, plus one if the rank is lower."""
        eye = torch.eye(x[1].shape[-1], dtype=x[1].dtype, device=x[1].device)
        off = [torch.linalg.vector_norm(X.mT @ X - eye, dim=(-2, -1)) for X in (x[0], x[2])]
        return off[0] + off[1] + rank_deficiency(x[1])

    def _velocity(self, S: torch.Tensor, M: torch.Tensor, Up: torch.Tensor, Vp: torch.Tensor) -> FixedRankTangent:
        """Undo `components`."""
        inverse = self._inverse(S)
        return FixedRankTangent(tall_times(Up, inverse), M, tall_times(Vp, inverse.mT))

    def __repr__(self) -> str:
        (m, k), _, (n, _) = self.point_shape
        return f"FixedRank({m}, {n}, {k})"


def _inverse(S: torch.Tensor) -> torch.Tensor:
    return torch.linalg.inv_ex(S).inverse


def _flattened(x: Any, u: Any) -> torch.Tensor:
    """Return the transposes of $U_p$ and $V_p$ beside M, an isometry to arrays of k rows."""
    S, (dU, M, dV) = x[1], u
    left, right = S.mT @ dU.mT, S @ dV.mT
    return torch.cat([left, right, M.expand(*left.shape[:-2], *M.shape[-2:])], -1)


def _dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    if a.dim() == b.dim() == 2 and a.dtype == b.dtype:
        return torch.dot(a.reshape(-1), b.reshape(-1))
    return (a * b).sum((-2, -1))


def _blocks(core: torch.Tensor, S: torch.Tensor) -> torch.Tensor:
    """Return the block matrix [core, S; S, 0]."""
    upper, lower = beside(core, S), beside(S, torch.zeros_like(S))
    return torch.cat([upper, lower] if upper.shape == lower.shape else torch.broadcast_tensors(upper, lower), -2)


def _products(
    U: torch.Tensor, core: torch.Tensor, V: torch.Tensor, Up: torch.Tensor, Vp: torch.Tensor
) -> tuple[Times, Times]:
    """Return the products from the left with U core V' + Up V' + U Vp' and with its transpose."""

    def times(B: torch.Tensor) -> torch.Tensor:
        inner = V.mT @ B
        return U @ (core @ inner + Vp.mT @ B) + Up @ inner

    def transposed(A: torch.Tensor) -> torch.Tensor:
        inner = U.mT @ A
        return V @ (core.mT @ inner + Up.mT @ A) + Vp @ inner

    return times, transposed
