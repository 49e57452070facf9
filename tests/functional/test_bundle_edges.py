"""Bundles: minorants with curvature, who may take part, the parameter, and which member leaves."""

import math

import pytest
import torch

from manopt_torch import Euclidean
from manopt_torch.functional.bundle import Bundle, Cut, added, combined, errors_at, first_bundle, first_step, rise
from manopt_torch.functional.masked import Batch, Lone

D = torch.float64
M = Euclidean(2)
ZERO = torch.zeros(2, dtype=D)


def bundle(born, weights, subgradients=None):
    size = len(born)
    s = torch.eye(2, dtype=D).repeat(size, 1)[:size] if subgradients is None else torch.tensor(subgradients, dtype=D)
    parts = torch.zeros(size, dtype=D), torch.tensor(weights, dtype=D), torch.tensor(born)
    return Bundle(torch.zeros(size, 2, dtype=D), s, *parts)


def test_a_first_bundle_has_one_member_and_empty_places():
    u = torch.tensor([3.0, 4.0], dtype=D)
    lone = first_bundle(M, Lone(), Cut(ZERO, u, 7.0), 3)
    assert lone.born.tolist() == [0, -1, -1] and lone.weights.tolist() == [1, 0, 0] and lone.values.tolist() == [7] * 3
    two = first_bundle(M, Batch((2,), u), Cut(ZERO.expand(2, 2), u.expand(2, 2), torch.tensor([7.0, 8.0])), 2)
    assert two.born.tolist() == [[0, -1]] * 2 and two.weights.shape == (2, 2) and two.subgradients.shape == (2, 2, 2)


def test_a_minorant_rises_less_by_a_share_of_both_lengths():
    u, x = torch.tensor([3.0, 4.0], dtype=D), torch.tensor([0.0, 2.0], dtype=D)
    assert rise(M, ZERO, u, x) == 8.0
    assert rise(M, ZERO, u, x, 0.25) == 8.0 - 0.25 * 5.0 * 2.0
    held = bundle([0, 1], [1, 0], [[3, 4], [0, 1]])._replace(values=torch.tensor([1.0, -1.0], dtype=D))
    assert errors_at(M, Lone(), held, x, 10.0).tolist() == [10 - 1 - 8, 10 + 1 - 2]
    assert errors_at(M, Lone(), held, x, 10.0, 0.25).tolist() == [10 - 1 - 5.5, 10 + 1 - 1.5]


def test_members_that_are_missing_or_not_finite_have_no_part():
    def weights(born, errors, subgradients=((1, 0), (0, 1), (0, 1))):
        held = bundle(born, [1, 0, 0], subgradients)
        return combined(M, Lone(), held, ZERO, held.subgradients, torch.tensor(errors, dtype=D), True)

    half = [0.5, 0.5, 0.0]
    assert weights([0, 1, -1], [0.0, 0.0, -9.0]).weights.tolist() == pytest.approx(half)
    for bad in (math.inf, math.nan, -math.inf):
        found = weights([0, 1, 2], [0.0, 0.0, bad])
        assert found.weights.tolist() == pytest.approx(half) and found.error == 0.0
        found = weights([0, 1, 2], [0.0, 0.0, 0.0], ((1, 0), (0, 1), (bad, 1)))
        assert found.weights.tolist() == pytest.approx(half)
        assert found.subgradient.tolist() == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("parameter", [0.5, 1.0, 4.0])
def test_the_parameter_weighs_lengths_against_errors(parameter):
    # (a^2 + b^2) / (2 mu) + e b on a + b = 1 is least where (b - a) / mu = -e
    held = bundle([0, 1], [1, 0])
    found = combined(M, Lone(), held, ZERO, held.subgradients, torch.tensor([0.0, 0.2], dtype=D), True, parameter)
    b = 0.5 - 0.1 * parameter
    assert found.weights.tolist() == pytest.approx([1 - b, b], rel=1e-9)
    assert found.error == pytest.approx(0.2 * b) and found.squared_norm == pytest.approx(b * b + (1 - b) ** 2)


def test_problems_that_are_not_active_keep_their_weights():
    held = bundle([0, 1], [1, 0])
    two = Bundle(*(part.expand(2, *part.shape) for part in held))
    lane, x = Batch((2,), ZERO), ZERO.expand(2, 2)
    errors, active = torch.zeros(2, 2, dtype=D), torch.tensor([True, False])
    found = combined(M, lane, two, x, two.subgradients, errors, active)
    assert found.weights.reshape(-1).tolist() == pytest.approx([0.5, 0.5, 1.0, 0.0])


@pytest.mark.parametrize(
    ("born", "weights", "after"),
    [
        ([0, -1, -1], [1, 0, 0], [0, 9, -1]),  # an empty place, the first
        ([0, 3, -1], [1, 0, 0], [0, 3, 9]),  # before one that has no weight
        ([5, 3, 4], [0, 0, 1], [5, 9, 4]),  # the oldest without weight
        ([3, 5, 2], [0, 0, 1], [9, 5, 2]),
        ([7, 7, 7], [0, 0, 1], [9, 7, 7]),  # of the same age the first
        ([1, 2, 0], [0.5, 0, 0.5], [1, 9, 0]),
    ],
)
def test_which_place_a_new_member_takes(born, weights, after):
    new, aggregate = Cut(ZERO, ZERO + 1, 7.0), Cut(ZERO, ZERO + 2, 8.0)
    held = bundle(born, weights)
    found = added(M, Lone(), held, new, aggregate, 9, True)
    place = after.index(9)
    assert found.born.tolist() == after and found.values.tolist() == [7.0 * (j == place) for j in range(3)]
    assert found.weights.tolist() == [w * (j != place) for j, w in enumerate(weights)]


def test_full_bundles_of_others_stay_as_they_are():
    held = bundle([0, 1, 2], [0.5, 0.2, 0.3])
    two = Bundle(*(part.expand(2, *part.shape) for part in held))
    x, costs = ZERO.expand(2, 2), torch.tensor([7.0, 7.0], dtype=D)
    new, aggregate = Cut(x, x + 1, costs), Cut(x, x + 2, costs + 1)
    found = added(M, Batch((2,), ZERO), two, new, aggregate, 9, torch.tensor([True, False]))
    assert found.born.tolist() == [[0, 9, 9], [0, 1, 2]] and found.values.tolist() == [[0, 8, 7], [0, 0, 0]]
    assert found.weights.tolist() == [[0, 1, 0], [0.5, 0.2, 0.3]]
    assert torch.equal(found.subgradients[1], held.subgradients)


def test_first_steps_on_a_flat_space_are_not_shortened_unless_asked():
    assert first_step(M, Lone(), ZERO, 2.0, 1e9, None) == 2.0
    assert first_step(M, Lone(), ZERO, 2.0, 3.0, 6.0) == 2.0 and first_step(M, Lone(), ZERO, 2.0, 4.0, 6.0) == 1.5
