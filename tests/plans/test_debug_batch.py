"""What debug actions print for a batch of problems."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from manopt_torch import _host
from manopt_torch.errors import ShapeError
from manopt_torch.functional.masked import Batch
from manopt_torch.manifolds import Euclidean, Product
from manopt_torch.plans.action import STOP
from manopt_torch.plans.debug import (
    DebugActionFactory,
    DebugChange,
    DebugCost,
    DebugDivider,
    DebugEntry,
    DebugEvery,
    DebugGradient,
    DebugGradientNorm,
    DebugGroup,
    DebugIterate,
    DebugIteration,
    DebugProgress,
    DebugTime,
)
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration, StopWhenGradientNormLess
from manopt_torch.problems import CostProblem, GradientProblem
from manopt_torch.solvers.steepest_descent import GradientDescentOptions
from manopt_torch.stepsizes import ConstantStepsize

M = Euclidean(2)
F64 = torch.float64
START = torch.tensor([4.0, 2.0], dtype=F64)


def squared_distance(x):
    return ((x - START) ** 2).sum(-1)


P = GradientProblem(M, squared_distance, lambda x: 2 * (x - START))


def lone(x=START):
    return GradientDescentOptions(x, stepsize=ConstantStepsize(1.0), stop=StopAfterIteration(20))


def batch(costs, active=None):
    """Options as they stand in the middle of a run of several problems."""
    costs = torch.tensor(costs, dtype=F64)
    o = lone(torch.zeros(*costs.shape, 2, dtype=F64))
    o.lane, o.cost = Batch(tuple(costs.shape), o.x), costs
    o.active = torch.ones_like(costs, dtype=torch.bool) if active is None else torch.tensor(active)
    o.iterations = torch.zeros_like(costs, dtype=torch.int64)
    o.reason_code = torch.zeros_like(costs, dtype=torch.int64)
    return o


def said(action, o, i, p=P):
    """Return what an action prints in one call."""
    out = []
    action.print = out.append
    action(p, o, i)
    assert all(isinstance(text, str) for text in out)
    return "".join(out)


def test_a_batch_is_summed_up():
    o = batch([3.0, 1.0, 10.0, 2.0], [True, False, True, False])
    assert said(DebugCost(), o, 5) == "F(x): min 1.0 median 2.5 max 10.0 (active 2/4)"
    assert said(DebugCost(format="f = {:.1e}"), o, 5) == "f = min 1.0e+00 median 2.5e+00 max 1.0e+01 (active 2/4)"
    assert said(DebugEntry("cost"), o, 5) == "cost: min 1.0 median 2.5 max 10.0"
    assert said(DebugEntry("active"), o, 5) == "active: 2/4"
    assert said(DebugEntry("x"), o, 5) == f"x: {o.x}"


def test_one_problem_of_a_batch():
    o = batch([[3.0, 1.0], [10.0, 2.0]])
    assert said(DebugCost(index=(1, 0)), o, 5) == "F(x): 10.0"
    assert said(DebugCost(index=1), o, 5) == "F(x): min 2.0 median 6.0 max 10.0"
    assert said(DebugIterate(index=(0, -1)), o, 5) == f"x:{o.x[0, 1]}"
    for wrong in (2, (0, 2), (0, 0, 0)):
        with pytest.raises(ShapeError, match=r"batch axes are \(2, 2\)"):
            said(DebugCost(index=wrong), o, 5)
    with pytest.raises(ShapeError, match=r"batch axes are \(\)"):
        said(DebugCost(index=0), lone(), 1)


def test_a_summary_leaves_nan_out():
    o = batch([3.0, math.nan, 1.0])
    assert said(DebugCost(), o, 1) == "F(x): min 1.0 median 2.0 max 3.0 (active 3/3)"
    assert said(DebugCost(), batch([math.nan]), 1) == "F(x): min nan median nan max nan (active 1/1)"


def test_the_change_of_a_batch_is_that_of_the_active_problems():
    o = batch([0.0, 0.0, 0.0], [True, False, True])
    action = DebugChange(prefix="")
    said(action, o, 0)
    o.x = o.x + torch.tensor([[1.0, 0.0], [0.0, 0.0], [3.0, 0.0]], dtype=F64)
    assert said(action, o, 1) == "min 1.0 median 2.0 max 3.0"


def test_points_with_parts_are_written_part_by_part():
    p = CostProblem(Product(Euclidean(2), Euclidean()), lambda x: x[1])
    o = GradientDescentOptions((torch.zeros(3, 2), torch.arange(3.0)))
    assert said(DebugIterate(index=2, format="{:.1f}"), o, 1, p) == "[[0.0, 0.0], 2.0]"
    assert said(DebugCost(index=2), o, 1, p) == "F(x): 2.0"


def test_nothing_is_printed_once_no_problem_takes_part():
    kinds = (DebugCost, DebugIteration, DebugIterate, DebugDivider, DebugGradient, DebugGradientNorm, DebugTime)
    everything = [*(kind() for kind in kinds), DebugEntry("x"), DebugChange(x0=START), DebugProgress()]
    o = batch([1.0, 2.0], [False, False])
    o.check_every = 4
    assert [said(action, o, 3) for action in everything] == [""] * len(everything)
    calls = []
    DebugGroup([lambda p, o, i: calls.append(i)])(P, o, 3)
    assert calls == [-1]
    assert said(DebugCost(), o, 0) != ""


@pytest.mark.parametrize("check_every", [1, 3, 50])
def test_lines_do_not_depend_on_how_often_the_host_asks(check_every):
    weights = torch.tensor([0.2, 0.5, 0.9], dtype=F64)
    p = GradientProblem(M, lambda x, w: 0.5 * w * (x * x).sum(-1), data=(weights,))
    stop = StopWhenGradientNormLess(1e-2)
    o = GradientDescentOptions(
        torch.ones(3, 2, dtype=F64), stepsize=ConstantStepsize(1.0), stop=stop, check_every=check_every
    )
    out = []
    group = DebugGroup([DebugIteration(), DebugDivider(), DebugEntry("active"), DebugDivider("\n")], print=out.append)
    solve(p, o, debug=group)
    # the gradient norm sqrt(2) w (1 - w)^k falls below 0.01 at these k
    ends = [next(k for k in range(99) if math.sqrt(2) * w * (1 - w) ** k < 1e-2) for w in weights.tolist()]
    expected = [f"# {k} | active: {sum(k <= end for end in ends)}/3\n" for k in range(1, max(ends) + 1)]
    assert out == ["Initial | active: 3/3\n", *expected]


def test_reasons_of_a_batch_are_counted(capsys):
    weights = torch.tensor([0.9, 0.01, 0.9], dtype=F64)
    p = GradientProblem(M, lambda x, w: 0.5 * w * (x * x).sum(-1), data=(weights,))
    stop = StopAfterIteration(8) | StopWhenGradientNormLess(1e-3)
    o = GradientDescentOptions(torch.ones(3, 2, dtype=F64), stepsize=ConstantStepsize(1.0), stop=stop)
    solve(p, o, debug=[":Stop"])
    lines = capsys.readouterr().out.splitlines()
    assert [line[:16] for line in lines] == ["2 of 3 problems:", "1 of 3 problems:"]
    assert lines[1].endswith("The algorithm reached its maximal number of iterations (8).")


def test_the_host_is_read_only_when_something_is_printed():
    def no_read(*_):
        raise AssertionError("a value was read")

    o = batch([1.0, 2.0])
    every = DebugEvery(DebugGroup([DebugCost(), DebugChange(), DebugEntry("cost"), DebugDivider("\n")]), 10)
    meta = batch([1.0, 2.0])
    meta.x, meta.cost = meta.x.to("meta"), meta.cost.to("meta")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("manopt_torch.plans.debug.reading.host_read", no_read)
        every(P, o, 7)
    assert said(DebugCost(), meta, 1) == "F(x): min nan median nan max nan (active 2/2)"


READS = ("_local_scalar_dense", "aten.equal", "nonzero", "masked_select", "_linalg_check_errors")


class NoHiddenReads(TorchDispatchMode):
    """Refuse operations that wait for the device, unless they stand where reading is allowed."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert _host.reading_allowed() or not any(name in str(func) for name in READS), str(func)
        return func(*args, **(kwargs or {}))


ALL = [
    ":Iteration",
    ":Cost",
    ":Change",
    ":Gradient",
    ":GradientNorm",
    ":Iterate",
    ":Stepsize",
    ":Time",
    ":active",
    ":Stop",
]


def test_every_value_is_read_through_the_gate():
    o = batch([1.0, 2.0, 3.0])
    o.check_every, o.gradient, o.last_stepsize = 4, torch.ones(3, 2, dtype=F64), torch.ones(3, dtype=F64)
    group = DebugGroup([*(DebugActionFactory(symbol) for symbol in [*ALL, ":Progress"])], print=lambda text: None)
    one = DebugCost(index=1, print=lambda text: None)
    with NoHiddenReads():
        for i in (0, 1, 2, STOP):
            group(P, o, i)
            one(P, o, i)


def test_a_run_that_prints_and_records_reads_nothing_elsewhere(capsys):
    p = GradientProblem(M, lambda x: 0.5 * (x * x).sum(-1))
    o = GradientDescentOptions(torch.ones(3, 2, dtype=F64), stepsize=ConstantStepsize(0.5), stop=StopAfterIteration(5))
    o.check_every = 2
    with NoHiddenReads():
        solve(p, o, debug=[*ALL, 2], record=ALL)
    assert len(capsys.readouterr().out.splitlines()) >= 4


def test_runs_on_the_meta_device_print_and_record_too(capsys):
    p = GradientProblem(M, lambda x: 0.5 * (x * x).sum(-1))
    for check_every in (1, 2):
        o = GradientDescentOptions(torch.ones(3, 2, device="meta"), stepsize=ConstantStepsize(0.5))
        o.check_every = check_every
        solve(p, o, debug=[*ALL, ":Progress"], record=ALL)
    assert "F(x): min nan" in capsys.readouterr().out
