"""Doubling and bisection for Wolfe's conditions: trials computed by hand, on the bounds and at the ends."""

import pytest

from manopt_torch.functional.wolfe import WolfeRule, wolfe
from tests.functional.rays import along, descent, parabola, wall

# on a s^2 / 2 - s the first condition holds for s <= 2 (1 - c1) / a, the second for s >= (1 - c2) / a


def rule(*, c1=0.25, c2=0.5, far=False, max_increases=30, max_trials=100):
    return WolfeRule(c1, c2, far, max_increases, max_trials)


@pytest.mark.parametrize(
    ("far", "trials", "step"), [(False, [1, 2, 4, 8], 8), (True, [1, 2, 4, 8, 16, 32], 16)], ids=["near", "far"]
)
def test_steps_double_until_the_slope_is_exactly_flat_enough_or_beyond(far, trials, step):
    found, tried = along(wolfe, parabola(1 / 16), rule(far=far))  # 8 <= s <= 24
    assert (tried, found.step, found.trial.x, found.failed) == (trials, step, step, False)


@pytest.mark.parametrize("far", [False, True])
@pytest.mark.parametrize("step", [0.5, 1.5])
def test_a_first_trial_on_the_bound_of_a_condition_satisfies_it(far, step):
    found, tried = along(wolfe, parabola(1.0), rule(far=far), step)
    assert (tried, found.step) == ([step], step)


@pytest.mark.parametrize("far", [False, True])
def test_a_step_too_long_is_halved_and_a_bracket_bisected(far):
    assert along(wolfe, parabola(1.0), rule(far=far), 4.0)[1] == [4, 2, 1]
    # of steps between 0.9 and 1.5 the first trial is too short, twice that too long
    assert along(wolfe, parabola(1.0), rule(c2=0.1, far=far), 0.875)[1] == [0.875, 1.75, 1.3125]
    # within a bracket the first that satisfies both is taken, however the one before was
    assert along(wolfe, parabola(1.0), rule(c2=0.1, far=far), 1.75)[1] == [1.75, 0.875, 1.3125]


def test_a_steep_step_that_costs_more_than_a_shorter_one_is_too_long():
    f = {0.0: (0.0, -1.0), 1.0: (-10.0, -1.0), 2.0: (-5.0, -1.0), 1.5: (-11.0, 0.0)}
    found, tried = along(wolfe, f.__getitem__, rule())
    assert (tried, found.step) == ([1.0, 2.0, 1.5], 1.5)
    equal = f | {2.0: (-10.0, -1.0), 4.0: (-11.0, 0.0)}  # one that costs as much is not
    assert along(wolfe, equal.__getitem__, rule())[1] == [1.0, 2.0, 4.0]


def test_the_slack_lets_a_cost_pass_that_is_higher_by_rounding():
    f = {0.0: (1.0, -1e-9), 1.0: (1.0 + 1e-8, 0.0)}
    assert along(wolfe, f.__getitem__, rule(max_trials=1), slack=2e-8)[0].step == 1.0
    assert along(wolfe, f.__getitem__, rule(max_trials=1), slack=5e-9)[0].failed


@pytest.mark.parametrize("most", [0, 1, 3])
def test_the_bound_on_doublings_ends_the_search_with_the_last(most):
    found, tried = along(wolfe, descent, rule(max_increases=most))
    assert (tried, found.step, found.failed) == ([2.0**k for k in range(most + 1)], 2.0**most, False)


def test_the_longest_step_ends_the_search():
    found, tried = along(wolfe, descent, rule(), longest=3.0)
    assert (tried, found.step) == ([1, 2, 3], 3)


def test_where_a_former_search_has_given_up_is_tried_next():
    assert along(wolfe, descent, rule(max_increases=3), reached=100.0)[1] == [1, 100, 200, 400]


@pytest.mark.parametrize("most", [1, 5])
def test_a_wall_all_around_exhausts_the_trials(most):
    found, tried = along(wolfe, wall, rule(max_trials=most))
    assert (tried, found.step, found.failed) == ([0.5**k for k in range(most)], 0.0, True)


def test_long_searches_know_the_smallest_step_worth_trying():
    found, tried = along(wolfe, wall, rule(), floor=2.0**-18)
    assert (tried[-1], len(tried), found.failed) == (2.0**-18, 19, True)
    # steps that fall for ever but began below all sense go on from there
    tried = along(wolfe, descent, rule(max_increases=20), 2.0**-100, floor=1.0)[1]
    assert tried == [2.0 ** (k - 100) for k in range(16)] + [1.0, 2.0, 4.0, 8.0, 16.0]
    tried = along(wolfe, descent, rule(), 2.0**-100, floor=1.0, longest=0.5)[1]
    assert tried[16:] == [0.5]


def test_a_bracket_that_promises_a_hundredth_of_the_decrease_is_not_halved():
    f = lambda s: (-s if s < 1 else 9.0, -1.0)  # noqa: E731
    found, tried = along(wolfe, f, rule())
    # the gap 2^-7 to the wall is less than a hundredth of the step
    assert tried == [1.0, *(1 - 0.5**k for k in range(1, 8))] and found.step == 1 - 0.5**7
    # but four trials are free: the slope promises 0.002 of 0.5 at once
    flat = lambda s: {0.0: (0.0, -1.0), 1.0: (-0.5, -0.002)}.get(s, (9.0, 0.0))  # noqa: E731
    found, tried = along(wolfe, flat, rule(c1=1e-4, c2=1e-3))
    assert (tried, found.step) == ([1.0, 2.0, 1.5, 1.25], 1.0)


def test_a_bracket_without_width_is_not_halved():
    # slopes so steep that every bracket promises much; 2^-27 is the first power below 1e-8
    f = lambda s: (-s if s < 1 else 9.0, -1e12 if s else -1.0)  # noqa: E731
    found, tried = along(wolfe, f, rule())
    assert tried == [1.0, *(1 - 0.5**k for k in range(1, 28))] and found.step == 1 - 0.5**27
