"""The backtracking search as a pure function: closed forms for its steps, its bounds, and lanes that agree."""

import math

import pytest
import torch

from manopt_torch.functional.linesearch import ArmijoRule, Trial, armijo
from manopt_torch.functional.masked import Batch, Lone

D = torch.float64


def rule(**changed):
    numbers = {
        "contraction_factor": 0.5,
        "sufficient_decrease": 0.5,
        "max_increases": 30,
        "max_decreases": 60,
        "slack": 0.0,
    }
    return ArmijoRule(**{**numbers, **changed})


def search(f, slope, step=1.0, numbers=None, floor=0.0, f0=None):
    """Search along `f` (a function of the step) in a lone run; return what is found and the steps tried."""
    tried = []

    def probe(s):
        tried.append(s)
        return Trial(("x", s), torch.tensor(f(s), dtype=D), None)

    start = f(0.0) if f0 is None else f0
    return armijo(Lone(), probe, start, slope, step, True, numbers or rule(), lambda: floor), tried


def test_shrinking_halves_until_the_rule_holds():
    # f(s) = (1 - 8 s)^2, f'(0) = -16: the rule with c = 1/2 holds up to s = 1/8
    found, tried = search(lambda s: (1 - 8 * s) ** 2, -16.0)
    assert tried == [1.0, 0.5, 0.25, 0.125]
    assert (found.step, found.failed) == (0.125, False)
    assert found.trial.x == ("x", 0.125)
    assert found.trial.cost.item() == 0.0


def test_growing_keeps_the_former_trial_when_one_goes_too_far():
    # f(s) = (1 - s/8)^2, f'(0) = -1/4: the rule with c = 1/2 holds up to s = 8, strictly below it
    found, tried = search(lambda s: (1 - s / 8.1) ** 2, -2 / 8.1)
    assert tried == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert (found.step, found.failed) == (8.0, False)
    assert found.trial.x == ("x", 8.0)


def test_a_trial_on_the_boundary_is_accepted_and_ends_the_growth():
    # f(s) = 1 - s/4 meets the bound 1 + c s f'(0) with c = 1/2, f'(0) = -1/2 in equality
    found, tried = search(lambda s: 1 - s / 4, -0.5)
    assert tried == [1.0]
    assert (found.step, found.failed) == (1.0, False)


def test_growth_ends_at_a_later_trial_on_the_boundary():
    # below the bound 1 - s/4 at 1, on it at 2, below it again at 4
    found, tried = search(lambda s: {0.0: 1.0, 1.0: 0.5, 2.0: 0.5}.get(s, -9.0), -0.5)
    assert tried == [1.0, 2.0]
    assert (found.step, found.failed) == (2.0, False)


def test_growth_needs_a_decrease_by_more_than_the_margin():
    f = lambda s: 1.0 - 1e-9 * s  # noqa: E731
    assert search(f, -1e-12, numbers=rule(margin=1e-8, max_increases=3))[0].step == 1.0
    assert search(f, -1e-12, numbers=rule(margin=1e-10, max_increases=3))[0].step == 8.0


@pytest.mark.parametrize("most", [0, 1, 7])
def test_growth_on_an_unbounded_cost_is_bounded(most):
    found, tried = search(lambda s: -s, -1.0, numbers=rule(max_increases=most))
    assert len(tried) == 1 + most
    assert (found.step, found.failed) == (2.0**most, False)


@pytest.mark.parametrize("wall", [math.nan, math.inf, -math.inf])
def test_walls_are_backed_off_from(wall):
    found, _ = search(lambda s: wall if s > 0.3 else -s, -1.0)
    assert (found.step, found.failed, found.trial.cost.item()) == (0.25, False, -0.25)


@pytest.mark.parametrize("wall", [math.nan, math.inf, -math.inf])
def test_growth_stops_before_a_wall(wall):
    found, _ = search(lambda s: wall if s > 5.0 else -s, -1.0)
    assert (found.step, found.failed, found.trial.cost.item()) == (4.0, False, -4.0)


@pytest.mark.parametrize("wall", [math.nan, math.inf, -math.inf])
def test_a_wall_all_around_exhausts_the_bound(wall):
    found, tried = search(lambda s: wall, -1.0, f0=0.0)
    assert found.failed
    assert len(tried) == 1 + 60


def test_ascent_directions_fail_after_the_bound():
    found, tried = search(lambda s: s, 1.0, numbers=rule(max_decreases=9))
    assert found.failed
    assert tried == [2.0**-k for k in range(10)]


def test_long_searches_end_at_the_smallest_step_worth_trying():
    found, tried = search(lambda s: s, 1.0, floor=2.0**-20)
    assert found.failed
    assert tried[-1] == 2.0**-20


def test_short_searches_do_not_ask_for_the_smallest_step():
    def never():
        raise AssertionError("not worth asking")

    trial = lambda s: Trial(s, torch.tensor(-s if s < 2.0**-14 else 1.0, dtype=D), None)  # noqa: E731
    assert armijo(Lone(), trial, 0.0, -1.0, 1.0, True, rule(), never).step == 2.0**-15


def test_a_flat_cost_with_slope_zero_takes_the_step():
    found, tried = search(lambda s: 5.0, 0.0)
    assert (found.step, found.failed, tried) == (1.0, False, [1.0])


def test_slack_is_relative_to_the_cost():
    # a rise of 1e-6 in a cost of -1000
    f = lambda s: -1000.0 + (1e-6 if s else 0.0)  # noqa: E731
    assert search(f, -1e-12, numbers=rule(slack=1e-8))[0].step == 1.0
    assert search(f, -1e-12, numbers=rule(slack=1e-10))[0].failed


def test_an_inactive_lone_problem_keeps_its_step():
    found = armijo(Lone(), lambda s: Trial(s, torch.tensor(9.0), None), 0.0, -1.0, 0.25, False, rule(), lambda: 0.0)
    assert (found.step, found.failed) == (0.25, False)


FUNCTIONS = [
    (lambda s: (1 - 8 * s) ** 2, -16.0),
    (lambda s: (1 - s / 8.1) ** 2, -2 / 8.1),
    (lambda s: 1 - s / 4, -0.5),
    (lambda s: -s, -1.0),
    (lambda s: math.nan if s > 0.3 else -s, -1.0),
    (lambda s: math.nan if s > 5.0 else -s, -1.0),
    (lambda s: math.nan if s else 0.0, -1.0),
    (lambda s: s, 1.0),
    (lambda s: 5.0, 0.0),
    (lambda s: math.exp(s) - 3 * s, -2.0),
]


@pytest.mark.parametrize("most", [0, 5, 30])
def test_every_problem_of_a_batch_has_the_trials_of_a_lone_one(most):
    numbers, count = rule(max_increases=most), len(FUNCTIONS)
    lane = Batch((count,), torch.zeros(count, dtype=D))

    def probe(s):
        values = [f(t) for (f, _), t in zip(FUNCTIONS, s.tolist(), strict=True)]
        return Trial(s.clone(), torch.tensor(values, dtype=D), None)

    cost = torch.tensor([f(0.0) for f, _ in FUNCTIONS], dtype=D)
    slope = torch.tensor([s for _, s in FUNCTIONS], dtype=D)
    found = armijo(lane, probe, cost, slope, lane.full(1.0), lane.full(True), numbers, lambda: lane.full(2.0**-20))
    for k, (f, s) in enumerate(FUNCTIONS):
        alone, _ = search(f, s, numbers=numbers, floor=2.0**-20)
        assert found.step[k].item() == alone.step
        assert found.failed[k].item() == alone.failed
        assert found.trial.x[k].item() == alone.step  # the trial handed back is the accepted one


def test_frozen_problems_keep_their_steps_and_do_not_fail():
    lane = Batch((2,), torch.zeros(2, dtype=D))
    step, active = torch.tensor([0.5, 0.5], dtype=D), torch.tensor([True, False])

    def probe(s):
        return Trial(s, torch.where(active, -s, math.nan), None)

    cost, slope = torch.zeros(2, dtype=D), -torch.ones(2, dtype=D)
    found = armijo(lane, probe, cost, slope, step, active, rule(max_increases=2), lambda: lane.full(0.0))
    assert found.step.tolist() == [2.0, 0.5]
    assert found.failed.tolist() == [False, False]


def batch_search(lines, step=1.0):
    """Search along several functions of the step at once; return what is found and the steps of every round."""
    lane, tried = Batch((len(lines),), torch.zeros(len(lines), dtype=D)), []

    def probe(s):
        tried.append(s.tolist())
        return Trial(s, torch.tensor([f(t) for (f, _), t in zip(lines, s.tolist(), strict=True)], dtype=D), None)

    cost, slope = (torch.tensor(values, dtype=D) for values in zip(*((f(0.0), s) for f, s in lines), strict=True))
    found = armijo(lane, probe, cost, slope, lane.full(step), lane.full(True), rule(), lambda: lane.full(0.0))
    assert found.trial.x.tolist() == found.step.tolist() and not found.failed.any()
    return found.step.tolist(), tried


def test_some_problems_grow_while_others_shrink():
    assert batch_search([FUNCTIONS[0], (lambda s: -s if s < 3 else 9.0, -1.0)])[1] == [
        [1, 1],
        [0.5, 2],
        [0.25, 4],
        [0.125, 2],
    ]


def test_the_former_trial_is_returned_where_all_that_moved_go_back():
    # the second holds at once, in equality; the first grows twice, the third once
    lines = [(lambda s: -s if s < 3 else 9.0, -1.0), FUNCTIONS[2]]
    assert batch_search(lines) == ([2.0, 1.0], [[1, 1], [2, 1], [4, 1]])
    # of those that grew last, one stays: the others are evaluated with it once more
    lines = [(lambda s: -s if s < 3 else 9.0, -1.0), (lambda s: {4.0: -2.0}.get(s, -s), -1.0)]
    assert batch_search(lines) == ([2.0, 4.0], [[1, 1], [2, 2], [4, 4], [2, 4]])
