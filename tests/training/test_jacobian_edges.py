"""Jacobians of networks: parameters without use, and frozen tensors that are exchanged."""

import copy

import pytest
import torch
from torch import nn

from manopt_torch.training import LevenbergMarquardtModule
from manopt_torch.training.jacobian import batch_jacobian

D = torch.float64


class Idle(nn.Module):
    """y = a x + c, beside a parameter that has no part in it."""

    def __init__(self):
        super().__init__()
        self.a, self.idle = (nn.Parameter(torch.tensor([v], dtype=D)) for v in (0.5, 7.0))
        self.register_buffer("c", torch.tensor([1.0], dtype=D))

    def forward(self, x):
        return self.a * x + self.c


def test_a_parameter_without_use_has_a_column_of_zeros():
    x = torch.tensor([[1.0], [3.0]], dtype=D)
    J = batch_jacobian(Idle(), lambda y: y - 1, ["a", "idle"], x, slice(None))
    assert J.tolist() == [[1.0, 0.0], [3.0, 0.0]]


@pytest.mark.parametrize("vectorized", [True, False])
def test_a_parameter_without_use_stays_where_it_is(vectorized):
    """The step of the other is (x'x / B + damping)^-1 x'(2 x) / B from a residual of 2 x."""
    model, x = Idle(), torch.tensor([[1.0], [3.0]], dtype=D)
    module = LevenbergMarquardtModule(model, vectorize_jacobian=vectorized)
    damping = module.damping_strategy.get_current_damping()
    module.training_step(x, 2.5 * x + 1)
    assert model.idle.item() == 7.0
    assert model.a.item() == pytest.approx(0.5 + 5 * 2 / (5 + damping), rel=1e-12)


def test_a_buffer_that_is_exchanged_counts_from_then_on():
    model, x = Idle(), torch.tensor([[1.0], [3.0]], dtype=D)
    module = LevenbergMarquardtModule(model)
    for _ in range(3):
        module.training_step(x, x)
    model.c = torch.tensor([-2.0], dtype=D)
    twin = LevenbergMarquardtModule(copy.deepcopy(model), damping_strategy=copy.deepcopy(module.damping_strategy))
    assert torch.equal(module.training_step(x, x).loss, twin.training_step(x, x).loss)
    assert torch.equal(model.a, twin.model.a)
