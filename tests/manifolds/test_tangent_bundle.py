"""Points with tangent vectors: closed forms, geodesics of the metric of Sasaki, and other base manifolds."""

import math

import pytest
import torch

from manopt_torch import TangentBundle, steepest_descent
from manopt_torch.errors import NotOnManifoldError, OptionsError
from manopt_torch.manifolds import (
    Circle,
    ComplexCircle,
    DoublyStochastic,
    Euclidean,
    Grassmann,
    HermitianPositiveDefinite,
    Hyperboloid,
    PoincareBall,
    Positive,
    Product,
    PSDFixedRank,
    Rotations,
    Simplex,
    Sphere,
    Stiefel,
    SymmetricPositiveDefinite,
)
from manopt_torch.manifolds.connection import bend, bent_gradient, directional
from manopt_torch.manifolds.points import to_vector
from manopt_torch.testing import check_manifold, manifold_laws
from manopt_torch.testing.manifold_sample import derivatives, draw

F64 = torch.float64


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    "M",
    [ComplexCircle(2), Stiefel(3, 2), Rotations(3), Positive(2), Product(Sphere(3), Euclidean())],
    ids=repr,
)
def test_all_laws_hold_over_submanifolds_and_flat_manifolds(M) -> None:
    report = check_manifold(TangentBundle(M), batch=(2,))
    assert report.passed, str(report)


@pytest.mark.parametrize(
    "M",
    [SymmetricPositiveDefinite(2), Hyperboloid(3), Grassmann(3, 1), Simplex(3), TangentBundle(Euclidean(2))],
    ids=repr,
)
def test_laws_of_first_order_hold_where_there_is_parallel_transport(M) -> None:
    bundle = TangentBundle(M)
    s = draw(bundle, (2,), F64, generator())
    for law in ("point", "tangent", "metric", "coordinate", "retraction", "transport"):
        for finding in getattr(manifold_laws, f"{law}_laws")(bundle, s):
            assert finding.value.max() < bundle.tolerance(F64), finding.law
    g, _ = derivatives(s.cost, s.x)
    gradient = bundle.egrad2rgrad(s.x, g)
    slope = (to_vector(g, bundle.point_shape) * to_vector(s.u, bundle.point_shape)).sum(-1)
    torch.testing.assert_close(bundle.inner(s.x, gradient, s.u), slope, rtol=1e-11, atol=1e-11)
    # the retraction moves along the tangent vector: that is where its parts must mean the same to both
    ends = [to_vector(bundle.retract(s.x, s.u, t), bundle.point_shape) for t in (1e-5, -1e-5)]
    velocity = to_vector(s.u, bundle.point_shape)
    torch.testing.assert_close((ends[0] - ends[1]) / 2e-5, velocity, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    "M",
    [SymmetricPositiveDefinite(3), HermitianPositiveDefinite(2), Hyperboloid(4, -0.3), PoincareBall(3, -2.0)],
    ids=repr,
)
def test_known_connections_are_derivatives_of_parallel_transport(M) -> None:
    x, y = M.random_point(2, 4, generator=generator(), dtype=F64)
    u, dx = M.random_tangent(x, generator(1)), M.random_tangent(x, generator(2))
    bent = bend(M, x, u, dx)
    torch.testing.assert_close(bent, directional(lambda z: M.parallel_transport(x, z, u), (x,), (dx,)))
    torch.testing.assert_close(bent, central_difference(lambda t: M.parallel_transport(x, M.exp(x, dx, t), u)))
    g = y + 1e-2 * torch.randn(y.shape, generator=generator(3), dtype=y.dtype)  # not symmetric, as autograd gives them
    axes = tuple(range(1, x.dim()))
    pairing = [(a.conj() * b).real.sum(axes) for a, b in ((bent_gradient(M, x, u, g), dx), (g, bent))]
    torch.testing.assert_close(*pairing)


def central_difference(f, h: float = 1e-5) -> torch.Tensor:
    return (f(h) - f(-h)) / (2 * h)


def test_the_parts_on_a_sphere() -> None:
    M = TangentBundle(Sphere(3))
    x = (torch.tensor([1.0, 0.0, 0.0], dtype=F64), torch.tensor([0.0, 2.0, 0.0], dtype=F64))
    h, v = torch.tensor([0.0, 0.5, 1.0], dtype=F64), torch.tensor([0.0, -1.0, 3.0], dtype=F64)
    move = M.join(x, h, v)
    # a tangent vector stays orthogonal to its point: <x, u'> = - <x', u>
    torch.testing.assert_close(move[1], torch.tensor([-1.0, -1.0, 3.0], dtype=F64))
    assert all(map(torch.equal, M.split(x, move), (h, v)))
    assert M.inner(x, move, move) == 1.25 + 10


@pytest.mark.parametrize("n", [3, 4])
def test_the_hessian_is_the_second_derivative_along_geodesics_of_sasaki(n: int) -> None:
    M = TangentBundle(Sphere(n))
    s = draw(M, (5,), F64, generator())
    (x, u), (p, _) = s.x, s.u
    v = M.split(s.x, s.u)[1]
    g, hessian = derivatives(s.cost, s.x)
    h = hessian(s.u)

    def dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a * b).sum(-1, keepdim=True)

    # D x'/dt = - R(u, v) x' and D v/dt = 0, on the unit sphere, as second derivatives of the arrays
    acceleration = -dot(p, p) * x - (dot(v, p) * u - dot(u, p) * v)
    u_dot = v - dot(p, u) * x
    bent = -dot(p, v) * x - (dot(acceleration, u) + dot(p, u_dot)) * x - dot(p, u) * p
    wanted = dot(h[0], p) + dot(h[1], u_dot) + dot(g[0], acceleration) + dot(g[1], bent)
    got = M.inner(s.x, M.ehess2rhess(s.x, g, h, s.u), s.u)
    torch.testing.assert_close(got, wanted[..., 0], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    "M",
    [
        SymmetricPositiveDefinite(2),
        HermitianPositiveDefinite(2),
        Hyperboloid(3, -0.5),
        PoincareBall(2, -2.0),
        Sphere(3),
    ],
    ids=repr,
)
def test_hessians_are_second_derivatives_along_curves_that_are_straight_to_second_order(M) -> None:
    bundle = TangentBundle(M)
    s = draw(bundle, (3,), F64, generator())
    g, hessian = derivatives(s.cost, s.x)
    (x, u), (p, v) = s.x, bundle.split(s.x, s.u)
    if x.dim() == 3:  # a symmetric space of matrices: with x the identity, R(u, v) w = [[u, v], w] / -4
        a, b, c = (torch.linalg.solve(x, w) for w in (u, v, p))
        turn = a @ b - b @ a
        acceleration = x @ (turn @ c - c @ turn) / 4
    else:  # the curvature is constant
        K = getattr(M, "curvature", 1.0)
        acceleration = -K * (M.inner(x, v, p)[:, None] * u - M.inner(x, u, p)[:, None] * v)

    def cost(t: torch.Tensor) -> torch.Tensor:  # D x'/dt = -R(u, v) x' and D v/dt = 0 at t = 0
        y = M.exp(x, t * p + t**2 / 2 * acceleration)
        return s.cost((y, M.parallel_transport(x, y, u + t * v)))

    zero, one = torch.zeros((), dtype=F64), torch.ones((), dtype=F64)
    _, wanted = torch.func.jvp(lambda t: torch.func.jvp(cost, (t,), (one,))[1], (zero,), (one,))
    got = bundle.inner(s.x, bundle.ehess2rhess(s.x, g, hessian(s.u), s.u), s.u)
    torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-9)
    other = bundle.random_tangent(s.x, generator(1))  # and it is symmetric
    pairs = ((s.u, other), (other, s.u))
    left, right = (bundle.inner(s.x, bundle.ehess2rhess(s.x, g, hessian(a), a), b) for a, b in pairs)
    torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-9)


def test_over_flat_manifolds_geodesics_are_pairs_of_lines() -> None:
    M = TangentBundle(Circle())
    x, y = (torch.tensor(3.0), torch.tensor(1.0)), (torch.tensor(-3.0), torch.tensor(-2.0))
    assert M.dist(x, y).item() == pytest.approx(math.hypot(2 * math.pi - 6, 3), rel=1e-6)
    assert [a.item() for a in M.mid_point(x, y)] == pytest.approx([-math.pi, -0.5], rel=1e-6)
    E = TangentBundle(Euclidean(2))
    assert E.has_exp and E.has_log and E.has_parallel_transport and E.retraction_order == 2


def test_over_curved_manifolds_each_missing_method_names_another() -> None:
    M = TangentBundle(Sphere(3))
    x = M.random_point(2, generator=generator())
    assert not (M.has_exp or M.has_log or M.has_parallel_transport) and M.retraction_order == 1
    for call, other in [
        (lambda: M.exp(x, M.zero_tangent(x)), r"use M.retract\(x, u\)"),
        (lambda: M.log(x, x), r"use M.inverse_retract\(x, y\)"),
        (lambda: M.dist(x, x), r"use M.inverse_retract\(x, y\), and its length"),
        (lambda: M.parallel_transport(x, x, x), r"use M.transport\(x, y, u\)"),
    ]:
        with pytest.raises(OptionsError, match=r"since Sphere\(3\) is curved: " + other):
            call()
    G = TangentBundle(Grassmann(3, 1))
    y = G.random_point(generator=generator())
    with pytest.raises(OptionsError, match="use a first-order solver"):
        G.ehess2rhess(y, y, y, G.zero_tangent(y))
    E = TangentBundle(Stiefel(3, 2))
    assert E.inverse_retractions or not Stiefel(3, 2).has_parallel_transport


@pytest.mark.parametrize("M", [PSDFixedRank(3, 2), DoublyStochastic(3), "sphere"], ids=repr)
def test_bases_without_a_connection_are_refused(M) -> None:
    with pytest.raises(OptionsError, match=r"TangentBundle\(.*\): pass a manifold"):
        TangentBundle(M)


def test_points_off_the_bundle_are_found() -> None:
    M = TangentBundle(Sphere(3))
    x = torch.eye(3)[0]
    M.check_point((x, torch.eye(3)[1]))
    for pair in ((x, x), (2 * x, torch.eye(3)[1])):
        with pytest.raises(NotOnManifoldError, match="off TangentBundle"):
            M.check_point(pair)


def test_long_vectors_are_tangent_up_to_rounding_of_their_length() -> None:
    M, x = TangentBundle(Sphere(3)), torch.tensor([0.6, 0.8, 0.0], dtype=F64)
    u = torch.tensor([-0.8, 0.6, 1.0], dtype=F64)
    M.check_point((x, 1e27 * u))
    with pytest.raises(NotOnManifoldError):
        M.check_point((x, 1e27 * (u + 1e-9 * x)))


def test_geodesic_regression_on_the_sphere() -> None:
    sphere = Sphere(3)
    M = TangentBundle(sphere)
    truth = M.random_point(4, generator=generator(), dtype=F64)
    times = torch.linspace(-0.5, 0.5, 5, dtype=F64)

    def line(p: tuple) -> torch.Tensor:
        x, u = (leaf[..., None, :].expand(*leaf.shape[:-1], 5, 3) for leaf in p)
        return sphere.exp(x, u, times.expand(x.shape[:-1]))

    data = line(truth)
    start = M.retract(truth, M.random_tangent(truth, generator(1)), 0.3)
    found = steepest_descent(M, lambda p: (line(p) - data).square().sum((-2, -1)), start)
    torch.testing.assert_close(found, truth, rtol=0, atol=1e-6)
