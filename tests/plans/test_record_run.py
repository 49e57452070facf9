"""Records of whole runs: rows of a batch, of one problem, of places and symbols."""

import pytest
import torch

from manopt_torch.errors import OptionsError, ShapeError, UnknownSymbolError
from manopt_torch.functional.masked import Batch
from manopt_torch.manifolds import Euclidean
from manopt_torch.plans.action import STOP
from manopt_torch.plans.decorate import RecordOptions
from manopt_torch.plans.record import (
    RecordAction,
    RecordChange,
    RecordCost,
    RecordIteration,
    get_record,
    has_record,
    record_or_reset,
)
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration, StopWhenGradientNormLess
from manopt_torch.problems import GradientProblem
from manopt_torch.solvers.steepest_descent import GradientDescentOptions
from manopt_torch.stepsizes import ConstantStepsize

M = Euclidean(2)
F64 = torch.float64
START = torch.tensor([4.0, 2.0], dtype=F64)
P = GradientProblem(M, lambda x: ((x - START) ** 2).sum(-1), lambda x: 2 * (x - START))


def lone(x=START):
    return GradientDescentOptions(x, stepsize=ConstantStepsize(1.0), stop=StopAfterIteration(20))


WEIGHTS = torch.tensor([0.2, 0.5, 0.9], dtype=F64)
# with step one, x_k = (1 - w)^k x_0, so the cost is w (1 - w)^(2k)


def run(record, stop, check_every=1, shape=(3,)):
    o = GradientDescentOptions(
        torch.ones(*shape, 2, dtype=F64), stepsize=ConstantStepsize(1.0), stop=stop, check_every=check_every
    )
    p = GradientProblem(M, lambda x, w: 0.5 * w * (x * x).sum(-1), data=(WEIGHTS.reshape(shape),))
    return solve(p, o, record=record)


def test_rows_of_a_batch_are_its_steps():
    o = run([":Iteration", ":Cost"], StopAfterIteration(4))
    rows = get_record(o)
    assert [i for i, _ in rows] == [1, 2, 3, 4]
    for k, cost in rows:
        torch.testing.assert_close(cost, WEIGHTS * (1 - WEIGHTS) ** (2 * k))


@pytest.mark.parametrize("check_every", [1, 4, 64])
def test_a_finished_problem_repeats_its_last_row_and_late_rows_are_dropped(check_every):
    o = run([":Cost", ":Change", ":Iterate"], StopWhenGradientNormLess(1e-2), check_every)
    last = o.iterations.tolist()
    rows = get_record(o)
    assert len(rows) == max(last) and max(last) > min(last)
    for j, end in enumerate(last):
        for cost, change, x in rows[end:]:
            assert cost[j] == rows[end - 1][0][j]
            assert change[j] == rows[end - 1][1][j] > 0
            assert torch.equal(x[j], rows[end - 1][2][j])


def test_rows_of_one_problem_end_with_its_own_last_iteration():
    o = run([":Iteration", ":Cost", ":Iterate", ":Time"], StopWhenGradientNormLess(1e-2))
    for j, end in enumerate(o.iterations.tolist()):
        rows = get_record(o, problem=j)
        assert [row[0] for row in rows] == list(range(1, end + 1))
        assert rows[0][1].shape == () and rows[0][2].shape == (2,) and isinstance(rows[0][3], float)
        w = WEIGHTS[j]
        torch.testing.assert_close(rows[-1][1], w * (1 - w) ** (2 * end))
    assert len(get_record(o, problem=-1)) == o.iterations[-1]
    assert len(get_record(o, ":Cost", problem=1)) == o.iterations[1]


def test_rows_of_one_problem_of_several_axes():
    o = run([":Cost"], StopWhenGradientNormLess(1e-2), shape=(3, 1))
    assert len(get_record(o, problem=(1, 0))) == o.iterations[1, 0]
    for wrong in (1, (3, 0), (0, 0, 0)):
        with pytest.raises(ShapeError, match=r"batch axes are \(3, 1\)"):
            get_record(o, problem=wrong)


def test_problem_needs_a_batch_and_the_run():
    o = solve(P, lone(), record=[":Cost"])
    with pytest.raises(ShapeError, match=r"batch axes are \(\)"):
        get_record(o, problem=0)
    with pytest.raises(OptionsError, match="needs the options"):
        get_record(RecordCost(), problem=0)


def test_places_and_symbols():
    o = run([":Iteration", ":Cost", ":Stop"], StopWhenGradientNormLess(1e-2) | StopAfterIteration(5))
    assert get_record(o, ":Step") == get_record(o, ":All") == get_record(o, ":Start")
    assert get_record(o, ":Iteration") == [1, 2, 3, 4, 5]
    assert torch.equal(get_record(o, ":Stop")[0], o.reason_code)
    assert o.reason_code.tolist() == [2, 2, 1]
    with pytest.raises(UnknownSymbolError, match=r"places :All, :Stop and the symbols :Iteration, :Cost"):
        get_record(o, ":Change")


def test_a_place_of_its_own_comes_before_all():
    o = RecordOptions(lone(), {":All": RecordCost(), ":Step": RecordIteration()})
    solve(P, o)
    assert get_record(o) == list(range(1, 21))
    assert len(get_record(o, ":All")) == 20


def test_only_the_stop_place_is_recorded():
    o = RecordOptions(lone(), {":Stop": [":Stop"]})
    solve(P, o)
    assert get_record(o, ":Stop") == [(1,)]
    with pytest.raises(UnknownSymbolError, match="places :Stop"):
        get_record(o)


def test_the_reason_may_stand_beside_others_at_a_place():
    o = RecordOptions(lone(), {":All": [":Iteration", ":Stop", 10], ":Step": [":Stop", ":Cost"]})
    solve(P, o)
    assert get_record(o, ":All") == [(10, None), (20, 1)]
    assert len(get_record(o, ":Cost")) == 20
    assert get_record(o, ":Step")[-1] == (None, get_record(o, ":Cost")[-1])  # the stop is not called there


def test_solving_again_begins_a_new_record():
    ro = RecordOptions(lone(START + 1), [":Iteration", ":Change"])
    solve(P, ro)
    first = get_record(ro)
    solve(P, ro)
    assert [i for i, _ in get_record(ro)] == list(range(1, 21))
    assert len(first) == 20
    bare = ro.options
    assert has_record(bare) and len(get_record(bare)) == 20
    solve(P, bare)
    assert not has_record(bare) and has_record(ro)


def test_foreign_record_actions_need_only_their_values():
    class Squares(RecordAction):
        def __init__(self):
            self.recorded_values = []

        def __call__(self, p, o, i):
            if i > 0:
                self.recorded_values.append(i * i)

    o = solve(P, lone(), record=[Squares(), ":Iteration"])
    assert get_record(o)[:3] == [(1, 1), (4, 2), (9, 3)]
    o = run([Squares()], StopWhenGradientNormLess(1e-2), check_every=64)
    assert len(get_record(o)) == o.iterations.max()
    assert len(get_record(o, problem=2)) == o.iterations[2]


def test_record_or_reset_helps_foreign_actions():
    class Letters(RecordAction):
        def __init__(self):
            self.recorded_values = []

        def __call__(self, p, o, i):
            return record_or_reset(self, "abc"[i % 3], i)

    r = Letters()
    assert [r(P, None, i) for i in (0, STOP)] == [None, None]
    assert r(P, None, 1) == ["b"] and r(P, None, 2) == ["b", "c"]
    assert r.recorded_iterations == [1, 2]
    assert r(P, None, -1) == []


def test_the_first_change_of_a_batch_is_zero_for_every_problem():
    o = lone(torch.zeros(3, 2, dtype=F64))
    o.lane = Batch((3,), o.x)
    assert RecordChange()(P, o, 1)[0].tolist() == [0.0, 0.0, 0.0]
