"""Line searches with derivatives: their conditions, batches, walls, ends, both faces, and what they leave behind."""

import copy
import math
from typing import Any

import pytest
import torch

from manopt_torch import (
    ArmijoInitialGuess,
    ArmijoLinesearch,
    BarzilaiBorweinStepsize,
    Circle,
    ConjugateGradientOptions,
    ConstantInitialGuess,
    CubicBracketingLinesearch,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    HagerZhangInitialGuess,
    HagerZhangLinesearch,
    HessianProblem,
    NewtonOptions,
    NonmonotoneLinesearch,
    Product,
    QuasiNewtonOptions,
    Sphere,
    StopAfterIteration,
    StopWhenGradientNormLess,
    WolfeBinaryLinesearch,
    WolfeLinesearch,
    get_reason,
    get_stepsize,
    solve,
)
from manopt_torch.errors import OptionsError, ShapeError
from manopt_torch.testing import problem_named
from tests.together import together

D = torch.float64
LINE = Euclidean(1)
KINDS = [WolfeLinesearch, WolfeBinaryLinesearch, HagerZhangLinesearch, CubicBracketingLinesearch]
every_kind = pytest.mark.parametrize("kind", KINDS)
every_search = pytest.mark.parametrize("kind", [*KINDS, NonmonotoneLinesearch])


def wave(x, a, b):
    """Return a cost in one variable with a slope of -1 at zero, and its derivative, both rough."""
    return 0.5 * a * x * x - x + b * torch.sin(5 * x) ** 2, a * x - 1 + 5 * b * torch.sin(10 * x)


def drawn(n, seed=0):
    g = torch.Generator().manual_seed(seed)
    return 10 ** (4 * torch.rand(n, generator=g, dtype=D) - 2), 0.2 * torch.rand(n, generator=g, dtype=D)


def steps_on_waves(search, a, b):
    x = torch.zeros(*a.shape, 1, dtype=D)
    return search(LINE, x, lambda x: wave(x[..., 0], a, b)[0], torch.full_like(x, -1.0))


# ---- what a step satisfies ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "guess", [ConstantInitialGuess(), ConstantInitialGuess(1e-4), ConstantInitialGuess(300.0)], ids=repr
)
@pytest.mark.parametrize(("c1", "c2"), [(1e-4, 0.999), (1e-4, 0.9), (0.1, 0.3)])
@pytest.mark.parametrize("kind", KINDS[:3])
def test_both_conditions_hold(kind, c1, c2, guess):
    a, b = drawn(200)
    s = steps_on_waves(kind(c1, c2, initial_guess=guess), a, b)
    value, slope = wave(s, a, b)
    falls, curved = value <= -c1 * s + 1e-15, slope >= -c2
    if kind is HagerZhangLinesearch:  # or the approximate ones; its relative tolerance is none where f(0) = 0
        falls = falls | ((slope <= 1 - 2 * c1) & (value <= 0))
    assert (s > 0).all() and falls.all() and curved.all()


def test_cubic_bracketing_flattens_the_slope_or_narrows_the_bracket():
    a, b = drawn(200, 1)
    s = steps_on_waves(CubicBracketingLinesearch(0.1), a, b)
    value, slope = wave(s, a, b)
    near = torch.stack([wave(s + d, a, b)[0] for d in torch.linspace(-2e-4, 2e-4, 41, dtype=D)]).amin(0)
    assert (value < 0).all()
    assert ((slope.abs() < 0.1) | (value <= near + 1e-4)).all()
    assert (slope.abs() < 0.1).sum() > 150


@every_search
def test_a_batch_gives_the_bits_of_lone_searches(kind):
    a, b = drawn(24, 2)
    together = steps_on_waves(kind(), a.reshape(4, 6), b.reshape(4, 6)).flatten()
    alone = torch.tensor([steps_on_waves(kind(), *pair) for pair in zip(a, b, strict=True)], dtype=D)
    assert torch.equal(together, alone)


# ---- faces ----------------------------------------------------------------------------------------------------------


@every_search
@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_both_faces_agree(kind, batch):
    p, x, *_ = problem_named("rayleigh, sums").pose(*batch)
    gradient = p.get_gradient(x)
    search = kind()
    if not isinstance(search, NonmonotoneLinesearch):
        search.initial_guess = ConstantInitialGuess()
    o = GradientDescentOptions(x)
    in_run, named = search(p, o, 1), search(p, GradientDescentOptions(x), 1, eta=-gradient)
    alone = search(p.M, x, lambda x: p.cost(x, *p.data), gradient)
    with_eta = search(p.M, x, lambda x: p.cost(x, *p.data), gradient, eta=-gradient)
    by_function = search(p.M, x, lambda x: p.cost(x, *p.data), lambda x: p.get_gradient(x))
    for other in (named, alone, with_eta, by_function):
        assert torch.equal(torch.as_tensor(in_run), torch.as_tensor(other))
    assert torch.equal(o.trial.x, p.M.retract(x, gradient, -in_run))
    assert torch.equal(o.trial.cost, p.get_cost(o.trial.x))
    assert torch.equal(o.trial.gradient, p.get_gradient(o.trial.x))


@every_search
def test_tuple_points_and_the_retraction_without_options(kind):
    M = Product(Circle(), Euclidean(2))
    x = (torch.tensor([0.5, -0.5], dtype=D), torch.ones(2, 2, dtype=D))
    steps = kind()(M, x, lambda x: x[0] ** 2 + (x[1] ** 2).sum(-1), (2 * x[0], 2 * x[1]))
    assert steps.shape == (2,) and (steps > 0).all()
    u, g = torch.tensor([1.0, 0.0, 0.0], dtype=D), torch.tensor([0.0, 1.0, 0.0], dtype=D)
    seen = []
    for name, angle in (("exp", 1.0), ("projection", math.atan(1.0))):
        more: dict[str, Any] = {} if kind is NonmonotoneLinesearch else {"initial_guess": ConstantInitialGuess()}
        kind(retraction_method=name, **more)(Sphere(3), u, lambda x: seen.append(x.detach()) or x[..., 1], g)
        assert any(math.isclose(math.acos(x[0].item()), angle, rel_tol=1e-9) for x in seen)


@every_search
def test_costs_of_another_shape_are_refused_without_a_problem_too(kind):
    with pytest.raises(ShapeError, match=r"the cost must return .*shape \(5,\)"):
        kind()(Euclidean(2), torch.ones(5, 2), lambda x: x * x, torch.ones(5, 2))


def test_get_stepsize_leaves_no_trial():
    o = GradientDescentOptions(torch.ones(2, 1, dtype=D), stepsize=WolfeLinesearch())
    assert get_stepsize(GradientProblem(LINE, lambda x: (x * x).sum(-1)), o, 1).shape == (2,)
    assert o.trial is None


# ---- evaluations ----------------------------------------------------------------------------------------------------


@together()
@pytest.mark.parametrize("kind", [*KINDS, NonmonotoneLinesearch, BarzilaiBorweinStepsize])
@pytest.mark.parametrize("name", ["quadratic", "rayleigh, sums", "rosenbrock"])
def test_no_point_is_evaluated_twice_in_a_lone_run(kind, name):
    p, x, *_ = problem_named(name).pose()
    asked = []
    watched = copy.copy(p)
    watched.cost = lambda x, *data: asked.append(tuple(x.tolist())) or p.cost(x, *data)
    stop = StopAfterIteration(12) | StopWhenGradientNormLess(1e-5)
    o = solve(watched, GradientDescentOptions(x, stepsize=kind(), stop=stop))
    assert len(set(asked)) == len(asked) == o.evaluations["cost"]
    assert o.evaluations["gradient"] <= o.evaluations["cost"]


def test_the_lone_search_for_wolfe_asks_for_slopes_only_where_the_cost_fell_enough():
    calls = []
    p = GradientProblem(LINE, lambda x: 8 * (x * x).sum(-1), lambda x: calls.append(x.item()) or 16 * x)
    o = GradientDescentOptions(torch.ones(1, dtype=D), stepsize=WolfeBinaryLinesearch(), stop=StopAfterIteration(1))
    solve(p, o)
    # 1, 1/2, 1/4 and 1/8 are too long; 1/16 is exact
    assert o.evaluations["cost"] == 6 and calls == [1.0, 0.0]


# ---- ends -----------------------------------------------------------------------------------------------------------


@every_search
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_trial_that_is_not_finite_is_a_rejection(kind, bad):
    x = torch.zeros(3, 1, dtype=D)
    wall = torch.tensor([1e9, 0.01, 1e-5], dtype=D)

    def cost(x):
        return torch.where(x[..., 0] > wall, bad, (x[..., 0] - 2) ** 2)

    s = kind()(LINE, x, cost, torch.full_like(x, -4.0))
    assert (s > 0).all() and (4 * s <= wall).all() and (4 * s[1:] > 0.05 * wall[1:]).all()


@every_kind
def test_a_gradient_that_is_not_finite_is_a_rejection(kind):
    x = torch.zeros(2, 1, dtype=D)
    wall = torch.tensor([[1e9], [0.01]], dtype=D)
    gradient = lambda x: torch.where(x > wall, math.nan, 2 * (x - 2))  # noqa: E731
    s = kind()(LINE, x, lambda x: (x[..., 0] - 2) ** 2, gradient)
    assert (s > 0).all() and 0 < 4 * s[1] <= 0.01


@every_search
def test_a_direction_of_ascent_is_in_vain(kind):
    x = torch.tensor([[1.0], [1.0]], dtype=D)
    eta = torch.tensor([[-1.0], [1.0]], dtype=D)  # down, up
    p = GradientProblem(LINE, lambda x: (x * x).sum(-1))
    o = GradientDescentOptions(x, stop=StopAfterIteration(9))
    o = solve(p, GradientDescentOptions(x, stop=StopAfterIteration(0)))
    o.active = torch.tensor([True, True])
    search = kind()
    s = search(p, o, 1, eta)
    assert o.stagnated.tolist() == [False, True]
    assert s[0] > 0 and torch.isfinite(s).all()


@every_search
def test_a_cost_without_bound_ends_the_search_too(kind):
    x = torch.zeros(2, 1, dtype=D)
    slope = torch.tensor([1.0, 1e-3], dtype=D)
    s = kind()(LINE, x, lambda x: -slope * x[..., 0], -slope[:, None])
    assert torch.isfinite(s).all() and (s > 0).all()


@every_search
def test_where_no_step_decreases_the_cost_the_problem_stagnates(kind):
    # the "gradient" points the wrong way
    p = GradientProblem(LINE, lambda x: (x * x).sum(-1), lambda x: -2 * x)
    x = torch.tensor([[1.0], [0.0]], dtype=D)
    o = solve(p, GradientDescentOptions(x, stepsize=kind(), stop=StopAfterIteration(50)))
    assert "stagnated" in get_reason(o)[0]
    assert torch.equal(o.x, x)


@every_search
def test_first_trials_stay_within_the_injectivity_radius(kind):
    x = torch.tensor([1.0, 0.0, 0.0], dtype=D)
    g = torch.tensor([0.0, 100.0, 0.0], dtype=D)
    for limit, longest in ((None, math.pi), (0.1, 0.1), (math.inf, math.inf)):
        lengths = []

        def cost(y, lengths=lengths):
            lengths.append(math.acos(min(max(y[0].item(), -1.0), 1.0)))
            return y[..., 1]

        more: dict[str, Any] = {} if kind is NonmonotoneLinesearch else {"initial_guess": ConstantInitialGuess(0.0323)}
        search = kind(max_stepsize=limit, retraction_method="exp", **more)
        if kind is NonmonotoneLinesearch:
            search.initial_stepsize = 0.0323  # 3.23 rad: beyond the antipode, on the way back
        search(Sphere(3), x, cost, g)
        assert lengths[1] == pytest.approx(min(3.23, longest) if longest != math.inf else 2 * math.pi - 3.23, rel=1e-6)


# ---- first trials and memory ----------------------------------------------------------------------------------------


def test_guesses_begin_where_they_say():
    seen = []
    p = GradientProblem(LINE, lambda x: seen.append(x.item()) or 4.5 * (x * x).sum(-1))
    for guess, second in ((ArmijoInitialGuess(), 0.125), (ConstantInitialGuess(0.5), 0.5)):
        seen.clear()
        search = WolfeBinaryLinesearch(initial_guess=guess, initial_stepsize=0.5)
        o = GradientDescentOptions(torch.ones(1, dtype=D), stepsize=search, stop=StopAfterIteration(2))
        solve(p, o)
        assert seen[1] == 1 - 9 * 0.5
        k = seen.index(1 - 9 * 0.125)  # accepted: 0.5 and 0.25 are too long
        assert seen[k + 1] == pytest.approx(seen[k] * (1 - 9 * second), rel=1e-12)


def test_a_function_may_be_the_guess():
    search = WolfeLinesearch(initial_guess=lambda ray, i, last: 0.25)
    assert search(LINE, torch.ones(1, dtype=D), lambda x: (x * x).sum(-1), 2 * torch.ones(1, dtype=D)) == 0.25


def test_the_guess_of_hager_and_zhang_is_the_minimum_of_a_parabola():
    a = torch.tensor([0.5, 3.0, 40.0], dtype=D)
    search = HagerZhangLinesearch(initial_guess=HagerZhangInitialGuess(psi1=0.1))
    p = GradientProblem(LINE, lambda x: 0.5 * (a[:, None] * x * x).sum(-1))
    o = GradientDescentOptions(torch.ones(3, 1, dtype=D), stepsize=search, stop=StopAfterIteration(2))
    solve(p, o)
    torch.testing.assert_close(o.x, torch.zeros(3, 1, dtype=D), rtol=0, atol=1e-12)


def test_armijo_takes_a_guess_too():
    x = torch.tensor([1.0], dtype=D)
    f = lambda x: 2.0 * (x * x).sum(-1)  # noqa: E731
    for guess, first in ((ConstantInitialGuess(0.4), 0.4), (HagerZhangInitialGuess(first=0.3), 0.3)):
        seen = []
        search = ArmijoLinesearch(contraction_factor=0.5, initial_guess=guess)
        search(LINE, x, lambda x, seen=seen: seen.append(x.item()) or f(x), 4 * x)
        assert seen[1] == pytest.approx(1 - 4 * first)
        o = GradientDescentOptions(x, stepsize=search, stop=StopAfterIteration(1))
        assert solve(GradientProblem(LINE, f), o).last_stepsize in (first, first / 2)
    with pytest.raises(OptionsError, match="ArmijoLinesearch: initial_guess must be one such as"):
        ArmijoLinesearch(initial_guess=0.5)


# ---- parameters -----------------------------------------------------------------------------------------------------


@together()
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WolfeLinesearch(0.0), r"WolfeLinesearch: sufficient_decrease must lie in \(0.0, 1.0\), got 0.0"),
        (lambda: WolfeLinesearch(0.3, 0.2), r"sufficient_curvature must lie in \(0.3, 1.0\), got 0.2"),
        (lambda: WolfeBinaryLinesearch(max_trials=0), "WolfeBinaryLinesearch: max_trials must be an int >= 1"),
        (lambda: WolfeLinesearch(initial_guess=1.0), r"initial_guess must be one such as ArmijoInitialGuess\(\), got"),
        (lambda: WolfeLinesearch(initial_guess=ArmijoInitialGuess), "initial_guess must be one such as"),
        (lambda: HagerZhangLinesearch(0.5), r"sufficient_decrease must lie in \(0.0, 0.5\)"),
        (lambda: HagerZhangLinesearch(0.3, 0.2), "at least sufficient_decrease, got 0.2 and 0.3"),
        (lambda: HagerZhangLinesearch(expansion=1.0), "expansion must lie in"),
        (lambda: CubicBracketingLinesearch(1.0), "sufficient_curvature must lie in"),
        (lambda: CubicBracketingLinesearch(stepsize_increase=0.5), "stepsize_increase must lie in"),
        (lambda: CubicBracketingLinesearch(max_stepsize=-1.0), "max_stepsize must lie in"),
        (lambda: NonmonotoneLinesearch("indirect"), "must be one of direct, inverse, alternating, got 'indirect'"),
        (lambda: NonmonotoneLinesearch(bb_max_stepsize=1e-3), r"bb_max_stepsize must lie in \(0.001, inf\)"),
        (lambda: NonmonotoneLinesearch(memory_size=0), "memory_size must be an int >= 1, got 0"),
        (lambda: BarzilaiBorweinStepsize("indirect"), "must be one of direct, inverse, alternating"),
        (lambda: BarzilaiBorweinStepsize(initial_stepsize=0.0), "initial_stepsize must lie in"),
        (lambda: ConstantInitialGuess(0.0), "ConstantInitialGuess: length must lie in"),
        (lambda: HagerZhangInitialGuess(psi2=1.0), "HagerZhangInitialGuess: psi2 must lie in"),
        (lambda: WolfeLinesearch(**{"c1": 0.1}), "WolfeLinesearch got unknown keyword c1; it takes"),
    ],
)
def test_parameters_are_checked(make, message):
    with pytest.raises(OptionsError, match=message):
        make()


@pytest.mark.parametrize(
    ("stepsize", "text"),
    [
        (WolfeLinesearch(), "WolfeLinesearch()"),
        (WolfeLinesearch(0.1, max_stepsize=2.0), "WolfeLinesearch(sufficient_decrease=0.1, max_stepsize=2.0)"),
        (
            WolfeBinaryLinesearch(initial_guess=ArmijoInitialGuess()),
            "WolfeBinaryLinesearch(initial_guess=ArmijoInitialGuess())",
        ),
        (NonmonotoneLinesearch("inverse"), "NonmonotoneLinesearch(strategy='inverse')"),
        (BarzilaiBorweinStepsize(), "BarzilaiBorweinStepsize()"),
    ],
)
def test_repr(stepsize, text):
    assert repr(stepsize) == text


@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize("kind", [WolfeLinesearch, WolfeBinaryLinesearch])
def test_on_a_cost_that_falls_for_ever_a_search_goes_on_where_the_last_gave_up(kind: Any, batch: tuple) -> None:
    slope = torch.tensor([1.0, 2.0, 3.0], dtype=D)
    p, x = GradientProblem(Euclidean(3), lambda x: (slope * x).sum(-1)), torch.zeros(*batch, 3, dtype=D)
    o = solve(p, QuasiNewtonOptions(x, stepsize=kind()))
    # from anew each time, 1000 iterations of 31 trials each get to -4e12
    assert o.evaluations["cost"] < 2000 and bool((o.cost < -1e300).all()) and bool(torch.isfinite(o.x).all())
    assert "stagnated" in str(get_reason(o))


@pytest.mark.parametrize("batch", [(), (3,)])
def test_costs_of_every_scale_are_minimised(batch: tuple) -> None:
    """The minimiser does not depend on the factor of the cost; first steps of a tiny one are lost in rounding."""
    weights, target = torch.tensor([1.0, 1.5, 2.0], dtype=D), torch.tensor([0.3, -0.2, 0.5], dtype=D)
    x = torch.ones(*batch, 3, dtype=D)
    cubic, spectral = CubicBracketingLinesearch(), BarzilaiBorweinStepsize()
    cases = [
        (QuasiNewtonOptions(x), 1e-30),
        (QuasiNewtonOptions(x, memory_size=-1), 1e-30),
        (NewtonOptions(x, stepsize=HagerZhangLinesearch(initial_guess=ConstantInitialGuess(1e-9))), 1e-30),
        (ConjugateGradientOptions(x, stepsize=cubic), 1e12),
        (GradientDescentOptions(x, stepsize=cubic), 1e30),
        (GradientDescentOptions(x, stepsize=spectral), 1e-12),
        (GradientDescentOptions(x, stepsize=spectral), 1e12),
    ]
    for o, scale in cases:
        p = HessianProblem(Euclidean(3), lambda x, c=scale: 0.5 * c * (weights * (x - target).square()).sum(-1))
        o.stop = StopAfterIteration(60) | StopWhenGradientNormLess(1e-6 * scale)
        solve(p, o)
        assert "gradient norm" in str(get_reason(o)), (o.stepsize, scale)
        torch.testing.assert_close(o.x, target.expand(*batch, 3), rtol=0, atol=1e-5)


def test_a_graph_that_the_search_has_used_is_not_handed_on() -> None:
    a = torch.tensor([1.0, 2.0, 4.0], dtype=D)
    p = HessianProblem(Sphere(3), lambda x: (a * x * x).sum(-1))
    x = torch.tensor([[0.8, 0.0, 0.6], [0.6, 0.64, 0.48]], dtype=D)
    for strategy in ("direct", "inverse", "alternating"):
        o = solve(p, NewtonOptions(x, stepsize=NonmonotoneLinesearch(strategy)))
        assert "gradient norm" in str(get_reason(o))
