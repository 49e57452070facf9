"""Tridiagonal cubics: how many rounds the root takes, its bracket, and cases in closed form."""

import math

import pytest
import torch

from manopt_torch.functional.masked import Lone
from manopt_torch.functional.tridiagonal_cubic import _bracket, minimize_tridiagonal_cubic
from tests.functional.test_tridiagonal_cubic import dense, draw

D = torch.float64


class Counting(Lone):
    """A lane that counts how often it is asked whether to go on: once a round."""

    __slots__ = ("rounds",)

    def __init__(self):
        Lone.__init__(self)
        self.rounds = 0

    def any(self, mask):
        self.rounds += 1
        return mask


def rounds(diagonal, beside, gamma, sigma, guess=None, run=True):
    lane = Counting()
    return minimize_tridiagonal_cubic(lane, diagonal, beside, gamma, sigma, run, guess), lane.rounds


@pytest.mark.parametrize("gamma", [0.01, 1.0, 300.0])
@pytest.mark.parametrize("sigma", [0.1, 1.0, 30.0])
def test_newtons_method_takes_few_rounds_and_fewer_from_near(gamma, sigma):
    diagonal, beside = draw(k=6, seed=3)
    parts = (diagonal + 4.0).tolist(), beside.tolist()
    found, far = rounds(*parts, gamma, sigma)
    assert far <= 7
    again, near = rounds(*parts, gamma, sigma, found.lam)
    assert near == 1 and again.lam == found.lam
    assert rounds(*parts, gamma, sigma, found.lam * (1 + 1e-6))[1] <= 3


@pytest.mark.parametrize("shift", [-3.0, -0.2, 0.0, 5.0])
def test_the_bracket_holds_the_root(shift):
    for k in (1, 2, 3, 8):
        diagonal, beside = draw(k=k, seed=k)
        for sign in (1.0, -1.0):
            parts = (diagonal + shift).tolist(), (sign * beside).tolist()
            low, high = _bracket(Lone(), *parts, 0.7, 1.3)
            found = minimize_tridiagonal_cubic(Lone(), *parts, 0.7, 1.3, True)
            assert low <= found.lam <= high
            # from below the least entry of the diagonal, from above by Gershgorin's circles, each in closed form
            T = dense(*(torch.tensor(part, dtype=D) for part in parts))
            assert low == pytest.approx(max(-T.diagonal().min().item(), 0.0), abs=0)
            edge = (T.diagonal() - (T.abs().sum(-1) - T.diagonal().abs())).min().item()
            assert high * (high + edge) == pytest.approx(0.7 * 1.3, rel=1e-10)


@pytest.mark.parametrize("a", [3.0, 1e-9, 0.0, -2.0])
@pytest.mark.parametrize("sigma", [1e-6, 0.5, 1e6])
def test_one_variable_is_solved_by_the_bracket_alone(a, sigma):
    # gamma y + a y^2 / 2 + sigma |y|^3 / 3 is least where a y + sigma y |y| = -gamma
    (lam, y, squared), count = rounds([a], [], 2.0, sigma)
    root = math.sqrt(a * a + 8.0 * sigma)
    length = 4.0 / (a + root) if a > 0 else (root - a) / (2 * sigma)
    assert y[0] == pytest.approx(-length, rel=1e-9) and squared == y[0] ** 2
    assert lam == pytest.approx(sigma * length, rel=1e-9)
    # next to a singular matrix rounding of lambda decides
    assert count <= 3 or lam + a < 1e-3


def test_guesses_outside_of_the_bracket_and_problems_that_do_not_run():
    diagonal, beside = (part.tolist() for part in draw(k=4, seed=1))
    found, count = rounds(diagonal, beside, 1.0, 2.0)
    for guess in (1e6, -1.0, math.nan):
        assert rounds(diagonal, beside, 1.0, 2.0, guess) == (found, count)
    still, asked = rounds(diagonal, beside, 1.0, 2.0, run=False)
    assert asked == 1 and still.lam == _bracket(Lone(), diagonal, beside, 1.0, 2.0)[1]


def test_what_is_not_a_number_is_given_up_at_once():
    assert rounds([math.nan], [], 1.0, 1.0)[1] == 2


@pytest.mark.parametrize("gamma", [1e-8, 1e-12, 1e-20])
def test_rounds_end_where_no_number_is_left_between_the_bounds(gamma):
    # the root is next to minus the least eigenvalue, where rounding keeps the two sides of the equation apart
    parts = [2.0, -1.0, 0.5], [0.3, 0.4]
    found, count = rounds(*parts, gamma, 1.0)
    least = torch.linalg.eigvalsh(dense(*(torch.tensor(part, dtype=D) for part in parts)))[0].item()
    assert found.lam == pytest.approx(-least, rel=1e-8)
    assert count < 100
