"""Backtracking for proximal gradient steps: trials by hand, on the bound, at walls, and each problem its own."""

import math

import pytest
import torch

from manopt_torch.functional.linesearch import Trial
from manopt_torch.functional.masked import Batch, Lone
from manopt_torch.functional.proximal_search import ProximalProbe, proximal_search

D = torch.float64


def search(excess, *, cost=lambda s: 0.0, step=1.0, active=True, most=60, slack=0.0, floor=0.0):
    """Search where the model is missed by `excess(s)`; return what is found, its length and the steps tried."""
    tried = []

    def probe(s):
        tried.append(s)
        return ProximalProbe(Trial(s, torch.tensor(cost(s), dtype=D), None), excess(s), 3.0 * s)

    found, length = proximal_search(Lone(), probe, step, active, 0.5, most, slack, lambda: floor)
    assert found.trial.x == found.step and length == 3.0 * found.step  # of the accepted trial
    return found, tried


def test_a_trial_on_the_model_is_accepted_and_one_above_is_not():
    # 10 x^2 / 2 on a line: y lies (10 - 1 / s) / 2 |y - a|^2 above the model, so that steps up to 1/10 pass
    found, tried = search(lambda s: 10 - 1 / s, step=0.8)
    assert (tried, found.failed) == ([0.8, 0.4, 0.2, 0.1], False)
    for slack, trials in ((1.0, [1.0]), (0.999, [1.0, 0.5])):
        assert search(lambda s: s, slack=slack)[1][:2] == trials


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_walls_are_refused_whatever_the_model_says(bad):
    found, tried = search(lambda s: -1.0, cost=lambda s: bad if s > 0.3 else 0.0)
    assert (tried, found.failed) == ([1.0, 0.5, 0.25], False)
    assert search(lambda s: math.nan if s > 0.3 else 0.0)[1] == [1.0, 0.5, 0.25]


@pytest.mark.parametrize("most", [1, 5])
def test_rounds_are_bounded(most):
    found, tried = search(lambda s: 1.0, most=most)
    assert (len(tried), found.failed) == (1 + most, True)


def test_long_searches_end_at_the_smallest_step_worth_trying():
    found, tried = search(lambda s: 1.0, floor=2.0**-20)
    assert (tried[-1], len(tried), found.failed) == (2.0**-20, 21, True)
    found, tried = search(lambda s: 1.0, floor=1.0)
    assert (len(tried), found.failed) == (17, True)  # not asked for in short ones


def test_a_problem_that_does_not_search_keeps_its_step():
    found, tried = search(lambda s: 1.0, active=False)
    assert (tried, found.failed) == ([1.0], False)


def test_each_problem_of_a_batch_has_its_rounds_and_its_floor():
    lane, tried = Batch((5,), torch.zeros(5, dtype=D)), []
    active = torch.tensor([True, True, True, True, False])
    bound = torch.tensor([1.0, 2.0**-3, 0.0, 0.0, 0.0], dtype=D)
    floor = torch.tensor([0.0, 0.0, 2.0**-18, 2.0**-20, 0.0], dtype=D)

    def probe(s):
        tried.append(s.tolist())
        return ProximalProbe(Trial(s, torch.zeros(5, dtype=D), None), s - bound, s)

    found, length = proximal_search(lane, probe, lane.full(1.0), active, 0.5, 60, 0.0, lambda: floor)
    assert found.step.tolist() == length.tolist() == tried[-1] == [1.0, 2.0**-3, 2.0**-18, 2.0**-20, 1.0]
    assert found.failed.tolist() == [False, False, True, True, False] and len(tried) == 21
