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
        alpha = _row_multipliers(x, _without_column_sums(x, z).sum(-1))
        return _without_column_sums(x, z - alpha * x)

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return self.project_tangent(x, x * g)

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        # the derivative of the factor is normal, so the projection takes it off
        centred = self.egrad2rgrad(x, g) / x
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


def _without_column_sums(
    x: torch.Tensor,  # shape: (*batch, n, n), columns of any positive sums
    z: torch.Tensor,  # shape: (*batch, n, n)
) -> torch.Tensor:
    """Return z - 1 beta' x, entrywise, whose column sums are zero, without cancellation in large entries of x.

    Entry i, j is the sum of (z_ij x_kj - x_ij z_kj) / c_j over k; the term k = i, in which both parts may be
    far greater than the result, is left out.
    """
    others = 1 - torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
    return (z * (others @ x) - x * (others @ z)) / x.sum(-2, keepdim=True)


def _row_multipliers(
    x: torch.Tensor,  # shape: (*batch, n, n), rows and columns of any positive sums
    right: torch.Tensor,  # shape: (*batch, n), row sums of a matrix whose column sums are zero
    damping: torch.Tensor | float = 0.0,  # shape: (*batch, n), added to the diagonal
) -> torch.Tensor:  # shape: (*batch, n, 1)
    """Return alpha such that alpha 1' x, less its column sums, has the given row sums.

    Its matrix diag(rows) - (x / columns) x' is the Laplacian of a graph, whatever the sums. Next to a permutation
    matrix the difference cancels; the sum of a vertex's weights to the others is the same without cancellation.
    """
    finfo = torch.finfo(x.dtype)
    weights = (x / x.sum(-2, keepdim=True)) @ x.mT
    weights = weights - torch.diag_embed(weights.diagonal(dim1=-2, dim2=-1))
    # rounding must not make the matrix indefinite where parts of the graph are hardly connected; where all weights
    # underflow, alpha must not overflow
    degrees = (weights.sum(-1) * (1 + 4 * x.shape[-1] * finfo.eps) + damping).clamp(min=finfo.tiny / finfo.eps)
    # alpha is free up to a constant, which the last term fixes
    constant = degrees[..., None] * (degrees / degrees.sum(-1, keepdim=True))[..., None, :]
    return torch.cholesky_solve(right[..., None], cholesky_or_nan(torch.diag_embed(degrees) - weights + constant))


def _newton_step(
    x: torch.Tensor,  # shape: (*batch, n, n), rows and columns of any positive sums
) -> torch.Tensor:
    """Return alpha 1' + 1 beta' such that x plus its entrywise product with x has sums of one."""
    z = 1 / x.shape[-1] - x  # what the sums lack; summed so, it is known to more digits than by 1 - rows
    rows, columns, lacking = x.sum(-1), x.sum(-2)[..., None], z.sum(-2)[..., None]
    right = z.sum(-1) - (x @ (lacking / columns))[..., 0]
    # the sums are known to rounding only: weaker weights than that must not turn it into long steps
    alpha = _row_multipliers(x, right, rows * (4 * x.shape[-1] * torch.finfo(x.dtype).eps))
    return alpha + ((lacking - x.mT @ alpha) / columns).mT


def _scale_to_sums_of_one(
    logarithm: torch.Tensor,  # shape: (*batch, n, n)
    rounds: int,
) -> torch.Tensor:
    """Return exp of a matrix with multiples of ones added to rows and columns, such that all sums are one."""
    for _ in range(_SINKHORN_ROUNDS):
        logarithm = logarithm - torch.logsumexp(logarithm, -1, keepdim=True)
        logarithm = logarithm - torch.logsumexp(logarithm, -2, keepdim=True)
    for _ in range(rounds):
        step = _newton_step(torch.exp(logarithm))
        # far away a full step of Newton overshoots: no entry is changed by more than a factor of e
        logarithm = logarithm + step / step.abs().amax((-2, -1), True).clamp(min=1.0)
    return torch.exp(logarithm)
