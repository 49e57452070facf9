"""Decreasing step sizes: the law, and what its parameters may be."""

import math

import pytest
import torch

from manopt_torch import (
    DecreasingStepsize,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    StopAfterIteration,
    get_initial_stepsize,
    get_record,
    solve,
)
from manopt_torch.errors import OptionsError
from tests.together import together

P = GradientProblem(Euclidean(1), lambda x: 0.5 * (x * x).sum(-1))


@pytest.mark.parametrize("i", [1, 2, 7, 1000])
def test_the_law(i):
    assert DecreasingStepsize().at(i) == 1 / i
    assert DecreasingStepsize(2.0, 0.5).at(i) == 2.0 * 0.5**i / i
    assert DecreasingStepsize(length=3.0, subtrahend=1e-3, exponent=0.5).at(i) == (3.0 - i * 1e-3) / i**0.5
    assert DecreasingStepsize(1.0, 1.0, 0.0, 0.0).at(i) == 1.0


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_a_run(batch):
    # x_(i) = x_(i-1) (1 - 1/(2 i))
    o = GradientDescentOptions(
        torch.ones(*batch, 1, dtype=torch.float64), stepsize=DecreasingStepsize(0.5), stop=StopAfterIteration(4)
    )
    solve(P, o, record=[":Stepsize"])
    assert torch.allclose(o.x, torch.tensor(0.5 * 0.75 * (5 / 6) * 0.875, dtype=torch.float64), rtol=1e-15, atol=0)
    for i, (step,) in enumerate(get_record(o), 1):
        step = torch.as_tensor(step, dtype=torch.float64)
        assert torch.equal(step, torch.full(batch, 0.5 / i, dtype=torch.float64))


def test_before_the_first_iteration_it_is_that_of_the_first():
    o = GradientDescentOptions(torch.ones(3, 1), stepsize=DecreasingStepsize(0.5, 0.5))
    assert get_initial_stepsize(P, o).tolist() == [0.25] * 3
    assert o.stepsize(P, o, 0).tolist() == [0.25] * 3


@together()
@pytest.mark.parametrize("name", ["length", "factor"])
@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf, None, "1"])
def test_length_and_factor_are_positive(name, value):
    with pytest.raises(OptionsError, match=f"DecreasingStepsize: {name} must be a positive number, got"):
        DecreasingStepsize(**{name: value})


@together()
@pytest.mark.parametrize("name", ["subtrahend", "exponent"])
@pytest.mark.parametrize("value", [math.nan, -math.inf, None, "1"])
def test_subtrahend_and_exponent_are_numbers(name, value):
    with pytest.raises(OptionsError, match=f"DecreasingStepsize: {name} must be a number, got"):
        DecreasingStepsize(**{name: value})


def test_repr():
    assert repr(DecreasingStepsize(2, exponent=0.5)) == "DecreasingStepsize(2, 1.0, 0.0, 0.5)"


def test_a_shift_moves_the_denominator():
    assert [DecreasingStepsize(2.0, shift=2.0).at(i) for i in (1, 2, 6)] == [2 / 3, 0.5, 0.25]
    assert repr(DecreasingStepsize(2.0, shift=2.0)) == "DecreasingStepsize(2.0, 1.0, 0.0, 1.0, shift=2.0)"
    with pytest.raises(OptionsError, match="shift must be a number above -1"):
        DecreasingStepsize(2.0, shift=-1.0)
