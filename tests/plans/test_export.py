"""Records as columns of tensors."""

import pytest
import torch

from manopt_torch.errors import OptionsError
from manopt_torch.manifolds import Euclidean, Product
from manopt_torch.plans.decorate import RecordOptions
from manopt_torch.plans.record import (
    RecordAction,
    RecordChange,
    RecordCost,
    RecordEntry,
    RecordEvery,
    RecordGroup,
    RecordIteration,
    record_to_dict,
)
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration, StopWhenGradientNormLess
from manopt_torch.problems import GradientProblem
from manopt_torch.solvers.steepest_descent import GradientDescentOptions
from manopt_torch.stepsizes import ConstantStepsize

F64 = torch.float64


def run(batch, record, steps=4, dtype=F64):
    """Halve the iterate in every step, so that the cost is a quarter of the one before."""
    p = GradientProblem(Euclidean(2), lambda x: 0.5 * (x * x).sum(-1))
    o = GradientDescentOptions(
        torch.ones(*batch, 2, dtype=dtype), stepsize=ConstantStepsize(0.5), stop=StopAfterIteration(steps)
    )
    return solve(p, o, record=record)


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_columns_have_the_iterations_in_front_of_the_batch(batch):
    table = record_to_dict(
        run(batch, [":Iteration", ":Cost", ":Iterate", ":Change", ":Time", ":iterations", ":active"])
    )
    assert {name: tuple(column.shape) for name, column in table.items()} == {
        ":Iteration": (4,),
        ":Cost": (4, *batch),
        ":Iterate": (4, *batch, 2),
        ":Change": (4, *batch),
        ":Time": (4,),
        ":iterations": (4, *batch),
        ":active": (4, *batch),
    }
    quarter = 0.25 ** torch.arange(1, 5, dtype=F64)
    torch.testing.assert_close(table[":Cost"], quarter.reshape(4, *[1] * len(batch)).expand(4, *batch))
    assert table[":Iteration"].tolist() == [1, 2, 3, 4]
    assert table[":Iteration"].dtype == torch.int64 and table[":active"].dtype == torch.bool
    assert table[":Time"].dtype == F64 and bool((table[":Time"].diff() > 0).all())


def test_the_dtype_is_that_of_the_points():
    assert record_to_dict(run((2,), [":Iterate"], dtype=torch.float32))[":Iterate"].dtype == torch.float32


def test_every_row_of_every_k():
    table = record_to_dict(run((), [":Iteration", ":Cost", 2]))
    assert table[":Iteration"].tolist() == [2, 4] and table[":Cost"].tolist() == [0.0625, 0.00390625]


def test_points_with_parts_become_tuples():
    p = GradientProblem(Product(Euclidean(2), Euclidean()), lambda x: (x[0] * x[0]).sum(-1) + x[1] ** 2)
    start = (torch.ones(3, 2, dtype=F64), torch.ones(3, dtype=F64))
    o = GradientDescentOptions(start, stepsize=ConstantStepsize(0.25), stop=StopAfterIteration(2))
    first, second = record_to_dict(solve(p, o, record=[":Iterate"]))[":Iterate"]
    assert first.shape == (2, 3, 2) and second.shape == (2, 3)
    assert second[:, 0].tolist() == [0.5, 0.25]


def test_a_second_column_of_a_symbol_gets_a_number():
    o = run((), [":Cost", RecordCost(), RecordEntry("cost"), RecordEntry(":cost")])
    assert list(record_to_dict(o)) == [":Cost", ":Cost 2", ":cost", ":cost 2"]


def test_columns_of_different_rhythm_keep_their_rows():
    table = record_to_dict(run((), [RecordIteration(), RecordEvery(RecordGroup([RecordCost()]), 2)]))
    assert table[":Iteration"].tolist() == [1, 2, 3, 4] and table[":Cost"].tolist() == [0.0625, 0.00390625]


def test_a_first_zero_takes_the_kind_of_the_others():
    r = RecordChange()
    p = GradientProblem(Euclidean(1), lambda x: x[..., 0])
    o = GradientDescentOptions(torch.zeros(1))
    r(p, o, 1)
    o.x = torch.ones(1)
    r(p, o, 2)
    column = record_to_dict(r)[":Change"]
    assert column.tolist() == [0.0, 1.0] and column.dtype == torch.float32


def test_what_is_no_number_stays_a_list():
    class Words(RecordAction):
        def __init__(self):
            self.recorded_values = []

        def __call__(self, p, o, i):
            if i > 0:
                self.recorded_values.append("step")

    assert record_to_dict(run((), [Words()], steps=2)) == {"Words": ["step", "step"]}


def test_the_stop_and_places():
    o = run((2,), [":Cost", ":Stop"])
    assert record_to_dict(o, ":Stop")[":Stop"].tolist() == [[1, 1]]
    assert list(record_to_dict(o, ":All")) == [":Cost"]
    assert record_to_dict(RecordIteration())[":Iteration"].shape == (0,)


def test_without_a_record_it_is_an_error():
    with pytest.raises(OptionsError, match="nothing has been recorded"):
        record_to_dict(GradientDescentOptions(torch.zeros(2)))


def test_decorated_options_before_a_run_have_empty_columns():
    o = RecordOptions(GradientDescentOptions(torch.zeros(2)), [":Cost"])
    assert record_to_dict(o)[":Cost"].shape == (0,)


def test_a_run_with_no_step_has_no_rows():
    p = GradientProblem(Euclidean(2), lambda x: (x * x).sum(-1))
    o = GradientDescentOptions(torch.zeros(3, 2, dtype=F64), stop=StopWhenGradientNormLess(1.0))
    assert record_to_dict(solve(p, o, record=[":Cost"]))[":Cost"].shape == (0,)
