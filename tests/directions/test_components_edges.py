"""Components of tangent vectors of scaled manifolds, powers and products, and the shapes of drawn numbers."""

import pytest
import torch

from manopt_torch import Circle, Euclidean, Power, Product, Scaled, Sphere
from manopt_torch.directions.components import component_inner, draw_components, is_elementwise, map_factors

D = torch.float64


def test_what_is_elementwise():
    assert all(map(is_elementwise, (Scaled(Euclidean(2), 3.0), Power(Euclidean(2), 4), Scaled(Circle(), 2.0))))
    assert not any(map(is_elementwise, (Scaled(Sphere(3), 3.0), Power(Sphere(3), 4), Product(Sphere(3), Circle()))))


def test_a_scaled_metric_scales_each_component_by_its_square():
    u, v = torch.tensor([1.0, 2.0], dtype=D), torch.tensor([5.0, -3.0], dtype=D)
    assert component_inner(Scaled(Euclidean(2), 3.0), 0 * u, u, v).tolist() == [45.0, -54.0]
    x = torch.tensor([1.0, 0.0, 0.0], dtype=D)
    u = torch.tensor([0.0, 3.0, 4.0], dtype=D)
    assert component_inner(Scaled(Sphere(3), 3.0), x, u, u).tolist() == [225.0]


@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_curved_manifolds_have_one_component_a_point(batch):
    M = Product(Sphere(3), Power(Sphere(2), 3), Euclidean(2))
    x = M.random_point(*batch, dtype=D, generator=torch.Generator().manual_seed(0))
    u = M.random_tangent(x, torch.Generator().manual_seed(1))
    found = component_inner(M, x, u, u)
    truth = (
        u[0].square().sum(-1, keepdim=True),
        u[1].square().sum(-1, keepdim=True),
        u[2].square(),
    )
    for a, b in zip(found, truth, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-14, atol=0)


def test_numbers_are_drawn_by_component():
    M = Product(Sphere(3), Power(Sphere(3), 4), Scaled(Euclidean(2, 3), 2.0), Power(Euclidean(2), 5))
    x = M.random_point(dtype=D, generator=torch.Generator().manual_seed(0))
    asked = []

    def draw(shape):
        asked.append(tuple(shape))
        return torch.ones(shape, dtype=D)

    found = draw_components(M, M.zero_tangent(x), draw)
    assert asked == [(), (4,), (2, 3), (5, 2)]
    assert [tuple(leaf.shape) for leaf in found] == [(1,), (4, 1), (2, 3), (5, 2)]


def test_maps_reach_the_factors_of_products_of_products():
    inner = Product(Sphere(2), Euclidean(1))
    found = map_factors(
        lambda M, a, b: (type(M).__name__, a + b), Product(Sphere(3), inner), (1, (2, 3)), (10, (20, 30))
    )
    assert found == (("Sphere", 11), (("Sphere", 22), ("Euclidean", 33)))
