"""The search along an arc: each problem its own rounds, the sufficient decrease, walls, and bounds."""

import math

import pytest
import torch

from manopt_torch import Euclidean
from manopt_torch.functional.linesearch import Trial
from manopt_torch.functional.masked import lane_for
from manopt_torch.functional.projected_search import ArcRule, projected_search

D = torch.float64
RULE = ArcRule(0.5, 0.3, 60, 0.0)


def search(x, curvature, step, rule=RULE, wall=math.inf, smallest=0.0, low=1.0):
    """Minimise c x^2 / 2 over x >= low by one search from `x`."""
    lane = lane_for(Euclidean(1), x)
    asked = []

    def probe(s):
        asked.append(s)
        y = lane.axpy(x, -s, curvature * x).clamp(min=low)
        cost = 0.5 * (curvature * y * y)[..., 0]
        cost = torch.where((x - y)[..., 0] > wall, torch.inf, cost)
        return Trial(y, cost, None), lane.scalar((x - y).square()[..., 0])

    step = lane.full(step)
    cost = lane.scalar(0.5 * (curvature * x * x)[..., 0])
    found = projected_search(
        lane, probe, cost, probe(step), step, lane.full(True), rule, lambda: lane.full(float(smallest))
    )
    return found, asked


@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_the_largest_step_that_passes(batch):
    # unconstrained along the way: f(x - s c x) <= f - 0.3 s c^2 x^2 is s c <= 1.4
    x, c = torch.full((*batch, 1), 100.0, dtype=D), torch.full((*batch, 1), 8.0, dtype=D)
    found, asked = search(x, c, 1.0, low=-1e9)
    assert torch.as_tensor(found.step).eq(0.125).all() and not torch.as_tensor(found.failed).any()
    assert len(asked) == 4
    assert found.trial.x.eq(0.0).all()


def test_each_problem_has_its_rounds():
    x = torch.full((3, 1), 100.0, dtype=D)
    found, asked = search(x, torch.tensor([[1.0], [8.0], [64.0]], dtype=D), 1.0, low=-1e9)
    assert found.step.tolist() == [1.0, 0.125, 1 / 64]
    assert len(asked) == 7
    assert [s[0] for s in asked] == [1.0] * 7


def test_a_stationary_point_stays():
    found, asked = search(torch.tensor([1.0], dtype=D), torch.tensor([1.0], dtype=D), 1.0)
    assert found.trial.x.item() == 1.0 and found.step == 1.0 and not found.failed and len(asked) == 1


def test_infinity_is_refused():
    found, _ = search(torch.tensor([[4.0], [4.0]], dtype=D), torch.ones(2, 1, dtype=D), 1.0, wall=1.0)
    assert found.step.tolist() == [0.25, 0.25] and not found.failed.any()


def test_bounds_end_the_search():
    x, c = torch.tensor([4.0], dtype=D), torch.tensor([1.0], dtype=D)
    found, asked = search(x, c, 1.0, RULE._replace(max_decreases=3), wall=-1.0)
    assert found.failed and len(asked) == 4
    found, asked = search(x, c, 1.0, wall=-1.0, smallest=1e-3)
    assert found.failed and len(asked) == 17  # asked for after sixteen rounds
