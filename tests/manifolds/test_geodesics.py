"""Ways on a manifold: geodesics and parallel transport where there are any, and what stands in for them."""

import torch

from manopt_torch import FixedRank, Sphere
from manopt_torch.manifolds.geodesics import carry, move, towards


def drawn(M, seed=0):
    """Return two points near each other, and a tangent vector at the first."""
    g = torch.Generator().manual_seed(seed)
    x = M.random_point(generator=g, dtype=torch.float64)
    u = M.random_tangent(x, generator=g)
    return x, M.retract(x, u, 0.1), u


def test_geodesics_where_there_are_any():
    M = Sphere(4)
    x, y, u = drawn(M)
    assert torch.equal(towards(M, x, y), M.log(x, y))
    assert torch.equal(move(M, x, u, 0.3), M.exp(x, u, 0.3))
    assert torch.equal(move(M, x, u, 0.3, "projection"), M.retract(x, u, 0.3, "projection"))
    assert torch.equal(carry(M, x, y, u), M.parallel_transport(x, y, u))


def test_retraction_and_transport_stand_in():
    M = FixedRank(4, 3, 2)
    assert not (M.has_exp or M.has_log or M.has_parallel_transport)
    x, y, u = drawn(M)
    for one, other in (
        (towards(M, x, y), M.inverse_retract(x, y)),
        (move(M, x, u, 0.3), M.retract(x, u, 0.3)),
        (carry(M, x, y, u), M.transport(x, y, u)),
    ):
        assert all(map(torch.equal, one, other))


def test_nothing_is_carried_to_where_it_is():
    M = Sphere(4)
    x, _, u = drawn(M)
    assert carry(M, x, x, u) is u
