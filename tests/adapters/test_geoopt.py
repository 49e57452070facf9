"""Manifolds for and from geoopt, against closed forms, our own formulas and geoopt's."""

import copy
import math
import pickle
import sys

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
    from_geoopt,
    steepest_descent,
    to_geoopt,
)
from manopt_torch.adapters.geoopt import import_geoopt
from manopt_torch.manifolds.stiefel import Stiefel

geoopt = import_geoopt()
# geoopt compiles its matrix functions when they are first called
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
GEN = torch.Generator
OURS = [Sphere(4), Stiefel(4, 2), SymmetricPositiveDefinite(3), Circle(), Euclidean(2, 3)]


def points(M, *batch, seed=0):
    generator = GEN().manual_seed(seed)
    x = M.random_point(*batch, generator=generator, dtype=torch.float64)
    u, v = M.random_tangent(x, generator), M.random_tangent(x, generator)
    return x, u, v


def close(a, b, atol=1e-10):
    torch.testing.assert_close(a, b, atol=atol, rtol=0)


# ---- ours in geoopt ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize("M", OURS, ids=repr)
def test_optimizers_of_geoopt_descend_and_stay_on_the_manifold(M, optimizer):
    start, target = points(M, 3)[0], points(M, 3, seed=1)[0]
    parameter = geoopt.ManifoldParameter(start.clone(), manifold=to_geoopt(M))
    lr = 1e-5 if isinstance(M, SymmetricPositiveDefinite) else 0.02  # the gradient grows with the square of the point
    make = {
        "sgd": lambda p: geoopt.optim.RiemannianSGD(p, lr=lr),
        "momentum": lambda p: geoopt.optim.RiemannianSGD(p, lr=lr, momentum=0.5, stabilize=2),
        "adam": lambda p: geoopt.optim.RiemannianAdam(p, lr=0.02, stabilize=2),
    }[optimizer]([parameter])
    costs = []
    for _ in range(5):
        make.zero_grad()
        cost = (parameter - target).square().sum()
        cost.backward()
        make.step()
        costs.append(cost.item())
    assert costs == sorted(costs, reverse=True) and costs[-1] < costs[0]
    M.check_point(parameter.detach().as_subclass(torch.Tensor))


def test_a_step_of_sgd_is_a_step_along_the_gradient():
    M, lr = Sphere(3), 0.1
    x, w = torch.tensor([0.6, 0.0, 0.8]), torch.tensor([1.0, 2.0, 4.0])
    parameter = geoopt.ManifoldParameter(x.clone(), manifold=to_geoopt(M))
    (w * parameter).sum().backward()
    geoopt.optim.RiemannianSGD([parameter], lr=lr).step()
    y = x - lr * (w - (x @ w) * x)
    close(parameter.detach().as_subclass(torch.Tensor), y / y.norm(), 1e-6)


@pytest.mark.parametrize(
    ("M", "G"),
    [
        (Sphere(4), geoopt.SphereExact()),
        (SymmetricPositiveDefinite(3), geoopt.SymmetricPositiveDefinite()),
        (Euclidean(4), geoopt.Euclidean(ndim=1)),
    ],
    ids=str,
)
def test_ours_agrees_with_the_manifold_of_geoopt(M, G):
    ours, (x, u, v) = to_geoopt(M), points(M, 2)
    y = ours.expmap(x, 0.5 * u)
    close(y, G.expmap(x, 0.5 * u))
    close(ours.logmap(x, y), G.logmap(x, y), 1e-7)
    close(ours.dist(x, y), torch.full((2,), 0.5, dtype=x.dtype))
    close(ours.dist2(x, y, keepdim=True), torch.full((2, *(1,) * G.ndim), 0.25, dtype=x.dtype))
    close(ours.norm(x, u), torch.ones(2, dtype=x.dtype))
    for keepdim in (False, True):
        close(ours.inner(x, u, v, keepdim=keepdim), G.inner(x, u, v, keepdim=keepdim))
    assert ours.component_inner(x, u).shape == (2, *(1,) * G.ndim)
    close(ours.projx(x), x)
    close(ours.proju(x, u), u)


def test_it_checks_points_and_vectors_as_geoopt_does():
    G = to_geoopt(Sphere(3))
    x, u = torch.tensor([0.0, 0.0, 1.0]), torch.tensor([0.0, 1.0, 0.0])
    assert G.check_point_on_manifold(x) and G.check_vector_on_tangent(x, u)
    assert not G.check_point_on_manifold(2 * x) and not G.check_vector_on_tangent(x, x)
    assert not G.check_point(torch.zeros(4))
    with pytest.raises(ValueError, match="needs a shape that ends in"):
        G.assert_check_point(torch.zeros(4))
    with pytest.raises(ValueError, match="off the manifold: residual 1, allowed"):
        G.assert_check_point_on_manifold(2 * x)


def test_random_and_origin():
    G = to_geoopt(Sphere(3))
    for size in ((5, 3), ((5, 3),)):
        x = G.random(*size, dtype=torch.float64)
        assert isinstance(x, geoopt.ManifoldTensor) and x.manifold is G and x.dtype == torch.float64
        assert x.shape == (5, 3) and G.check_point_on_manifold(x)
    assert torch.equal(G.origin(3), G.origin(3)) and not torch.equal(G.origin(3), G.origin(3, seed=1))
    assert to_geoopt(Circle()).random().shape == ()
    with pytest.raises(ValueError, match="ends in"):
        G.random(4)


def test_parameters_are_copied_and_pickled_with_their_manifold():
    parameter = geoopt.ManifoldParameter(torch.tensor([0.0, 1.0]), manifold=to_geoopt(Sphere(2)))
    for twin in (copy.deepcopy(parameter), pickle.loads(pickle.dumps(parameter))):
        assert twin.manifold.source.point_shape == (2,) and type(twin.manifold) is type(parameter.manifold)
        assert twin.requires_grad and torch.equal(twin.detach(), parameter.detach())


def test_it_joins_products_and_scalings_of_geoopt():
    G = geoopt.ProductManifold((to_geoopt(Sphere(3)), 3), (geoopt.Euclidean(ndim=1), 2))
    x = G.random(4, 5)
    assert G.check_point_on_manifold(x)
    scaled = geoopt.Scaled(to_geoopt(Sphere(3)), 2.0)
    x, y = torch.eye(3)[:2]
    close(scaled.dist(x, y), torch.tensor(math.pi), 1e-6)


def test_points_that_are_tuples_are_refused():
    with pytest.raises(OptionsError, match="geoopt.ProductManifold"):
        to_geoopt(Product(Sphere(3), Sphere(2)))


# ---- geoopt's in ours -------------------------------------------------------------------------------------------
BACKED = [
    (geoopt.Sphere(), (4,), Sphere(4)),
    (geoopt.EuclideanStiefelExact(), (4, 2), Stiefel(4, 2)),
    (geoopt.SymmetricPositiveDefinite(), (3, 3), SymmetricPositiveDefinite(3)),
    (geoopt.Euclidean(ndim=2), (2, 3), Euclidean(2, 3)),
    (to_geoopt(Sphere(4)), (4,), Sphere(4)),
    (to_geoopt(SymmetricPositiveDefinite(3)), (3, 3), SymmetricPositiveDefinite(3)),
]


@pytest.mark.parametrize(("G", "shape", "native"), BACKED, ids=[f"{case[0]!r}" for case in BACKED])
def test_it_agrees_with_the_native_manifold(G, shape, native):
    M, (x, u, v) = from_geoopt(G, *shape), points(native, 2, 3)
    g = torch.randn(x.shape, generator=GEN().manual_seed(2), dtype=x.dtype)
    t = torch.full((2, 3), 0.5, dtype=x.dtype)
    assert (M.point_shape, M.dim, M.has_exp) == (native.point_shape, native.dim, True)
    close(M.inner(x, u, v), native.inner(x, u, v))
    close(M.norm(x, u), torch.ones_like(t))
    close(M.project_point(x), x)
    close(M.project_tangent(x, g), native.project_tangent(x, g))
    close(M.egrad2rgrad(x, g), native.egrad2rgrad(x, g))
    y = native.exp(x, u, 0.5)
    close(M.exp(x, u, t), y)
    if M.has_log:
        close(M.log(x, y), 0.5 * u, 1e-6)
        close(M.dist(x, y), t, 1e-6)
        close(M.squared_dist(x, y), t * t, 1e-6)
    close(M.off_manifold(x), torch.zeros_like(t))
    M.check_tangent(y, M.transport(x, y, u), atol=1e-8)
    M.check_point(M.retract(x, u, 0.1), atol=1e-8)
    M.check_point(M.random_point(2, dtype=torch.float64, generator=GEN()), atol=1e-8)


@pytest.mark.parametrize("batch", [(), (3,)], ids=str)
def test_steepest_descent_finds_the_least_eigenvalue(batch):
    a = torch.diag(torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64))
    M = from_geoopt(geoopt.Sphere(), (3,))  # or 3
    start = points(Sphere(3), *batch)[0]
    x = steepest_descent(M, lambda x: ((x @ a) * x).sum(-1), start, stop=stop())
    close(((x @ a) * x).sum(-1), torch.ones(batch, dtype=torch.float64), 1e-9)
    M.check_point(x)


def test_steepest_descent_finds_an_invariant_subspace():
    a = torch.diag(torch.tensor([1.0, 2.0, 4.0, 8.0], dtype=torch.float64))
    M = from_geoopt(geoopt.EuclideanStiefel(), 4, 2)
    x = steepest_descent(M, lambda x: ((a @ x) * x).sum((-2, -1)), points(Stiefel(4, 2))[0], stop=stop())
    close(((a @ x) * x).sum((-2, -1)), torch.tensor(3.0, dtype=torch.float64), 1e-8)


def stop():
    return StopAfterIteration(500) | StopWhenGradientNormLess(1e-6)


def test_axes_beyond_those_of_geoopt_are_a_power():
    M, x = from_geoopt(geoopt.Sphere(), 5, 3), points(Sphere(3), 2, 5)[0]
    y = points(Sphere(3), 2, 5, seed=1)[0]
    assert M.dim == 10 and M.batch_shape(x) == (2,)
    close(M.dist(x, y), Sphere(3).squared_dist(x, y).sum(-1).sqrt(), 1e-6)


def test_what_stands_in_for_an_exponential_map_is_no_exponential_map():
    class Projecting(geoopt.Sphere):
        expmap = geoopt.Sphere.retr

    M = from_geoopt(Projecting(), 3)
    x, u, _ = points(M)
    assert not M.has_exp and not M.has_log and list(M.retractions) == ["retr"]
    with pytest.raises(OptionsError, match="no exponential map: use M.retract"):
        M.exp(x, u)
    with pytest.raises(OptionsError, match="no logarithm"):
        M.log(x, x)
    with pytest.raises(OptionsError, match="has no retraction 'exp'"):
        M.retract(x, u, method="exp")


def test_buffers_of_geoopt_decide_the_dtype_that_it_draws_in():
    M = from_geoopt(geoopt.Lorentz(), 4)
    assert M.dim == 3 and M.has_exp and M.has_log
    x = M.random_point(2, dtype=torch.float64, generator=GEN().manual_seed(1))
    assert x.dtype == torch.float64 and type(x) is torch.Tensor
    assert torch.equal(x, M.random_point(2, dtype=torch.float64, generator=GEN().manual_seed(1)))
    close(x[:, 0].square() - x[:, 1:].square().sum(-1), torch.ones(2, dtype=x.dtype), 1e-6)


def test_drawing_leaves_the_generators_as_they_were():
    before = torch.get_rng_state()
    M = from_geoopt(geoopt.Sphere(), 3)
    M.random_point(generator=GEN().manual_seed(1))
    assert torch.equal(before, torch.get_rng_state())


def test_what_it_cannot_do_says_what_to_do():
    M = from_geoopt(geoopt.Sphere(), 3)
    x = torch.eye(3)[0]
    with pytest.raises(OptionsError, match="geoopt has no formulas.*pass hessian="):
        M.ehess2rhess(x, x, x, x)
    with pytest.raises(OptionsError, match="at least 2 axes"):
        from_geoopt(geoopt.EuclideanStiefel(), 3)
    with pytest.raises(OptionsError, match="expected a geoopt.Manifold"):
        from_geoopt(Sphere(3), 3)
    with pytest.raises(OptionsError, match="is no projector"):
        from_geoopt(geoopt.CanonicalStiefel(), 4, 2)


@pytest.mark.parametrize("call", [lambda: to_geoopt(Sphere(3)), lambda: from_geoopt(None, 3)], ids=["to", "from"])
def test_a_missing_package_is_named(call, monkeypatch):
    from manopt_torch.adapters import geoopt as adapter

    adapter._geoopt_class.cache_clear()
    monkeypatch.setitem(sys.modules, "geoopt", None)
    with pytest.raises(ImportError, match=r"pip install manopt_torch\[geoopt\]"):
        call()
