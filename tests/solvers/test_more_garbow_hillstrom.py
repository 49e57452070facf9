"""Levenberg-Marquardt on published test problems, from the standard start and ten times as far, by default.

Starts and least sums of squares are those of Moré, Garbow and Hillstrom (1981); where there are several, any will do.
"""

import math

import pytest
import torch

from manopt_torch import Euclidean, levenberg_marquardt
from manopt_torch.functional.levenberg_marquardt import remaining
from manopt_torch.functional.masked import Lone

D = torch.float64
T20 = torch.arange(1, 21, dtype=D) / 5
I15 = torch.arange(1, 16, dtype=D)
BARD = torch.tensor([0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39], dtype=D)


def badly_scaled(x):
    a, b = x
    return torch.stack([a - 1e6, b - 2e-6, a * b - 2])


def freudenstein_roth(x):
    a, b = x
    return torch.stack([-13 + a + ((5 - b) * b - 2) * b, -29 + a + ((b + 1) * b - 14) * b])


def bard(x):
    a, b, c = x
    return BARD - (a + I15 / ((16 - I15) * b + torch.minimum(I15, 16 - I15) * c))


def wood(x):
    a, b, c, d = x
    pairs = (10 * (b - a * a), 1 - a, 90**0.5 * (d - c * c), 1 - c, 10**0.5 * (b + d - 2), (b - d) / 10**0.5)
    return torch.stack(pairs)


def brown_dennis(x):
    a, b, c, d = x
    return (a + T20 * b - torch.exp(T20)) ** 2 + (c + d * torch.sin(T20) - torch.cos(T20)) ** 2


def penalty(x):
    return torch.cat([1e-5**0.5 * (x - 1), (x.square().sum() - 0.25).reshape(1)])


def watson(x):
    t, j = torch.arange(1, 30, dtype=D)[:, None] / 29, torch.arange(9, dtype=D)
    fall = (j[1:] * t ** (j[1:] - 1)) @ x[1:]
    return torch.cat([fall - (t**j @ x) ** 2 - 1, x[:1], x[1:2] - x[:1] ** 2 - 1])


# problem, start, factors of the start, least sums of squares
PROBLEMS = (
    (badly_scaled, [1.0, 1.0], (1, 10), (0.0,)),
    (freudenstein_roth, [0.5, -2.0], (1, 10), (0.0, 48.98425)),
    (bard, [1.0, 1.0, 1.0], (1, 10), (8.21487e-3, 17.42869)),
    (wood, [-3.0, -1.0, -3.0, -1.0], (1, 10), (0.0,)),
    (brown_dennis, [25.0, 5.0, -5.0, -1.0], (1, 10), (85822.2,)),
    (penalty, [1.0, 2.0, 3.0, 4.0], (1, 10), (2.24997e-5,)),
    (watson, [0.0] * 9, (1,), (1.39976e-6,)),
)


@pytest.mark.parametrize(("residuals", "start", "factors", "least"), PROBLEMS, ids=[p[0].__name__ for p in PROBLEMS])
def test_published_minima_are_found(residuals, start, factors, least):
    for factor in factors:
        x0 = factor * torch.tensor(start, dtype=D)
        o = levenberg_marquardt(Euclidean(len(start)), residuals, x0, return_options=True)
        found = 2 * float(o.cost)
        assert any(math.isclose(found, value, rel_tol=1e-4, abs_tol=1e-18) for value in least), (factor, found)


def test_a_short_step_after_a_jump_says_nothing_about_the_distance_to_go():
    assert remaining(Lone(), 1e-3, 1e-1, 0.0) == pytest.approx(1e-5 / 0.99, rel=1e-9)
    assert remaining(Lone(), 1e-8, 4e15, 0.0) == math.inf
