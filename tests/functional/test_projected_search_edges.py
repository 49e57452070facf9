"""The search along an arc on the bounds of its condition and at its floor, with numbers by hand."""

import pytest
import torch

from manopt_torch.functional.linesearch import Trial
from manopt_torch.functional.masked import Batch, Lone
from manopt_torch.functional.projected_search import ArcRule, projected_search

D = torch.float64


def search(value, squared, *, cost=2.0, step=1.0, slack=0.0, most=60, floor=0.0):
    """Search where the arc has costs `value(s)` and squared distances `squared(s)`."""
    tried = []

    def probe(s):
        tried.append(s)
        return Trial(s, torch.tensor(value(s), dtype=D), None), squared(s)

    rule = ArcRule(0.5, 0.25, most, slack)
    found = projected_search(Lone(), probe, cost, probe(step), step, True, rule, lambda: floor)
    assert found.trial.x == found.step == tried[-1]
    return found, tried


@pytest.mark.parametrize("step", [0.25, 1.0, 4.0])
def test_the_squared_distance_counts_by_the_step(step):
    # f(s) = 2 - d^2 / (4 s) meets the condition in equality for c = 1/4
    assert search(lambda s: 2.0 - 0.25 * 4.0 / s, lambda s: 4.0, step=step)[1] == [step]
    higher = lambda s: 2.0 - 0.25 * 4.0 / s + (1e-9 if s == step else -1e-9)  # noqa: E731
    assert search(higher, lambda s: 4.0, step=step)[1] == [step, 0.5 * step]


def test_each_trial_is_judged_by_its_own_distance():
    # d(s) = s: f(s) <= 2 - s / 4, which the cost 1.9 satisfies up to 0.4
    found, tried = search(lambda s: 1.9, lambda s: s * s)
    assert (tried, found.failed) == ([1.0, 0.5, 0.25], False)


@pytest.mark.parametrize("cost", [2.0, -2.0])
def test_slack_is_relative_to_the_size_of_the_cost(cost):
    value = lambda s: cost + (0.5 if s else 0.0)  # noqa: E731
    assert search(value, lambda s: 0.0, cost=cost, slack=0.25)[1] == [1.0]
    assert search(value, lambda s: 0.0, cost=cost, slack=0.24)[0].failed


@pytest.mark.parametrize("most", [1, 5])
def test_rounds_are_bounded(most):
    found, tried = search(lambda s: 9.0, lambda s: 0.0, most=most)
    assert (len(tried), found.failed) == (1 + most, True)


def test_each_problem_stops_at_its_own_floor():
    found, tried = search(lambda s: 9.0, lambda s: 0.0, floor=2.0**-20)
    assert (tried[-1], len(tried), found.failed) == (2.0**-20, 21, True)
    assert len(search(lambda s: 9.0, lambda s: 0.0, floor=1.0)[1]) == 17  # not asked for in short ones
    lane, floor = Batch((3,), torch.zeros(3, dtype=D)), torch.tensor([2.0**-18, 2.0**-20, 0.0], dtype=D)
    active = torch.tensor([True, True, False])

    def probe(s):
        return Trial(s, torch.full((3,), 9.0, dtype=D), None), torch.zeros(3, dtype=D)

    one, rule = lane.full(1.0), ArcRule(0.5, 0.25, 60, 0.0)
    found = projected_search(lane, probe, lane.full(2.0), probe(one), one, active, rule, lambda: floor)
    assert found.step.tolist() == [2.0**-18, 2.0**-20, 1.0] and found.failed.tolist() == [True, True, False]
