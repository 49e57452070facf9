"""Verbs: how outsiders add a solver, and how decorators take part."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from manopt_torch import (
    ConjugateGradientOptions,
    CostProblem,
    Euclidean,
    HessianProblem,
    Options,
    OptionsDecorator,
    QuasiNewtonOptions,
    StopAfterIteration,
    TrustRegionsOptions,
    get_reason,
    get_record,
    get_solver_result,
    initialize_solver,
    solve,
    step_solver,
    stop_solver,
)
from manopt_torch.errors import OptionsError, ShapeError
from manopt_torch.plans.begin import begin
from manopt_torch.plans.commit import commit
from manopt_torch.plans.dispatch import Verb
from manopt_torch.plans.hooks import Hooks
from manopt_torch.plans.options import state
from tests.together import together

P = CostProblem(Euclidean(2), lambda x: x.sum(-1))


@dataclass(eq=False)
class HalvingOptions(Options):
    """A solver of an outsider: it halves the point."""

    factor: float = 0.5
    best: Any = state()


@initialize_solver.register(HalvingOptions)
def _initialize(p, o):
    begin(p, o)
    o.cost = p.get_cost(o.x)
    o.best = None


@step_solver.register(HalvingOptions)
def _step(p, o, i):
    x = o.x * o.factor
    commit(o, x=x, cost=p.get_cost(x), best=x)


@dataclass(eq=False)
class DescendantOptions(HalvingOptions):
    pass


@dataclass(eq=False)
class OtherOptions(Options):
    pass


class LoudOptions(OptionsDecorator):
    """A decorator with a verb of its own."""

    def __init__(self, options):
        OptionsDecorator.__init__(self, options)
        self.said = []


@step_solver.register(LoudOptions)
def _loud(p, o, i):
    step_solver(p, o.options, i)
    o.said.append(i)


class HookedOptions(OptionsDecorator):
    """A decorator that only adds hooks."""

    def __init__(self, options, log):
        OptionsDecorator.__init__(self, options)
        self.log = log

    def hook_table(self):
        return Hooks(
            start=(lambda p, o, i: self.log.append(("start", i, type(o))),),
            step=(lambda p, o, i: self.log.append(("step", i, type(o))),),
            stop=(lambda p, o, i: self.log.append(("stop", i, type(o))),),
        )


@together()
@pytest.mark.parametrize("kind", [HalvingOptions, DescendantOptions])
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_a_solver_of_an_outsider_runs(kind, batch):
    o = solve(P, kind(torch.ones(*batch, 2), stop=StopAfterIteration(3)), record=[":Cost"])
    assert torch.equal(get_solver_result(o), torch.full((*batch, 2), 0.125))
    assert torch.equal(get_record(o)[-1][0], torch.full(batch, 0.25))
    assert "(3)" in str(get_reason(o))


def test_registration_hands_the_function_back():
    verb = Verb("shout", "Shout.")

    @verb.register(HalvingOptions)
    def implementation(p, o):
        return "halving"

    assert implementation(None, None) == "halving"
    assert verb(P, HalvingOptions(torch.ones(2))) == "halving"
    assert verb.resolve(DescendantOptions) is implementation
    assert (verb.__name__, verb.__doc__) == ("shout", "Shout.")


def test_the_nearest_base_wins():
    verb = Verb("shout", "Shout.")
    verb.register(Options)(lambda p, o: "any")
    verb.register(HalvingOptions)(lambda p, o: "halving")
    found = [verb(P, kind(torch.ones(2))) for kind in (OtherOptions, HalvingOptions, DescendantOptions)]
    assert found == ["any", "halving", "halving"]


@pytest.mark.parametrize("verb", [initialize_solver, step_solver])
def test_a_missing_implementation_says_how_to_add_one(verb):
    name = verb.__name__
    with pytest.raises(
        OptionsError, match=rf"no {name} for OtherOptions: add one with @{name}.register\(OtherOptions\)"
    ):
        verb.resolve(OtherOptions)


def test_solve_finds_the_missing_implementation_before_anything_else():
    with pytest.raises(OptionsError, match="no initialize_solver for OtherOptions"):
        solve(P, OtherOptions(torch.ones(2)), debug=["never printed"])


@pytest.mark.parametrize("make", [ConjugateGradientOptions, QuasiNewtonOptions, TrustRegionsOptions])
def test_a_step_before_the_start_says_what_to_call(make):
    p = HessianProblem(Euclidean(2), lambda x: (x * x).sum(-1))
    for x in (torch.ones(2), torch.ones(3, 2)):
        with pytest.raises(OptionsError, match=r"have not been initialised: call initialize_solver\(p, o\)"):
            step_solver(p, make(x), 1)
    o = make(torch.ones(2))
    initialize_solver(p, o)
    o.x = None  # what goes wrong later keeps its own error
    with pytest.raises((TypeError, AttributeError)) as error:
        step_solver(p, o, 1)
    assert not isinstance(error.value, OptionsError)


def test_decorators_pass_every_verb_on():
    bare = HalvingOptions(torch.ones(2), stop=StopAfterIteration(2))
    o = HookedOptions(HookedOptions(bare, []), [])
    initialize_solver(P, o)
    assert not stop_solver(P, o, 0)
    step_solver(P, o, 1)
    assert get_solver_result(o).tolist() == [0.5, 0.5]
    assert not stop_solver(P, o, 1)
    step_solver(P, o, 2)
    assert stop_solver(P, o, 2)
    assert stop_solver(P, o, 2)
    assert not step_solver.special_for(HookedOptions)
    assert step_solver.special_for(LoudOptions)


def test_a_decorator_with_a_verb_of_its_own_takes_part_in_the_loop():
    o = LoudOptions(HalvingOptions(torch.ones(2), stop=StopAfterIteration(3)))
    assert solve(P, o) is o
    assert o.said == [1, 2, 3]
    assert o.x.tolist() == [0.125, 0.125]
    assert solve(P, o, record=[":Cost"]).x.tolist() == [2.0**-6] * 2
    assert [row[0].item() for row in get_record(o)] == [0.125, 0.0625, 0.03125]


def test_hooks_are_flattened_from_the_inside_and_see_bare_options():
    log = []
    inner = HookedOptions(HalvingOptions(torch.ones(2), stop=StopAfterIteration(2)), log)
    solve(P, HookedOptions(inner, log))
    stop = -(2**63)
    assert [(place, i) for place, i, _ in log] == [
        *[("start", 0)] * 2, *[("step", 1)] * 2, *[("step", 2)] * 2, *[("stop", stop)] * 2,
    ]  # fmt: skip
    assert {kind for *_, kind in log} == {HalvingOptions}


def test_by_hand_gives_the_same_as_solve():
    o = HalvingOptions(torch.ones(3, 2), stop=StopAfterIteration(4))
    initialize_solver(P, o)
    i = 0
    while not stop_solver(P, o, i):
        i += 1
        step_solver(P, o, i)
    other = solve(P, HalvingOptions(torch.ones(3, 2), stop=StopAfterIteration(4)))
    assert torch.equal(o.x, other.x)
    assert o.iterations.tolist() == other.iterations.tolist() == [4, 4, 4]
    assert get_reason(o) == get_reason(other)


def test_a_solver_may_leave_the_common_state_to_the_run():
    @dataclass(eq=False)
    class PlainOptions(Options):
        pass

    def move(p, o, i):
        o.x = o.x / 2

    initialize_solver.register(PlainOptions)(lambda p, o: None)
    step_solver.register(PlainOptions)(move)
    for x in (torch.ones(2), torch.ones(3, 2)):
        o = PlainOptions(x, stop=StopAfterIteration(2))
        for former in (x, x / 4):  # the second run goes on from the first
            solve(P, o, record=[":Cost", ":Change"])
            assert torch.equal(o.x, former / 4) and torch.equal(o.x0, former)
            assert [row[0].tolist() for row in get_record(o)] == [(former / 2).sum(-1).tolist(), o.x.sum(-1).tolist()]
        hand, i = PlainOptions(x, stop=StopAfterIteration(2)), 0
        initialize_solver(P, hand)
        while not stop_solver(P, hand, i):
            i += 1
            step_solver(P, hand, i)
        assert torch.equal(hand.x, x / 4) and get_reason(hand) == get_reason(o)
    with pytest.raises(ShapeError, match="a point of Euclidean"):  # the start is checked all the same
        solve(P, PlainOptions(torch.ones(3)))
