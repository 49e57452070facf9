"""Manifolds for and from pymanopt, against closed forms, our own formulas and pymanopt's."""

import math
import sys

import numpy as np
import pytest
import torch

from manopt_torch import (
    Circle,
    Euclidean,
    OptionsError,
    Product,
    Sphere,
    StopAfterIteration,
    StopWhenGradientNormLess,
    SymmetricPositiveDefinite,
    from_pymanopt,
    steepest_descent,
    to_pymanopt,
)
from manopt_torch.adapters.pymanopt import import_pymanopt
from manopt_torch.manifolds import Power
from manopt_torch.manifolds.stiefel import Stiefel

pymanopt = import_pymanopt()
GEN = torch.Generator


def points(M, *batch, seed=0):
    generator = GEN().manual_seed(seed)
    x = M.random_point(*batch, generator=generator, dtype=torch.float64)
    u, v = M.random_tangent(x, generator), M.random_tangent(x, generator)
    return x, u, v


def close(a, b, atol=1e-10):
    torch.testing.assert_close(torch.as_tensor(a), torch.as_tensor(b), atol=atol, rtol=0)


PAIRS = [
    (pymanopt.manifolds.Sphere(4), Sphere(4)),
    (pymanopt.manifolds.Stiefel(4, 2), Stiefel(4, 2)),
    (pymanopt.manifolds.SymmetricPositiveDefinite(3), SymmetricPositiveDefinite(3)),
    (pymanopt.manifolds.Euclidean(2, 3), Euclidean(2, 3)),
    (pymanopt.manifolds.Oblique(3, 4), None),
]
SAME = [pair for pair in PAIRS if pair[1] is not None]
names = [str(pair[0]) for pair in SAME]


# ---- ours in pymanopt -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("P", "M"), SAME, ids=names)
def test_ours_agrees_with_the_manifold_of_pymanopt(P, M):
    ours = to_pymanopt(M)
    x, u, v = (tensor.numpy() for tensor in points(M))
    g, h = np.random.default_rng(3).standard_normal((2, *x.shape))
    assert (ours.dim, ours.point_layout, str(ours), ours.source) == (P.dim, 1, repr(M), M)
    assert isinstance(ours.inner_product(x, u, v), float)
    close(ours.inner_product(x, u, v), float(P.inner_product(x, u, v)))
    close(ours.norm(x, u), 1.0)
    close(ours.projection(x, g), P.projection(x, g))
    close(ours.to_tangent_space(x, u), u)
    close(ours.euclidean_to_riemannian_gradient(x, g), P.euclidean_to_riemannian_gradient(x, g))
    g, h = (g, h) if M.point_shape != (3, 3) else (g + g.T, h + h.T)
    close(ours.euclidean_to_riemannian_hessian(x, g, h, u), P.euclidean_to_riemannian_hessian(x, g, h, u))
    y = ours.exp(x, 0.5 * u)
    close(y, P.exp(x, 0.5 * u))
    close(ours.dist(x, y), 0.5)
    close(ours.log(x, y), 0.5 * u)
    close(ours.pair_mean(x, y), P.exp(x, 0.25 * u))
    close(ours.zero_vector(x), 0 * x)


def test_random_elements_follow_the_seed_of_numpy():
    P = to_pymanopt(Stiefel(4, 2))
    state = np.random.get_state()
    np.random.seed(5)
    x, u = P.random_point(), P.random_tangent_vector(P.random_point())
    np.random.seed(5)
    assert np.array_equal(x, P.random_point()) and np.array_equal(u, P.random_tangent_vector(P.random_point()))
    np.random.set_state(state)
    assert x.dtype == np.float64 and np.allclose(x.T @ x, np.eye(2))


@pytest.mark.parametrize("optimizer", ["SteepestDescent", "ConjugateGradient", "TrustRegions"])
def test_optimizers_of_pymanopt_find_the_least_eigenvalue(optimizer):
    a = torch.diag(torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64))
    P = to_pymanopt(Sphere(3))

    @pymanopt.function.pytorch(P)
    def cost(x):
        return x @ a @ x

    solver = getattr(pymanopt.optimizers, optimizer)(verbosity=0, min_gradient_norm=1e-7)
    result = solver.run(pymanopt.Problem(P, cost), initial_point=np.ones(3) / math.sqrt(3))
    assert result.cost == pytest.approx(1.0, abs=1e-10)
    Sphere(3).check_point(torch.from_numpy(result.point))


def test_a_product_becomes_a_product():
    P = to_pymanopt(Product(Sphere(3), Euclidean(2)))

    @pymanopt.function.pytorch(P)
    def cost(x, y):
        return x[0] + (y - 1).square().sum()

    solver = pymanopt.optimizers.SteepestDescent(verbosity=0, min_gradient_norm=1e-7)
    result = solver.run(pymanopt.Problem(P, cost), initial_point=[np.array([0.0, 0.6, 0.8]), np.zeros(2)])
    close(result.point[0], np.array([-1.0, 0.0, 0.0]), 1e-6)
    close(result.point[1], np.ones(2), 1e-6)


def test_other_tuples_are_refused():
    with pytest.raises(OptionsError, match="for products only"):
        to_pymanopt(Power(Product(Sphere(3), Sphere(2)), 2))


# ---- pymanopt's in ours -----------------------------------------------------------------------------------------
BACKED = [*SAME, (to_pymanopt(Sphere(4)), Sphere(4)), (to_pymanopt(Stiefel(4, 2)), Stiefel(4, 2))]


@pytest.mark.parametrize("batch", [(), (2, 3)], ids=str)
@pytest.mark.parametrize(("P", "native"), BACKED, ids=[str(pair[0]) for pair in BACKED])
def test_it_agrees_with_the_native_manifold(P, native, batch):
    M, (x, u, v) = from_pymanopt(P), points(native, *batch)
    g, h = torch.randn((2, *x.shape), generator=GEN().manual_seed(2), dtype=x.dtype)
    g, h = (g, h) if native.point_shape != (3, 3) else (g + g.mT, h + h.mT)
    t = torch.full(batch, 0.5, dtype=x.dtype)
    assert (M.point_shape, M.dim, M.has_exp, M.field) == (native.point_shape, native.dim, True, "real")
    close(M.inner(x, u, v), native.inner(x, u, v))
    close(M.project_tangent(x, g), native.project_tangent(x, g))
    close(M.egrad2rgrad(x, g), native.egrad2rgrad(x, g))
    close(M.ehess2rhess(x, g, h, u), native.ehess2rhess(x, g, h, u))
    y = native.exp(x, u, 0.5)
    close(M.exp(x, u, t), y)
    if M.has_log:
        close(M.log(x, y), 0.5 * u, 1e-7)
        close(M.dist(x, y), t, 1e-7)
        close(M.squared_dist(x, y), t * t, 1e-7)
    close(M.project_point(x), x)
    close(M.off_manifold(x), torch.zeros_like(t))
    M.check_tangent(y, M.transport(x, y, u), atol=1e-8)
    M.check_point(M.retract(x, u, 0.1), atol=1e-8)
    M.check_point(M.random_point(2, dtype=torch.float64, generator=GEN()), atol=1e-8)


@pytest.mark.parametrize("batch", [(), (3,)], ids=str)
def test_steepest_descent_finds_the_least_eigenvalue(batch):
    a = torch.diag(torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64))
    M, start = from_pymanopt(pymanopt.manifolds.Sphere(3)), points(Sphere(3), *batch)[0]
    x = steepest_descent(M, lambda x: ((x @ a) * x).sum(-1), start, stop=stop())
    close(((x @ a) * x).sum(-1), torch.ones(batch, dtype=torch.float64), 1e-9)
    M.check_point(x)


def test_steepest_descent_on_a_product_of_pymanopt():
    M = from_pymanopt(pymanopt.manifolds.Product([pymanopt.manifolds.Sphere(3), pymanopt.manifolds.Euclidean(2)]))
    start = (torch.tensor([0.0, 0.6, 0.8], dtype=torch.float64), torch.zeros(2, dtype=torch.float64))
    x, y = steepest_descent(M, lambda p: p[0][..., 0] + (p[1] - 1).square().sum(-1), start, stop=stop())
    close(x, torch.tensor([-1.0, 0.0, 0.0], dtype=torch.float64), 1e-5)
    close(y, torch.ones(2, dtype=torch.float64), 1e-5)


def stop():
    return StopAfterIteration(300) | StopWhenGradientNormLess(1e-6)


def test_complex_manifolds_and_single_precision():
    M = from_pymanopt(pymanopt.manifolds.UnitaryGroup(2))
    x = M.random_point(3, dtype=torch.float32, generator=GEN().manual_seed(1))
    assert M.field == "complex" and x.dtype == torch.complex64
    u = M.project_tangent(x, torch.ones_like(x))
    assert u.dtype == torch.complex64 and M.inner(x, u, u).dtype == torch.float32
    close(M.off_manifold(x), torch.zeros(3), 1e-5)


def test_a_retraction_is_no_exponential_map():
    M = from_pymanopt(pymanopt.manifolds.Elliptope(3, 2))
    x = M.random_point(dtype=torch.float64, generator=GEN().manual_seed(1))
    u = M.project_tangent(x, torch.ones_like(x))
    assert not M.has_exp and not M.has_log and list(M.retractions) == ["retraction"]
    with pytest.raises(OptionsError, match="no exponential map: use M.retract"):
        M.exp(x, u)
    with pytest.raises(OptionsError, match="no logarithm"):
        M.log(x, x)


def test_an_empty_batch_stays_empty():
    M = from_pymanopt(pymanopt.manifolds.Sphere(3))
    x = M.random_point(0, 2, dtype=torch.float64)
    assert x.shape == (0, 2, 3) and M.dist(x, x).shape == (0, 2) and M.exp(x, x).shape == x.shape


def test_drawing_leaves_the_generator_of_numpy_as_it_was():
    before = np.random.get_state()[1].copy()
    M = from_pymanopt(pymanopt.manifolds.Sphere(3))
    x = M.random_point(generator=GEN().manual_seed(1))
    assert torch.equal(x, M.random_point(generator=GEN().manual_seed(1)))
    assert np.array_equal(before, np.random.get_state()[1])


def test_what_it_cannot_do_says_why():
    with pytest.raises(OptionsError, match="not arrays"):
        from_pymanopt(pymanopt.manifolds.FixedRankEmbedded(3, 3, 1))
    with pytest.raises(OptionsError, match="expected a manifold of pymanopt"):
        from_pymanopt(Sphere(3))
    x = torch.eye(3, requires_grad=True)[0]
    with pytest.raises(RuntimeError, match="requires grad"):
        from_pymanopt(pymanopt.manifolds.Sphere(3)).dist(x, x)


def test_a_scalar_point():
    P = to_pymanopt(Circle())
    assert P.dist(np.array(0.0), np.array(math.pi / 2)) == pytest.approx(math.pi / 2)
    assert from_pymanopt(P).point_shape == ()


@pytest.mark.parametrize("call", [lambda: to_pymanopt(Sphere(3)), lambda: from_pymanopt(None)], ids=["to", "from"])
def test_a_missing_package_is_named(call, monkeypatch):
    from manopt_torch.adapters import pymanopt as adapter

    adapter._pymanopt_class.cache_clear()
    monkeypatch.setitem(sys.modules, "pymanopt", None)
    with pytest.raises(ImportError, match=r"pip install manopt_torch\[pymanopt\]"):
        call()
