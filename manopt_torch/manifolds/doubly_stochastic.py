"""Doubly stochastic matrices."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from manopt_torch.linalg.cholesky import cholesky_or_nan
from manopt_torch.linalg.scalar import log_ratio
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import scale
from manopt_torch.manifolds.validation import positive_sizes

# Sinkhorn's rounds come within reach of Newton's, which then converge quadratically; the number is fixed, so that the
# same operations are done for every batch, under vmap and under torch.compile
_SINKHORN_ROUNDS = 12
_ROUNDS_OF_A_STEP, _ROUNDS_OF_A_PROJECTION = 8, 40  # of Newton: an arbitrary array may be far away


class DoublyStochastic(Manifold):
    r"""Positive n x n matrices whose rows and columns sum to one.

    The metric is Fisher's, $\sum_{ij} u_{ij} v_{ij} / x_{ij}$. Use it for relaxed permutations and matchings. The
    normal space at $x$ is $\{(\alpha 1^\top + 1 \beta^\top) x\}$ with entrywise products; $\alpha$ and $\beta$ of the
    projection $P_x z = z - (\alpha 1^\top + 1\beta^\top) x$ solve
    $\alpha + x\beta = z 1$, $x^\top \alpha + \beta = z^\top 1$.

    - $\operatorname{grad} f = P_x(x \nabla f)$;
    - $\operatorname{Hess} f[u] = P_x(x \nabla^2 f[u] + u (\nabla f - \alpha 1^\top - 1\beta^\top) - \tfrac12 u
      \operatorname{grad} f / x)$;
    - retraction: the matrix $x e^{u/x}$, scaled by rows and columns (Sinkhorn, then Newton) until the sums are one; of
      first order. Where a huge step leaves the sums off, it is NaN, which a line search takes as a rejection.

    There is no closed form of geodesics: solvers move by the retraction.

    Args:
        n: number of rows and columns.

    Shapes:
        points: `(*batch, n, n)`.

    Raises:
        OptionsError: if `n` is no integer of at least 2.

    References:
        [DouikHassibi:2019]; [Sinkhorn:1964].

    Examples:
        >>> M = DoublyStochastic(2)
        >>> M.project_point(torch.tensor([[1.0, 2.0], [2.0, 1.0]]))
        tensor([[0.3333, 0.6667],
                [0.6667, 0.3333]])
    """

    retraction_order = 1
    retractions: Mapping[str, str] = {"sinkhorn": "retract_sinkhorn"}
    inverse_retractions: Mapping[str, str] = {"sinkhorn": "inverse_retract_sinkhorn"}

    def __init__(self, n: int) -> None:
        positive_sizes("DoublyStochastic", (n,), least=2)
        self.point_shape = (n, n)
        self.dim = (n - 1) ** 2
        self.typical_dist = float(n)

    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return (u * v / x).sum((-2, -1))

    def project_point(self, z: torch.Tensor) -> torch.Tensor:
        """Scale rows and columns until they sum to one; entries that are not positive are taken as small."""
        floor = torch.finfo(z.dtype).eps ** 0.5
        return self._scaled(torch.log(torch.where(z > 0, z, floor)), _ROUNDS_OF_A_PROJECTION)

    def project_tangent(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return z - _normal_factor(x, z) * x

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return self.project_tangent(x, x * g)

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        # the derivative of the factor is normal, so the projection takes it off
        centred = g - _normal_factor(x, x * g)
        return self.project_tangent(x, x * h + 0.5 * u * centred)

    def retract_sinkhorn(self, x: torch.Tensor, u: torch.Tensor, t: Any = None) -> torch.Tensor:
        return self._scaled(torch.log(x) + scale(u, t, 2) / x, _ROUNDS_OF_A_STEP)

    retract_default = retract_sinkhorn

    def inverse_retract_sinkhorn(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.project_tangent(x, x * log_ratio(x, y))

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> torch.Tensor:
        """Scale a matrix of entries drawn uniformly in the logarithm over a decade."""
        shape = (*batch, *self.point_shape)
        return self.project_point(10 ** torch.rand(shape, generator=generator, dtype=dtype, device=device))

    def off_manifold(self, x: torch.Tensor) -> torch.Tensor:
        """Return the largest error of a sum, plus one and the size of what is not positive."""
        rows, columns = (x.sum(-1) - 1).abs().amax(-1), (x.sum(-2) - 1).abs().amax(-1)
        return torch.maximum(rows, columns) + torch.where(x > 0, torch.zeros_like(x), 1 - x).sum((-2, -1))

    def off_tangent(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """Return the largest sum of a row or column."""
        return torch.maximum(u.sum(-1).abs().amax(-1), u.sum(-2).abs().amax(-1))

    def _scaled(self, logarithm: torch.Tensor, rounds: int) -> torch.Tensor:
        x = _scale_to_sums_of_one(logarithm, rounds)
        return torch.where((self.off_manifold(x) <= self.tolerance(x.dtype))[..., None, None], x, math.nan)

    def __repr__(self) -> str:
        return f"DoublyStochastic({self.point_shape[0]})"


def _normal_factor(
    x: torch.Tensor,  # shape: (*batch, n, n), rows and columns of any positive sums
    z: torch.Tensor,  # shape: (*batch, n, n)
) -> torch.Tensor:
    """Return alpha 1' + 1 beta' such that its entrywise product with x has the row and column sums of z."""
    rows, columns = x.sum(-1), x.sum(-2)
    weighted = x / columns[..., None, :]
    # alpha solves the Schur complement; it is free up to a constant, which the last term fixes
    # next to a permutation matrix it is free in more ways: rounding must not make the matrix indefinite
    floor = 4 * x.shape[-1] * torch.finfo(x.dtype).eps
    schur = torch.diag_embed(rows * (1 + floor)) - weighted @ x.mT + 1 / x.shape[-1]
    right = z.sum(-1) - (weighted @ z.sum(-2)[..., None])[..., 0]
    alpha = torch.cholesky_solve(right[..., None], cholesky_or_nan(schur))
    beta = (z.sum(-2)[..., None] - x.mT @ alpha) / columns[..., None]
    return alpha + beta.mT


def _scale_to_sums_of_one(
    logarithm: torch.Tensor,  # shape: (*batch, n, n)
    rounds: int,
) -> torch.Tensor:
    """Return exp of a matrix with multiples of ones added to rows and columns, such that all sums are one."""
    for _ in range(_SINKHORN_ROUNDS):
        logarithm = logarithm - torch.logsumexp(logarithm, -1, keepdim=True)
        logarithm = logarithm - torch.logsumexp(logarithm, -2, keepdim=True)
    for _ in range(rounds):
        x = torch.exp(logarithm)
        step = _normal_factor(x, 1 / x.shape[-1] - x)  # towards a matrix whose sums are one
        # far away a full step of Newton overshoots: no entry is changed by more than a factor of e
        logarithm = logarithm + step / step.abs().amax((-2, -1), True).clamp(min=1.0)
    return torch.exp(logarithm)
