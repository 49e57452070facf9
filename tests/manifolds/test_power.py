"""Powers: entries are one problem, batch axes are many."""

import math

import pytest
import torch

from manopt_torch.errors import OptionsError
from manopt_torch.manifolds import Circle, Euclidean, Power, Product, Sphere, SymmetricPositiveDefinite
from manopt_torch.manifolds.points import map_leaves


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_scalars_are_sums_over_the_entries() -> None:
    base, M = Sphere(3), Power(Sphere(3), 4, 5)
    x, y = (M.random_point(2, generator=generator(), dtype=torch.float64) for _ in range(2))
    y = y.roll(1, 1)
    u, v = M.random_tangent(x, generator()), M.log(x, y)
    torch.testing.assert_close(M.inner(x, u, v), base.inner(x, u, v).sum((-2, -1)))
    torch.testing.assert_close(M.dist(x, y).square(), base.dist(x, y).square().sum((-2, -1)))
    torch.testing.assert_close(M.squared_dist(x, y), base.squared_dist(x, y).sum((-2, -1)))
    torch.testing.assert_close(M.norm(x, v), M.dist(x, y))


def test_a_step_per_problem_reaches_all_its_entries() -> None:
    for base in (Sphere(3), Circle(), SymmetricPositiveDefinite(2), Product(Sphere(3), Euclidean())):
        M = Power(base, 3)
        x = M.random_point(2, generator=generator(), dtype=torch.float64)
        u = M.random_tangent(x, generator())
        t = torch.tensor([0.1, 0.7], dtype=torch.float64)
        for move in (M.exp, M.retract, M.retract_default):
            together = move(x, u, t)
            for j in range(2):
                alone = move(map_leaves(lambda a, j=j: a[j], x), map_leaves(lambda a, j=j: a[j], u), t[j])
                torch.testing.assert_close(map_leaves(lambda a, j=j: a[j], together), alone)
        torch.testing.assert_close(M.exp(x, u, 0.1 * torch.ones(2)), M.exp(x, u, 0.1))


def test_shapes_stand_between_batch_and_entry() -> None:
    M = Power(Product(Sphere(3), Euclidean(), Power(Circle(), 7)), 4, 5)
    assert M.point_shape == ((4, 5, 3), (4, 5), (4, 5, 7))
    assert M.dim == 20 * (2 + 1 + 7)
    x = M.random_point(2, 6)
    assert [leaf.shape for leaf in x] == [(2, 6, 4, 5, 3), (2, 6, 4, 5), (2, 6, 4, 5, 7)]
    assert M.batch_shape(x) == (2, 6)
    assert M.basis(map_leaves(lambda a: a[0, 0], x))[0].shape == (200, 4, 5, 3)


def test_facts_follow_from_the_entry() -> None:
    M = Power(Sphere(3), 2, 8)
    assert M.typical_dist == pytest.approx(4 * math.pi)
    assert M.injectivity_radius() == math.pi
    assert repr(M) == "Power(Sphere(3), 2, 8)"
    assert M.retraction_order == 2


def test_log_is_defined_where_all_entries_are() -> None:
    M = Power(Circle(), 3)
    x, y = torch.zeros(2, 3), torch.tensor([[0.0, 1.0, 2.0], [0.0, -math.pi, 2.0]])
    assert M.log_defined(x, y).tolist() == [True, False]


def test_residuals_gather_those_of_the_entries() -> None:
    M = Power(Sphere(3), 2)
    x = torch.tensor([[3.0 + 1, 0, 0], [0, 4.0 + 1, 0]])
    assert M.off_manifold(x).item() == pytest.approx(5)


def test_arguments_are_checked() -> None:
    with pytest.raises(OptionsError, match="then one or more numbers of entries"):
        Power(Sphere(3))
    with pytest.raises(OptionsError, match="pass a manifold"):
        Power(3, 4)
    with pytest.raises(OptionsError, match=r"Power\(4, 0\): sizes are integers of at least 1"):
        Power(Sphere(3), 4, 0)
