"""Steps of Barzilai and Borwein, with and without a search: quotients, bounds, references, rejections."""

import math
from itertools import pairwise

import pytest
import torch

from manopt_torch import (
    BarzilaiBorweinStepsize,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    NonmonotoneLinesearch,
    Sphere,
    StopAfterIteration,
    StopWhenGradientNormLess,
    get_initial_stepsize,
    get_reason,
    get_record,
    get_stepsize,
    record_to_dict,
    report,
    solve,
)
from manopt_torch.functional.barzilai_borwein import barzilai_borwein
from manopt_torch.functional.masked import Lone
from tests.together import together

D = torch.float64
both = pytest.mark.parametrize("kind", [NonmonotoneLinesearch, BarzilaiBorweinStepsize])


def quadratic(*weights):
    w = torch.tensor(weights, dtype=D)
    return GradientProblem(Euclidean(len(weights)), lambda x: 0.5 * (w * x * x).sum(-1)), w


def run(p, x, stepsize, n, **more):
    o = GradientDescentOptions(torch.as_tensor(x, dtype=D), stepsize=stepsize, stop=StopAfterIteration(n))
    return solve(p, o, record=[":Stepsize", ":Cost", ":Iterate"], **more)


# ---- the quotients --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inverse", [False, True])
def test_quotients_of_a_quadratic(inverse):
    # s = -t w x and v = w s: <s, s> / <s, v> and <s, v> / <v, v> are quotients of the gradient
    p, w = quadratic(1.0, 10.0, 3.0)
    x = torch.tensor([1.0, -2.0, 0.5], dtype=D)
    g = w * x
    y = x - 0.03 * g
    ratio, curvature = barzilai_borwein(Lone(), p.M, x, g, -0.03, g, y, w * y, inverse=inverse)
    g2, wg2, w2g2 = ((w**k * g * g).sum().item() for k in range(3))
    assert ratio == pytest.approx(wg2 / w2g2 if inverse else g2 / wg2, rel=1e-13)
    assert curvature == pytest.approx(0.03**2 * wg2, rel=1e-13)


def test_other_directions_are_transported():
    M = Sphere(3)
    x, y = torch.eye(3, dtype=D)[:2]
    g, new, eta = torch.tensor([[0.0, 2.0, 1.0], [0.5, 0.0, 3.0], [0.0, 1.0, 4.0]], dtype=D)
    # transport by projection leaves the third entries: s = 2 * 4, v = 3 - 1 and 0.5 along the first axis
    ratio, curvature = barzilai_borwein(Lone(), M, x, eta, 2.0, g, y, new, inverse=False)
    assert curvature == pytest.approx(8.0 * 2.0) and ratio == pytest.approx(64.0 / 16.0)
    ratio, _ = barzilai_borwein(Lone(), M, x, eta, 2.0, g, y, new, inverse=True)
    assert ratio == pytest.approx(16.0 / (4.0 + 0.25))


@together()
@both
@pytest.mark.parametrize("strategy", ["direct", "inverse", "alternating"])
def test_steps_are_those_of_the_last_two_gradients(kind, strategy):
    p, w = quadratic(1.0, 2.0)
    o = run(p, [1.0, 1.0], kind(strategy, initial_stepsize=0.4), 8)
    rows = get_record(o)
    gradients = [w * x for x in [torch.ones(2, dtype=D), *(row[2] for row in rows)]]
    assert rows[0][0] == 0.4
    for k in range(2, 7):
        g = gradients[k - 2]
        direct, inverse = (((w**j * g * g).sum() / (w ** (j + 1) * g * g).sum()).item() for j in range(2))
        even = strategy == "inverse" or (strategy == "alternating" and k % 2 == 0)
        assert rows[k - 1][0] == pytest.approx(inverse if even else direct, rel=1e-9)


@both
def test_one_dimension_is_solved_by_the_second_step(kind):
    a = torch.logspace(-2, 2, 5, dtype=D)
    p = GradientProblem(Euclidean(1), lambda x: 0.5 * a * (x * x).sum(-1))
    o = run(p, torch.ones(5, 1), kind(initial_stepsize=1e-3), 2)
    torch.testing.assert_close(o.x, torch.zeros(5, 1, dtype=D), rtol=0, atol=1e-10)


# ---- bounds and references ------------------------------------------------------------------------------------------


@both
def test_steps_stay_between_the_bounds(kind):
    for weights, step in ((1e3, 0.25), (1e-3, 4.0)):
        p, _ = quadratic(weights)
        search = kind(initial_stepsize=1e-4, bb_min_stepsize=0.25, bb_max_stepsize=4.0)
        s = [row[0] for row in get_record(run(p, [1.0], search, 2))]
        assert s[1] == pytest.approx(step / 2**k if (k := round(math.log2(step / s[1]))) else step)


@both
def test_moves_are_no_longer_than_the_injectivity_radius(kind):
    M, c = Sphere(3), torch.tensor([0.0, 1e4, 0.0], dtype=D)
    p = GradientProblem(M, lambda x: (c * x).sum(-1))
    x = torch.tensor([1.0, 0.0, 0.0], dtype=D)
    o = GradientDescentOptions(x, stop=StopAfterIteration(0))
    for limit, longest in ((None, math.pi), (0.3, 0.3)):
        s = kind(initial_stepsize=1.0, max_stepsize=limit)(p, o, 1)
        assert s * 1e4 == pytest.approx(longest, rel=1e-12) or s * 1e4 < longest


def test_the_search_compares_with_the_largest_of_the_last_costs():
    p, _ = quadratic(1.0, 30.0)
    for m in (1, 4):
        o = run(p, [3.0, 1.0], NonmonotoneLinesearch(memory_size=m, initial_stepsize=0.05), 25)
        rows = get_record(o)
        costs = [0.5 * (9 + 30), *(row[1].item() for row in rows)]
        rises = sum(b > a for a, b in pairwise(costs))
        assert rises == 0 if m == 1 else rises > 0
        for k in range(1, len(costs)):
            assert costs[k] <= max(costs[max(0, k - m) : k]) * (1 + 1e-15)


def test_a_rejected_step_leaves_the_problem_and_the_next_is_shorter():
    p, _ = quadratic(1.0)
    # from x = 1 a step of 10 leads to -9, then 3 to -2; 0.9 to 0.1, from where the quotient is exact
    o = run(p, [[1.0], [1.0]], BarzilaiBorweinStepsize(initial_stepsize=10.0), 4)
    table = record_to_dict(o)
    torch.testing.assert_close(table[":Stepsize"][:, 0], torch.tensor([10.0, 3.0, 0.9, 1.0], dtype=D))
    torch.testing.assert_close(table[":Iterate"][:, 0, 0], torch.tensor([1.0, 1.0, 0.1, 0.0], dtype=D))
    assert o.evaluations == {**o.evaluations, "cost": 5, "gradient": 5}
    lone = run(p, [1.0], BarzilaiBorweinStepsize(initial_stepsize=10.0), 4)
    assert torch.equal(lone.x, o.x[0]) and lone.evaluations["gradient"] == 3


@both
def test_first_steps(kind):
    p, _ = quadratic(4.0)
    o = GradientDescentOptions(torch.ones(3, 1, dtype=D), stepsize=kind(initial_stepsize=0.2))
    assert get_initial_stepsize(p, o).tolist() == [0.2] * 3
    o = GradientDescentOptions(torch.ones(3, 1, dtype=D), stepsize=BarzilaiBorweinStepsize())
    assert get_stepsize(p, o, 1).tolist() == [0.125] * 3  # a move of length 1/2
    solve(p, o)
    held = dict(o.memory[o.stepsize])
    assert get_initial_stepsize(p, o).shape == (3,) and o.trial is None
    assert o.memory[o.stepsize] == held


@both
def test_where_no_step_decreases_the_cost_the_problem_stagnates(kind):
    p = GradientProblem(Euclidean(1), lambda x: (x * x).sum(-1), lambda x: -2 * x)
    o = GradientDescentOptions(torch.ones(2, 1, dtype=D), stepsize=kind(), stop=StopAfterIteration(200))
    solve(p, o)
    assert all("stagnated" in reason for reason in get_reason(o)) and torch.equal(o.x, torch.ones(2, 1, dtype=D))


def test_a_thousand_eigenvalue_problems_take_some_dozen_evaluations():
    g = torch.Generator().manual_seed(0)
    a = torch.randn(200, 6, 6, generator=g, dtype=D)
    a = a + a.mT
    M = Sphere(6)
    p = GradientProblem(M, lambda x, a: (x * (a * x[..., None, :]).sum(-1)).sum(-1), data=(a,))
    x = M.random_point(200, generator=g, dtype=D)
    for stepsize in (BarzilaiBorweinStepsize(), NonmonotoneLinesearch()):
        stop = StopAfterIteration(1000) | StopWhenGradientNormLess(1e-7)
        o = solve(p, GradientDescentOptions(x, stepsize=stepsize, stop=stop))
        assert report(o).converged == 200
        assert report(o).iterations[1] < 40
        # every end is an eigenvector, nearly all of them the lowest
        values = torch.linalg.eigvalsh(a)
        assert (values - o.cost[:, None]).abs().amin(1).max() < 1e-10
        assert (o.cost - values[:, 0] < 1e-10).sum() > 190
