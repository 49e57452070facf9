"""The proximal bundle method where its steps are long, seen from the curvature of the manifold."""

import pytest
import torch

from manopt_torch import (
    ProximalBundleMethodOptions,
    StopAfterIteration,
    StopWhenLagrangeMultiplierLess,
    SubGradientProblem,
    SymmetricPositiveDefinite,
    solve,
)


@pytest.mark.parametrize("lone", [True, False])
def test_the_distances_to_two_matrices_sum_up_to_theirs(lone: bool) -> None:
    # any point between the two is a minimiser; the first trial goes ten times as far as they lie apart
    M, g = SymmetricPositiveDefinite(2), torch.Generator().manual_seed(0)
    centre = M.random_point(8, generator=g, dtype=torch.float64)
    p, q, start = (M.exp(centre, 0.3 * M.random_tangent(centre, generator=g)) for _ in range(3))
    if lone:
        p, q, start = p[3], q[3], start[3]

    def cost(x: torch.Tensor, p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
        return M.dist(x, p) + M.dist(x, q)

    stop = StopAfterIteration(400) | StopWhenLagrangeMultiplierLess(1e-8)
    o = solve(SubGradientProblem(M, cost, data=(p, q)), ProximalBundleMethodOptions(start, stop=stop))
    torch.testing.assert_close(o.cost, M.dist(p, q), rtol=1e-5, atol=0)
