"""How far an iterate has moved: the distance, or its first order where nobody can compute the distance."""

import pytest
import torch

from manopt_torch import Elliptope, FixedRank, PSDFixedRank, Sphere, Stiefel
from manopt_torch.plans.distance import distance


@pytest.mark.parametrize(
    "M", [Sphere(3), Stiefel(4, 2), FixedRank(4, 3, 2), Elliptope(4, 2), PSDFixedRank(4, 2)], ids=str
)
def test_it_is_the_length_of_a_short_step(M):
    g = torch.Generator().manual_seed(0)
    x = M.random_point(3, dtype=torch.float64, generator=g)
    u = M.random_tangent(x, generator=g)
    t = 1e-4 / M.norm(x, u)
    torch.testing.assert_close(distance(M, x, M.retract(x, u, t)), torch.full((3,), 1e-4).double(), rtol=1e-3, atol=0)
    assert distance(M, x, x).abs().max() < 1e-7
