"""The agenda of a run: which actions are called after which step."""

import math

import pytest
import torch

from manopt_torch import (
    ConstantStepsize,
    DebugChange,
    DebugCost,
    DebugEvery,
    DebugGroup,
    DebugIteration,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    RecordCost,
    RecordGroup,
    RecordIteration,
    StopAfterIteration,
    get_record,
    load_state_dict,
    solve,
    state_dict,
)
from manopt_torch.plans.hooks import Agenda

D = torch.float64


def called(agenda, first, last):
    """Return what each step calls, the way the loop asks."""
    return {i: agenda.always if i < agenda.due else agenda.at(i) for i in range(first + 1, last + 1)}


@pytest.mark.parametrize("first", [0, 3, 4, 11])
def test_every_action_is_called_in_its_turn_and_in_order(first):
    always, third, fourth = RecordCost(), DebugEvery(DebugCost(), 3), DebugEvery(DebugIteration(), 4)
    calls = called(Agenda((third, always, fourth), first), first, 30)
    for i, actions in calls.items():
        wanted = [third] * (i % 3 == 0) + [always] + [fourth] * (i % 4 == 0)
        assert list(actions) == wanted


def test_nothing_is_due_without_actions():
    agenda = Agenda((), 7)
    assert (agenda.always, agenda.due) == ((), math.inf)


class Loud(DebugEvery):
    """A kind of its own, of which nothing is known."""


@pytest.mark.parametrize(
    ("action", "every"),
    [
        (DebugEvery(DebugCost(), 5), 5),
        (DebugEvery(DebugChange(), 5), 1),  # it has to see every iterate
        (DebugEvery(DebugChange(), 5, always_update=False), 5),
        (DebugEvery(lambda p, o, i: None, 5), 1),
        (DebugEvery(DebugGroup([DebugCost(), DebugChange()]), 5), 1),
        (Loud(DebugCost(), 5), 1),
    ],
)
def test_only_what_would_do_nothing_is_left_out(action, every):
    assert tuple(action.schedule()) == ((every, action),)


def test_members_of_a_record_are_called_without_the_group():
    a, b = RecordCost(), RecordIteration()

    class Counting(RecordGroup):
        """A kind of its own."""

    own = Counting([b])
    assert Agenda((RecordGroup([a, RecordGroup([b]), own]),), 0).always == (a, b, own)


def run(x, stop, lines, **resume):
    p = GradientProblem(Euclidean(1), lambda x: (x * x).sum(-1))
    o = GradientDescentOptions(x, stepsize=ConstantStepsize(0.25), stop=StopAfterIteration(stop))
    if resume:
        load_state_dict(o, resume["state"])
    return solve(p, o, debug=[DebugIteration(print=lines.append), 4], record=[":Iteration"])


@pytest.mark.parametrize("x", [torch.ones(1, dtype=D), torch.ones(3, 1, dtype=D)])
def test_lines_and_rows_of_a_run_and_of_one_taken_up(x):
    lines, later = [], []
    first = run(x, 6, lines)
    second = run(x, 13, later, state=state_dict(first))
    assert lines == ["Initial\n", "# 4\n"]
    assert later == ["Initial\n", "# 8\n", "# 12\n"]
    assert [i for (i,) in get_record(first)] == [1, 2, 3, 4, 5, 6]
    assert [i for (i,) in get_record(second)] == [7, 8, 9, 10, 11, 12, 13]
