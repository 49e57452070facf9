"""Differences of convex functions, against closed forms and the published cases."""

import math

import pytest
import torch

from manopt_torch import (
    ArmijoLinesearch,
    DifferenceOfConvexOptions,
    DifferenceOfConvexProblem,
    DifferenceOfConvexProximalOptions,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    Hyperboloid,
    Manifold,
    MissingDerivativeError,
    NelderMeadOptions,
    OptionsError,
    ShapeError,
    Sphere,
    StopAfterIteration,
    StopWhenChangeLess,
    StopWhenGradientNormLess,
    SymmetricPositiveDefinite,
    TrustRegionsOptions,
    check_gradient,
    check_hessian,
    check_manifold,
    difference_of_convex_algorithm,
    difference_of_convex_proximal_point,
    get_reason,
    get_record,
    record_to_dict,
    solve,
)
from manopt_torch.solvers.difference_of_convex_algorithm import linearised
from manopt_torch.solvers.difference_of_convex_proximal_point import proximal

D = torch.float64
FRONTS = [difference_of_convex_algorithm, difference_of_convex_proximal_point]
every_front = pytest.mark.parametrize("front", FRONTS, ids=lambda front: front.__name__)


class RosenbrockPlane(Manifold):
    """The plane with the metric in which `(x1, x1^2 - x2)` are Cartesian coordinates: the valley is straight there."""

    is_flat = True

    def __init__(self) -> None:
        self.point_shape, self.dim, self.typical_dist = (2,), 2, math.sqrt(2)

    def inner(self, x, u, v):
        across = lambda w: 2 * x[..., 0] * w[..., 0] - w[..., 1]  # noqa: E731
        return u[..., 0] * v[..., 0] + across(u) * across(v)

    def project_point(self, z):
        return z

    def project_tangent(self, x, z):
        return z

    def egrad2rgrad(self, x, g):
        first = g[..., 0] + 2 * x[..., 0] * g[..., 1]
        return torch.stack([first, 2 * x[..., 0] * first + g[..., 1]], -1)

    def ehess2rhess(self, x, g, h, u):
        bend = 2 * u[..., 0] * g[..., 1]
        return self.egrad2rgrad(x, h + torch.stack([bend, torch.zeros_like(bend)], -1))

    def exp(self, x, u, t=None):
        u = u if t is None else u * torch.as_tensor(t, dtype=u.dtype).unsqueeze(-1)
        return x + u + torch.nn.functional.pad(u[..., :1].square(), (1, 0))

    def log(self, x, y):
        u = y - x
        return u - torch.nn.functional.pad(u[..., :1].square(), (1, 0))

    def random_point(self, *batch, generator=None, dtype=None, device=None):
        return torch.randn(*batch, 2, generator=generator, dtype=dtype, device=device)

    def off_manifold(self, x):
        return torch.zeros_like(x[..., 0])


def fourth_power(x):
    return torch.logdet(x) ** 4


def square(x):
    return torch.logdet(x) ** 2


def spd(n, *dets):
    """Return the matrices with equal eigenvalues whose determinants have these logarithms, shape (k, n, n)."""
    return torch.exp(torch.tensor(dets, dtype=D) / n)[:, None, None] * torch.eye(n, dtype=D)


# ---- published cases ------------------------------------------------------------------------------------------------


def test_the_published_benchmark():
    # 24 and 37 steps to this gradient norm, the cost at the start and after the fifth step
    n = 6
    start = math.log(n) * torch.eye(n, dtype=D)
    stop = StopAfterIteration(100) | StopWhenGradientNormLess(1e-10)
    given = {"h": square, "stop": stop, "sub_tolerance": 1e-12, "record": [":Cost"], "return_options": True}
    M = SymmetricPositiveDefinite(n)
    linear = difference_of_convex_algorithm(M, None, fourth_power, None, start, **given)
    near = difference_of_convex_proximal_point(
        M, None, fourth_power, None, start, proximal_parameter=1 / (2 * n), **given
    )
    assert (linear.iterations, near.iterations) == (24, 37)
    assert abs(float(fourth_power(start) - square(start)) - 137.679053470) < 1e-8
    assert abs(float(get_record(linear)[4][0]) + 0.249956120) < 1e-9
    assert abs(float(linear.cost) + 0.25) < 1e-14 and abs(float(near.cost) + 0.25) < 1e-14


@pytest.mark.parametrize(("front", "accuracy"), [(FRONTS[0], 1e-8), (FRONTS[1], 1e-14)])
def test_the_small_published_case(front, accuracy):
    start = math.log(2) * torch.eye(2, dtype=D)
    g = lambda x: fourth_power(x) + 0.25  # noqa: E731
    f = lambda x: g(x) - square(x)  # noqa: E731
    subgradient = lambda x: 2 * torch.logdet(x) * x  # noqa: E731
    x = front(SymmetricPositiveDefinite(2), f, g, subgradient, start)
    assert 0 <= float(f(x)) + 1e-15 < accuracy


# ---- closed forms ---------------------------------------------------------------------------------------------------


def half_steps(x):
    search = ArmijoLinesearch(contraction_factor=0.5, sufficient_decrease=0.3)
    return GradientDescentOptions(x, stepsize=search, stop=StopAfterIteration(100))


SUB_SOLVERS = {
    "quasi-newton": lambda x: None,
    "trust regions": lambda x: TrustRegionsOptions(x, stop=StopAfterIteration(100)),
    "descent": half_steps,
}


@pytest.mark.parametrize("sub", SUB_SOLVERS.values(), ids=SUB_SOLVERS)
def test_steps_are_those_of_the_closed_form(sub):
    r"""With $t = \log\det x$ the surrogate is $t^4 - 2 t_i t$ (and a constant), least at $t = (t_i / 2)^{1/3}$."""
    n, t = 3, torch.tensor([2.0, -1.0], dtype=D)
    M, start = SymmetricPositiveDefinite(n), spd(n, *t.tolist())
    o = DifferenceOfConvexOptions(start, sub_options=sub(start), sub_tolerance=1e-8, stop=StopAfterIteration(2))
    solve(DifferenceOfConvexProblem(M, None, fourth_power, h=square), o, record=[":Iterate"])
    for row in get_record(o):
        t = t.sign() * (t.abs() / 2) ** (1 / 3)
        torch.testing.assert_close(torch.logdet(row[0]), t, rtol=1e-7, atol=0)


@every_front
@pytest.mark.parametrize("vectorized", [True, False])
def test_sub_problems_in_closed_form(front, vectorized):
    """For $f = x^2 - |x|$ in each entry: a step to $x = \\pm 1/2$ at once, or a proximal map that shrinks."""
    data = torch.tensor([[1.0], [3.0]], dtype=D)
    f = lambda x, a: (a * x * x - x.abs()).sum(-1)  # noqa: E731
    closed = {
        difference_of_convex_algorithm: lambda x, u, a: u / (2 * a),
        difference_of_convex_proximal_point: lambda lam, q, a: q / (1 + 2 * lam * a),
    }
    start = torch.tensor([[2.0, -0.1], [0.1, -5.0]], dtype=D)
    given = {"sub_solver": closed[front], "data": (data,), "vectorized": vectorized, "return_options": True}
    o = front(Euclidean(2), f, None, lambda x, a: x.sign(), start, **given)
    torch.testing.assert_close(o.x, start.sign() / (2 * data), rtol=1e-8, atol=0)
    if front is difference_of_convex_algorithm:
        assert o.iterations.tolist() == [2, 2] and o.evaluations["cost"] == 3


@pytest.mark.parametrize("far", [0.5, 1.0])
def test_the_valley_of_rosenbrock_is_no_obstacle_in_its_own_metric(far):
    """With $v = x_1^2 - x_2$, $f = a v^2 + (x_1 - 1)^2$, split as $g = a v^2 + 2 (x_1 - 1)^2$ and $h = (x_1 - 1)^2$."""
    M, a, lam = RosenbrockPlane(), 2e5, 0.5 * far
    assert check_manifold(M).passed
    g = lambda x: a * (x[..., 0].square() - x[..., 1]).square() + 2 * (x[..., 0] - 1).square()  # noqa: E731
    h = lambda x: (x[..., 0] - 1).square()  # noqa: E731
    start = torch.tensor([[0.1, 0.2], [-1.2, 1.0]], dtype=D)
    sub = TrustRegionsOptions(start, stop=StopAfterIteration(100))
    given = {"h": h, "sub_options": sub, "stop": StopAfterIteration(3)}
    x = difference_of_convex_algorithm(M, None, g, None, start, **given)
    torch.testing.assert_close(x[:, 0] - 1, (start[:, 0] - 1) / 8, rtol=1e-6, atol=0)
    torch.testing.assert_close(x[:, 0].square(), x[:, 1], rtol=1e-6, atol=1e-6)
    x = difference_of_convex_proximal_point(M, None, g, None, start, proximal_parameter=lambda i: lam, **given)
    ratio = (1 + 2 * lam) / (1 + 4 * lam)
    torch.testing.assert_close(x[:, 0] - 1, (start[:, 0] - 1) * ratio**3, rtol=1e-6, atol=0)
    across = (start[:, 0].square() - start[:, 1]) / (1 + 2 * lam * a) ** 3
    torch.testing.assert_close(x[:, 0].square() - x[:, 1], across, rtol=1e-3, atol=1e-12)


def test_a_step_size_goes_a_part_of_the_way():
    """Half the way to the proximal point on a line: the mean of the point and its image."""
    g, h = lambda x: x.square().sum(-1), lambda x: x.abs().sum(-1)
    start = torch.tensor([3.0], dtype=D)
    half = lambda p, o, i, eta: 0.5  # noqa: E731
    x = difference_of_convex_proximal_point(
        Euclidean(1), None, g, None, start, h=h, stepsize=half, stop=StopAfterIteration(1)
    )
    assert abs(float(x) - 0.5 * (3.0 + 3.5 / 2)) < 1e-9
    beyond = ArmijoLinesearch(initial_stepsize=2.0, contraction_factor=0.5)
    given = {"h": h, "sub_solver": lambda lam, q: q / (1 + 2 * lam), "record": [":Cost"], "return_options": True}
    plain, boosted = (
        difference_of_convex_proximal_point(Euclidean(1), None, g, None, start, stepsize=s, **given)
        for s in (None, beyond)
    )
    assert boosted.iterations < plain.iterations and abs(float(boosted.x) - 0.5) < 1e-6


# ---- sub problems ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("M", "given"),
    [(SymmetricPositiveDefinite(2), True), (Sphere(3), False), (Hyperboloid(3), True)],
    ids=repr,
)
def test_cost_gradient_and_hessian_of_the_sub_problems_agree(M, given):
    generator = torch.Generator().manual_seed(3)
    draw = lambda: M.random_point(2, dtype=D, generator=generator)  # noqa: E731
    a, b, x = draw(), draw(), draw()
    y = M.exp(x, M.random_tangent(x, generator=generator), 0.3)
    g = lambda x, a, b: 0.5 * M.squared_dist(x, a)  # noqa: E731
    by_hand = {"gradient_g": lambda x, a, b: -M.log(x, a)} if given else {}
    p = DifferenceOfConvexProblem(M, None, g, h=lambda x, a, b: 0.25 * M.squared_dist(x, b), data=(a, b), **by_hand)
    subgradient = p.get_subtrahend_gradient(x)
    torch.testing.assert_close(subgradient, -0.5 * M.log(x, b), rtol=1e-9, atol=1e-11)
    for sub in (linearised(p, x, subgradient, hessian=True), proximal(p, 0.7, x, hessian=True)):
        for at in (x, y):  # the sub-solver starts at x
            assert check_gradient(sub, at, generator=generator, points=33).passed
            assert check_hessian(sub, at, generator=generator, points=33).passed
    # at the iterate the two have gradient grad g - X and grad g
    start = proximal(p, 0.7, x).get_gradient(x)
    torch.testing.assert_close(start, -M.log(x, a), rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(linearised(p, x, subgradient).get_gradient(x), p.get_gradient(x), rtol=1e-9, atol=1e-11)


@every_front
def test_each_problem_stops_for_itself_at_a_critical_point_below_its_start(front):
    """Squared distances to two points less a distance, which has a kink, on a space of negative curvature."""
    M, generator = Hyperboloid(3), torch.Generator().manual_seed(0)
    a, b, c, start = (M.random_point(6, dtype=D, generator=generator) for _ in range(4))
    g = lambda x, a, b, c: M.squared_dist(x, a) + 0.1 * M.squared_dist(x, b)  # noqa: E731
    h = lambda x, a, b, c: M.dist(x, c)  # noqa: E731
    stop = StopAfterIteration(300) | StopWhenGradientNormLess(1e-5)
    o = front(
        M, None, g, None, start, h=h, data=(a, b, c), stop=stop, sub_tolerance=1e-7, record=[":Cost"],
        return_options=True,
    )  # fmt: skip
    assert {text.split(" after")[0] for text in get_reason(o)} == {"The algorithm reached a gradient norm below 1e-05"}
    assert len(set(o.iterations.tolist())) > 2
    costs = record_to_dict(o)[":Cost"]
    assert bool((costs.diff(dim=0) <= 1e-12).all())
    f = GradientProblem(M, lambda x, *data: g(x, *data) - h(x, *data), data=(a, b, c))
    assert float(M.norm(o.x, f.get_gradient(o.x)).max()) < 1e-5


def test_where_h_has_no_subgradient_the_problem_ends_and_others_go_on():
    h = lambda x: torch.sqrt(x[..., 0])  # noqa: E731  (its derivative at 0 is infinite)
    f = lambda x: x.square().sum(-1)  # noqa: E731
    start = torch.tensor([[0.0], [1.0]], dtype=D)
    p = DifferenceOfConvexProblem(Euclidean(1), f, h=h)
    for options in (DifferenceOfConvexOptions, DifferenceOfConvexProximalOptions):
        o = solve(p, options(start, sub_solver=lambda x, u: 0.5 * start, stop=StopAfterIteration(3)))
        assert "non-finite" in get_reason(o)[0] and o.iterations.tolist() == [0, 3]
        assert o.x.tolist() == [[0.0], [0.5]]


# ---- bad input ------------------------------------------------------------------------------------------------------


def test_bad_input_is_told():
    M, x = Euclidean(2), torch.ones(2)
    f = lambda x: x.square().sum(-1)  # noqa: E731
    with pytest.raises(OptionsError, match="give cost=, or both g= and h="):
        difference_of_convex_algorithm(M, None, f, None, x)
    with pytest.raises(OptionsError, match="give subgradient_h=, or h=, or g="):
        difference_of_convex_algorithm(M, f, None, None, x)
    with pytest.raises(OptionsError, match="h must be callable, got float"):
        difference_of_convex_algorithm(M, f, f, None, x, h=1.0)
    with pytest.raises(MissingDerivativeError, match="has no g, which a sub problem minimises"):
        difference_of_convex_algorithm(M, f, None, lambda x: x, x)
    with pytest.raises(ShapeError, match="subgradient of h"):
        difference_of_convex_proximal_point(M, f, f, lambda x: x[0], x)
    with pytest.raises(MissingDerivativeError, match="use DifferenceOfConvexProblem"):
        solve(GradientProblem(M, f), DifferenceOfConvexOptions(x))
    for options in (DifferenceOfConvexOptions, DifferenceOfConvexProximalOptions):
        with pytest.raises(OptionsError, match="solver that follows gradients"):
            options(x, sub_options=NelderMeadOptions(x))
        with pytest.raises(OptionsError, match="sub_solver must be callable"):
            options(x, sub_solver=3)
        with pytest.raises(OptionsError, match="sub_tolerance must lie in"):
            options(x, sub_tolerance=0.0)
        assert any(isinstance(c, StopWhenChangeLess) for c in options(x).stop.members)
    with pytest.raises(OptionsError, match="proximal_parameter must be a positive number"):
        DifferenceOfConvexProximalOptions(x, proximal_parameter=-1.0)
    with pytest.raises(OptionsError, match="stepsize must be one such as"):
        DifferenceOfConvexProximalOptions(x, stepsize=0.5)
