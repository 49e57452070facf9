"""Constant step sizes."""

import math

import pytest
import torch

from manopt_torch import (
    ConstantStepsize,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    StopAfterIteration,
    get_initial_stepsize,
    get_last_stepsize,
    get_stepsize,
    solve,
)
from manopt_torch.errors import OptionsError, ShapeError
from tests.together import together

D = torch.float64
P = GradientProblem(Euclidean(1), lambda x: 0.5 * (x * x).sum(-1))


def options(x, length, n=1):
    return GradientDescentOptions(x, stepsize=ConstantStepsize(length), stop=StopAfterIteration(n))


def test_one_number_for_all():
    o = solve(P, options(torch.ones(2, 3, 1, dtype=D), 0.25, 2))
    assert torch.equal(o.x, torch.full((2, 3, 1), 0.5625, dtype=D))
    assert torch.equal(o.last_stepsize, torch.full((2, 3), 0.25, dtype=D))


def test_the_default_is_one():
    assert ConstantStepsize().length == 1.0
    assert solve(P, options(torch.ones(1), 1)).x.item() == 0.0


@pytest.mark.parametrize("dtype", [torch.float32, D])
def test_a_number_for_each_problem(dtype):
    o = solve(P, options(torch.ones(2, 1, dtype=dtype), torch.tensor([0.25, 0.5])))
    assert o.x.flatten().tolist() == [0.75, 0.5]
    assert o.x.dtype == dtype


@pytest.mark.parametrize("x", [torch.ones(1), torch.ones(3, 1)])
def test_a_tensor_without_axes_is_one_number(x):
    assert torch.equal(solve(P, options(x, torch.tensor(0.25))).x, 0.75 * x)


@together()
@pytest.mark.parametrize("length", [0, -1.0, math.nan, math.inf, "1", None])
def test_lengths_are_positive_numbers(length):
    with pytest.raises(OptionsError, match="ConstantStepsize: length must be a positive number, got"):
        ConstantStepsize(length)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_tensors_are_judged_when_the_run_starts(bad):
    for x, length in ((torch.ones(2, 1), torch.tensor([1.0, bad])), (torch.ones(1), torch.tensor(bad))):
        with pytest.raises(OptionsError, match="length must be positive for every problem, got "):
            solve(P, options(x, length))


@pytest.mark.parametrize("x", [torch.ones(1), torch.ones(3, 1), torch.ones(2, 3, 1)])
def test_tensors_have_the_shape_of_the_batch(x):
    with pytest.raises(
        ShapeError, match=r"length has shape \(2,\), the run has batch axes \(.*\): pass a number, or one"
    ):
        solve(P, options(x, torch.ones(2)))


def test_access_and_repr():
    o = options(torch.ones(2, 1), 0.25)
    for value in (get_stepsize(P, o, 1), get_initial_stepsize(P, o), get_last_stepsize(P, o, 1)):
        assert value.tolist() == [0.25, 0.25]
    assert get_stepsize(P, options(torch.ones(1), 0.25), 9) == 0.25
    assert repr(ConstantStepsize(0.25)) == "ConstantStepsize(0.25)"
