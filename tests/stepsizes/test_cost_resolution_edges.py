"""By how many roundings a cost may miss the rule of a search: as many as `cost_resolution` says, and no more."""

import pytest
import torch

from manopt_torch import (
    ArmijoLinesearch,
    CubicBracketingLinesearch,
    Euclidean,
    NonmonotoneLinesearch,
    ParabolicLinesearch,
    ShortStepLinesearch,
    WolfeBinaryLinesearch,
    WolfeLinesearch,
)

SEARCHES = (
    ArmijoLinesearch,
    CubicBracketingLinesearch,
    NonmonotoneLinesearch,
    ParabolicLinesearch,
    ShortStepLinesearch,
    WolfeBinaryLinesearch,
    WolfeLinesearch,
)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("level", [1.0, -64.0])
@pytest.mark.parametrize("kind", SEARCHES)
def test_the_first_trial_passes_if_the_cost_rises_by_no_more(kind, level, dtype):
    x, eta = torch.ones(1, dtype=dtype), torch.full((1,), -1.0, dtype=dtype)
    slope = 2.0**-80  # hardly any
    g = torch.full((1,), slope, dtype=dtype)
    low = torch.tensor(level, dtype=dtype)
    high = low + 4 * torch.finfo(dtype).eps * abs(low)

    def cost(x):
        return torch.where(x[..., 0] == 1, low, high) + 0 * x[..., 0]

    # this one expects the parabola for which the initial step is the best along minus the gradient
    more = {"initial_stepsize": 1 / slope} if kind is ParabolicLinesearch else {}
    assert kind(cost_resolution=4.0, **more)(Euclidean(1), x, cost, g, eta) == 1.0
    assert kind(cost_resolution=3.0, **more)(Euclidean(1), x, cost, g, eta) < 1.0
