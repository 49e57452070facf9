"""Samples that do not count."""

import math

import pytest
import torch

from manopt_torch.training import CrossEntropyLoss


@pytest.mark.parametrize(("loss", "left_out"), [(CrossEntropyLoss(), -100), (CrossEntropyLoss(ignore_index=1), 1)])
def test_samples_of_the_class_to_ignore_have_no_residual(loss, left_out):
    """Two logits that are alike: the loss is log 2 wherever it counts."""
    outputs, targets = torch.zeros(3, 2, dtype=torch.float64), torch.tensor([0, left_out, 0])
    root = math.sqrt(math.log(2))
    assert loss.residuals(outputs, targets).tolist() == pytest.approx([root, 0.0, root])
    assert loss(outputs, targets).item() == pytest.approx(math.log(2))
