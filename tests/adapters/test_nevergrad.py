import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from manopt_torch import ManifoldParameter, OptionsError, Sphere
from manopt_torch.adapters.nevergrad import NevergradOptimizer


class OnePlusOne:
    """The interface of nevergrad's optimizers, with the simplest of its methods."""

    def __init__(self, parametrization, budget):
        self.parametrization, self.budget, self.told = parametrization, budget, []
        self.draws = np.random.default_rng(0)

    def ask(self):
        best = min(self.told)[1] if self.told else self.parametrization.value
        spread = 0.5 if self.told else 0.0
        return SimpleNamespace(value=tuple(v + spread * self.draws.standard_normal(v.shape) for v in best))

    def tell(self, candidate, loss):
        assert isinstance(loss, float)
        self.told.append((loss, candidate.value))

    def provide_recommendation(self):
        return SimpleNamespace(value=min(self.told, key=lambda pair: pair[0])[1])


def test_ends_on_the_recommendation():
    a, b = torch.nn.Parameter(torch.ones(2, 2)), torch.nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
    start = SimpleNamespace(value=(np.ones((2, 2)), np.full(1, 2.0)))
    optimizer = NevergradOptimizer([a, b], OnePlusOne, budget=30, parametrization=start)
    calls = []

    def closure(backward=True):
        calls.append(backward)
        return (a - 0.5).square().sum() + (b - 0.5).square()

    losses = [optimizer.step(closure).item() for _ in range(30)]
    assert calls == [False] * 30
    assert losses[0] == pytest.approx(4 * 0.25 + 2.25)
    assert closure(False).item() == pytest.approx(min(losses), rel=1e-6)
    assert b.dtype == torch.float64 and b.shape == ()
    # the budget is spent: the recommendation is kept
    assert optimizer.step(closure).item() == pytest.approx(min(losses), rel=1e-6)
    assert len(optimizer.optimizer.told) == 30


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "nevergrad", None)
    with pytest.raises(ImportError, match=r"manopt_torch\[nevergrad\]"):
        NevergradOptimizer([torch.nn.Parameter(torch.ones(2))], "OnePlusOne")


def test_arrays_are_those_of_the_parameters(monkeypatch):
    made = []

    class Array:
        def __init__(self, init, mutable_sigma):
            self.value, self.bounds = init, None
            made.append(self)

        def set_bounds(self, low, high):
            self.bounds = (low, high)
            return self

    class Tuple:
        def __init__(self, *arrays):
            self.value = tuple(array.value for array in arrays)
            self.random_state = np.random.RandomState()

    stand_in = SimpleNamespace(
        p=SimpleNamespace(Array=Array, Tuple=Tuple),
        optimizers=SimpleNamespace(registry={"OnePlusOne": OnePlusOne}),
    )
    monkeypatch.setitem(sys.modules, "nevergrad", stand_in)
    q = torch.nn.Parameter(torch.tensor([3.0, 4.0], dtype=torch.float64))
    optimizer = NevergradOptimizer([q], "OnePlusOne", budget=5, low=-5, high=5, seed=3)
    for _ in range(3):
        optimizer.step(lambda backward=True: q.square().sum())
    # and they are theirs: what moves the parameters does not move them
    assert q.tolist() != [3.0, 4.0]
    assert made[0].value.tolist() == [3.0, 4.0] and made[0].bounds == (-5, 5)
    for unknown in ("TwoPlusTwo", None):
        with pytest.raises(OptionsError, match="opt_cls must be a class of nevergrad"):
            NevergradOptimizer([q], unknown)


def test_refuses_curved_parameters():
    with pytest.raises(OptionsError, match="curved"):
        NevergradOptimizer([ManifoldParameter(torch.tensor([1.0, 0.0]), Sphere(2))], OnePlusOne)
