"""The order in which decorators, foreign ones too, are called."""

from dataclasses import dataclass

import torch

from manopt_torch.manifolds import Euclidean
from manopt_torch.plans.action import STOP
from manopt_torch.plans.debug import (
    DebugAction,
)
from manopt_torch.plans.decorate import DebugOptions, RecordOptions, decorate_options
from manopt_torch.plans.dispatch import get_solver_result, initialize_solver, step_solver, stop_solver
from manopt_torch.plans.options import Options, OptionsDecorator, get_options
from manopt_torch.plans.record import RecordAction, get_record
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration
from manopt_torch.problems import GradientProblem
from manopt_torch.solvers.steepest_descent import GradientDescentOptions
from manopt_torch.stepsizes import ConstantStepsize

M = Euclidean(2)
F64 = torch.float64
P = GradientProblem(M, lambda x: 0.5 * (x * x).sum(-1))


def lone(steps=3):
    return GradientDescentOptions(
        torch.tensor([4.0, 2.0], dtype=F64), stepsize=ConstantStepsize(0.5), stop=StopAfterIteration(steps)
    )


@dataclass(eq=False)
class Countdown(Options):
    """A solver that only counts, and keeps a log."""

    def __post_init__(self):
        Options.__post_init__(self)
        self.stop = StopAfterIteration(2)
        self.log = []


@initialize_solver.register(Countdown)
def _start(p, o):
    from manopt_torch.plans.begin import begin

    begin(p, o)
    o.cost = torch.zeros((), dtype=F64)
    o.log.append(("initialize", 0))


@step_solver.register(Countdown)
def _step(p, o, i):
    o.log.append(("step", i))


class Note(DebugAction):
    def __init__(self, name):
        self.name = name

    def __call__(self, p, o, i):
        assert type(o) is Countdown  # never the decorator
        o.log.append((self.name, i))


class Keep(RecordAction):
    def __init__(self, name):
        self.name = name
        self.recorded_values = []

    def __call__(self, p, o, i):
        assert type(o) is Countdown
        o.log.append((self.name, i))


def logging_options():
    places = (":All", ":Stop", ":Step", ":Start")
    inner = DebugOptions(Countdown(torch.zeros(2)), {place: Note(f"debug {place}") for place in places})
    return RecordOptions(inner, {place: Keep(f"record {place}") for place in places})


def around(what, place, i):
    return [
        *([(what, i)] if what else []),
        *[(f"{kind} {at}", i) for kind in ("debug", "record") for at in (place, ":All")],
    ]


EXPECTED = [
    *around("initialize", ":Start", 0),
    *around("step", ":Step", 1),
    *around("step", ":Step", 2),
    *around(None, ":Stop", STOP),
]


def test_solve_calls_the_actions_in_order():
    o = logging_options()
    assert solve(P, o) is o
    assert o.log == EXPECTED


def by_hand(p, o):
    initialize_solver(p, o)
    i = 0
    while not stop_solver(p, o, i):
        i += 1
        step_solver(p, o, i)
    return o


def test_stepping_by_hand_calls_them_in_the_same_order():
    assert by_hand(P, logging_options()).log == EXPECTED


def test_a_recorder_inside_a_printer_is_called_first():
    o = DebugOptions(RecordOptions(Countdown(torch.zeros(2)), Keep("record")), Note("debug"))
    expected = [("initialize", 0)]
    for what, i in (("", 0), ("step", 1), ("step", 2), ("", STOP)):
        expected += [(what, i)] * bool(what) + [("record", i), ("debug", i)]
    assert solve(P, o).log == expected


def test_by_hand_prints_and_records_what_solve_does(capsys):
    lists = {"debug": [":Iteration", " ", ":Cost", " ", ":Change", "\n", ":Stop"], "record": [":Iteration", ":Cost"]}
    solved = solve(P, lone(), **lists)
    printed = capsys.readouterr().out
    hand = by_hand(P, decorate_options(lone(), **lists))
    assert capsys.readouterr().out == printed
    assert get_record(hand) == get_record(solved) == get_record(get_options(hand))
    assert torch.equal(get_solver_result(hand), solved.x)


class Wrapper(OptionsDecorator):
    """A decorator from elsewhere that takes part in the verbs."""


@step_solver.register(Wrapper)
def _wrapped(p, o, i):
    get_options(o).log.append(("wrapped", i))
    step_solver(p, o.options, i)


def test_foreign_decorators_between_ours_see_every_step():
    o = DebugOptions(Wrapper(RecordOptions(Countdown(torch.zeros(2)), Keep("record"))), Note("debug"))
    solve(P, o)
    assert o.log[1:] == [
        ("record", 0),
        ("debug", 0),
        *[entry for i in (1, 2) for entry in (("wrapped", i), ("step", i), ("record", i), ("debug", i))],
        ("record", STOP),
        ("debug", STOP),
    ]
    assert get_record(o) == []
