"""Damping rules on numbers: what they do to the damping, and the matrices they damp with."""

import pytest
import torch

from manopt_torch import (
    Euclidean,
    FletcherDamping,
    LevenbergDamping,
    MarquardtDamping,
    NielsenDamping,
    Product,
    ResidualDamping,
    Sphere,
    levenberg_marquardt,
)
from manopt_torch.damping.base import Gauge
from manopt_torch.functional.gauss_newton import squared_sizes
from manopt_torch.functional.masked import Batch, Lone
from tests.together import together

D = torch.float64


@together()
@pytest.mark.parametrize(
    ("rule", "ratio", "accepted", "wanted"),
    [
        (NielsenDamping(shrink=0.1), 1.0, True, (0.05, 2.0)),
        (NielsenDamping(shrink=0.1), 0.5, True, (0.5, 2.0)),
        (NielsenDamping(shrink=0.1), 0.0, False, (4.0, 16.0)),
        (NielsenDamping(shrink=0.1), float("nan"), False, (4.0, 16.0)),
        (MarquardtDamping(), 0.9, True, (0.05, 8.0)),
        (LevenbergDamping(increase=2.0, decrease=4.0), 0.9, True, (0.125, 8.0)),
        (FletcherDamping(increase=3.0), -1.0, False, (1.5, 8.0)),
        (ResidualDamping(), 0.9, True, (0.5, 8.0)),
        (ResidualDamping(expect_zero_residual=True), 0.9, True, (0.1, 8.0)),
        (ResidualDamping(), 0.1, False, (2.5, 8.0)),
    ],
)
def test_updates(rule, ratio, accepted, wanted):
    ours = rule.update(Lone(), 0.5, 8.0, ratio, accepted)
    assert ours == pytest.approx(wanted)
    lane = Batch((2,), torch.zeros(2, dtype=D))
    many = rule.update(lane, lane.full(0.5), lane.full(8.0), lane.full(ratio), lane.full(accepted))
    assert [t.tolist() for t in many] == [[number] * 2 for number in ours]


def gauge(diagonal, x, cost=2.0):
    x = torch.tensor(x, dtype=D)
    return Gauge(torch.tensor(diagonal, dtype=D), torch.tensor(cost, dtype=D), squared_sizes(Euclidean(len(x)), x))


def test_matrices():
    first, second = gauge([4.0, 9.0, 0.0], [1.0, 2.0, 3.0]), gauge([1.0, 16.0, 2.0], [2.0, 0.1, 3.0])

    def both(rule):
        matrix, unit = rule.matrix(first, None, None)
        return matrix.tolist(), rule.matrix(second, matrix, unit)[0].tolist()

    assert both(NielsenDamping(scaling="identity")) == ([1.0] * 3, [1.0] * 3)
    assert both(NielsenDamping(scaling="first")) == ([4.0, 9.0, 9.0], [4.0, 9.0, 9.0])
    assert both(FletcherDamping()) == ([4.0, 9.0, 9.0], [1.0, 16.0, 2.0])
    assert both(MarquardtDamping()) == ([4.0, 9.0, 9.0], [4.0, 16.0, 9.0])
    # sigma = 9 * 2^2; the second size falls from 2 to 1/2 at most
    assert both(NielsenDamping()) == ([36.0, 9.0, 4.0], [9.0, 144.0, 4.0])


def test_the_relative_matrix_follows_the_units_of_the_parameters():
    units = torch.tensor([1e-6, 1.0, 1e5], dtype=D)
    d, x = torch.tensor([4.0, 9.0, 2.0], dtype=D), torch.tensor([1.0, 0.0, -3.0], dtype=D)
    cost = torch.tensor(2.0, dtype=D)
    plain, rescaled = (
        NielsenDamping().matrix(Gauge(d * c * c, cost, (x / c) ** 2), None, None) for c in (torch.ones(3), units)
    )
    torch.testing.assert_close(rescaled[0], plain[0] * units * units)
    torch.testing.assert_close(rescaled[1], plain[1])


def test_a_parameter_that_starts_at_zero_is_damped_by_its_influence():
    matrix, _ = NielsenDamping().matrix(gauge([4.0, 9.0], [1.0, 0.0]), None, None)
    assert matrix.tolist() == [4.0, 9.0]


def test_sizes_of_coordinates():
    M = Product(Sphere(3), Euclidean(2))
    x = (torch.tensor([[1.0, 0.0, 0.0]], dtype=D), torch.tensor([[3.0, -2.0]], dtype=D))
    assert squared_sizes(M, x).tolist() == [[1.0, 1.0, 9.0, 4.0]]


def test_residual_damping_goes_with_the_cost():
    assert ResidualDamping().strength(0.5, 3.0) == 3.0 and NielsenDamping().strength(0.5, 3.0) == 0.5


def test_a_parameter_without_influence_at_the_start_is_not_thrown_away():
    # Powell's badly scaled function at (0, 100), a hundred times its published start: exp(-100) is all that is felt
    # of the second parameter, and the first, which is zero, has no size to go by
    f = lambda x: torch.stack([1e4 * x[..., 0] * x[..., 1] - 1, torch.exp(-x).sum(-1) - 1.0001], -1)  # noqa: E731
    start = torch.tensor([0.0, 100.0], dtype=torch.float64)
    o = levenberg_marquardt(Euclidean(2), f, start, return_options=True)
    assert o.cost < 1e-8 and (o.x[1] - 100).abs() < 50
