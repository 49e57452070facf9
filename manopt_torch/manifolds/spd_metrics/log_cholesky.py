"""The log-Cholesky metric of symmetric positive definite matrices."""

import math

import torch

from manopt_torch.linalg.cholesky import cholesky_or_nan, congruence, inverse_triangular
from manopt_torch.linalg.spectral import symmetric_part
from manopt_torch.manifolds.spd_metrics.interface import SpdMetric


class LogCholesky(SpdMetric):
    r"""The Frobenius metric of the Cholesky factor with the logarithm of its diagonal; flat, without eigenvalues.

    For $X = L L^\top$ and $W = L \operatorname{half}(L^{-1} U L^{-\top})$, the derivative of $L$ along $U$, the flat
    coordinates are $\lfloor W \rfloor + D(W) D(L)^{-1}$. In them a cost has the gradient
    $\lfloor P \rfloor + D(L) D(P)$, $P = 2 \nabla f L$, whose derivative is taken entry by entry.
    """

    is_flat = True
    transport_is_isometric = True

    def flatten(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        factor = cholesky_or_nan(x)
        flat = _over_diagonal(_factor_change(factor, u), factor)
        # an entry below the diagonal becomes two
        return symmetric_part(_by_part(flat, flat * math.sqrt(2.0)))

    def unflatten(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        return _lift(cholesky_or_nan(x), _by_part(c, math.sqrt(2.0) * c))

    def squared_dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return _step(cholesky_or_nan(x), x, y).square().sum((-2, -1))

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        factor = cholesky_or_nan(x)
        return _lift(factor, _times_diagonal(2 * symmetric_part(g) @ factor, factor))

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        factor, g = cholesky_or_nan(x), symmetric_part(g)
        change = _factor_change(factor, u)
        p, dp = 2 * g @ factor, 2 * (symmetric_part(h) @ factor + g @ change)
        return _lift(factor, _times_diagonal(dp, factor) + _on_diagonal(p * change))

    def exp(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        factor = cholesky_or_nan(x)
        change = _factor_change(factor, u)
        moved = _by_part(factor * torch.exp(_on_diagonal(change) / _diagonal(factor)), factor + change)
        return symmetric_part(moved @ moved.mT)

    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        factor = cholesky_or_nan(x)
        return _lift(factor, _step(factor, x, y))

    def parallel_transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        factor = cholesky_or_nan(x)
        return _lift(cholesky_or_nan(y), _over_diagonal(_factor_change(factor, u), factor))

    transport = parallel_transport


def _by_part(on_diagonal: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
    """Take the diagonal from one matrix and what is below it from another; zeros above."""
    return torch.tril(below, -1) + _on_diagonal(on_diagonal)


def _on_diagonal(A: torch.Tensor) -> torch.Tensor:
    return torch.diag_embed(A.diagonal(dim1=-2, dim2=-1))


def _diagonal(L: torch.Tensor) -> torch.Tensor:
    """Return the diagonal as a column, which divides the rows."""
    return L.diagonal(dim1=-2, dim2=-1)[..., None]


def _over_diagonal(W: torch.Tensor, L: torch.Tensor) -> torch.Tensor:
    return _by_part(W / _diagonal(L), W)


def _times_diagonal(W: torch.Tensor, L: torch.Tensor) -> torch.Tensor:
    return _by_part(W * _diagonal(L), W)


def _factor_change(L: torch.Tensor, U: torch.Tensor) -> torch.Tensor:
    """Return the derivative of the Cholesky factor along U."""
    whitened = symmetric_part(congruence(inverse_triangular(L), U))
    return L @ _by_part(0.5 * whitened, whitened)


def _lift(L: torch.Tensor, flat: torch.Tensor) -> torch.Tensor:
    """Return the tangent vector with these flat coordinates."""
    half = L @ _times_diagonal(flat, L).mT
    return half + half.mT


def _step(L: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the flat coordinates of y less those of x, with full relative accuracy also for y next to x."""
    difference = cholesky_or_nan(y) - L
    # the difference loses digits that y - x still has: one step of Newton's method, which has no derivative as it is
    # zero in exact arithmetic
    D, F = difference.detach(), L.detach()
    half = (F + 0.5 * D) @ D.mT
    difference = difference + _factor_change(F, (y - x).detach() - (half + half.mT))
    return _by_part(torch.log1p(_on_diagonal(difference) / _diagonal(L)), difference)
