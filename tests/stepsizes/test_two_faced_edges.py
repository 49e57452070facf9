"""What backtracking searches share: which face is called, the first step, and when steps no longer move the point."""

from types import SimpleNamespace

import pytest
import torch

from manopt_torch import ArmijoLinesearch, Euclidean, GradientProblem
from manopt_torch.functional.masked import Batch, Lone
from manopt_torch.stepsizes.two_faced import (
    TwoFacedLinesearch,
    capped,
    downhill,
    note_stagnation,
    smallest_step,
    way_along,
)

D = torch.float64
EPS = 2.0**-52


class Told(TwoFacedLinesearch):
    """A search that tells which face was called, and with what."""

    def _search_in_run(self, p, o, i, eta=None):
        return "run", p, o, i, eta

    def _search_alone(self, M, x, F, gradient, eta=None):
        return "alone", M, x, F, gradient, eta


def test_both_faces_by_place_and_by_name():
    search, p, M = Told(), GradientProblem(Euclidean(1), lambda x: x.sum(-1)), Euclidean(1)
    assert (
        search(p, 2, 3) == search(p, 2, i=3) == search(p, o=2, i=3) == search(p=p, o=2, i=3) == ("run", p, 2, 3, None)
    )
    assert search(p, 2, 3, 4) == search(p, 2, 3, eta=4) == ("run", p, 2, 3, 4)
    assert search(M, 2, 3, 4) == search(M, 2, 3, gradient=4) == ("alone", M, 2, 3, 4, None)
    assert search(M, 2, 3, 4, 5) == search(M, 2, 3, 4, eta=5) == ("alone", M, 2, 3, 4, 5)
    assert search(M, 2, F=3, gradient=4) == search(M, x=2, F=3, gradient=4) == ("alone", M, 2, 3, 4, None)
    assert search(M=M, x=2, F=3, gradient=4) == ("alone", M, 2, 3, 4, None)
    for calls in ((p, 2, 3, 4, 5), (M, 2, 3), (M, 2, 3, 4, 5, 6)):
        with pytest.raises(TypeError):
            search(*calls)


def test_a_run_begins_with_the_initial_stepsize_or_one():
    p, o = GradientProblem(Euclidean(2), lambda x: x.sum(-1)), SimpleNamespace(lane=Lone(), x=torch.zeros(2))
    assert Told().initial(p, o) == 1.0 and ArmijoLinesearch(initial_stepsize=3).initial(p, o) == 3.0
    assert type(ArmijoLinesearch(initial_stepsize=3).initial(p, o)) is float


@pytest.mark.parametrize("lone", [True, False])
@pytest.mark.parametrize(
    ("step", "radius", "squared", "expected"),
    [(2.0, 3.0, 4.0, 1.5), (2.0, 5.0, 4.0, 2.0), (2.0, 4.0, 4.0, 2.0), (0.5, 3.0, 49.0, 3 / 7), (4.0, 0.25, 0.01, 2.5)],
)
def test_the_first_trial_ends_at_the_radius(step, radius, squared, expected, lone):
    lane = Lone() if lone else Batch((1,), torch.zeros(1, 1))
    found = capped(lane, *(lane.full(part) for part in (step, radius, squared)))
    assert float(found) == pytest.approx(expected, rel=1e-15)


def test_the_way_along_a_direction_knows_its_slope_or_is_told():
    x, g, eta = torch.zeros(2, dtype=D), torch.tensor([1.0, 2.0], dtype=D), torch.tensor([3.0, -4.0], dtype=D)
    assert way_along(Euclidean(2), Lone(), x, g, eta, None) == (eta, -5.0, 25.0)
    assert way_along(Euclidean(2), Lone(), x, g, eta, 7.0) == (eta, 7.0, 25.0)


def test_the_way_downhill_is_as_steep_as_it_is_long():
    g = torch.tensor([3.0, -4.0], dtype=D)
    o = SimpleNamespace(lane=Lone(), x=0 * g, gradient=g, measured=None)
    assert downhill(GradientProblem(Euclidean(2), lambda x: x.sum(-1)), o) == (g, -25.0, 25.0)


def test_the_smallest_step_moves_the_largest_entry_by_its_rounding():
    x, eta = torch.tensor([-8.0, 1.0], dtype=D), torch.tensor([0.5, -0.25], dtype=D)
    assert smallest_step(Lone(), x, eta) == 16 * EPS
    assert smallest_step(Lone(), x.float(), eta.float()) == 16 * 2.0**-23


@pytest.mark.parametrize("i", [1, 2, 15, 16, 17, 18, 31, 32, 33, 34, 47])
def test_steps_are_compared_with_the_smallest_in_two_iterations_of_sixteen(i):
    x = torch.tensor([[8.0]] * 4, dtype=D)
    lane = Batch((4,), x)
    o = SimpleNamespace(
        lane=lane,
        x=x,
        active=torch.tensor([True, True, True, False]),
        stagnated=torch.tensor([False, False, True, False]),
    )
    # a step as small as the smallest, one just above it, a problem that has stagnated, one that is not asked
    found = SimpleNamespace(step=torch.tensor([8, 8.01, 99, 8], dtype=D) * EPS, failed=torch.zeros(4) > 0)
    note_stagnation(o, i, torch.ones(4, 1, dtype=D), found)
    assert o.stagnated.tolist() == [i in (16, 17, 32, 33), False, True, False]


def test_a_search_in_vain_is_noted_at_once():
    o = SimpleNamespace(lane=Lone(), x=torch.ones(1), active=True, stagnated=False)
    for failed, stagnated in ((False, False), (True, True), (False, True)):
        note_stagnation(o, 1, torch.ones(1), SimpleNamespace(step=1.0, failed=failed))
        assert o.stagnated is stagnated
    o.stagnated = None
    note_stagnation(o, 16, torch.ones(1), SimpleNamespace(step=0.0, failed=True))
    assert o.stagnated is None
