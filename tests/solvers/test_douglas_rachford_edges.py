"""Douglas-Rachford in the product space, where the copies of a problem come out not finite."""

import pytest
import torch

from manopt_torch import (
    DouglasRachfordOptions,
    Euclidean,
    ProximalProblem,
    Sphere,
    StopAfterIteration,
    get_reason,
    solve,
)
from manopt_torch.manifolds.base import Manifold


def between(M: Manifold, *targets: torch.Tensor, parallel: bool) -> DouglasRachfordOptions:
    """Look for the mean of the targets from the first axis on."""
    maps = [lambda lam, x, *q, j=j: M.geodesic(x, q[j], lam / (1 + lam)) for j in range(len(targets))]

    def cost(x: torch.Tensor, *q: torch.Tensor) -> torch.Tensor:
        return sum(0.5 * M.squared_dist(x, one) for one in q)

    problem = ProximalProblem(M, cost, maps, data=targets)
    start = torch.zeros_like(targets[0])
    start[..., 0] = 1.0
    return solve(problem, DouglasRachfordOptions(start, parallel=parallel, stop=StopAfterIteration(30)))


@pytest.mark.parametrize("M", [Euclidean(3), Sphere(3)], ids=repr)
@pytest.mark.parametrize("count", [2, 3])
def test_a_problem_without_numbers_leaves_the_means_of_the_others_alone(M: Manifold, count: int) -> None:
    g = torch.Generator().manual_seed(1)
    targets = [M.random_point(4, generator=g, dtype=torch.float64) for _ in range(count)]
    clean = between(M, *targets, parallel=True)
    spoiled = [t.clone() for t in targets]
    spoiled[0][2] = torch.nan
    met = between(M, *spoiled, parallel=True)
    others = torch.tensor([0, 1, 3])
    assert torch.equal(met.x[others], clean.x[others])
    assert "non-finite" in get_reason(met)[2]
    assert met.iterations.tolist() == [30, 30, 0, 30]


def test_a_map_that_fails_in_the_middle_of_a_run_ends_that_run_with_a_reason() -> None:
    M, q = Euclidean(2), torch.tensor([3.0, 0.0], dtype=torch.float64)

    def broken(lam: float, x: torch.Tensor) -> torch.Tensor:
        return torch.where(x[..., :1] > 1.0, torch.nan, M.geodesic(x, q, lam / (1 + lam)))

    problem = ProximalProblem(M, lambda x: M.squared_dist(x, q), [broken, broken, broken])
    o = solve(problem, DouglasRachfordOptions(torch.zeros(2, dtype=torch.float64), stop=StopAfterIteration(30)))
    assert "non-finite" in get_reason(o)
    assert bool(torch.isfinite(o.x).all()) and 0 < o.iterations < 30
