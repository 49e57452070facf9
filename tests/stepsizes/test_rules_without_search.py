"""Rules that evaluate no cost for a step: Polyak, distance over gradients, adaptive WNGrad, absolute lengths."""

import math

import pytest
import torch

from manopt_torch import (
    AdaptiveWNGradient,
    BarzilaiBorweinStepsize,
    ConstantStepsize,
    DecreasingStepsize,
    DistanceOverGradients,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    NonmonotoneLinesearch,
    PolyakStepsize,
    Sphere,
    StopAfterIteration,
    StopWhenGradientNormLess,
    WolfeLinesearch,
    get_reason,
    get_record,
    report,
    solve,
)
from manopt_torch.errors import OptionsError, ShapeError
from manopt_torch.stepsizes.renew import renew
from tests.together import together

D = torch.float64
BATCHES = pytest.mark.parametrize("batch", [(), (3,)], ids=str)
P = GradientProblem(Euclidean(2), lambda x: 0.5 * (x * x).sum(-1))


def run(stepsize, x, n, p=P):
    o = GradientDescentOptions(torch.as_tensor(x, dtype=D), stepsize=stepsize, stop=StopAfterIteration(n))
    solve(p, o, record=[":Stepsize", ":Iterate"])
    return o, get_record(o)


def first(value):
    return torch.as_tensor(value, dtype=D).flatten()[0].item()


# ---- Polyak ---------------------------------------------------------------------------------------------------------


@BATCHES
def test_polyak_halves_a_parabola(batch):
    # f / |g|^2 = 1/2 for 1/2 |x|^2
    o, rows = run(PolyakStepsize(0.0), torch.ones(*batch, 2), 5)
    assert [first(s) for s, _ in rows] == pytest.approx([0.5] * 5, rel=1e-14)
    torch.testing.assert_close(o.x, torch.full((*batch, 2), 0.5**5, dtype=D))


def test_polyak_knows_a_minimum_for_each_problem():
    minimum = torch.tensor([0.0, 3.0, -7.0], dtype=D)
    p = GradientProblem(Euclidean(2), lambda x, m: x.norm(dim=-1) + m, data=(minimum,))
    # with a norm the step of Polyak ends at once
    o, _ = run(PolyakStepsize(0.0, initial_cost_estimate=minimum), torch.ones(3, 2), 1, p)
    torch.testing.assert_close(o.cost, minimum, rtol=0, atol=1e-14)


def test_polyak_lowers_its_estimate_and_adds_gamma():
    search = PolyakStepsize(lambda i: 2.0 / i, initial_cost_estimate=10.0)
    _, rows = run(search, [1.0, 0.0], 1)
    assert rows[0][0] == 2.0 / 1.0  # the cost 1/2 is below the estimate: only gamma is left
    assert run(PolyakStepsize(0.0), [0.0, 0.0], 1)[1][0][0] == 0.0  # no direction, no step
    assert first(run(PolyakStepsize(), [1.0, 0.0], 2)[1][0][0]) == 1.5


@together()
@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: PolyakStepsize(-1.0), OptionsError, "gamma must be a number >= 0 or a function"),
        (
            lambda: PolyakStepsize(initial_cost_estimate=math.nan),
            OptionsError,
            "initial_cost_estimate must be a number",
        ),
        (lambda: run(PolyakStepsize(initial_cost_estimate=torch.ones(2)), torch.ones(3, 2), 1), ShapeError, "(3,)"),
        (lambda: DistanceOverGradients(0.0), OptionsError, "initial_distance must lie in"),
        (
            lambda: DistanceOverGradients(sectional_curvature_bound=1.0),
            OptionsError,
            "must lie in (-inf, 0.0], got 1.0",
        ),
        (lambda: AdaptiveWNGradient(1.0), OptionsError, "gradient_reduction must lie in [0.0, 1.0), got 1.0"),
        (lambda: AdaptiveWNGradient(gradient_bound=1e-5), OptionsError, "gradient_bound must lie in [0.0001, inf)"),
        (lambda: AdaptiveWNGradient(count_threshold=0), OptionsError, "count_threshold must be an int >= 1"),
        (
            lambda: ConstantStepsize(1.0, type="long"),
            OptionsError,
            "type must be one of relative, absolute, got 'long'",
        ),
        (lambda: DecreasingStepsize(1.0, type="long"), OptionsError, "type must be one of relative, absolute"),
    ],
)
def test_parameters_are_checked(make, error, message):
    with pytest.raises(error) as caught:
        make()
    assert message in str(caught.value)


# ---- distance over gradients ----------------------------------------------------------------------------------------


@BATCHES
def test_distance_over_gradients_by_hand(batch):
    _, rows = run(DistanceOverGradients(0.1), torch.tensor([3.0, 4.0]).expand(*batch, 2), 6)
    x, start = torch.tensor([3.0, 4.0], dtype=D), torch.tensor([3.0, 4.0], dtype=D)
    longest, total = 0.1, 0.0
    for s, after in rows:
        longest, total = max(longest, (x - start).norm().item()), total + (x * x).sum().item()
        assert first(s) == pytest.approx(longest / math.sqrt(total), rel=1e-13)
        x = after.reshape(-1, 2)[0]


def test_negative_curvature_shortens_steps():
    flat, curved = (
        first(run(DistanceOverGradients(2.0, sectional_curvature_bound=k), [3.0, 4.0], 1)[1][0][0])
        for k in (0.0, -0.25)
    )
    assert curved == pytest.approx(flat / math.sqrt(1.0 / math.tanh(1.0)), rel=1e-14)
    assert first(run(DistanceOverGradients(), [0.0, 0.0], 1)[1][0][0]) == 0.0


def test_distance_over_gradients_finds_its_scale():
    a = torch.diag(torch.tensor([1.0, 2.0, 3.0], dtype=D))
    for scale in (1e-3, 1.0, 1e3):
        p = GradientProblem(Sphere(3), lambda x, c=scale: c * (x * (x @ a)).sum(-1))
        x = torch.tensor([0.6, 0.0, 0.8], dtype=D)
        stop = StopAfterIteration(500) | StopWhenGradientNormLess(1e-6 * scale)
        o = solve(p, GradientDescentOptions(x, stepsize=DistanceOverGradients(1e-2), stop=stop))
        assert report(o).converged == 1


# ---- adaptive WNGrad ------------------------------------------------------------------------------------------------


@BATCHES
def test_plain_wngrad_by_hand(batch):
    _, rows = run(AdaptiveWNGradient(0.0), torch.tensor([3.0, 4.0]).expand(*batch, 2), 5)
    x, bound = torch.tensor([3.0, 4.0], dtype=D), 5.0
    for k, (s, after) in enumerate(rows):
        if k:
            bound += (x * x).sum().item() / bound
        assert first(s) == pytest.approx(1.0 / bound, rel=1e-13)
        x = after.reshape(-1, 2)[0]


def test_wngrad_takes_longer_steps_again_where_gradients_have_become_short():
    _, rows = run(AdaptiveWNGradient(gradient_bound=5.0, count_threshold=2), [3.0, 4.0], 40)
    steps = [s for s, _ in rows]
    assert max(steps) > steps[0] and max(steps) >= 1 / 5.0
    assert all(s <= 1 / 1e-4 for s in steps)


def test_a_gradient_of_zero_does_no_harm():
    o, _ = run(AdaptiveWNGradient(), torch.tensor([[0.0, 0.0], [1.0, 0.0]]), 3)
    assert torch.isfinite(o.x).all() and torch.equal(o.x[0], torch.zeros(2, dtype=D))


# ---- lengths --------------------------------------------------------------------------------------------------------


@BATCHES
@pytest.mark.parametrize("make", [ConstantStepsize, DecreasingStepsize])
def test_an_absolute_length_is_that_of_the_move(batch, make):
    x = torch.tensor([3.0, 4.0], dtype=D).expand(*batch, 2)
    o, _ = run(make(0.5, type="absolute"), x, 1)
    torch.testing.assert_close((o.x - x).norm(dim=-1), torch.full(batch, 0.5, dtype=D))
    eta = torch.full_like(x, 7.0)
    s = make(0.5, type="absolute")(P, o, 1, eta)
    assert first(s) == pytest.approx(0.5 / (7 * math.sqrt(2)), rel=1e-14)


def test_a_step_size_that_has_come_down_to_zero_ends_the_run():
    o, rows = run(DecreasingStepsize(0.3, subtrahend=0.1, exponent=0.0), torch.ones(2, 2), 9)
    assert [first(s) for s, _ in rows] == pytest.approx([0.2, 0.1, 0.1])  # the third step was not taken
    assert all("stagnated" in reason for reason in get_reason(o))
    assert DecreasingStepsize(0.3, subtrahend=0.1).at(50) == 0.0
    lone, _ = run(DecreasingStepsize(0.3, subtrahend=0.1, exponent=0.0), torch.ones(2), 9)
    assert "stagnated" in get_reason(lone) and torch.equal(lone.x, o.x[0])


@pytest.mark.parametrize(
    ("stepsize", "text"),
    [
        (ConstantStepsize(0.5, type="absolute"), "ConstantStepsize(0.5, type='absolute')"),
        (DecreasingStepsize(type="absolute"), "DecreasingStepsize(1.0, 1.0, 0.0, 1.0, type='absolute')"),
        (PolyakStepsize(), "PolyakStepsize(initial_cost_estimate=0.0)"),
        (DistanceOverGradients(), "DistanceOverGradients()"),
        (AdaptiveWNGradient(0.5), "AdaptiveWNGradient(gradient_reduction=0.5)"),
    ],
)
def test_repr(stepsize, text):
    assert repr(stepsize) == text


@pytest.mark.parametrize(
    "make", [AdaptiveWNGradient, BarzilaiBorweinStepsize, NonmonotoneLinesearch, WolfeLinesearch, PolyakStepsize]
)
def test_a_stepsize_that_is_renewed_for_a_problem_begins_again_there(make):
    x = torch.tensor([[3.0, 4.0], [1.0, 2.0]], dtype=D)
    p = GradientProblem(Euclidean(2), lambda x: (torch.tensor([0.5, 2.0], dtype=D) * x * x).sum(-1))
    stepsize = make()
    o = solve(p, GradientDescentOptions(x, stepsize=stepsize, stop=StopAfterIteration(3)))
    o.active = torch.tensor([True, True])
    renew(stepsize, p, o, torch.tensor([True, False]))
    s = stepsize(p, o, 4)
    fresh = GradientDescentOptions(o.x, stepsize=stepsize)
    assert s[0] == make()(p, fresh, 1 if make is not PolyakStepsize else 4)[0]
    assert torch.isfinite(s).all() and (s > 0).all()
