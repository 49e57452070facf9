"""The median against closed forms."""

import math

import pytest
import torch
from scipy.optimize import brentq

from manopt_torch import (
    Euclidean,
    Sphere,
    SymmetricPositiveDefinite,
    get_reason,
    mean,
    median,
)
from tests.together import together

D = torch.float64
BATCHES = [(), (2,), (2, 3)]
TOLERANCE = {D: 1e-12, torch.float32: 2e-5}


def draw(*shape, seed=0, dtype=D):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def close(a, b, tolerance=1e-12):
    torch.testing.assert_close(a, torch.as_tensor(b, dtype=a.dtype).expand(a.shape), rtol=0, atol=tolerance)


@together()
@pytest.mark.parametrize("dtype", [D, torch.float32])
@pytest.mark.parametrize("batch", BATCHES)
def test_median_of_collinear_points_is_the_middle_one(batch, dtype):
    t = torch.tensor([-3.0, 0.5, 1.0, 1.5, 40.0], dtype=dtype).expand(*batch, 5)
    direction = torch.tensor([0.6, -0.8], dtype=dtype)
    close(median(Euclidean(2), t[..., None] * direction), direction, 2 * TOLERANCE[dtype])


def test_median_of_an_even_number_lies_between_the_middle_two():
    m = median(Euclidean(1), torch.tensor([[0.0], [1.0], [2.0], [10.0]], dtype=D))
    assert 1.0 <= m.item() <= 2.0


def test_weighted_median_on_a_line():
    x = torch.tensor([[0.0], [1.0], [2.0], [3.0]], dtype=D)
    close(median(Euclidean(1), x, weights=torch.tensor([1.0, 1.0, 1.0, 4.0])), 3.0)
    close(median(Euclidean(1), x, weights=torch.tensor([4.0, 1.0, 1.0, 1.0])), 0.0)


@pytest.mark.parametrize("M", [Euclidean(2), Sphere(3)])
def test_median_of_three_symmetric_points_is_their_centre(M):
    if isinstance(M, Euclidean):
        angle = 2 * math.pi * torch.arange(3, dtype=D) / 3
        x, centre = 5 + torch.stack([angle.cos(), angle.sin()], -1), 5.0
    else:
        x, centre = torch.eye(3, dtype=D), 3**-0.5
    close(median(M, x), centre)
    close(median(M, x, start=x[0]), centre, 1e-10)


def test_median_of_a_convex_quadrangle_is_where_its_diagonals_meet():
    x = torch.tensor([[0.0, 0.0], [4.0, 0.0], [4.0, 2.0], [0.0, 1.0]], dtype=D)
    # (4, 2) t = (4, 0) + (-4, 1) s  at  t = 1/3
    close(median(Euclidean(2), x), torch.tensor([4 / 3, 2 / 3], dtype=D), 1e-10)


def test_median_of_an_isosceles_triangle():
    # on the axis of symmetry of (-1, 0), (1, 0), (0, h): y with 2 y / sqrt(1 + y^2) = 1
    y = brentq(lambda y: 2 * y / math.hypot(1, y) - 1, 0, 2, xtol=1e-15)
    x = torch.tensor([[-1.0, 0.0], [1.0, 0.0], [0.0, 3.0]], dtype=D)
    close(median(Euclidean(2), x), torch.tensor([0.0, y], dtype=D), 1e-10)


def test_a_corner_of_more_than_120_degrees_is_the_median_itself():
    x = torch.tensor([[-4.0, 0.5], [4.0, 0.5], [0.0, 0.0]], dtype=D)
    close(median(Euclidean(2), x), 0.0, 1e-10)


def test_medians_resist_outliers():
    x = torch.cat([0.1 * draw(10, 2), torch.tensor([[1e6, 1e6]], dtype=D)])
    assert torch.linalg.vector_norm(median(Euclidean(2), x)) < 0.2
    assert torch.linalg.vector_norm(mean(Euclidean(2), x)) > 1e5


def test_median_of_commuting_matrices():
    # exponentials of the line spanned by a symmetric matrix: the middle one
    s = draw(3, 3)
    s = s + s.T
    x = torch.stack([torch.linalg.matrix_exp(t * s) for t in (-0.5, 0.1, 0.3, 0.35, 0.5)])
    x = 0.5 * (x + x.mT)
    close(median(SymmetricPositiveDefinite(3), x), x[2], 1e-9)


@pytest.mark.parametrize("M", [Euclidean(2), Sphere(3), SymmetricPositiveDefinite(2)], ids=repr)
def test_a_start_at_one_of_the_points_is_told_from_the_median(M):
    """Of four points in a convex position none is the median; a point with half of the weight is."""
    centre = M.random_point(generator=torch.Generator().manual_seed(0), dtype=D)
    u, v = (
        M.random_tangent(centre, torch.Generator().manual_seed(1)),
        M.random_tangent(centre, torch.Generator().manual_seed(2)),
    )
    x = torch.stack([M.exp(centre, t, s) for t, s in ((u, 0.5), (u, -0.4), (v, 0.3), (v, -0.6))])
    light, heavy = torch.ones(4, dtype=D), torch.tensor([1.0, 1.0, 4.0, 1.0], dtype=D)
    weights = torch.stack([light, heavy])
    o = median(M, x.expand(2, *x.shape), weights=weights, start=x[2].expand(2, *x[2].shape), return_options=True)
    assert all("gradient norm" in reason for reason in get_reason(o))
    # the geodesics between opposite points meet at the centre
    close(o.x[0], centre, 1e-10)
    close(o.x[1], x[2])
    assert o.iterations[1] == 0


def test_medians_on_the_line_are_weighted_medians():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 6, 1, generator=generator, dtype=D)
    w = torch.rand(200, 6, generator=generator, dtype=D)
    order = x[..., 0].argsort(-1)
    reached = w.gather(-1, order).cumsum(-1) >= w.sum(-1, keepdim=True) / 2
    truth = x[..., 0].gather(-1, order.gather(-1, reached.int().argmax(-1, keepdim=True)))
    o = median(Euclidean(1), x, weights=w, return_options=True)
    assert torch.allclose(o.x, truth, rtol=0, atol=1e-12)
    assert torch.equal(o.cost, (w / w.sum(-1, keepdim=True) * (o.x - x[..., 0]).abs()).sum(-1))
    assert (o.gradient == 0).all()
    lone = median(Euclidean(1), x[18], weights=w[18])
    assert torch.allclose(lone, truth[18], rtol=0, atol=1e-12)
