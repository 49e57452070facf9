"""The quality of a model and the next radius where a comparison is met with equality, and starts at random."""

import pytest
import torch

from manopt_torch import Euclidean
from manopt_torch.functional.cg_iteration import ALL_ITERATIONS, EXCEEDED, RESIDUAL, QuadraticModel
from manopt_torch.functional.masked import Batch, Lone
from manopt_torch.functional.trust_region import model_quality, next_radius, random_start, unsolved
from tests.functional.test_trust_region import RULE, state

D = torch.float64


@pytest.mark.parametrize(
    ("radius", "ee", "reason", "rho", "accepted", "expected"),
    [
        (1.0, 1.0, EXCEEDED, 0.75, True, 1.0),  # on the thresholds the radius stays
        (1.0, 1.0, EXCEEDED, 0.1, True, 1.0),
        (2.0, 4.0, EXCEEDED, 0.05, True, 0.5),
        (2.0, 4.0, RESIDUAL, 0.05, True, 0.5),
        (1.0, 1.0 + 2e-16, EXCEEDED, -1.0, False, 0.25),  # rounding has put the step outside
        (1.0, 9.0, RESIDUAL, -1.0, False, 0.25),
    ],
)
def test_radii_on_the_thresholds(radius, ee, reason, rho, accepted, expected):
    assert next_radius(Lone(), RULE, radius, state(reason, ee), rho, accepted) == expected


def test_costs_and_promises_as_large_as_the_noise_are_excused():
    noise, lane = 2.0**-10, Lone()
    # the same cost, though more was promised; a rise, where no more than the noise was promised
    assert model_quality(lane, 1.0, 1.0, 3 * noise, noise) == (0.25, True)
    assert model_quality(lane, 1.0, 1.0 + noise / 2, noise, noise) == (0.25, True)


def test_a_model_that_stays_level_does_not_increase():
    assert model_quality(Lone(), 1.0, 1.0, -0.5, 0.5)[1]
    assert not model_quality(Lone(), 1.0, 1.0, -0.5, 0.499)[1]


def test_half_the_gradient_is_not_more_than_half():
    inner = state(ALL_ITERATIONS, None)._replace(rr=4.0)
    assert not unsolved(inner, 4.0) and unsolved(inner, 3.999)


@pytest.mark.parametrize("batch", [(), (2,)])
def test_a_random_start_is_as_long_as_asked_or_well_inside(batch):
    x, gradient = torch.zeros(*batch, 3, dtype=D), torch.ones(*batch, 3, dtype=D)
    lane = Batch(batch, x) if batch else Lone()
    model = QuadraticModel(Euclidean(3), x, gradient, lambda u: u)
    for radius, length in ((1.0, 0.5), (0.5, 0.5 * 2.0**-13), (0.25, 0.25 * 2.0**-13)):  # eps^(1/4) is 2^-13
        eta = random_start(lane, model, lane.full(radius), 0.5, torch.Generator().manual_seed(1))
        assert eta.shape == x.shape
        assert eta.norm(dim=-1).reshape(-1).tolist() == pytest.approx([length] * max(len(batch) * 2, 1), rel=1e-14)
        assert bool((eta == eta.reshape(-1, 3)[0]).all())  # the same for all
