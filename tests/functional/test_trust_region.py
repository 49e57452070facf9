"""The quality of a model and the next radius, by a table."""

import math

import pytest
import torch

from manopt_torch.functional.cg_iteration import ALL_ITERATIONS, EXCEEDED, NEGATIVE_CURVATURE, RESIDUAL, CGState
from manopt_torch.functional.masked import Batch, Lone
from manopt_torch.functional.trust_region import RadiusRule, model_quality, next_radius, unsolved
from tests.together import together

RULE = RadiusRule(4.0, 0.1, 0.25, 0.75, 2.0)
# radius, squared length, reason, rho, accepted -> the next radius
TABLE = [
    (1.0, 1.0, EXCEEDED, 0.9, True, 2.0),
    (1.0, 1.0, NEGATIVE_CURVATURE, 0.9, True, 2.0),
    (3.0, 9.0, EXCEEDED, 0.9, True, 4.0),  # not beyond the largest
    (1.0, 0.25, RESIDUAL, 0.9, True, 1.0),  # inside
    (1.0, 1.0, EXCEEDED, 0.5, True, 1.0),
    (1.0, 1.0, EXCEEDED, 0.05, True, 0.25),
    (1.0, 1.0, EXCEEDED, 0.05, False, 0.25),
    (1.0, 0.25, RESIDUAL, -3.0, False, 0.125),  # of the length of the step
    (1.0, 1.0, EXCEEDED, -math.inf, False, 0.25),
    (1.0, 1.0, EXCEEDED, math.nan, False, 0.25),
]


def state(reason: object, ee: object) -> CGState:
    return CGState(*[None] * 11, ee)._replace(reason=reason)  # pyright: ignore


@together()
@pytest.mark.parametrize(("radius", "ee", "reason", "rho", "accepted", "expected"), TABLE)
def test_the_radius_of_a_lone_problem(
    radius: float, ee: float, reason: int, rho: float, accepted: bool, expected: float
) -> None:
    assert next_radius(Lone(), RULE, radius, state(reason, ee), rho, accepted) == expected


def test_the_radii_of_a_batch() -> None:
    radius, ee, reason, rho, accepted, expected = (torch.tensor(column) for column in zip(*TABLE, strict=True))
    lane = Batch((len(TABLE),), radius)
    found = next_radius(lane, RULE, radius.double(), state(reason, ee.double()), rho.double(), accepted)
    assert found.tolist() == expected.tolist()


def test_a_model_left_with_most_of_its_gradient_is_unsolved() -> None:
    inner = state(torch.tensor([ALL_ITERATIONS, ALL_ITERATIONS, RESIDUAL]), None)._replace(
        rr=torch.tensor([4.1, 3.9, 9.0])
    )
    assert unsolved(inner, torch.tensor([4.0, 4.0, 4.0])).tolist() == [True, False, False]


def test_the_quality() -> None:
    lane = Lone()
    assert model_quality(lane, 3.0, 1.0, 4.0, 0.0) == (0.5, True)
    assert model_quality(lane, 3.0, math.inf, 4.0, 0.0) == (-math.inf, True)
    assert model_quality(lane, 3.0, 1.0, -4.0, 0.0) == (-0.5, False)
    # noise of the cost does not matter
    rho, falls = model_quality(lane, 3.0, 3.0 + 1e-15, 1e-20, 1e-12)
    assert falls and rho == pytest.approx(1.0, abs=1e-2)
    assert model_quality(lane, 3.0, 3.0, 0.0, 1e-12) == (1.0, True)


def test_noise_excuses_rises_of_its_own_size_only() -> None:
    lane = Lone()
    # of a cost of one, noise is 1e-3: the cost rises by half of it
    assert model_quality(lane, 1.0, 1.0005, 5e-4, 1e-3)[0] == pytest.approx(1 / 3)
    assert model_quality(lane, 1.0, 1.0005, 2e-3, 1e-3)[0] == pytest.approx(-1 / 6)  # more was promised
    # a small cost, known as well as its size tells
    assert model_quality(lane, 1e-6, 2e-6, 1e-6, 1e-3, 1e-6)[0] == pytest.approx(-1.0, rel=2e-3)
    assert model_quality(lane, 0.0, -1e-6, 1e-6, 1e-3, 1e-6)[0] == pytest.approx(1.0)
