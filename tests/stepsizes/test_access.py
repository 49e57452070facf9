"""Access to step sizes, and stepsizes of outsiders."""

import pytest
import torch

from manopt_torch import (
    ArmijoLinesearch,
    ConstantStepsize,
    DecreasingStepsize,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    Linesearch,
    RecordOptions,
    Stepsize,
    StopAfterIteration,
    get_initial_stepsize,
    get_last_stepsize,
    get_stepsize,
    solve,
)
from manopt_torch.errors import OptionsError, ShapeError
from manopt_torch.stepsizes.base import take_step

D = torch.float64
P = GradientProblem(Euclidean(1), lambda x: (x * x).sum(-1))


def options(x, stepsize):
    return GradientDescentOptions(x, stepsize=stepsize, stop=StopAfterIteration(3))


def halves():
    # f = x^2, grad = 2x: the rule with c = 0.1 holds strictly for s < 0.9, so 0.5 of 1, 1/2, 1/4, ...
    return ArmijoLinesearch(contraction_factor=0.5)


@pytest.mark.parametrize("decorate", [lambda o: o, lambda o: RecordOptions(o, [":Cost"])])
def test_before_and_after_a_run(decorate):
    o = decorate(options(torch.ones(2, 1, dtype=D), DecreasingStepsize(0.5)))
    assert get_initial_stepsize(P, o).tolist() == [0.5, 0.5]
    assert get_last_stepsize(P, o, 2).tolist() == [0.25, 0.25]  # none taken yet: that of iteration 2
    solve(P, o)
    assert get_last_stepsize(P, o, 99).tolist() == [0.5 / 3] * 2
    assert get_stepsize(P, o, 5).tolist() == [0.1, 0.1]


def test_line_searches_before_a_run_touch_neither_cost_nor_gradient():
    o = options(torch.ones(1, dtype=D), halves())
    assert get_stepsize(P, o, 1) == 0.5
    assert (o.cost, o.gradient, o.trial) == (None, None, None)
    o.x = torch.tensor([[3.0], [4.0]], dtype=D)
    o.memory.forget(o.stepsize)
    o.lane = None
    assert get_stepsize(P, o, 1).tolist() == [0.5, 0.5]


def test_no_trial_is_kept_where_nobody_takes_the_step():
    o = solve(P, options(torch.ones(2, 1, dtype=D), halves()))
    get_stepsize(P, o, 4)
    assert o.trial is None


def test_other_directions():
    o = options(torch.ones(1, dtype=D), halves())
    # along -1/4 grad = -1/2: f = (1 - s/2)^2, the rule holds strictly for s < 3.6
    assert get_stepsize(P, o, 1, torch.tensor([-0.5], dtype=D)) == 2.0
    assert get_stepsize(P, options(torch.ones(1), ConstantStepsize(0.3)), 1, torch.ones(1)) == 0.3


class Shrinking(Stepsize):
    """A stepsize of an outsider that returns a float32 tensor without axes."""

    def __call__(self, p, o, i, eta=None):
        return torch.tensor(0.25)


@pytest.mark.parametrize("x", [torch.ones(1, dtype=D), torch.ones(4, 1, dtype=D)])
def test_stepsizes_of_outsiders(x):
    for stepsize in (Shrinking(), lambda p, o, i: 0.25):
        o = solve(P, options(x, stepsize))
        assert torch.equal(o.x, x / 8)
        assert torch.equal(torch.as_tensor(o.last_stepsize, dtype=D).expand(x.shape[:-1]), 0.25 * x[..., 0])
    assert Shrinking().initial(P, o).item() == 0.25


@pytest.mark.parametrize(
    ("returned", "error", "told"),
    [
        (None, OptionsError, "got None"),
        ([0.1], OptionsError, r"got \[0.1\]"),
        (True, OptionsError, "got True"),
        (torch.tensor(True), OptionsError, "torch.bool"),
        (torch.ones(4), ShapeError, r"one of \(4,\)"),
        (torch.ones(3, 1), ShapeError, r"one of \(3, 1\)"),
    ],
    ids=str,
)
def test_what_is_no_step_size_is_refused_at_the_first_step(returned, error, told):
    for x, wanted in ((torch.ones(1), r"\(\)"), (torch.ones(3, 1), r"\(3,\)")):
        with pytest.raises(error, match=f"Given must return .*({wanted}.*)?{told}"):
            solve(P, options(x, type("Given", (Shrinking,), {"__call__": lambda *args, **more: returned})()))


def test_a_step_that_is_no_line_search_is_evaluated_afterwards():
    o = options(torch.ones(2, 1, dtype=D), ConstantStepsize(0.25))
    solve(P, o)
    s, trial = take_step(P, o, 4, torch.ones(2, 1, dtype=D))
    assert s.tolist() == [0.25, 0.25]
    assert torch.equal(trial.x, o.x + 0.25)
    assert torch.equal(trial.cost, (trial.x**2).sum(-1))


@pytest.mark.parametrize("kind", [Stepsize, Linesearch])
def test_the_bases_are_abstract(kind):
    with pytest.raises(TypeError, match="abstract"):
        kind()
