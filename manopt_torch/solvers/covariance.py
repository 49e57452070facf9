r"""How well a fit determines its parameters: $\operatorname{Cov} = \hat\sigma^2 (J^\top J)^{-1}$ at the minimum."""

from typing import Any, NamedTuple

import torch

from manopt_torch._host import host_read
from manopt_torch.linalg.cholesky import cholesky_or_nan
from manopt_torch.plans.options import get_options
from manopt_torch.problems.autodiff import grad_mode
from manopt_torch.problems.counted import bare_problem
from manopt_torch.problems.weighting import corrected

# below this squared pivot (columns of unit length) normal equations have lost half the digits
_SAFE_PIVOT = 0.5


class Covariance(NamedTuple):
    """The covariance of the parameters of each problem, and what it rests on.

    Attributes:
        matrix: shape `(*batch, n, n)`.
        variance: estimated variance of a residual of weight one, shape `(*batch,)`.
        degrees_of_freedom: number of residuals with a positive weight minus the rank, shape `(*batch,)`.
        rank: rank of the Jacobian, shape `(*batch,)`.
        singular: whether parameters are not determined by the residuals, shape `(*batch,)`. Then the matrix is that
            of the pseudo-inverse, and directions that are not determined have variance zero in it.
    """

    matrix: torch.Tensor
    variance: torch.Tensor
    degrees_of_freedom: torch.Tensor
    rank: torch.Tensor
    singular: torch.Tensor


def covariance(p: Any, o: Any, *, absolute: bool = False, details: bool = False) -> Any:
    r"""Return the covariance of fitted parameters, $\hat\sigma^2 (J^\top W J)^{-1}$, for each problem of a batch.

    $\hat\sigma^2 = 2 f(x) / (m - n)$ is estimated from the residuals. On a manifold the matrix is that of the
    coordinates in `M.basis(x)`. With a robust loss $J^\top W J$ is the Hessian of the cost without the second
    derivatives of the residuals, $\sum_i w_i (\rho'_i + 2 \rho''_i r_i^2)\, J_i^\top J_i$, as in SciPy; residuals where
    that factor is negative add nothing to it.

    Args:
        p: the least-squares problem.
        o: its options after a run.
        absolute: whether the weights are the inverse variances of the residuals, so that $\hat\sigma^2 = 1$; it is
            `absolute_sigma` of SciPy's `curve_fit`.
        details: whether to return all of `Covariance` instead of the matrix alone.

    Returns:
        The matrices, shape `(*batch, n, n)`; infinite where there are no more residuals than parameters, NaN for a
        problem with a non-finite Jacobian. Or a `Covariance`.

    Raises:
        MissingDerivativeError: if the problem is no least-squares problem.

    References:
        [NocedalWright:2006], section 10.1.

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, GaussNewtonOptions, LeastSquaresProblem, covariance, solve
        >>> y = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64)
        >>> p = LeastSquaresProblem(Euclidean(1), lambda x, y: x - y, data=(y,))  # the mean of three numbers
        >>> o = solve(p, GaussNewtonOptions(torch.zeros(1, 1, dtype=torch.float64)))
        >>> round(covariance(p, o).item(), 6)  # variance 1, over 3
        0.333333
    """
    problem: Any = bare_problem(p)
    if "jacobian" not in problem.provides:
        problem.missing("Jacobian", "LeastSquaresProblem")
    x = get_options(o).x
    with grad_mode(False):
        trial = problem.residual_trial(x)
        J = problem.jacobian_from(x, trial)
        # a step does without the curvature of a loss that bends down; how well the minimum is determined depends on it
        J = corrected(trial.residuals, J, problem.weights, problem.loss, strict=False)[1]
        inverse, rank = _inverse_of_normal_matrix(J)
        freedom = _count(problem, trial.residuals) - rank
        if absolute:
            variance = torch.ones_like(trial.cost)
        else:
            variance = torch.where(freedom > 0, 2 * trial.cost / freedom.clamp(min=1), torch.inf)
        matrix = inverse * variance[..., None, None]
        # infinity times zero: nothing is known about what is not determined
        matrix = torch.where(torch.isinf(variance)[..., None, None] & torch.isfinite(inverse), torch.inf, matrix)
    found = Covariance(matrix, variance, freedom, rank, rank < J.shape[-1])
    return found if details else found.matrix


def standard_errors(p: Any, o: Any, *, absolute: bool = False) -> torch.Tensor:
    """Return the standard errors of fitted parameters, shape `(*batch, n)`: the roots of the variances.

    Args:
        p: the least-squares problem.
        o: its options after a run.
        absolute: see `covariance`.

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, GaussNewtonOptions, LeastSquaresProblem, solve, standard_errors
        >>> y = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64)
        >>> p = LeastSquaresProblem(Euclidean(1), lambda x, y: x - y, data=(y,))
        >>> o = solve(p, GaussNewtonOptions(torch.zeros(1, 1, dtype=torch.float64)))
        >>> round(standard_errors(p, o).item(), 6)
        0.57735
    """
    return covariance(p, o, absolute=absolute).diagonal(dim1=-2, dim2=-1).sqrt()


def _count(p: Any, r: torch.Tensor) -> torch.Tensor:
    """Return the number of residuals that count, shape `(*batch,)`."""
    m = r.shape[-1]
    if p.weights is None:
        return torch.full(r.shape[:-1], m, device=r.device)
    counted = (p.weights > 0).sum(-1) * (m // p.weights.shape[-1])  # weights may be those of blocks
    return counted.to(r.device).expand(r.shape[:-1])


def _inverse_of_normal_matrix(
    J: torch.Tensor,  # shape: (*batch, m, n)
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the (pseudo-)inverse of J'J and the rank of J, with columns scaled to unit length first.

    By Cholesky's factorisation where that is accurate; the other problems are gathered and decomposed into singular
    values, which does not square the condition.
    """
    m, n = J.shape[-2:]
    length = torch.linalg.vector_norm(J, dim=-2)
    S = torch.where(length > 0, 1 / length.clamp(min=torch.finfo(J.dtype).tiny), torch.zeros_like(length))
    scaled = J * S.unsqueeze(-2)
    factor = cholesky_or_nan(scaled.mT @ scaled)
    safe = (factor.diagonal(dim1=-2, dim2=-1) ** 2 > torch.finfo(J.dtype).eps ** _SAFE_PIVOT).all(-1)
    eye = torch.eye(n, dtype=J.dtype, device=J.device)
    inverse = torch.cholesky_inverse(torch.where(safe[..., None, None], factor, eye))
    rank = torch.full(safe.shape, n, device=J.device)
    finite = torch.isfinite(J).flatten(-2).all(-1)
    inverse = torch.where(finite[..., None, None], inverse, torch.nan)
    rank = torch.where(finite, rank, 0)
    with host_read():
        hard = (finite & ~safe).flatten().nonzero().squeeze(-1)
        if hard.numel():
            values, by_rank = _by_singular_values(scaled.reshape(-1, m, n)[hard])
            inverse = inverse.reshape(-1, n, n).index_copy(0, hard, values).reshape(inverse.shape)
            rank = rank.reshape(-1).index_copy(0, hard, by_rank).reshape(rank.shape)
    return S.unsqueeze(-1) * inverse * S.unsqueeze(-2), rank


def _by_singular_values(J: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    _, s, Vh = torch.linalg.svd(J, full_matrices=False)
    kept = s > max(J.shape[-2:]) * torch.finfo(J.dtype).eps * s[..., :1]
    shares = torch.where(kept, 1 / torch.where(kept, s, torch.ones_like(s)), torch.zeros_like(s))
    half = Vh * shares.unsqueeze(-1)
    return half.mT @ half, kept.sum(-1)
