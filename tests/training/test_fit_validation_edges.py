"""Validation data of all kinds that a loop can walk."""

import pytest
import torch

from manopt_torch.training import LevenbergMarquardtModule
from manopt_torch.training.fit_validation import FitValidation


class Indexed:
    """What is walked by its numbers alone, as sequences were before there were iterators."""

    def __init__(self, *batches):
        self.batches = batches

    def __getitem__(self, k):
        return self.batches[k]


def test_validation_data_may_be_walked_by_numbers():
    """Six samples and two, each counting once."""
    x = torch.linspace(-1, 1, 8)[:, None]
    net = torch.nn.Linear(1, 1)
    data = Indexed((x[:6], 2 * x[:6]), (x[6:], 2 * x[6:]))
    found = FitValidation(LevenbergMarquardtModule(net), data, 1, None, 0.0, None).numbers
    assert found == {"validation_loss": pytest.approx((net(x) - 2 * x).square().mean().item(), rel=1e-6)}
