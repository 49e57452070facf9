"""Starting over, and going on from where a run got."""

import pytest
import torch

from manopt_torch import (
    ConstantStepsize,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    RecordOptions,
    StopAfterIteration,
    get_reason,
    get_record,
    load_state_dict,
    reset,
    solve,
    state_dict,
)

P = GradientProblem(Euclidean(1), lambda x: 0.5 * (x * x).sum(-1))


def options(x, n=2):
    """Every step halves x."""
    return GradientDescentOptions(x, stepsize=ConstantStepsize(0.5), stop=StopAfterIteration(n))


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_reset_goes_back_to_the_start(batch):
    x = torch.full((*batch, 1), 8.0)
    o = solve(P, RecordOptions(options(x), [":Iteration"]))
    assert reset(o) is o
    assert o.x is x
    assert (o.cost, o.active, o.iteration, o.lane, get_reason(o)) == (None, None, 0, None, "")
    assert o.stepsize not in o.memory
    assert torch.equal(solve(P, o).x, torch.full((*batch, 1), 2.0))
    assert get_record(o) == [(1,), (2,)]
    assert reset(reset(o)).x is x


def test_reset_before_a_run_keeps_the_start():
    x = torch.ones(1)
    assert reset(options(x)).x is x


def test_reset_forgets_a_loaded_state():
    x = torch.full((1,), 8.0)
    o = load_state_dict(options(x, 4), state_dict(solve(P, options(x))))
    assert o.x.item() == 2.0
    assert torch.equal(reset(o).x, x)
    assert o.resume is None
    assert solve(P, o).iterations == 4


def test_solving_again_goes_on_from_where_it_got_with_counters_emptied():
    o = options(torch.tensor([8.0]))
    solve(P, o, record=[":Iteration"])
    assert (o.x.item(), o.x0.item(), o.iterations) == (2.0, 8.0, 2)
    solve(P, o, record=[":Iteration"])
    assert (o.x.item(), o.x0.item(), o.iterations) == (0.5, 2.0, 2)
    assert get_record(o) == [(1,), (2,)]
