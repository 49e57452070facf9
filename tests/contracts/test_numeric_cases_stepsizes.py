"""Numbers of the Manopt family for step sizes and criteria, case 53 of the reference collected for this project."""

import math
from typing import Any

import pytest
import torch

from manopt_torch import (
    AdaptiveWNGradient,
    ConstantInitialGuess,
    ConstantStepsize,
    CubicBracketingLinesearch,
    DecreasingStepsize,
    DistanceOverGradients,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    HagerZhangInitialGuess,
    HagerZhangLinesearch,
    Hyperboloid,
    PolyakStepsize,
    Sphere,
    WolfeBinaryLinesearch,
    WolfeLinesearch,
)
from manopt_torch.functional.cubic_bracketing import End, cubic_minimum, kept_apart, narrowed
from manopt_torch.functional.masked import Lone
from manopt_torch.stepsizes.ray_linesearch import ray_from

F64 = torch.float64
BATCHES = pytest.mark.parametrize("batch", [(), (3,)], ids=str)


def tensor(*rows: Any) -> torch.Tensor:
    return torch.tensor(rows, dtype=F64)


def number(value: Any) -> float:
    values = torch.as_tensor(value, dtype=F64).flatten()
    assert (values == values[0]).all()
    return values[0].item()


def with_gradient(M: Any, x: torch.Tensor, gradient: torch.Tensor, batch: Any, value: float = 0.0) -> tuple[Any, Any]:
    """Return a problem that has this gradient, and options at that point."""
    p = GradientProblem(M, lambda x: x.new_full(x.shape[:-1], value), lambda x: gradient.expand_as(x))
    o = GradientDescentOptions(x.expand(*batch, *x.shape))
    o.cost, o.gradient = p.get_cost(o.x), p.get_gradient(o.x)
    return p, o


# ---- rules without a search -----------------------------------------------------------------------------------------


@BATCHES
def test_adaptive_wn_gradient(batch: Any) -> None:
    p, o = with_gradient(Sphere(3), tensor(1, 0, 0), tensor(0, 0.75, 0), batch)
    step = AdaptiveWNGradient(0.5, count_threshold=2, gradient_bound=1.0)
    assert number(step(p, o, 0)) == 1.0
    assert number(step(p, o, 1)) == 0.64
    assert number(step(p, o, 1)) == 0.64  # asked again
    step.gradient_reduction = 10.0  # every gradient counts as short now
    assert number(step(p, o, 2)) == pytest.approx(0.5201560468140443, rel=1e-15)
    assert number(step(p, o, 3)) == pytest.approx(3.1209362808842656, rel=1e-15)
    memory = o.memory[step]
    assert number(memory["count"]) == 0.0 and number(memory["weight"]) == 0.75


@BATCHES
def test_distance_over_gradients(batch: Any) -> None:
    p, o = with_gradient(Euclidean(2), tensor(2, 2), tensor(8, 0), batch)
    assert number(DistanceOverGradients(1.0)(p, o, 1)) == 0.125
    p, o = with_gradient(Sphere(2), tensor(1, 0), tensor(0, 2), batch)
    assert number(DistanceOverGradients(1.0)(p, o, 1)) == 0.5
    M, t = Hyperboloid(3), 0.5
    x = tensor(math.cosh(t), math.sinh(t), 0)
    M.check_point(x)
    g = M.project_tangent(x, tensor(0, 1, 0))
    p, o = with_gradient(M, x, g, batch)
    expected = 1.0 / (math.sqrt(1.0 / math.tanh(1.0)) * M.norm(x, g).item())
    step = DistanceOverGradients(1.0, sectional_curvature_bound=-1.0)
    assert number(step(p, o, 1)) == pytest.approx(expected, rel=1e-14)


@BATCHES
def test_polyak(batch: Any) -> None:
    # f = |x|^2 at (2, 2): (f - 0 + 1) / |X|^2
    p, o = with_gradient(Euclidean(2), tensor(2, 2), tensor(4, 4), batch, value=8.0)
    assert number(PolyakStepsize()(p, o, 1)) == 9.0 / 32.0


@BATCHES
def test_absolute_step_sizes(batch: Any) -> None:
    p, o = with_gradient(Sphere(3), tensor(1, 0, 0), tensor(0, 0.75, 0), batch)
    assert number(DecreasingStepsize(10.0, type="absolute")(p, o, 1)) == 10.0 / 0.75
    assert number(ConstantStepsize(1.0, type="absolute")(p, o, 1)) == 1.0 / 0.75
    assert number(DecreasingStepsize(1.0, type="absolute")(p, o, 200)) == 0.005 / 0.75
    assert number(DecreasingStepsize(1.0, shift=3.0)(p, o, 1)) == 0.25


# ---- first trials of Hager and Zhang --------------------------------------------------------------------------------


def ray_of(M: Any, f: Any, x: torch.Tensor) -> Any:
    p = GradientProblem(M, f)
    value, gradient = p.get_cost_and_gradient(x)
    return ray_from(Lone(), p, x, value, gradient, None, None, None, 0.5)


def test_guesses_of_hager_and_zhang() -> None:
    guess, plain = HagerZhangInitialGuess(), HagerZhangInitialGuess(first=12.0, quadratic=False)
    M = Euclidean(2)

    def f(x: torch.Tensor) -> torch.Tensor:
        return (x - 1).square().sum(-1)

    # 0.01 |x| / |eta| in the maximum norm; where x = 0, 0.01 |f| / |eta|^2
    assert guess(ray_of(M, f, tensor(2, 2)), 1, math.nan) == pytest.approx(0.01 * 2.0 / 2.0, rel=1e-14)
    assert guess(ray_of(M, f, tensor(0, 0)), 1, math.nan) == pytest.approx(0.01 * 2.0 / 8.0, rel=1e-14)
    ray = ray_of(M, lambda x: f(x) - 2, tensor(0, 0))
    assert guess(ray, 1, math.nan) == 1.0
    assert plain(ray, 1, math.nan) == 12.0
    assert guess(ray, 2, 1.0) == pytest.approx(0.5, rel=1e-12)
    assert plain(ray, 2, 41.0) == 82.0
    ray = ray_of(Sphere(2), lambda x: 100 * (x - 1).square().sum(-1), tensor(0, 1))
    assert guess(ray, 1, math.nan) == pytest.approx(2.5e-5, rel=1e-14)


# ---- cubic bracketing -----------------------------------------------------------------------------------------------


def test_cubic_bracketing_of_a_parabola() -> None:
    x = tensor(1, 2)
    step = CubicBracketingLinesearch()(Euclidean(2), x, lambda x: x.square().sum(-1), 2 * x)
    assert step == pytest.approx(0.5, abs=4e-8)


def test_cubic_bracketing_where_cubics_converge_slowly() -> None:
    search = CubicBracketingLinesearch(1e-16, min_bracket_width=0.0, initial_stepsize=0.5)
    x = tensor(-1)
    step = search(Euclidean(1), x, lambda x: (x**6).sum(-1), 6 * x**5)
    assert step == pytest.approx(1 / 6, abs=5e-4)


def test_parts_of_cubic_bracketing() -> None:
    lane = Lone()
    a, b = End(0.0, 0.0, -3.0), End(2.0, 2.0, 9.0)
    assert cubic_minimum(lane, a, b) == pytest.approx(1.0, rel=1e-12)  # of x^3 - 3 x
    assert [kept_apart(lane, 0.0, 1.0, c, 0.25) for c in (0.5, 0.0, 1.0)] == [0.5, 0.25, 0.75]
    for c, bracket in (
        (End(1.0, 1.0, 1.0), "ac"),  # (R3)
        (End(1.0, -2.0, -1.0), "cb"),  # (R4)
        (End(1.0, -2.0, 1.0), "ca"),
        (End(1.0, 0.0, 1.0), "ca"),  # (R5)
        (End(1.0, 0.0, -1.0), "ac"),
    ):
        ends = {"a": a, "b": b, "c": c}
        assert narrowed(lane, a, b, c) == tuple(ends[name] for name in bracket)
    flat = End(0.0, 0.0, 0.0)
    assert narrowed(lane, flat, b, End(1.0, 0.0, -1.0)) == (End(1.0, 0.0, -1.0), b)


# ---- Wolfe and Hager-Zhang searches on the functions of Manopt's tests ----------------------------------------------


def along_a_line(search: Any, f: Any, slope: float, start: float = 0.0, eta: float = 1.0) -> float:
    x = tensor(start)
    return search(Euclidean(1), x, lambda x: f(x[..., 0]), tensor(slope), tensor(eta))


def test_hager_zhang_on_functions_of_one_variable() -> None:
    half = HagerZhangLinesearch(initial_guess=ConstantInitialGuess(0.5))
    x = tensor(1, 2)
    assert half(Euclidean(2), x, lambda x: x.square().sum(-1), 2 * x) == 0.5  # the minimum
    two = HagerZhangLinesearch(initial_guess=ConstantInitialGuess(2.0))
    assert along_a_line(two, lambda t: t * t / 2, 1.0, 1.0, -1.0) == 1.0  # one secant step
    wall = along_a_line(two, lambda t: torch.where(t < 1.0, t * t - t, math.inf), -1.0)
    assert abs(wall - 0.5) < 0.1
    one = HagerZhangLinesearch(initial_guess=ConstantInitialGuess(1.0))
    cubic = along_a_line(one, lambda t: -22 * t**3 + 33 * t**2 - t, -1.0)
    assert 0 < cubic < 0.031  # at 1 the cost is high but falls: the minimum at 0.0154 is before the crest
    line = HagerZhangLinesearch(initial_guess=ConstantInitialGuess(1.0), max_stepsize=2.0)
    assert along_a_line(line, lambda t: -t, -1.0) == 2.0  # falls for ever: the longest step


@pytest.mark.parametrize("search", [WolfeLinesearch(), WolfeBinaryLinesearch()], ids=repr)
def test_wolfe_bisection_by_hand(search: Any) -> None:
    # a parabola a/2 x^2 from 1: the first condition holds for s <= 2 (1 - c1) / a, the second for s >= (1 - c2) / a
    for a, far, near in ((8.0, 0.125, 0.125), (0.2, 1.0, 1.0), (1e-4, 2.0**14, 16.0)):
        x = tensor(1)
        step = search(Euclidean(1), x, lambda x, a=a: (0.5 * a * x * x).sum(-1), a * x)
        assert step == (far if isinstance(search, WolfeLinesearch) else near)
