"""First and second order variation: costs against loops and the published cases, gradients against autograd."""

import itertools
import math

import pytest
import torch

from manopt_torch import (
    Circle,
    Euclidean,
    Hyperboloid,
    OptionsError,
    Power,
    Product,
    ShapeError,
    Sphere,
    SymmetricPositiveDefinite,
    cost_collaborative_tv,
    cost_distance,
    cost_intrinsic_infimal_convolution_tv12,
    cost_l2_tv,
    cost_l2_tv2,
    cost_l2_tv_tv2,
    cost_tv,
    cost_tv2,
    forward_logs,
    grad_distance,
    grad_intrinsic_infimal_convolution_tv12,
    grad_tv,
    grad_tv2,
    mean_absolute_error,
    mean_squared_error,
)
from manopt_torch.manifolds.points import leaves, map_leaves

D = torch.float64
BASES = [Circle(), Euclidean(2), Sphere(3), Hyperboloid(3), SymmetricPositiveDefinite(2), Product(Sphere(3), Circle())]


def points(M, *batch, spread=0.3, seed=0):
    """Random points near each other, far from cut loci."""
    generator = torch.Generator().manual_seed(seed)
    centre = M.random_point(dtype=D, generator=generator)
    shape = (*batch, *(1 for _ in M.batch_shape(centre)))
    at = map_leaves(lambda leaf: leaf.expand(*shape, *leaf.shape), centre)
    u = M.random_tangent(at, generator)
    return M.exp(at, map_leaves(lambda leaf: spread * math.sqrt(M.dim) * leaf, u))


def entry(x, *index):
    return map_leaves(lambda leaf: leaf[index], x)


# ---- published cases (reference case 37) ----------------------------------------------------------------------------
def published():
    M = Power(Sphere(3), 3, 3)
    f = torch.tensor([1.0, 0, 0], dtype=D).expand(3, 3, 3)
    x = f.clone()
    x[1, 0] = torch.tensor([0.0, 1, 0])
    return M, f, x


def test_published_first_order_costs():
    M, f, x = published()
    assert cost_l2_tv(M, f, 1.0, f) == 0
    assert float(cost_l2_tv(M, x, 1.0, x)) == pytest.approx(1.5 * math.pi, abs=1e-14)
    assert float(cost_tv(M, x, 1, 2)) == pytest.approx(math.sqrt(5 / 4) * math.pi, abs=1e-14)
    pieces = torch.zeros(3, 3, dtype=D)
    pieces[0, 0], pieces[1, 0] = math.pi / 2, math.pi
    torch.testing.assert_close(cost_tv(M, x, 1, 0), pieces)


def test_published_second_order_costs():
    M, f, x = published()
    assert float(cost_tv2(Sphere(3), tuple(x[:, 0]))) == pytest.approx(math.pi / 2, abs=1e-14)
    assert cost_tv2(M, f, 2) == 0
    torch.testing.assert_close(cost_tv2(M, x, 1, 0).sum(), cost_tv2(M, x))
    data = 0.5 * M.squared_dist(f, x)
    torch.testing.assert_close(cost_l2_tv2(M, f, 1.0, x), data + cost_tv2(M, x))
    torch.testing.assert_close(cost_l2_tv_tv2(M, f, 1.0, 2.0, x), data + cost_tv(M, x) + 2 * cost_tv2(M, x))


def test_published_infimal_convolution():
    M, f, x = published()
    model = cost_intrinsic_infimal_convolution_tv12
    assert model(M, f, f, f, 0.0, 0.0) == 0
    torch.testing.assert_close(model(M, f, x, x, 0.0, 0.0), 0.5 * M.squared_dist(x, f))
    torch.testing.assert_close(model(M, x, x, x, 2.0, 0.5), cost_tv(M, x) + cost_tv2(M, x))
    torch.testing.assert_close(model(M, x, x, x, 1.0, 0.0), cost_tv2(M, x))
    torch.testing.assert_close(model(M, x, x, x, 1.0, 1.0), cost_tv(M, x))


# ---- against loops --------------------------------------------------------------------------------------------------
def norm_of(values, p):
    return max(values) if math.isinf(p) else sum(v**p for v in values) ** (1 / p)


@pytest.mark.parametrize("base", [Circle(), Product(Sphere(3), Circle())], ids=repr)
def test_costs_agree_with_loops(base):
    M = Power(base, 3, 4)
    x = points(base, 2, 3, 4)
    for problem in range(2):
        at = {(i, j): entry(x, problem, i, j) for i in range(3) for j in range(4)}
        first, second = [], []
        for i, j in at:
            ahead = [at[n] for n in ((i + 1, j), (i, j + 1)) if n in at]
            first.append([float(base.dist(at[i, j], y)) for y in ahead])
            sides = [pair for pair in (((i - 1, j), (i + 1, j)), ((i, j - 1), (i, j + 1))) if set(pair) <= set(at)]
            mid = [base.mid_point(at[a], at[b]) for a, b in sides]
            second.append([float(base.dist(c, at[i, j])) for c in mid])
        for p, q in itertools.product((1, 1.5, 2, math.inf), (1, 2, 3.0, math.inf)):
            truth = norm_of([norm_of(v, p) if v else 0.0 for v in first], q)
            assert float(cost_tv(M, x, p, q)[problem]) == pytest.approx(truth, rel=1e-11)
            logs = cost_collaborative_tv(M, x, forward_logs(M, x), p, q)
            assert float(logs[problem]) == pytest.approx(truth, rel=1e-11)
            if not math.isinf(p):
                truth = norm_of([norm_of(v, p) if v else 0.0 for v in second], q)
                assert float(cost_tv2(M, x, p, q)[problem]) == pytest.approx(truth, rel=1e-11)


def test_errors_are_means_over_the_entries():
    M = Power(Circle(), 2, 2)
    x, y = torch.zeros(2, 2, dtype=D), torch.tensor([[1.0, 0], [3.0, 2.0]], dtype=D)
    assert mean_squared_error(M, x, y) == 14 / 4 and mean_absolute_error(M, x, y) == 6 / 4
    assert mean_squared_error(Circle(), x, y)[1, 0] == 9 and mean_absolute_error(Circle(), x, y)[1, 0] == 3


def test_the_nearer_mid_point_counts_on_the_circle():
    # half way round between 2.5 and -2.5 lies pi, the shortest way; 0 is the other mid point
    near_pi, near_zero = torch.tensor([3.0, 0.1], dtype=D)
    ends = torch.tensor([2.5, -2.5], dtype=D)
    assert float(cost_tv2(Circle(), (ends[0], near_pi, ends[1]))) == pytest.approx(math.pi - 3)
    assert float(cost_tv2(Circle(), (ends[0], near_zero, ends[1]))) == pytest.approx(0.1)


# ---- gradients ------------------------------------------------------------------------------------------------------
def riemannian(M, cost, x):
    single = isinstance(x, torch.Tensor)
    tracked = map_leaves(lambda leaf: leaf.detach().requires_grad_(), x)
    found = torch.autograd.grad(cost(tracked).sum(), leaves(tracked))
    rest = iter(found)
    return M.egrad2rgrad(x, found[0] if single else map_leaves(lambda _: next(rest), x))


def assert_same(u, v, tolerance=1e-9):
    for a, b in zip(leaves(u), leaves(v), strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("base", BASES, ids=repr)
def test_gradients_agree_with_autograd(base):
    M = Power(base, 3, 4)
    x, f = points(base, 2, 3, 4), points(base, 2, 3, 4, seed=1)
    for p in (1, 1.5):
        assert_same(grad_tv(M, x, p), riemannian(M, lambda z, p=p: cost_tv(M, z, p), x))
        assert_same(grad_tv2(M, x, p), riemannian(M, lambda z, p=p: cost_tv2(M, z, p), x))
        assert_same(grad_distance(M, f, x, p), riemannian(M, lambda z, p=p: cost_distance(M, f, z, p), x))
        three = tuple(entry(x, 0, j) for j in range(3))
        for j, g in enumerate(grad_tv2(base, three, p)):
            fixed = [three[:j], three[j + 1 :]]
            cost = lambda z, p=p, a=fixed: cost_tv2(base, (*a[0], z, *a[1]), p)  # noqa: E731
            assert_same(g, riemannian(base, cost, three[j]))
        at_first = grad_tv(base, three[:2], p)[0]
        assert_same(at_first, riemannian(base, lambda z, p=p, b=three[1]: cost_tv(base, (z, b), p), three[0]))


@pytest.mark.parametrize("base", [Circle(), Sphere(3), SymmetricPositiveDefinite(2)], ids=repr)
def test_gradient_of_the_infimal_convolution(base):
    M = Power(base, 5)
    f, u, v = (points(base, 5, seed=k) for k in (0, 0, 3))
    u = M.geodesic(f, u.roll(1, 0), 0.3)
    v = M.geodesic(f, v, 0.1)
    at_u, at_v = grad_intrinsic_infimal_convolution_tv12(M, f, u, v, 0.7, 0.4)
    model = cost_intrinsic_infimal_convolution_tv12
    assert_same(at_u, riemannian(M, lambda z: model(M, f, z, v, 0.7, 0.4), u))
    assert_same(at_v, riemannian(M, lambda z: model(M, f, u, z, 0.7, 0.4), v))


@pytest.mark.parametrize("base", BASES, ids=repr)
def test_constant_images_have_gradient_zero(base):
    M = Power(base, 3, 3)
    x = map_leaves(lambda leaf: leaf[0, 0].expand(3, 3, *leaf.shape[2:]), points(base, 3, 3))
    for p in (1, 1.5, 2):
        for cost, gradient in ((cost_tv, grad_tv), (cost_tv2, grad_tv2)):
            for g in (gradient(M, x, p), riemannian(M, lambda z, c=cost, p=p: c(M, z, p), x)):
                assert all(bool((leaf.abs() < 1e-7).all()) for leaf in leaves(g))


# ---- what is refused ------------------------------------------------------------------------------------------------
def test_bad_input_is_named():
    x = torch.zeros(4)
    with pytest.raises(OptionsError, match=r"cost_tv: the exponent must be a number of at least 1, .*0.5"):
        cost_tv(Power(Euclidean(), 4), x, 0.5)
    with pytest.raises(OptionsError, match="grad_tv: the exponent must be a finite"):
        grad_tv(Power(Euclidean(), 4), x, math.inf)
    with pytest.raises(ShapeError, match=r"cost_tv: x must be a tuple of 2 points"):
        cost_tv(Euclidean(4), x)
    with pytest.raises(ShapeError, match=r"cost_tv2: x must be a tuple of 3 points"):
        cost_tv2(Euclidean(4), (x, x))


def test_short_signals_have_no_variation():
    for shape in ((1,), (1, 1), (2,)):
        M, x = Power(Sphere(3), *shape), points(Sphere(3), *shape)
        assert cost_tv2(M, x) == 0 and not grad_tv2(M, x).any()
        if shape[0] == 1:
            assert cost_tv(M, x) == 0 and not grad_tv(M, x).any()
