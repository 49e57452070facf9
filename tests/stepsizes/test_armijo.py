"""Armijo's line search: closed forms for its steps, both faces, walls, caps and ends."""

import math

import pytest
import torch

from manopt_torch import (
    ArmijoLinesearch,
    Circle,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    Product,
    Sphere,
    StopAfterIteration,
    get_initial_stepsize,
    get_record,
    get_stepsize,
    initialize_solver,
    solve,
    step_solver,
    stop_solver,
)
from manopt_torch.errors import OptionsError, ShapeError
from tests.together import together

D = torch.float64
LINE = Euclidean(1)


def parabola(a):
    """The cost a/2 x^2: along minus the gradient the rule with constant c holds for s <= 2 (1 - c) / a."""
    return lambda x: (0.5 * a * x * x).sum(-1)


def grid_point(limit, factor, first=1.0):
    """Return the number first * factor^k in (factor * limit, limit]: where growing and shrinking meet."""
    return first * factor ** math.ceil(math.log(limit / first) / math.log(factor) - 1e-9)


# ---- both faces -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("a", [0.011, 0.3, 1.0, 1.7, 2.3, 40.0, 3333.0])
@pytest.mark.parametrize(("factor", "c"), [(0.5, 0.1), (0.5, 0.3), (0.95, 0.1), (0.8, 0.9)])
def test_the_step_is_the_longest_on_the_grid(a, factor, c):
    x = torch.tensor([1.0], dtype=D)
    search = ArmijoLinesearch(contraction_factor=factor, sufficient_decrease=c)
    step = search(LINE, x, parabola(a), a * x)
    assert math.isclose(step, grid_point(2 * (1 - c) / a, factor), rel_tol=1e-12)
    o = GradientDescentOptions(x, stepsize=search)
    assert get_stepsize(GradientProblem(LINE, parabola(a)), o, 1) == step
    assert solve(GradientProblem(LINE, parabola(a)), o, record=[":Stepsize"]).iterations > 0
    assert get_record(o)[0][0] == step


def test_every_problem_of_a_batch_has_its_own_trials():
    a = torch.logspace(-2, 3, 12, dtype=D).reshape(3, 4)
    x = torch.linspace(0.5, 2.0, 12, dtype=D).reshape(3, 4, 1)
    search = ArmijoLinesearch(contraction_factor=0.5)
    cost = lambda x: (0.5 * a[..., None] * x * x).sum(-1)  # noqa: E731
    steps = search(Euclidean(1), x, cost, a[..., None] * x)
    assert steps.shape == (3, 4) and steps.dtype == D
    truth = [grid_point(1.8 / k, 0.5) for k in a.flatten().tolist()]
    torch.testing.assert_close(steps.flatten(), torch.tensor(truth, dtype=D), rtol=1e-12, atol=0)


@pytest.mark.parametrize("eta", [None, torch.tensor([-4.0], dtype=D)])
def test_arguments_by_position_and_by_name(eta):
    x = torch.tensor([1.0], dtype=D)
    search, p = ArmijoLinesearch(contraction_factor=0.5), GradientProblem(LINE, parabola(1.0))
    # along eta = -4 x the cost is (1 - 4 s)^2 / 2: the rule holds for s <= 0.45
    truth = 1.0 if eta is None else 0.25
    assert search(LINE, x, parabola(1.0), x, eta) == search(LINE, x, parabola(1.0), x, eta=eta) == truth
    assert search(p, GradientDescentOptions(x), 1, eta) == search(p, GradientDescentOptions(x), 1, eta=eta) == truth
    assert search(LINE, x, parabola(1.0), gradient=x) == 1.0
    with pytest.raises(TypeError):
        search()


def test_tuple_points():
    M = Product(Circle(), Euclidean(2))
    x = (torch.tensor([0.5, -0.5], dtype=D), torch.ones(2, 2, dtype=D))
    cost = lambda x: x[0] ** 2 + (x[1] ** 2).sum(-1)  # noqa: E731
    steps = ArmijoLinesearch(contraction_factor=0.5)(M, x, cost, (2 * x[0], 2 * x[1]))
    assert steps.tolist() == [0.5, 0.5]


@pytest.mark.parametrize("F", [lambda x: (x * x).sum(), lambda x: x * x, lambda x: 1.0])
def test_costs_of_another_shape_are_refused_without_a_problem_too(F):
    with pytest.raises(ShapeError, match=r"the cost must return .*shape \(5,\)"):
        ArmijoLinesearch()(Euclidean(2), torch.ones(5, 2), F, torch.ones(5, 2))


def test_the_retraction_without_options():
    x, g = torch.tensor([1.0, 0.0, 0.0], dtype=D), torch.tensor([0.0, 1.0, 0.0], dtype=D)
    seen = []
    for name, angle in (("exp", 1.0), ("projection", math.atan(1.0))):
        search = ArmijoLinesearch(retraction_method=name, max_increases=0)
        search(Sphere(3), x, lambda x: seen.append(x) or x[..., 1], g)
        assert math.isclose(math.acos(seen[-1][0].item()), angle, rel_tol=1e-9)


# ---- memory ---------------------------------------------------------------------------------------------------------


def test_a_search_begins_at_the_former_step():
    seen = []
    p = GradientProblem(LINE, lambda x: seen.append(x.item()) or parabola(9.0)(x))
    o = GradientDescentOptions(torch.ones(1, dtype=D), stepsize=ArmijoLinesearch(contraction_factor=0.5))
    o.stop = StopAfterIteration(2)
    solve(p, o)
    # limit 0.2: 1, 1/2, 1/4, 1/8 | 1/8 holds, 1/4 does not
    points = [1 - 9.0, 1 - 4.5, 1 - 2.25, 1 - 1.125]
    assert seen[:5] == [1.0, *points]
    assert seen[5:] == [-0.125 * (1 - 1.125), -0.125 * (1 - 2.25)]
    assert o.memory[o.stepsize]["last"] == 0.125
    assert get_initial_stepsize(p, o) == 1.0


def test_the_initial_step_size_is_the_first_trial():
    seen = []
    search = ArmijoLinesearch(0.25, max_increases=0)
    x = torch.ones(1, dtype=D)
    assert search(LINE, x, lambda x: seen.append(x.item()) or parabola(1.0)(x), x) == 0.25
    assert seen == [1.0, 0.75]


def test_reference_case_1():
    """Numbers of Manopt.jl for Rosenbrock's function, bit for bit."""
    rosenbrock = lambda x: 100 * (x[..., 0] ** 2 - x[..., 1]) ** 2 + (x[..., 0] - 1) ** 2  # noqa: E731
    p = GradientProblem(Euclidean(2), rosenbrock)
    o = GradientDescentOptions(torch.tensor([0.1, 0.2], dtype=D))
    solve(p, o, record=[":Stepsize", ":Cost"])
    steps = [0.008478036692943839, 0.008054134858296647, 0.008478036692943839]
    costs = [3.0585424617184507, 2.1475797789583995, 1.6154047854997056]
    for (step, cost), s, f in zip(get_record(o), steps, costs, strict=False):
        assert math.isclose(step, s, rel_tol=1e-12)
        assert math.isclose(float(cost), f, rel_tol=1e-12)
    assert o.iterations == 200
    assert math.isclose(o.cost.item(), 0.10562873187751265, rel_tol=1e-6)


# ---- the longest first trial ----------------------------------------------------------------------------------------


def first_trial(M, x, gradient, search):
    seen = []
    search(M, x, lambda y: seen.append(y) or 0 * M.norm(x, gradient) - len(seen), gradient)
    return M.dist(x, seen[1])


def test_first_trials_stay_within_the_injectivity_radius():
    x = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]], dtype=D)
    g = torch.tensor([[0.0, 100.0, 0.0], [0.0, 0.5, 0.0]], dtype=D)
    for k in (slice(None), 0, 1):  # a batch and its problems alone
        reached = first_trial(Sphere(3), x[k], g[k], ArmijoLinesearch(retraction_method="exp", max_increases=0))
        torch.testing.assert_close(reached, torch.tensor([math.pi, 0.5], dtype=D)[k], rtol=0, atol=1e-7)


@pytest.mark.parametrize("given", [False, True])
def test_a_bound_of_ones_own(given):
    x, g = torch.zeros(2, 1, dtype=D), torch.tensor([[8.0], [0.25]], dtype=D)
    search = ArmijoLinesearch(max_stepsize=0.5, max_increases=0)
    assert first_trial(LINE, x, g, search).tolist() == [0.5, 0.25]
    o = GradientDescentOptions(x, stepsize=search, stop=StopAfterIteration(1))
    p = GradientProblem(LINE, lambda x: (g * x).sum(-1), (lambda x: g) if given else None)
    solve(p, o)
    assert o.x.flatten().tolist() == [-0.5, -0.25]


def test_no_bound():
    x, g = torch.tensor(0.0, dtype=D), torch.tensor(2.5 * math.pi, dtype=D)
    search = ArmijoLinesearch(max_stepsize=math.inf, max_increases=0)
    assert math.isclose(first_trial(Circle(), x, g, search), 0.5 * math.pi)  # once around
    search = ArmijoLinesearch(max_increases=0)
    assert math.isclose(first_trial(Circle(), x, g, search), math.pi)


class Chart(Euclidean):
    """A line on which every point has an injectivity radius of its own."""

    def injectivity_radius(self, x=None):
        return x[..., 0].abs()


def test_a_radius_at_each_point():
    x, g = torch.tensor([[3.0], [0.125], [5.0]], dtype=D), torch.full((3, 1), 4.0, dtype=D)
    assert first_trial(Chart(1), x, g, ArmijoLinesearch(max_increases=0)).tolist() == [3.0, 0.125, 4.0]
    assert first_trial(Chart(1), x[0], g[0], ArmijoLinesearch(max_increases=0)).item() == 3.0


def test_the_bound_holds_along_other_directions():
    x, eta = torch.zeros(1, dtype=D), torch.tensor([-8.0], dtype=D)
    step = ArmijoLinesearch(max_stepsize=2.0, max_increases=0)(
        LINE, x, lambda x: x.sum(-1), torch.ones(1, dtype=D), eta
    )
    assert step == 0.25


# ---- parameters -----------------------------------------------------------------------------------------------------


def test_defaults_are_those_of_the_reference():
    search = ArmijoLinesearch()
    assert (search.initial_stepsize, search.contraction_factor, search.sufficient_decrease) == (1.0, 0.95, 0.1)
    assert ArmijoLinesearch(2.0, 0.5, 0.3) is not None
    assert repr(ArmijoLinesearch(2.0, 0.5)).startswith("ArmijoLinesearch(initial_stepsize=2.0, contraction_factor=0.5")


@together()
@pytest.mark.parametrize(
    ("name", "values", "told"),
    [
        ("initial_stepsize", [0.0, -1.0, math.nan, math.inf, "1"], r"in \(0.0, inf\)"),
        ("contraction_factor", [0.0, 1.0, 2.0, math.nan, None], r"in \(0.0, 1.0\)"),
        ("sufficient_decrease", [0.0, 1.0, -0.5, math.nan], r"in \(0.0, 1.0\)"),
        ("max_stepsize", [0.0, -1.0, math.nan, "1"], r"in \(0.0, inf\]"),
        ("max_increases", [-1, 1.5, None], "an int >= 0"),
        ("max_decreases", [0, -1, 2.0], "an int >= 1"),
        ("cost_resolution", [-1.0, math.nan, math.inf], r"in \[0.0, inf\)"),
    ],
)
def test_ranges(name, values, told):
    for value in values:
        with pytest.raises(OptionsError, match=f"ArmijoLinesearch: {name} must .*{told}, got"):
            ArmijoLinesearch(**{name: value})


@pytest.mark.parametrize("batch", [(), (3,)])
def test_a_step_too_short_to_change_the_cost_visibly_grows_again(batch):
    p = GradientProblem(Euclidean(1), lambda x: 1 + 0.5 * (x * x).sum(-1))
    search = ArmijoLinesearch()
    o = GradientDescentOptions(torch.ones(*batch, 1, dtype=torch.float64), stepsize=search, stop=StopAfterIteration(25))
    initialize_solver(p, o)
    o.memory[search] = {"last": o.lane.full(1e-20)}  # as a search among roundings may leave it
    i = 0
    while not stop_solver(p, o, i):
        i += 1
        step_solver(p, o, i)
    assert (o.x.abs() < 0.01).all()
    flat = GradientProblem(Euclidean(1), lambda x: 0 * x.sum(-1))
    o = solve(flat, GradientDescentOptions(torch.zeros(*batch, 1), stepsize=search, stop=StopAfterIteration(2)))
    assert torch.isfinite(torch.as_tensor(o.last_stepsize)).all()
