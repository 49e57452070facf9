"""Hager's search by cubics: trials computed by hand, conditions on their bounds, and the ends."""

import itertools
import math

import pytest

from manopt_torch.functional.cubic_bracketing import (
    CubicRule,
    End,
    cubic_bracketing,
    cubic_minimum,
    kept_apart,
    narrowed,
)
from manopt_torch.functional.masked import Lone
from tests.functional.rays import along, descent, parabola, wall


def rule(*, increase=2.0, curvature=0.25, width=1e-4, hybrid=True, max_trials=100):
    return CubicRule(increase, curvature, width, hybrid, max_trials)


def test_steps_grow_until_the_slope_is_flat():
    found, tried = along(cubic_bracketing, parabola(1 / 16), rule())  # |s / 16 - 1| < 1/4 between 12 and 20
    assert (tried, found.step, found.trial.x, found.failed) == ([1, 2, 4, 8, 16], 16, 16, False)


@pytest.mark.parametrize("trials", [[0.75, 1.5, 1.0], [1.25, 1.0]])
def test_a_slope_on_the_bound_is_not_flat(trials):
    found, tried = along(cubic_bracketing, parabola(1.0), rule(), trials[0])
    assert tried == trials and found.step == 1.0


def test_a_flat_trial_as_high_as_the_start_is_taken_and_one_higher_is_not():
    for value, step in ((0.0, 2.0), (1e-3, 1.0)):
        f = {0.0: (0.0, -1.0), 2.0: (value, 0.0)}
        found, _ = along(cubic_bracketing, lambda s, f=f: f.get(s, (-1.0, 0.0)), rule(), 2.0)
        assert (found.step == 2.0) == (step == 2.0)


def test_a_bracket_is_made_by_a_trial_that_is_higher_or_rises():
    # the cubic through two points of a parabola has the parabola's minimum
    assert along(cubic_bracketing, parabola(1.0), rule(), 4.0)[1] == [4, 1]
    assert along(cubic_bracketing, parabola(1 / 16), rule(increase=3.0, curvature=0.1))[1] == [1, 3, 9, 27, 16]
    # 20 is lower than 10, but rises: the bracket has its better end on the right
    found, tried = along(cubic_bracketing, parabola(1 / 16), rule(curvature=0.1), 10.0)
    assert tried == [10, 20, 16] and found.step == 16


def test_a_trial_that_is_only_as_high_makes_a_bracket_too():
    f = {0.0: (0.0, -1.0), 1.0: (0.0, 1.0), 0.5: (-0.25, 0.0)}  # s^2 - s
    assert along(cubic_bracketing, f.__getitem__, rule())[1] == [1.0, 0.5]


def test_the_longest_step_ends_the_search():
    found, tried = along(cubic_bracketing, descent, rule(), longest=3.0)
    assert (tried, found.step, found.failed) == ([1, 2, 3], 3, False)


@pytest.mark.parametrize("most", [1, 5])
def test_the_bound_on_trials_is_exact(most):
    found, tried = along(cubic_bracketing, descent, rule(max_trials=most))
    assert (len(tried), found.step) == (most, 2.0 ** (most - 1))
    found, tried = along(cubic_bracketing, wall, rule(max_trials=most))
    assert (len(tried), found.step, found.failed) == (most, 0.0, True)


def test_long_searches_know_the_smallest_step_worth_trying():
    found, tried = along(cubic_bracketing, wall, rule(), floor=2.0**-18)
    assert found.failed and tried[-1] <= 2.0**-18 and len(tried) == 16  # asked for when it is worth it
    assert len(along(cubic_bracketing, wall, rule())[1]) == 100
    # steps that fall for ever but began below all sense go on from there
    tried = along(cubic_bracketing, descent, rule(max_trials=18), 2.0**-100, floor=1.0)[1]
    assert tried == [2.0 ** (k - 100) for k in range(16)] + [1.0, 2.0]
    tried = along(cubic_bracketing, descent, rule(), 2.0**-100, floor=1.0, longest=0.5)[1]
    assert tried[16:] == [0.5]


@pytest.mark.parametrize("hybrid", [True, False])
@pytest.mark.parametrize(("kink", "width"), [(0.7, 1e-3), (0.7, 1e-6), (70.0, 1e-3), (0.007, 1e-3)])
def test_brackets_narrow_to_a_kink(hybrid, kink, width):
    # the slope is never flat; steps below 1 are measured by their own size
    f = lambda s: (abs(s - kink) - kink, 1.0 if s >= kink else -1.0)  # noqa: E731
    found, tried = along(cubic_bracketing, f, rule(width=width, hybrid=hybrid), 2.3 * kink)
    assert found.step == pytest.approx(kink, abs=width * min(kink, 1.0) * 1.01) and len(tried) < 60


def test_the_hybrid_halves_where_the_last_two_slopes_are_no_help():
    # behind the kink both trials rise alike: the cubic through them is no follow-up, so the bracket is halved
    f = lambda s: (abs(s - 0.7) - 0.7, 1.0 if s >= 0.7 else -1.0)  # noqa: E731
    by_ends = lambda s, t: cubic_minimum(Lone(), End(s, *f(s)), End(t, *f(t)))  # noqa: E731
    first = by_ends(1.0, 0.0)
    tried = along(cubic_bracketing, f, rule())[1]
    assert tried[:4] == pytest.approx([1.0, first, 0.5 * first, by_ends(first, 0.5 * first)], rel=1e-14)
    tried = along(cubic_bracketing, f, rule(hybrid=False))[1]
    assert tried[:3] == pytest.approx([1.0, first, by_ends(first, 0.0)], rel=1e-14)


def test_trials_keep_their_distance_from_the_ends():
    lane = Lone()
    for a, b in ((2.0, 3.0), (3.0, 2.0)):
        assert [kept_apart(lane, a, b, c, 0.25) for c in (1.0, 2.3, 2.5, 2.6, 2.9)] == [2.25, 2.3, 2.5, 2.6, 2.75]
        # where there is no room, the middle
        assert [kept_apart(lane, a, b, c, 0.75) for c in (2.0, 2.4, 2.5, 2.6, 3.0)] == [2.5] * 5


@pytest.mark.parametrize("ends", [(0.0, 3.0), (3.0, 0.0), (0.5, 1.5), (1.5, 0.5)])
def test_the_minimum_of_a_cubic_from_any_of_its_points(ends):
    # s^3 / 3 - s has its minimum at 1
    a, b = (End(s, s**3 / 3 - s, s * s - 1) for s in ends)
    assert cubic_minimum(Lone(), a, b) == pytest.approx(1.0, rel=1e-14)
    assert math.isnan(cubic_minimum(Lone(), a, a))


def test_rounding_below_the_root_counts_as_zero():
    # slopes that match the chord: the cubic is a line, and d^2 - a' b' is zero but for rounding
    a, b = End(0.0, 0.0, -0.1), End(1.0, -0.1 * (1 - 1e-16), -0.1 * (1 + 1e-15))
    assert not math.isnan(cubic_minimum(Lone(), a, b))


def test_a_narrowed_bracket_holds_a_minimum_of_any_cubic():
    checked = 0
    for p, q in itertools.product((-4.0, -1.0, 0.0, 2.0), (-3.0, 0.0, 1.0)):
        f = lambda s, p=p, q=q: End(s, s**3 + p * s * s / 2 + q * s, 3 * s * s + p * s + q)  # noqa: E731
        for left, right in ((-2.0, 1.5), (-1.0, 2.0), (0.25, 3.0)):
            a, b = sorted((f(left), f(right)), key=lambda e: e.value)
            if a.slope * (b.step - a.step) >= 0:
                continue  # not a bracket
            for share in (0.125, 0.4, 0.5, 0.75, 0.9):
                c = f(a.step + share * (b.step - a.step))
                new_a, new_b = narrowed(Lone(), a, b, c)
                checked += 1
                # the better end is the lower of two, its slope points inside, and the other end is higher
                assert new_a == (c if c.value < a.value else a)
                assert new_a.slope * (new_b.step - new_a.step) <= 0 and new_b.value >= new_a.value
                assert c in (new_a, new_b) and {new_a, new_b} <= {a, b, c}
    assert checked == 50


@pytest.mark.parametrize("mirror", [1.0, -1.0])
@pytest.mark.parametrize(
    ("value", "slope", "ends"),
    [
        (1.0, -5.0, "ac"),  # higher: the trial is the other end, whatever its slope
        (1.0, 5.0, "ac"),
        (-1.0, -0.5, "cb"),  # lower, and falls on
        (-1.0, 0.5, "ca"),  # lower, and falls back
        (-1.0, 0.0, "ca"),  # lower and flat
        (0.0, 0.5, "ca"),  # as high, and falls back
        (0.0, -0.5, "ac"),
        (0.0, 0.0, "ac"),
    ],
)
def test_the_cases_of_a_trial_within_a_bracket(value, slope, ends, mirror):
    # the start of the bracket falls towards its end
    parts = {"a": End(0.0, 0.0, -1.0), "b": End(mirror * 4.0, 3.0, 1.0), "c": End(mirror * 1.0, value, slope * mirror)}
    parts["a"] = parts["a"]._replace(slope=-mirror)
    assert narrowed(Lone(), parts["a"], parts["b"], parts["c"]) == (parts[ends[0]], parts[ends[1]])


def test_a_trial_as_high_as_a_start_that_has_ceased_to_fall_takes_its_place():
    a, b = End(0.0, 0.0, 0.0), End(4.0, 3.0, 1.0)
    assert narrowed(Lone(), a, b, End(1.0, 0.0, -1.0)) == (End(1.0, 0.0, -1.0), b)
