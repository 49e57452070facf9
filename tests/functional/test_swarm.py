"""What draws the particles of a swarm."""

import pytest
import torch

from manopt_torch import Circle, Hyperboloid, Oblique, Positive, Power, Product, Rotations, Sphere, Stiefel, Torus
from manopt_torch.functional.masked import lane_for
from manopt_torch.functional.swarm import drawn, has_chords, landed, spread_out
from tests.together import together

D = torch.float64


def pulled(M, x, y):
    """The pull of a target on a particle at rest, which feels no other."""
    v, one = M.zero_tangent(x), torch.ones(1, 1, dtype=D)
    (r,), (s,) = spread_out(one, 0, v), spread_out(0 * one, 0, v)
    return drawn(M, x, v, y, y, 0.5, r, s, chords=has_chords(M))


@together()
@pytest.mark.parametrize("M", [Sphere(4), Oblique(3, 2), Stiefel(4, 2), Rotations(3)], ids=repr)
def test_chords_are_logarithms_up_to_third_order(M):
    x = M.random_point(1, dtype=D, generator=torch.Generator().manual_seed(0))
    u = M.random_tangent(x, generator=torch.Generator().manual_seed(1))
    gaps = []
    for t in (0.1, 0.05):
        pull = pulled(M, x, M.exp(x, u, t))
        M.check_tangent(x, pull)
        gaps.append(float(M.norm(x, pull - t * u)))
    assert 7.0 < gaps[0] / gaps[1] < 9.0


@together()
@pytest.mark.parametrize("M", [Torus(3), Power(Circle(), 3), Positive(3)], ids=repr)
def test_elsewhere_they_are_logarithms(M):
    x = torch.tensor([[3.0, 1.0, 0.1]], dtype=D)
    y = torch.tensor([[-3.0, 2.0, 0.3]], dtype=D).abs() * (1 if isinstance(M, Positive) else x.new_tensor([-1, 1, 1]))
    torch.testing.assert_close(pulled(M, x, y), M.log(x, y))


def test_the_pulls_of_both_targets_add_up_for_tuples_too():
    # a circle's angles wrap, so that the product takes logarithms; on the sphere half way round there are none
    M = Product(Circle(), Sphere(2))
    x = torch.tensor([3.0], dtype=D), torch.tensor([[1.0, 0.0]], dtype=D)
    own, best = (torch.tensor([-3.0], dtype=D), x[1]), (x[0], torch.tensor([[0.0, 1.0]], dtype=D))
    v = torch.tensor([1.0], dtype=D), torch.tensor([[0.0, 1.0]], dtype=D)
    (r,), (s,) = (spread_out(torch.tensor([[w]], dtype=D), 0, v) for w in (0.5, 0.25))
    new = drawn(M, x, v, own, best, 0.1, r, s, chords=has_chords(M))
    torch.testing.assert_close(new[0], torch.tensor([0.1 + 0.5 * (2 * torch.pi - 6)], dtype=D))
    torch.testing.assert_close(new[1], torch.tensor([[0.0, 0.1 + 0.25 * torch.pi / 2]], dtype=D))


def test_a_particle_that_leaves_the_numbers_stays_at_rest():
    M = Hyperboloid(2)
    x = M.random_point(3, dtype=D, generator=torch.Generator().manual_seed(0))
    v = M.random_tangent(x, generator=torch.Generator().manual_seed(1)) * x.new_tensor([1.0, 1e4, 2.0]).unsqueeze(-1)
    y = M.retract(x, v)
    assert not bool(torch.isfinite(y[1]).any())
    lone = landed(lane_for(M, x[0]), 1, x, y, v)
    many = landed(lane_for(M, x[None, 0]), 2, x[None], y[None], v[None])
    for points, velocities in (lone, (many[0][0], many[1][0])):
        assert torch.equal(points, torch.stack([y[0], x[1], y[2]]))
        assert torch.equal(velocities, torch.stack([v[0], 0 * v[1], v[2]]))
