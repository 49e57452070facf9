"""The radius of the dogleg after a single step, against the rule it follows."""

import pytest
import torch

from manopt_torch import DoglegOptions, Euclidean, LeastSquaresProblem, StopAfterIteration, solve

D = torch.float64


@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize(("goal", "largest", "wanted"), [(1.8, 9.0, 2.4), (1.8, 2.0, 2.0), (1.2, 9.0, 1.0)])
def test_a_good_step_makes_the_radius_three_times_its_length(goal, largest, wanted, batch):
    """A linear residual, a start of size one: the step is goal - 1, and promises what it gains."""
    p = LeastSquaresProblem(Euclidean(1), lambda x: x - goal)
    options = DoglegOptions(torch.ones(*batch, 1, dtype=D), max_radius=largest, stop=StopAfterIteration(1))
    o = solve(p, options)
    torch.testing.assert_close(torch.as_tensor(o.x), torch.full((*batch, 1), goal, dtype=D))
    torch.testing.assert_close(torch.as_tensor(o.radius, dtype=D), torch.full(batch, wanted, dtype=D))
