"""What the tests of second-order solvers share: smooth problems without structure, and the order of convergence."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch

from manopt_torch import Euclidean, HessianProblem, Sphere, Stiefel, SymmetricPositiveDefinite

F64 = torch.float64


def _around(M: Any, generator: torch.Generator, radius: float, count: int = 6) -> torch.Tensor:
    x = M.random_point(generator=generator, dtype=F64)
    x = x.expand(count, *x.shape).contiguous()
    return M.retract(x, M.random_tangent(x, generator=generator), radius)


def on_the_sphere() -> tuple[HessianProblem, torch.Tensor]:
    g, M = torch.Generator().manual_seed(3), Sphere(6)
    a = torch.randn(6, 6, generator=g, dtype=F64)
    a = a @ a.T
    return HessianProblem(M, lambda x: (x * (x @ a)).sum(-1) + x.pow(3).sum(-1) + x[..., 0].exp()), _around(M, g, 0.4)


def on_frames() -> tuple[HessianProblem, torch.Tensor]:
    g, M = torch.Generator().manual_seed(3), Stiefel(5, 2)
    a, n = torch.randn(5, 5, generator=g, dtype=F64), torch.tensor([2.0, 1.0], dtype=F64)
    a = a + a.T
    return HessianProblem(M, lambda x: (x * (a @ x) * n).sum((-2, -1)) + 0.3 * x.pow(3).sum((-2, -1))), _around(
        M, g, 0.4
    )


def on_positive_matrices() -> tuple[HessianProblem, torch.Tensor]:
    g, M = torch.Generator().manual_seed(3), SymmetricPositiveDefinite(3)
    points = M.random_point(4, generator=g, dtype=F64)

    def cost(x: torch.Tensor) -> torch.Tensor:
        return 0.5 * M.squared_dist(x[..., None, :, :], points).sum(-1) + x.diagonal(dim1=-2, dim2=-1).square().sum(-1)

    return HessianProblem(M, cost), _around(M, g, 0.4)


SMOOTH_PROBLEMS: dict[str, Callable[[], tuple[HessianProblem, torch.Tensor]]] = {
    "sphere": on_the_sphere,
    "frames": on_frames,
    "positive matrices": on_positive_matrices,
}


def observed_order(norms: torch.Tensor, constant: float = 10.0) -> float:
    """Return the greatest p with which gradient norms below 0.01, shape `(iterations, problems)`, fall as C n^p."""
    pairs = [pair for column in norms.T.tolist() for pair in itertools.pairwise(dict.fromkeys(column))]
    orders = [math.log(b / constant) / math.log(a) for a, b in pairs if 1e-6 < a < 1e-2 and b > 1e-15]
    assert len(orders) > 5
    return min(orders)


def walled(*batch: int) -> tuple[HessianProblem, torch.Tensor]:
    """Return a cost that is infinite from the first coordinate 1 on, and falls up to there."""
    shift = torch.linspace(1.5, 3.0, max(1, math.prod(batch)), dtype=F64).reshape(*batch, 1)

    def cost(x: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        wall = torch.where(x[..., 0] < 1, 0.0, torch.inf)
        return (x - shift).square().sum(-1) + wall

    return HessianProblem(Euclidean(2), cost, data=(shift,)), torch.zeros(*batch, 2, dtype=F64)
