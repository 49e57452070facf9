"""Backtracking by parabolas as a pure function: trials computed by hand, thresholds, clamps and ends."""

import math

import pytest
import torch

from manopt_torch.functional.linesearch import Trial
from manopt_torch.functional.masked import Batch, Lone
from manopt_torch.functional.parabolic import ParabolicRule, parabolic

D = torch.float64


def rule(*, c=0.25, growth=1.25, max_decreases=60, slack=0.0, noise=0.0):
    return ParabolicRule(c, growth, max_decreases, slack, noise)


def search(f, slope=-1.0, step=1.0, numbers=None, floor=0.0):
    """Search along `f` in a lone run; return what is found, the foretold minimum and the steps tried."""
    tried = []

    def probe(s):
        tried.append(s)
        return Trial(s, torch.tensor(f(s), dtype=D), None)

    found, best = parabolic(Lone(), probe, f(0.0), slope, step, True, numbers or rule(), lambda: floor)
    assert found.trial.x == found.step
    return found, best, tried


def test_a_step_shorter_by_the_threshold_is_kept_and_one_below_goes_to_the_minimum():
    f = lambda s: 0.5 * s * s - s  # noqa: E731
    found, best, tried = search(f, step=0.8, numbers=rule(growth=1.0 / 0.8))
    assert (tried, found.step, best) == ([0.8], 0.8, pytest.approx(1.0, rel=1e-15))
    found, best, tried = search(f, step=0.75)
    assert (tried, found.step, best) == ([0.75, 1.0], 1.0, 1.0)


def test_a_step_on_the_bound_is_low_enough_and_one_beyond_is_not():
    # on a s^2 / 2 - s that is 2 (1 - c) = 3/2
    f = lambda s: 0.5 * s * s - s  # noqa: E731
    assert search(f, step=1.5)[2] == [1.5]
    assert search(f, step=1.5625)[2] == [1.5625, 1.0]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e6])
def test_steps_shrink_by_no_more_than_ten(bad):
    f = lambda s: bad if s > 0.05 else -s  # noqa: E731
    found, _, tried = search(f)
    assert tried == pytest.approx([1.0, 0.1, 0.01], rel=1e-15) and not found.failed


def test_steps_shrink_by_no_less_than_a_factor():
    # -1/5 is not low enough by a little: the parabola has its minimum at 5/8, by three tenths it is at 5/7 > 7/10
    assert search({0.0: 0.0, 1.0: -0.2, 0.625: -1.0}.__getitem__)[2] == [1.0, 0.625]
    numbers = rule(c=0.4)
    assert search({0.0: 0.0, 1.0: -0.3, 0.7: -1.0}.__getitem__, numbers=numbers)[2] == [1.0, 0.7]


def test_growth_is_bounded_and_taken_only_where_it_is_lower():
    f = {0.0: 0.0, 1.0: -1.0 + 1e-4, 100.0: -1.5}  # the parabola has its minimum at 5000
    found, best, tried = search(f.__getitem__)
    assert (tried, found.step) == ([1.0, 100.0], 100.0)
    assert best == pytest.approx(0.5 * 1e4 / (100 - 1.5), rel=1e-12)  # of the last parabola
    for value in (-1.0 + 1e-4, 0.0, math.nan):  # as high, higher, nothing
        found, _, tried = search((f | {100.0: value}).__getitem__)
        assert (tried, found.step, found.failed) == ([1.0, 100.0], 1.0, False)


def test_a_straight_line_is_followed_four_times_as_far():
    found, best, tried = search(lambda s: -s)
    assert (tried, found.step, best) == ([1.0, 4.0], 4.0, 16.0)
    # and so is one that bends down
    assert search(lambda s: -s - s * s)[2] == [1.0, 4.0]


def test_on_noise_the_step_itself_is_the_best():
    for slope, trials in ((-10.0, [1.0]), (-10.5, [1.0, 4.0])):  # a decrease of ten noises tells nothing
        _, best, tried = search(lambda s, slope=slope: 2.0 + slope * s, slope, numbers=rule(noise=0.5))
        assert (tried, best) == (trials, trials[-1] * (1.0 if len(trials) == 1 else 4.0))
    # a bend of exactly the noise is none
    f = {0.0: 1.0, 1.0: 1.0 - 4.0 + 0.5}
    assert search(f.__getitem__, -4.0, numbers=rule(noise=0.5))[1] == 1.0
    assert search(f.__getitem__, -4.0, numbers=rule(noise=0.49, growth=9.0))[1] == 4.0


def test_slack_is_relative_to_the_cost():
    f = lambda s: -4.0 + (2.0 if s else 0.0)  # noqa: E731
    assert search(f, 0.0, numbers=rule(slack=0.5))[2] == [1.0]
    assert search(f, 0.0, numbers=rule(slack=0.49))[0].failed


@pytest.mark.parametrize("most", [1, 5])
def test_shrinking_rounds_are_bounded(most):
    found, _, tried = search(lambda s: 1.0 if s else 0.0, numbers=rule(max_decreases=most))
    assert len(tried) == 1 + most and found.failed
    found, _, tried = search(lambda s: math.nan if s > 0.1**most * 1.5 else -s, numbers=rule(max_decreases=most))
    assert len(tried) == 1 + most and not found.failed


def test_long_searches_end_at_the_smallest_step_worth_trying():
    f = lambda s: math.nan if s else 0.0  # noqa: E731
    found, _, tried = search(f, floor=2e-12)
    assert found.failed and len(tried) == 13  # 10^-12 is the first below
    found, _, tried = search(f, floor=1.0)
    assert found.failed and len(tried) == 9  # not asked for in short ones
    assert len(search(f, step=2.0**-600, floor=0.1 * 2.0**-600)[2]) == 9


LINES = [
    (lambda s: 0.5 * s * s - s, -1.0),
    (lambda s: 8 * s * s - s, -1.0),
    (lambda s: 0.01 * s * s - s, -1.0),
    (lambda s: {0.0: 0.0, 1.0: -1.0 + 1e-4}.get(s, 1.0), -1.0),
    (lambda s: -s, -1.0),
    (lambda s: math.nan if s > 0.05 else -s, -1.0),
    (lambda s: math.nan if s else 0.0, -1.0),
    (lambda s: 1.0 - s * s, -1e-3),
]


def test_every_problem_of_a_batch_has_the_step_of_a_lone_one():
    lane = Batch((len(LINES),), torch.zeros(len(LINES), dtype=D))
    numbers = rule(noise=1e-15)

    def probe(s):
        values = [f(t) for (f, _), t in zip(LINES, s.tolist(), strict=True)]
        return Trial(s.clone(), torch.tensor(values, dtype=D), None)

    cost, slope = (torch.tensor(row, dtype=D) for row in zip(*((f(0.0), s) for f, s in LINES), strict=True))
    found, best = parabolic(
        lane, probe, cost, slope, lane.full(1.0), lane.full(True), numbers, lambda: lane.full(2e-12)
    )
    for k, (f, s) in enumerate(LINES):
        alone, minimum, _ = search(f, s, numbers=numbers, floor=2e-12)
        assert (found.step[k].item(), found.failed[k].item()) == (alone.step, alone.failed)
        assert found.trial.x[k].item() == alone.step  # the trial handed back is the accepted one
        assert best[k].item() == minimum


def test_frozen_problems_keep_their_steps_and_do_not_fail():
    lane = Batch((3,), torch.zeros(3, dtype=D))
    active, tried = torch.tensor([True, True, False]), []

    def probe(s):
        tried.append(s.tolist())
        return Trial(s, torch.where(torch.tensor([False, True, False]), -s, math.nan), None)

    zero, step = torch.zeros(3, dtype=D), torch.full((3,), 0.5, dtype=D)
    found, _ = parabolic(lane, probe, zero, zero - 1.0, step, active, rule(max_decreases=1), lambda: lane.full(0.0))
    assert found.failed.tolist() == [True, False, False]
    assert tried == [[0.5, 0.5, 0.5], [0.5, 2.0, 0.5], [0.05, 2.0, 0.5]]
    assert found.step.tolist() == tried[-1]


@pytest.mark.parametrize("value", [0.0, 9.0])
def test_an_inactive_lone_problem_keeps_its_step(value):
    trial = lambda s: Trial(s, torch.tensor(value, dtype=D), None)  # noqa: E731
    found, _ = parabolic(Lone(), trial, 0.0, -1.0, 0.25, False, rule(), lambda: 0.0)
    assert (found.step, found.failed) == (0.25, False)
