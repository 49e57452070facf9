"""Steps of Barzilai and Borwein where the quotient says nothing, after rejections, and the reference by its formula."""

import math

import pytest
import torch

from manopt_torch import (
    BarzilaiBorweinStepsize,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    NonmonotoneLinesearch,
    StopAfterIteration,
    get_record,
    solve,
)

D = torch.float64
BATCHES = pytest.mark.parametrize("batch", [(), (2,)], ids=str)


def number(value):
    return float(torch.as_tensor(value, dtype=D).flatten()[0])


def run(cost, x, stepsize, n):
    p = GradientProblem(Euclidean(x.shape[-1]), cost)
    o = GradientDescentOptions(x, stepsize=stepsize, stop=StopAfterIteration(n))
    rows = get_record(solve(p, o, record=[":Stepsize", ":Cost"]))
    return o, [[number(v) for v in row] for row in rows]


@BATCHES
@pytest.mark.parametrize("bend", [0.0, -1e-6])
def test_steps_double_where_the_cost_does_not_bend_up(batch, bend):
    x = torch.ones(*batch, 1, dtype=D)
    rows = run(lambda x: (bend * x * x - x).sum(-1), x, BarzilaiBorweinStepsize(initial_stepsize=0.25), 5)[1]
    assert [s for s, _ in rows] == [0.25, 0.5, 1.0, 2.0, 4.0]
    bounded = BarzilaiBorweinStepsize(initial_stepsize=0.25, bb_max_stepsize=1.5)
    rows = run(lambda x: (bend * x * x - x).sum(-1), x, bounded, 5)[1]
    assert [s for s, _ in rows] == [0.25, 0.5, 1.0, 1.5, 1.5]


@BATCHES
@pytest.mark.parametrize("bend", [0.0, -1e-6])
def test_the_search_tries_its_longest_step_where_the_cost_does_not_bend_up(batch, bend):
    search = NonmonotoneLinesearch(initial_stepsize=0.25, bb_max_stepsize=7.0)
    rows = run(lambda x: (bend * x * x - x).sum(-1), torch.ones(*batch, 1, dtype=D), search, 3)[1]
    assert [s for s, _ in rows] == [0.25, 7.0, 7.0]


@BATCHES
def test_the_reference_follows_the_cost(batch):
    # r = max(f, 0.85 r + 0.15 f) after every accepted step, from the first cost on
    w, start = torch.tensor([1.0, 7.0, 40.0], dtype=D), torch.tensor([3.0, -1.0, 1.0], dtype=D)
    cost = lambda x: 0.5 * (w * x * x).sum(-1)  # noqa: E731
    reference = former = number(cost(start))
    risen, refused = 0, 0
    for n in range(1, 16):
        search = BarzilaiBorweinStepsize(initial_stepsize=0.03)
        o, rows = run(cost, start.expand(*batch, 3), search, n)
        value = rows[-1][1]
        risen, refused = risen + (value > former), refused + (value == former)
        if value != former:
            reference = max(value, 0.85 * reference + 0.15 * value)
        assert number(o.memory[search]["reference"]) == pytest.approx(reference, rel=1e-13)
        former = value
    assert risen and refused


@BATCHES
def test_a_step_grows_by_no_more_than_two_after_a_rejection(batch):
    # a straight line, nearly, up to a wall: the quotient would be 100
    f = lambda x: 0.005 * x**2 - x  # noqa: E731
    cost = lambda x: torch.where(x[..., 0] > 0.2, math.inf, f(x[..., 0]))  # noqa: E731
    search = BarzilaiBorweinStepsize(initial_stepsize=1.0, stepsize_reduction=0.1)
    rows = run(cost, torch.zeros(*batch, 1, dtype=D), search, 4)[1]
    # 1 is refused, 1/10 taken, 2/10 refused, 2/100 taken, along minus the slope of -0.999
    assert [s for s, _ in rows] == pytest.approx([1.0, 0.1, 0.2, 0.02], rel=1e-12)
    assert [f for _, f in rows] == pytest.approx([0.0, f(0.1), f(0.1), f(0.1 + 0.02 * 0.999)], rel=1e-12)


@BATCHES
def test_a_step_as_high_as_the_rule_allows_is_taken(batch):
    # x^2 / 2 from 1 with s: x (1 - s); f <= 1/2 - c s holds up to s = 2 (1 - c) in equality
    x = torch.ones(*batch, 1, dtype=D)
    for s, cost in ((1.5, 0.125), (1.75, 0.5)):
        search = BarzilaiBorweinStepsize(initial_stepsize=s, sufficient_decrease=0.25, cost_resolution=0.0)
        assert run(lambda x: 0.5 * (x * x).sum(-1), x, search, 1)[1] == [[s, cost]]
