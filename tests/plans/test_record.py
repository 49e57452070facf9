"""Record actions: what they keep, and when."""

import pytest
import torch

from manopt_torch.errors import OptionsError, UnknownSymbolError
from manopt_torch.manifolds import Euclidean
from manopt_torch.plans.action import STOP
from manopt_torch.plans.decorate import DebugOptions, RecordOptions
from manopt_torch.plans.record import (
    RecordActionFactory,
    RecordChange,
    RecordCost,
    RecordEntry,
    RecordEntryChange,
    RecordEvery,
    RecordFactory,
    RecordGradient,
    RecordGradientNorm,
    RecordGroup,
    RecordIterate,
    RecordIteration,
    RecordProximalParameter,
    RecordStepsize,
    RecordStoppingReason,
    RecordTime,
    get_record,
    has_record,
)
from manopt_torch.plans.record import value as value_module
from manopt_torch.plans.stopping import StopAfterIteration
from manopt_torch.plans.symbols import S
from manopt_torch.problems import GradientProblem
from manopt_torch.solvers.steepest_descent import GradientDescentOptions
from manopt_torch.stepsizes import ConstantStepsize
from tests.together import together

M = Euclidean(2)
F64 = torch.float64
START = torch.tensor([4.0, 2.0], dtype=F64)
MOVED = torch.tensor([3.0, 2.0], dtype=F64)
P = GradientProblem(M, lambda x: ((x - START) ** 2).sum(-1), lambda x: 2 * (x - START))


def lone(x=START):
    return GradientDescentOptions(x, stepsize=ConstantStepsize(1.0), stop=StopAfterIteration(20))


# ---- the protocol of Manopt -----------------------------------------------------------------------------------------


def test_iteration():
    r, o = RecordIteration(), lone()
    assert r(P, o, 0) is None
    assert r(P, o, 1) == [1]
    assert r(P, o, 2) == [1, 2]
    assert r(P, o, 9) == [1, 2, 9]
    assert r(P, o, STOP) is None and r.recorded_values == [1, 2, 9]
    assert r(P, o, -1) == []


def test_group():
    group, o = RecordGroup([RecordIteration(), RecordIteration()]), lone()
    group(P, o, 1)
    group(P, o, 2)
    assert group.recorded_values == [(1, 1), (2, 2)]
    assert get_record(group) == [(1, 1), (2, 2)]


def test_every():
    every, o = RecordEvery(RecordIteration(), 10), lone()
    assert every(P, o, 0) is None
    assert every(P, o, 1) is None
    assert every(P, o, 10) == [10]
    assert every(P, o, 20) == [10, 20]
    assert every(P, o, -1) == []


def test_change():
    r, o = RecordChange(), lone()
    r(P, o, 1)
    assert r.recorded_values == [0.0]
    o.x = MOVED
    r(P, o, 2)
    assert r.recorded_values == [0.0, 1.0]
    seeded = RecordChange(START)
    seeded(P, o, 1)
    assert seeded.recorded_values == [1.0]


def test_iterate_wants_an_example():
    with pytest.raises(TypeError):
        RecordIterate()
    for example in (START, None):
        r = RecordIterate(example)
        assert torch.equal(r(P, lone(), 1)[0], START)


def test_cost():
    r, o = RecordCost(), lone()
    r(P, o, 1)
    o.x = MOVED
    r(P, o, 2)
    assert r.recorded_values == [0.0, 1.0]


def test_entries():
    o = lone()
    for r in (RecordEntry("x"), RecordEntry(":x", START), RecordEntry("x", torch.Tensor)):
        assert torch.equal(r(P, o, 1)[0], START)
    change = RecordEntryChange("x", lambda p, o, present, former: p.M.dist(present, former))
    change(P, o, 1)
    o.x = MOVED
    change(P, o, 2)
    assert change.recorded_values == [0.0, 1.0]
    seeded = RecordEntryChange("x", lambda p, o, present, former: (present - former)[0], start=START)
    assert seeded(P, o, 1) == [-1.0]


def test_gradient_stepsize_and_proximal_parameter():
    o = lone()
    o.gradient, o.last_stepsize, o.proximal_parameter = torch.tensor([3.0, 4.0], dtype=F64), 0.5, 0.25
    assert torch.equal(RecordGradient()(P, o, 1)[0], o.gradient)
    assert RecordGradientNorm()(P, o, 1) == [5.0]
    assert RecordStepsize()(P, o, 1) == [0.5]
    assert RecordProximalParameter()(P, o, 1) == [0.25]


def test_access():
    o = lone()
    with pytest.raises(OptionsError, match="nothing has been recorded"):
        get_record(o)
    assert not has_record(o) and not has_record(DebugOptions(o, []))
    ro = RecordOptions(o, [":Iteration"])
    ro.record_dictionary[":All"](P, o, 1)
    assert get_record(ro) == [(1,)]
    assert get_record(DebugOptions(ro, [])) == [(1,)]
    assert has_record(DebugOptions(ro, [])) and has_record(RecordCost())
    with pytest.raises(OptionsError, match="expected Options"):
        get_record("o")


# ---- indices --------------------------------------------------------------------------------------------------------

ALL = [
    RecordIteration,
    RecordCost,
    RecordChange,
    RecordGradient,
    RecordGradientNorm,
    RecordStepsize,
    RecordTime,
    lambda: RecordIterate(None),
    lambda: RecordEntry("x"),
    lambda: RecordEntryChange("x", lambda p, o, a, b: p.M.dist(a, b)),
]


@together()
@pytest.mark.parametrize("make", ALL)
def test_every_action_keeps_to_the_indices(make):
    r, o = make(), lone()
    assert r(P, o, 0) is None and r(P, o, STOP) is None
    first = r(P, o, 1)
    assert len(first) == 1 and len(r(P, o, 7)) == 2
    assert r.recorded_iterations == [1, 7]
    assert r(P, o, -1) == [] and r.recorded_iterations == []
    assert len(first) == 2  # what has been handed out stays as it was


def test_every_updates_in_between_if_asked_to():
    for always, expected in ((True, 1.0), (False, 5.0)):
        every, o = RecordEvery(RecordChange(), 5, always), lone()
        for i in range(6):
            o.x = torch.tensor([float(i), 0.0], dtype=F64)
            every(P, o, i)
        assert every.recorded_values == [expected]


def test_the_clock_goes_on_between_recorded_rows(monkeypatch):
    now = iter([1.0, 2.0, 4.0, 8.0])
    monkeypatch.setattr(value_module.time, "perf_counter", lambda: next(now))
    every, o = RecordEvery(RecordTime(), 3), lone()
    for i in range(4):
        every(P, o, i)
    assert every.recorded_values == [7.0]
    now = iter([1.0, 2.0, 4.0, 8.0])
    every = RecordEvery(RecordTime("iterative"), 3)
    for i in range(4):
        every(P, o, i)
    assert every.recorded_values == [4.0]
    with pytest.raises(OptionsError, match="mode"):
        RecordTime("total")


def test_a_group_of_different_rhythms_has_none_where_nothing_was_recorded():
    group, o = RecordGroup([RecordIteration(), RecordEvery(RecordIteration(), 2)]), lone()
    for i in range(5):
        group(P, o, i)
    assert group.recorded_values == [(1, None), (2, 2), (3, None), (4, 4)]
    assert RecordGroup([]).recorded_values == []


def test_rows_carry_no_graph():
    o = lone()
    o.cost = (START.clone().requires_grad_() ** 2).sum()
    assert not RecordCost()(P, o, 1)[0].requires_grad


# ---- factories ------------------------------------------------------------------------------------------------------


def test_factory_makes_a_group_even_of_one():
    places = RecordFactory(lone(), [":Cost"])
    assert isinstance(places[":All"], RecordGroup) and list(places) == [":All"]
    assert isinstance(RecordFactory(lone(), [":Cost", 3, 5])[":All"], RecordEvery)
    assert RecordFactory(lone(), [":Cost", 3, 5])[":All"].every == 5


def test_factory_knows_the_stop():
    places = RecordFactory(lone(), [":Stop", ":Cost"])
    assert isinstance(places[":Stop"], RecordStoppingReason)
    assert len(places[":All"].group) == 1


@together()
@pytest.mark.parametrize(
    ("symbol", "kind"),
    [
        (S.Change, RecordChange),
        (S.Cost, RecordCost),
        (S.Gradient, RecordGradient),
        (S.GradientNorm, RecordGradientNorm),
        (S.Iterate, RecordIterate),
        (S.Iteration, RecordIteration),
        (S.Stepsize, RecordStepsize),
        (S.Time, RecordTime),
        (":x", RecordEntry),
    ],
)
def test_every_symbol_has_its_action(symbol, kind):
    assert type(RecordActionFactory(lone(), symbol)) is kind


def test_other_entries():
    r = RecordCost()
    assert RecordActionFactory(lone(), r) is r
    for wrong in (":radius", " | ", "x", ":Progress", ":ProximalParameter"):
        with pytest.raises(UnknownSymbolError):
            RecordActionFactory(lone(), wrong)
    for wrong in (None, RecordCost, ("Cost", "{}")):
        with pytest.raises(OptionsError):
            RecordActionFactory(lone(), wrong)
    with pytest.raises(OptionsError, match="RecordAction"):
        RecordGroup([lambda p, o, i: None])
