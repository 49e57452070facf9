"""Proximal and subgradient solvers, against closed forms and the published cases."""

import math

import pytest
import torch

from manopt_torch import (
    Circle,
    CyclicProximalPointOptions,
    DouglasRachfordOptions,
    Euclidean,
    FixedRandomEvalOrder,
    FixedRank,
    GradientProblem,
    Hyperboloid,
    OptionsError,
    Product,
    ProximalPointOptions,
    ProximalProblem,
    RandomEvalOrder,
    Sphere,
    StopAfterIteration,
    StopWhenChangeLess,
    SubGradientMethodOptions,
    SymmetricPositiveDefinite,
    cyclic_proximal_point,
    douglas_rachford,
    prox_distance,
    proximal_point,
    reflect,
    solve,
    subgradient_method,
)
from tests.together import together

D = torch.float64
E = torch.eye(3, dtype=D)
S2 = Sphere(3)


def towards(M, q):
    """The proximal map of half the squared distance to q."""
    return lambda lam, x: M.geodesic(x, q.expand_as(x) if isinstance(q, torch.Tensor) else q, lam / (1 + lam))


def half_squares(M, points):
    return lambda x: sum(0.5 * M.squared_dist(x, q) for q in points)


@pytest.mark.parametrize("parallel", [False, True])
def test_douglas_rachford_finds_the_midpoint(parallel):
    # reference case 40
    stop = StopAfterIteration(200) | StopWhenChangeLess(1e-15)
    maps = [towards(S2, E[0]), towards(S2, E[1])]
    x = douglas_rachford(S2, half_squares(S2, E[:2]), maps, E[2], parallel=parallel, stop=stop)
    torch.testing.assert_close(x, (E[0] + E[1]) / math.sqrt(2), rtol=0, atol=1e-12)


def test_douglas_rachford_with_three_parts_in_the_product_space():
    stop = StopAfterIteration(200) | StopWhenChangeLess(1e-15)
    start = S2.random_point(4, dtype=D, generator=torch.Generator().manual_seed(0)).abs()
    x = douglas_rachford(S2, half_squares(S2, E), [towards(S2, q) for q in E], start, stop=stop)
    torch.testing.assert_close(x, torch.full((4, 3), 3**-0.5, dtype=D), rtol=0, atol=1e-12)


def test_douglas_rachford_uses_the_reflection_given():
    seen = []

    def own(M, centre, x):
        seen.append(centre)
        return reflect(M, centre, x)

    maps = [towards(S2, E[0]), towards(S2, E[1])]
    douglas_rachford(S2, half_squares(S2, E[:2]), maps, E[2], reflection=own, stop=StopAfterIteration(3))
    assert len(seen) == 6


@pytest.mark.parametrize("M", [Euclidean(3), Sphere(3), Hyperboloid(2), SymmetricPositiveDefinite(2)], ids=str)
def test_a_reflection_is_an_involution_that_keeps_the_distance(M):
    g = torch.Generator().manual_seed(3)
    c = M.random_point(4, dtype=D, generator=g)
    x = M.exp(c, M.random_tangent(c, generator=g), 0.3)
    y = reflect(M, c, x)
    torch.testing.assert_close(M.dist(c, y), M.dist(c, x))
    torch.testing.assert_close(reflect(M, c, y), x, rtol=1e-9, atol=1e-9)


def test_proximal_point_on_the_sphere():
    # reference case 42
    for prox in (towards(S2, E[0]), None):
        x = proximal_point(S2, half_squares(S2, E[:1]), E[2], prox=prox)
        assert float(S2.dist(x, E[0])) < (1e-12 if prox else 1e-8)


def test_proximal_point_on_pairs_with_data_and_a_cost_for_one_point():
    M = Product(Sphere(3), Euclidean(2))
    cost = lambda x, q, b: (q @ x[0]) + 0.5 * ((x[1] - b) ** 2).sum()  # noqa: E731
    g = torch.Generator().manual_seed(0)
    q = S2.random_point(3, dtype=D, generator=g)
    b = torch.randn(3, 2, dtype=D, generator=g)
    start = (S2.random_point(3, dtype=D, generator=g), torch.zeros(3, 2, dtype=D))
    x = proximal_point(M, cost, start, data=(q, b), vectorized=False, stop=StopAfterIteration(25))
    torch.testing.assert_close(x[0], -q, rtol=0, atol=1e-6)
    torch.testing.assert_close(x[1], b, rtol=0, atol=1e-6)


def median_maps(numbers):
    return [lambda lam, x, a=a: x - (x - a).clamp(-lam, lam) for a in numbers]


@pytest.mark.parametrize("order", [None, RandomEvalOrder(1), FixedRandomEvalOrder(2)], ids=str)
def test_the_median_of_numbers_in_three_orders(order):
    numbers = torch.tensor([0.0, 1.0, 5.0, 7.0, -3.0], dtype=D)
    cost = lambda x: (x - numbers).abs().sum(-1)  # noqa: E731
    x = cyclic_proximal_point(Euclidean(1), cost, median_maps(numbers), torch.full((2, 1), 3.0, dtype=D), order=order)
    torch.testing.assert_close(x, torch.ones(2, 1, dtype=D), rtol=0, atol=1e-2)


def test_parameters_fall_with_the_cycle_and_are_one_in_a_cycle():
    seen = []

    def note(lam, x):
        seen.append(lam)
        return x

    cost = lambda x: x.square().sum(-1)  # noqa: E731
    o = cyclic_proximal_point(
        S2, cost, [note, note], E[0], stop=StopAfterIteration(3), record=[":ProximalParameter"], return_options=True
    )
    assert seen == [math.pi / 2, math.pi / 2, math.pi / 4, math.pi / 4, math.pi / 6, math.pi / 6]
    assert o.iterations == 3


@pytest.mark.parametrize("parameter", [None, lambda i: 1 / i])
def test_a_circle_mean_goes_the_way_of_its_recursion(parameter):
    # reference case 4; with 1 / i the recursion is within 1e-3 of the mean, 0, after 5000 cycles, with the default,
    # pi / (4 i), only within 5e-3, since these terms are light
    M, data = Circle(), [-math.pi / 2, math.pi / 4, 0.0, math.pi / 4]
    maps = [lambda lam, x, a=a: prox_distance(M, 0.2 * lam, torch.full_like(x, a), x) for a in data]
    cost = lambda x: sum(0.1 * (x - a) ** 2 for a in data)  # noqa: E731
    start, x = torch.tensor(-math.pi / 2, dtype=D), -math.pi / 2
    o = cyclic_proximal_point(
        M, cost, maps, start, proximal_parameter=parameter, stop=StopAfterIteration(50), return_options=True
    )
    for i in range(1, 51):
        for a in data:
            t = 0.2 * (math.pi / 4 / i if parameter is None else parameter(i))
            x += t / (1 + t) * (a - x)
    assert o.iterations == 50 and o.x.item() == pytest.approx(x, abs=1e-13)


def test_the_best_point_of_a_subgradient_run_is_the_result():
    M, q = Sphere(3), E[0]
    costs = []

    def cost(x):
        value = M.dist(x, q)
        costs.append(value.detach())
        return value

    o = subgradient_method(M, cost, E[2], stop=StopAfterIteration(50), return_options=True)
    best = torch.stack(costs).min()
    assert float(o.best_cost) == float(best) < float(o.cost) + 1e-15
    x = subgradient_method(M, lambda x: M.dist(x, q), E[2], stop=StopAfterIteration(50))
    assert torch.equal(x, o.best_x) and torch.equal(M.dist(x, q), best)


def test_the_subgradient_method_finds_the_geometric_median():
    # the corners of a triangle with an angle of more than 120 degrees: its median is that corner
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.1], [-1.0, 0.1]], dtype=D)
    cost = lambda x: torch.linalg.vector_norm(x.unsqueeze(-2) - corners, dim=-1).sum(-1)  # noqa: E731
    x = subgradient_method(Euclidean(2), cost, torch.tensor([0.4, 0.7], dtype=D))
    assert float(x.norm()) < 2e-3


def test_smooth_problems_have_subgradients():
    p = GradientProblem(S2, lambda x: x[..., 2])
    o = solve(p, SubGradientMethodOptions(E[:2], stop=StopAfterIteration(300)))
    assert bool((o.best_cost < -0.99).all())


@together()
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: CyclicProximalPointOptions(E[0], order="linear"), "order must be one such as"),
        (lambda: CyclicProximalPointOptions(E[0], proximal_parameter=0.5), "function of the cycle"),
        (lambda: ProximalPointOptions(E[0], proximal_parameter=-1.0), "proximal_parameter"),
        (lambda: DouglasRachfordOptions(E[0], relaxation=1.5), "relaxation"),
        (lambda: DouglasRachfordOptions(E[0], proximal_parameter=0.0), "proximal_parameter"),
        (lambda: DouglasRachfordOptions(E[0], reflection=2.0), "reflection must be a function"),
        (lambda: SubGradientMethodOptions(E[0], stepsize=3.0), "stepsize must be one such as"),
    ],
)
def test_bad_parameters_are_named(make, words):
    with pytest.raises(OptionsError, match=words):
        make()


def test_douglas_rachford_says_what_it_needs():
    one = ProximalProblem(S2, half_squares(S2, E[:1]), [towards(S2, E[0])])
    with pytest.raises(OptionsError, match="two proximal maps"):
        solve(one, DouglasRachfordOptions(E[2]))
    M = FixedRank(4, 3, 2)
    x = M.random_point(dtype=D, generator=torch.Generator().manual_seed(0))
    two = ProximalProblem(M, lambda x: x.S.sum(-1), [lambda lam, x: x] * 2)
    with pytest.raises(OptionsError, match="exp and log"):
        solve(two, DouglasRachfordOptions(x))
