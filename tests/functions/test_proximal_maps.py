"""Proximal maps: optimality, loops over pairs and triples, closed forms; and the published runs that use them."""

import itertools
import math

import pytest
import torch

from manopt_torch import (
    Circle,
    Euclidean,
    Grassmann,
    Hyperboloid,
    OptionsError,
    Power,
    Product,
    Rotations,
    ShapeError,
    Sphere,
    StopAfterIteration,
    StopWhenChangeLess,
    SymmetricPositiveDefinite,
    Torus,
    artificial_s1_signal,
    cost_collaborative_tv,
    cost_distance,
    cost_l2_tv,
    cost_tv,
    cost_tv2,
    cyclic_proximal_point,
    douglas_rachford,
    forward_logs,
    grad_distance,
    grad_tv,
    grad_tv2,
    prox_collaborative_tv,
    prox_distance,
    prox_parallel_tv,
    prox_tv,
    prox_tv2,
    record_to_dict,
)
from manopt_torch.manifolds.points import leaves, map_leaves
from tests.together import together

D = torch.float64
BASES = [Circle(), Euclidean(2), Sphere(3), Hyperboloid(3), SymmetricPositiveDefinite(2), Product(Sphere(3), Circle())]


def points(M, *batch, spread=0.3, seed=0):
    """Random points near each other, far from cut loci."""
    generator = torch.Generator().manual_seed(seed)
    centre = M.random_point(dtype=D, generator=generator)
    shape = (*batch, *(1 for _ in M.batch_shape(centre)))
    at = map_leaves(lambda leaf: leaf.expand(*shape, *leaf.shape), centre)
    c = torch.randn((*M.batch_shape(at), M.dim), generator=generator, dtype=D)
    return M.exp(at, M.from_coordinates(at, spread * c))


def entry(x, *index):
    return map_leaves(lambda leaf: leaf[index], x)


def assert_same(u, v, tolerance=1e-12):
    for a, b in zip(leaves(u), leaves(v), strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def assert_stationary(M, lam, x, y, gradient, tolerance=1e-9):
    """Assert that the gradient of half the squared distance plus lam times the given one vanishes at each point."""
    for a, b, g in zip(x, y, gradient, strict=True):
        u = map_leaves(lambda r, s: lam * s - r, M.log(b, a), g)
        assert float(M.norm(b, u).max()) < tolerance


# ---- optimality -----------------------------------------------------------------------------------------------------
@together()
@pytest.mark.parametrize("M", BASES, ids=repr)
@pytest.mark.parametrize("p", [1, 2])
def test_maps_of_distance_and_pair_are_stationary(M, p):
    x = points(M, 5, 2)
    first, second = entry(x, slice(None), 0), entry(x, slice(None), 1)
    lam = 0.001
    y = prox_distance(M, lam, second, first, p)
    assert_stationary(M, lam, (first,), (y,), (grad_distance(M, second, y, p),))
    both = prox_tv(M, lam, (first, second), p)
    assert_stationary(M, lam, (first, second), both, grad_tv(M, both, p))


@together()
@pytest.mark.parametrize("M", BASES, ids=repr)
def test_long_steps_end_at_the_data_and_at_the_mid_point(M):
    x = points(M, 5, 2)
    first, second = entry(x, slice(None), 0), entry(x, slice(None), 1)
    assert_same(prox_distance(M, 100.0, second, first, 1), second)
    assert_same(prox_distance(M, 0.1, first, first, 1), first)
    a, b = prox_tv(M, 100.0, (first, second))
    assert_same(a, M.mid_point(first, second))
    assert_same(a, b, 0)
    assert_same(prox_tv(M, 0.0, (first, second)), (first, second), 1e-10)


@pytest.mark.parametrize("M", [*BASES, Torus(2)], ids=repr)
def test_map_of_the_triple_is_stationary(M):
    x = points(M, 5, 3)
    three = tuple(entry(x, slice(None), j) for j in range(3))
    for lam, p in ((0.002, 1), (0.5, 2)):
        y = prox_tv2(M, lam, three, p)
        assert float(cost_tv2(M, y, p).min()) > 1e-4
        assert_stationary(M, lam, three, y, grad_tv2(M, y, p))


@pytest.mark.parametrize("M", BASES, ids=repr)
def test_map_of_the_triple_straightens_by_the_least_motion(M):
    x = points(M, 5, 3)
    three = tuple(entry(x, slice(None), j) for j in range(3))
    y = prox_tv2(M, 100.0, three)
    assert float(cost_tv2(M, y).max()) < 1e-9
    moved = lambda z: sum(cost_distance(M, a, b) for a, b in zip(three, z, strict=True))  # noqa: E731
    # other triples on geodesics nearby are farther away
    generator = torch.Generator().manual_seed(1)
    for _ in range(10):
        ends = [M.exp(a, M.random_tangent(a, generator), 1e-2) for a in (y[0], y[2])]
        assert bool((moved((ends[0], M.mid_point(*ends), ends[1])) > moved(y)).all())


def test_triples_where_the_curvature_is_not_known():
    lam, generator = 0.002, torch.Generator().manual_seed(5)
    for M in (Rotations(3), Grassmann(4, 2)):
        x = points(M, 2, 3)
        if isinstance(M, Grassmann):  # bases of the subspaces that have nothing to do with one another
            x = x @ Rotations(2).random_point(2, 3, dtype=D, generator=generator)
        three = tuple(entry(x, slice(None), j) for j in range(3))
        y = prox_tv2(M, lam, three)
        assert float(cost_tv2(M, y).min()) > 1e-4
        assert_stationary(M, lam, three, y, grad_tv2(M, y))


def test_closed_forms_of_the_triple():
    # two digits of the definition: the difference 1 - 2 * 3 + 1 = -4 shrinks by 6 m
    x = tuple(torch.tensor([1.0, 3.0, 1.0], dtype=D))
    for lam, m in ((0.5, 0.25), (100.0, 4 / 6)):
        assert_same(prox_tv2(Euclidean(), lam, x), (x[0] + m, x[1] - 2 * m, x[2] + m))
    m = 4.0 / (4 + 6)
    assert_same(prox_tv2(Euclidean(), 1.0, x, 2), (x[0] + m, x[1] - 2 * m, x[2] + m))
    # vectors move together, along their difference (a published code shrinks each entry by itself)
    a, b, c = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]], dtype=D)
    y = prox_tv2(Euclidean(2), 1.0, (a, b, c))
    assert_same(y, (b / 10, b - b / 5, b / 10))


@pytest.mark.parametrize("M", [Circle(), Euclidean()], ids=repr)
@pytest.mark.parametrize("lam", [0.05, 10.0])
def test_closed_forms_of_v01_are_those_of_twice_the_cost(M, lam):
    # Manopt v0.1 moves angles by min(lam, |s| / 6) or lam s / (1 + 6 lam), s the second difference: that is the map of
    # |s| or s^2 / 2, while the cost, there too, is the distance |s| / 2 to the mid point
    x = tuple(torch.tensor([[3.0, 0.4], [-3.1, 0.1], [2.6, -0.9]], dtype=D))
    s = math.pi - torch.remainder(math.pi - (x[0] - 2 * x[1] + x[2]), 2 * math.pi)  # in (-pi, pi]
    s = s if isinstance(M, Circle) else x[0] - 2 * x[1] + x[2]
    assert_same(cost_tv2(M, x), 0.5 * s.abs())
    first = s.sign() * torch.clamp(s.abs() / 6, max=lam)
    for y, m in ((prox_tv2(M, 2 * lam, x), first), (prox_tv2(M, 4 * lam, x, 2), lam * s / (1 + 6 * lam))):
        assert_same(y, (M.exp(x[0], -m), M.exp(x[1], 2 * m), M.exp(x[2], -m)))


# ---- sweeps ---------------------------------------------------------------------------------------------------------
def put(x, index, value):
    for leaf, new in zip(leaves(x), leaves(value), strict=True):
        leaf[index] = new


@pytest.mark.parametrize("shape", [(1,), (2,), (5,), (3, 4), (2, 1, 3)])
@pytest.mark.parametrize("base", [Circle(), Product(Sphere(3), Circle())], ids=repr)
def test_sweeps_agree_with_loops(base, shape):
    M, lam = Power(base, *shape), 0.07
    x = points(base, *shape)
    first, second = (map_leaves(torch.clone, x) for _ in range(2))
    cells = list(itertools.product(*map(range, shape)))
    for k, n in enumerate(shape):
        step = lambda i, by, k=k: (*i[:k], i[k] + by, *i[k + 1 :])  # noqa: E731
        for remainder in (0, 1):  # the published order: even starts, counted from one, then odd ones
            for i in cells:
                if (i[k] + 1) % 2 == remainder and i[k] + 1 < n:
                    a, b = prox_tv(base, lam, (entry(first, *i), entry(first, *step(i, 1))))
                    put(first, i, a)
                    put(first, step(i, 1), b)
        for remainder in (0, 1, 2):
            for i in cells:
                if (i[k] + 1) % 3 == remainder and 0 < i[k] < n - 1:
                    at = [step(i, by) for by in (-1, 0, 1)]
                    for j, y in zip(at, prox_tv2(base, lam, tuple(entry(second, *j) for j in at)), strict=True):
                        put(second, j, y)
    assert_same(prox_tv(M, lam, x), first)
    assert_same(prox_tv2(M, lam, x), second)


def test_parallel_sweeps_are_those_of_the_map_each_on_its_copy():
    M, x = Power(Sphere(3), 4, 5), points(Sphere(3), 4, 5)
    y = x
    for j in (0, 2, 1, 3):  # the even and the odd pairs of each direction
        y = prox_parallel_tv(M, 0.1, [y] * 4)[j]
    assert_same(y, prox_tv(M, 0.1, x))
    with pytest.raises(ShapeError, match="needs 4 copies"):
        prox_parallel_tv(M, 0.1, [x, x])


def test_a_parameter_for_each_problem():
    M, x = Power(Sphere(3), 3, 3), points(Sphere(3), 2, 3, 3)
    lam = torch.tensor([0.01, 0.2], dtype=D)
    for fn in (prox_tv, prox_tv2):
        for p in (1, 2):
            y = fn(M, lam, x, p)
            for j in range(2):
                assert_same(y[j], fn(M, float(lam[j]), x[j], p), 1e-11)
    y = prox_distance(M, lam, x.flip(0), x, 1)
    assert_same(y[1], prox_distance(M, 0.2, x[0], x[1], 1), 1e-11)


@pytest.mark.parametrize("base", [Circle(), SymmetricPositiveDefinite(2)], ids=repr)
def test_single_precision_stays_and_gradients_pass(base):
    M, lam = Power(base, 3, 3), torch.tensor(0.01, dtype=D)
    x = points(base, 3, 3).float().requires_grad_()
    for y in (prox_tv(M, lam, x), prox_tv2(M, lam, x), prox_distance(M, 0.1, x.detach().flip(0), x, 1)):
        assert y.dtype is torch.float32 and y.device == x.device
        (g,) = torch.autograd.grad(cost_tv(M, y), x)
        assert bool(g.isfinite().all()) and g.abs().max() > 0


# ---- collaborative --------------------------------------------------------------------------------------------------
@together()
@pytest.mark.parametrize("p", [1, 2, math.inf])
@pytest.mark.parametrize("q", [1, 2, math.inf])
def test_collaborative_map_is_optimal(p, q):
    if q == 2 and p != 2:
        with pytest.raises(OptionsError, match="q=1 and q=inf"):
            prox_collaborative_tv(Power(Euclidean(), 2), 1.0, torch.zeros(2), torch.zeros(2, 1), p, q)
        return
    M, generator = Power(Sphere(3), 3, 2), torch.Generator().manual_seed(0)
    x = points(Sphere(3), 3, 2)
    X = 4 * forward_logs(M, x)
    lam, alpha = 0.9, 0.6
    Y = prox_collaborative_tv(M, lam, x, X, p, q, alpha)

    def rows(Z):
        return torch.linalg.vector_norm(Z.norm(dim=-1), ord=p, dim=-1)

    def model(Z):
        size = rows(Z)
        if q == 2:
            return 0.5 * (Z - X).square().sum() + lam * torch.linalg.vector_norm(size)
        return 0.5 * (Z - X).square().sum() + (lam * size.sum() if q == 1 else 0)

    assert Y.abs().max() > 0.1
    if math.isinf(q):
        assert bool((rows(Y) <= alpha + 1e-12).all()) and bool((rows(Y) > alpha - 1e-12).any())
    for scale in (1e-3, 1e-2, 0.1, 1.0):
        for _ in range(20):
            Z = Y + scale * torch.randn(Y.shape, generator=generator, dtype=D)
            if math.isinf(q):
                Z = Z * (alpha / rows(Z)).clamp(max=1.0)[..., None, None]
            assert model(Z) >= model(Y) - 1e-12


def test_exponents_without_closed_form_are_refused():
    x = torch.zeros(3)
    with pytest.raises(OptionsError, match=r"prox_tv is known for p=1 and p=2, got p=3"):
        prox_tv(Power(Euclidean(), 3), 1.0, x, 3)
    with pytest.raises(OptionsError, match=r"prox_distance is known"):
        prox_distance(Euclidean(3), 1.0, x, x, 1.5)
    with pytest.raises(OptionsError, match="iterations must be a positive integer, got 0"):
        prox_tv2(Euclidean(3), 1.0, (x, x, x), iterations=0)


def test_images_are_points_of_a_power_manifold():
    x, M = torch.zeros(3), Euclidean(3)
    for call in (
        lambda: prox_parallel_tv(M, 1.0, (x, x)),
        lambda: prox_collaborative_tv(M, 1.0, x, x),
        lambda: forward_logs(M, x),
        lambda: cost_collaborative_tv(M, x, x),
    ):
        with pytest.raises(OptionsError, match=r"M must be a Power manifold such as Power\(Euclidean\(3\), n\)"):
            call()
    for call in (lambda: cost_tv(Power(M, 2), torch.zeros(4, 3)), lambda: prox_tv(Power(M, 2), 1.0, torch.zeros(4, 3))):
        with pytest.raises(ShapeError, match=r"\(\*batch, 2, 3\), got \(4, 3\)"):
            call()


def test_negative_parameters_are_refused():
    x = torch.zeros(3)
    M = Power(Euclidean(), 3)
    for call in (
        lambda: prox_distance(M, -1.0, x, x),
        lambda: prox_tv(M, -1.0, x),
        lambda: prox_parallel_tv(M, -1.0, (x, x)),
        lambda: prox_tv2(M, -1.0, x),
        lambda: prox_collaborative_tv(M, -1.0, x, x[:, None]),
    ):
        with pytest.raises(OptionsError, match=r"prox_\w+: the parameter lam must not be negative, got -1.0"):
            call()


# ---- runs -----------------------------------------------------------------------------------------------------------
CASE = {1: 6.866917573372509, 10: 6.31226441935477, 100: 6.015488210218572, 1000: 5.997799417433485}


def test_denoising_of_the_circle_signal():
    # reference case 39
    f, M = artificial_s1_signal(100), Power(Circle(), 100)
    maps = [lambda lam, x: prox_distance(M, lam, f, x), lambda lam, x: prox_tv(M, 0.5 * lam, x)]
    o = cyclic_proximal_point(
        M,
        lambda x: cost_l2_tv(M, f, 0.5, x),
        maps,
        f,
        proximal_parameter=lambda k: math.pi / (2 * k),
        stop=StopAfterIteration(1000),
        record=[":Cost"],
        return_options=True,
    )
    assert float(cost_l2_tv(M, f, 0.5, f)) == pytest.approx(6.267318677616002, rel=1e-14)
    costs = record_to_dict(o)[":Cost"]
    for cycle, value in CASE.items():
        assert float(costs[cycle - 1]) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("count", [2, 3])
def test_douglas_rachford_finds_mid_points(count):
    # reference case 40
    S2, e = Sphere(3), torch.eye(3, dtype=D)
    maps = [lambda lam, x, j=j: prox_distance(S2, lam, e[j], x) for j in range(count)]
    stop = StopAfterIteration(200) | StopWhenChangeLess(1e-15)
    x = douglas_rachford(S2, lambda x: sum(cost_distance(S2, q, x) for q in e[:count]), maps, e[2], stop=stop)
    truth = e[:count].sum(0) / math.sqrt(count)
    torch.testing.assert_close(x, truth, rtol=0, atol=1e-12)


def test_a_cycle_on_an_image_of_matrices_costs_few_exponentials_and_logarithms(monkeypatch):
    base, shape = SymmetricPositiveDefinite(3), (64, 64)
    M, f = Power(base, *shape), points(base, *shape, spread=0.2)
    calls, entries = [], []

    def counting(method):
        def counted(x, y, *rest):
            found = method(x, y, *rest)
            calls.append(1)
            entries.append(found.shape[:-2].numel())
            return found

        return counted

    for name in ("exp", "log"):
        monkeypatch.setattr(base, name, counting(getattr(base, name)))
    x = prox_tv(M, 0.5, prox_distance(M, 1.0, f, f))
    assert float(cost_tv(M, x)) < float(cost_tv(M, f))
    assert sum(entries) <= 8 * 64 * 64 and len(calls) <= 10
