"""Storage of options' fields, alone and shared between actions."""

import torch

from manopt_torch.manifolds import Euclidean
from manopt_torch.plans.action import STOP
from manopt_torch.plans.debug import DebugChange, DebugEvery
from manopt_torch.plans.record import RecordChange, get_record
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration
from manopt_torch.plans.storage import StoreOptionsAction, get_storage, has_storage, update_storage
from manopt_torch.problems import CostProblem, GradientProblem
from manopt_torch.solvers.steepest_descent import GradientDescentOptions
from manopt_torch.stepsizes import ConstantStepsize

P = CostProblem(Euclidean(1), lambda x: x[..., 0])


def options(value=0.0):
    return GradientDescentOptions(torch.tensor([value], dtype=torch.float64))


def at(value):
    return torch.tensor([value], dtype=torch.float64)


def test_an_empty_storage_has_nothing_and_says_when_it_stored_last():
    a = StoreOptionsAction(("x",))
    assert not has_storage(a, "x")
    assert (a.keys, a.once, a.last_stored, a.values) == (("x",), True, -1, {})


def test_keys_may_have_a_colon():
    a = StoreOptionsAction([":x"])
    a(P, options(2.0), 1)
    assert has_storage(a, "x") and has_storage(a, ":x")
    assert get_storage(a, ":x") is get_storage(a, "x")


def test_once_lets_the_first_call_of_an_iteration_win():
    a, o = StoreOptionsAction(("x",)), options(1.0)
    a(P, o, 1)
    o.x = at(2.0)
    a(P, o, 1)
    assert get_storage(a, "x").item() == 1.0
    a(P, o, 2)
    assert get_storage(a, "x").item() == 2.0


def test_without_once_the_last_call_wins():
    a, o = StoreOptionsAction(("x",), once=False), options(1.0)
    a(P, o, 1)
    o.x = at(2.0)
    a(P, o, 1)
    assert get_storage(a, "x").item() == 2.0


def test_updates_without_a_step_always_store():
    a, o = StoreOptionsAction(("x",)), options(1.0)
    for i in (-1, -1, 0, 0):
        o.x = o.x + 1.0
        a(P, o, i)
    assert get_storage(a, "x").item() == 5.0


def test_update_from_options_takes_the_keys_and_from_a_dict_adds_some():
    a = StoreOptionsAction(("x",))
    assert update_storage(a, options(3.0)) == ("x",)
    assert get_storage(a, "x").item() == 3.0
    assert update_storage(a, {":x": at(4.0), "cost": 1.5}) == ("x", "cost")
    assert (get_storage(a, "x").item(), get_storage(a, "cost")) == (4.0, 1.5)


def test_stored_tensors_carry_no_graph():
    a, o = StoreOptionsAction(("x",)), options()
    o.x = at(1.0).requires_grad_() * 2.0
    a(P, o, 1)
    assert not get_storage(a, "x").requires_grad


def test_every_reader_of_a_shared_storage_sees_the_change_since_its_own_last_call():
    shared, lines = StoreOptionsAction(("x",)), []
    debug = DebugChange(storage=shared, prefix="", print=lines.append)
    record = RecordChange(storage=shared)
    o = options(0.0)
    for i, value in enumerate([0.0, 1.0, 3.0, 7.0]):
        o.x = at(value)
        debug(P, o, i)
        record(P, o, i)
    assert lines == ["1.0", "2.0", "4.0"]
    assert record.recorded_values == [1.0, 2.0, 4.0]


def test_a_shared_storage_serves_a_reader_that_prints_now_and_then():
    shared, lines = StoreOptionsAction(("x",)), []
    debug = DebugEvery(DebugChange(storage=shared, prefix="", print=lines.append), 2)
    record = RecordChange(storage=shared)
    o = options(0.0)
    for i, value in enumerate([0.0, 1.0, 3.0, 7.0, 15.0]):
        o.x = at(value)
        debug(P, o, i)
        record(P, o, i)
    assert lines == ["2.0", "8.0"]  # the last step's change, not that of two steps
    assert record.recorded_values == [1.0, 2.0, 4.0, 8.0]


def test_values_from_outside_hold_for_every_reader():
    shared = StoreOptionsAction(("x",))
    first, second = RecordChange(storage=shared), RecordChange(storage=shared)
    o = options(1.0)
    first(P, o, 1)
    second(P, o, 1)
    update_storage(shared, {"x": at(-4.0)})
    assert first(P, o, 2)[-1] == 5.0
    assert second(P, o, 2)[-1] == 5.0


def test_a_storage_of_other_fields_learns_the_field_that_an_action_needs():
    shared = StoreOptionsAction(("cost",))
    DebugChange(storage=shared)
    assert shared.keys == ("cost", "x")


def test_the_stop_does_not_disturb():
    a, o = StoreOptionsAction(("x",)), options(1.0)
    a(P, o, STOP)
    assert get_storage(a, "x").item() == 1.0


def test_a_run_finds_nothing_of_a_former_one_in_the_storages_of_its_actions():
    record, printed = RecordChange(), []
    given, debug = RecordChange(x0=at(9.0)), DebugChange(print=printed.append)
    p = GradientProblem(Euclidean(1), lambda x: x[..., 0])  # every step goes down by one
    for start in (at(2.0).expand(2, 1), at(0.0).expand(3, 1), at(5.0)):  # batches of other sizes do not fit together
        o = GradientDescentOptions(start, stepsize=ConstantStepsize(1.0), stop=StopAfterIteration(3))
        solve(p, o, debug={":Step": debug}, record={":Step": record})
        assert [torch.as_tensor(row).unique().tolist() for row in get_record(record)] == [[0.0], [1.0], [1.0]]
        o.x = at(5.0)
        solve(p, o, record={":Step": given})
        assert get_record(given) == [5.0, 1.0, 1.0]  # from what was given: 9 - 4
    assert len(printed) == 6 and printed[-1] == "Last Change: 1.0"
