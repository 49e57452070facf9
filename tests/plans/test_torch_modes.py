"""Runs under the modes of torch that a program may have switched on around them."""

import pickle

import pytest
import torch

from manopt_torch import (
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    StochasticGradientDescentOptions,
    StochasticProblem,
    StopAfterIteration,
    SymmetricPositiveDefinite,
    solve,
)
from manopt_torch.errors import MissingDerivativeError
from manopt_torch.training import LevenbergMarquardtModule

BATCHES = pytest.mark.parametrize("batch", [(), (3,)], ids=["lone", "batch"])


def mean_of_two(batch, dtype=torch.float32):
    M = SymmetricPositiveDefinite(3)
    x, y = (M.random_point(*batch, generator=torch.Generator().manual_seed(k), dtype=dtype) for k in (1, 2))
    return GradientProblem(M, M.squared_dist, data=(y,)), GradientDescentOptions(x, stop=StopAfterIteration(5))


@BATCHES
def test_autocast_around_a_run_changes_nothing(batch):
    plain = solve(*mean_of_two(batch)).x
    p, o = mean_of_two(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        solve(p, o)
        assert torch.is_autocast_enabled("cpu")
    assert o.x.dtype is torch.float32 and torch.equal(o.x, plain)


def test_autocast_around_a_training_step_changes_nothing():
    inputs = torch.linspace(-1, 1, 12)[:, None]
    losses = []
    for enabled in (False, True):
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(1, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
        module = LevenbergMarquardtModule(net)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            losses.append([module.training_step(inputs, inputs.sin()).loss.item() for _ in range(4)])
    assert losses[0] == losses[1]


@BATCHES
def test_inference_mode_is_named_whatever_the_manifold(batch):
    with torch.inference_mode(), pytest.raises(MissingDerivativeError, match="under torch.inference_mode: use"):
        solve(*mean_of_two(batch))


@BATCHES
def test_data_from_inference_mode_are_named(batch):
    p, o = mean_of_two(batch)
    with torch.inference_mode():
        p.data = tuple(d.clone() for d in p.data)
    with pytest.raises(MissingDerivativeError, match=r"^data\[0\] were made under torch.inference_mode .*\.clone\(\)"):
        solve(p, o)


@BATCHES
def test_options_of_a_stochastic_run_can_be_pickled(batch):
    rows = torch.arange(20.0).reshape(10, 2).expand(*batch, 10, 2)
    p = StochasticProblem(
        Euclidean(2), lambda x, t: (x.unsqueeze(-2) - t).square().mean((-1, -2)), data=(rows,), batch_size=3
    )
    o = solve(p, StochasticGradientDescentOptions(torch.ones(*batch, 2), stop=StopAfterIteration(4)))
    assert torch.equal(pickle.loads(pickle.dumps(o)).x, o.x)
