"""The search of Hager and Zhang: trials computed by hand, conditions on their bounds, and the ends."""

import math

import pytest

from manopt_torch.functional.hager_zhang import HagerZhangRule, hager_zhang
from tests.functional.rays import along, descent, parabola, wall


def rule(*, c1=0.1, c2=0.9, tolerance=1e-6, expansion=5.0, contraction=0.66, max_trials=100):
    return HagerZhangRule(c1, c2, tolerance, expansion, contraction, max_trials)


def test_a_trial_that_rises_brackets_and_one_secant_step_solves_a_parabola():
    found, tried = along(hager_zhang, parabola(1.0), rule(), 4.0)
    assert (tried, found.step, found.trial.x, found.failed) == ([4, 1], 1, 1, False)


def test_steps_expand_until_the_slope_is_flat_enough():
    # flat enough from 50 on; the cost is low enough up to 180
    found, tried = along(hager_zhang, parabola(0.01), rule(c2=0.5))
    assert (tried, found.step) == ([1, 5, 25, 125], 125)


@pytest.mark.parametrize("step", [0.5, 1.8])
def test_a_first_trial_on_the_bound_of_a_condition_satisfies_it(step):
    # on s^2 / 2 - s: s - 1 >= -c2 from 1/2, and s <= 2 (1 - c1) = 1.8
    found, tried = along(hager_zhang, parabola(1.0), rule(c2=0.5), step, slack=1e-15)
    assert (tried, found.step) == ([step], step)


@pytest.mark.parametrize(
    ("value", "slope", "passes"),
    [
        (1 + 2.0**-20, 0.75, True),  # both on their bounds
        (1 + 2.0**-19, 0.75, False),
        (1 + 2.0**-20, 0.76, False),
        (1 + 2.0**-20, -0.5, True),
        (1 + 2.0**-20, -0.51, False),
    ],
)
def test_the_approximate_conditions(value, slope, passes):
    # (2 c1 - 1) f'(0) = 3/4 >= f'(s) >= c2 f'(0) = -1/2, and f(s) <= f(0) + tolerance |f(0)|
    f = {0.0: (1.0, -1.0), 1.0: (value, slope)}
    found, _ = along(hager_zhang, f.__getitem__, rule(c1=0.125, c2=0.5, tolerance=2.0**-20, max_trials=1))
    assert (found.step, found.failed) == ((1.0, False) if passes else (0.0, True))


def test_the_tolerance_is_relative_to_the_size_of_the_cost():
    f = {0.0: (-4.0, -1.0), 1.0: (-4.0 + 2.0**-18, 0.0)}
    for tolerance, passes in ((2.0**-20, True), (2.0**-21, False)):
        found, _ = along(hager_zhang, f.__getitem__, rule(tolerance=tolerance, max_trials=1))
        assert found.failed is not passes


@pytest.mark.parametrize("high", [math.inf, 9.0])
def test_a_crest_is_bisected(high):
    f = lambda s: parabola(1.0)(s) if s < 3 else (high, -1.0)  # noqa: E731
    assert along(hager_zhang, f, rule(), 4.0)[1] == [4, 2, 1]


def test_a_trial_without_a_cost_is_bisected_whatever_its_slope():
    # and so is the bracket after it, though secants would go elsewhere
    f = {0.0: (0.0, -1.0), 4.0: (math.inf, 3.0), 2.0: (-0.05, -1.0), 3.0: (-2.0, 0.0)}
    assert along(hager_zhang, f.__getitem__, rule(), 4.0)[1] == [4, 2, 3]


def test_a_second_secant_step_out_of_the_bracket_is_not_taken():
    # the secant of [0, 4] is at 1, where the slope has become steeper: that of [0, 1] is at -1/2
    f = {0.0: (0.0, -1.0), 4.0: (1.0, 3.0), 1.0: (-2.0, -3.0), 2.5: (-3.0, 0.0)}
    assert along(hager_zhang, f.__getitem__, rule(), 4.0)[1] == [4, 1, 2.5]


def secant(a, b):
    """Return where the line through two slopes of s^3 / 3 - s is zero."""
    return (a * b + 1) / (a + b)


def test_pairs_of_secant_steps_and_bisections_of_slow_brackets():
    f = lambda s: (s**3 / 3 - s, s * s - 1)  # noqa: E731
    found, tried = along(hager_zhang, f, rule(c2=0.5), 4.0)
    # [0, 4] -> 1/4; the second secant would leave the bracket, and the first has hardly narrowed it: the middle
    first = secant(0.25, 2.125)
    wanted = [4.0, 0.25, 2.125, first, secant(0.25, first)]
    assert tried == pytest.approx(wanted, rel=1e-14) and found.step == tried[-1]


def test_narrow_brackets_hold_nothing_better():
    # falls steeply up to a cliff, and rises behind it: no step satisfies the conditions, all secants halve
    f = lambda s: (1.0, 1.0) if s >= 1.0 else (-s, -1.0)  # noqa: E731
    found, tried = along(hager_zhang, f, rule())
    # 2^-40 is the first power below 1e-12
    assert tried == [1.0, *(1 - 0.5**k for k in range(1, 41))] and found.step == tried[-1] and not found.failed


def test_the_longest_step_ends_the_search():
    found, tried = along(hager_zhang, descent, rule(), longest=3.0)
    assert (tried, found.step, found.failed) == ([1, 3], 3, False)


@pytest.mark.parametrize("most", [1, 5])
def test_a_wall_all_around_exhausts_the_trials(most):
    found, tried = along(hager_zhang, wall, rule(max_trials=most))
    assert (tried, found.step, found.failed) == ([0.5**k for k in range(most)], 0.0, True)


def test_long_searches_know_the_smallest_step_worth_trying():
    found, tried = along(hager_zhang, wall, rule(), floor=2.0**-18)
    assert (tried[-1], len(tried), found.failed) == (2.0**-18, 19, True)
    # steps that fall for ever but began below all sense go on from there
    tried = along(hager_zhang, descent, rule(expansion=2.0, max_trials=18), 2.0**-100, floor=1.0)[1]
    assert tried == [2.0 ** (k - 100) for k in range(16)] + [1.0, 2.0]
    tried = along(hager_zhang, descent, rule(expansion=2.0), 2.0**-100, floor=1.0, longest=0.5)[1]
    assert tried[16:] == [0.5]
