"""Progress of a run, in lines and by a bar."""

import pytest
import torch

from manopt_torch.errors import OptionsError
from manopt_torch.functional.masked import Batch
from manopt_torch.manifolds import Euclidean
from manopt_torch.plans.debug import (
    DebugProgress,
    register_progress_bar,
)
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration
from manopt_torch.problems import GradientProblem
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


def test_progress_in_lines():
    o = lone()
    o.cost = 0.5
    assert said(DebugProgress(), o, 4) == "iteration 4/20: cost 0.5\n"
    assert said(DebugProgress(total=9), o, 4) == "iteration 4/9: cost 0.5\n"
    o = batch([3.0, 1.0, 2.0], [True, False, True])
    o.stop = None
    assert said(DebugProgress(), o, 4) == "iteration 4: cost min 1.0 median 2.0 max 3.0, active 2/3\n"
    assert [bool(said(DebugProgress(interval=3), o, i)) for i in (-1, 0, 1, 2, 3)] == [False, True, False, False, True]
    with pytest.raises(OptionsError, match="interval"):
        DebugProgress(interval=0)


def test_progress_by_a_bar_from_start_to_stop():
    seen = []
    o = GradientDescentOptions(START + 1.0, stepsize=ConstantStepsize(0.25), stop=StopAfterIteration(3))
    solve(P, o, debug=[DebugProgress(seen.append)])
    assert [(s.iteration, s.total, s.done) for s in seen] == [
        (0, 3, False),
        (1, 3, False),
        (2, 3, False),
        (3, 3, False),
        (3, 3, True),
    ]
    assert [s.cost for s in seen[:4]] == [2.0, 0.5, 0.125, 0.03125]


def test_a_registered_bar_is_made_anew_for_every_run(capsys):
    made = []

    def make():
        made.append([])
        return made[-1].append

    register_progress_bar(make)
    try:
        for _ in range(2):
            o = GradientDescentOptions(START + 1.0, stepsize=ConstantStepsize(0.25), stop=StopAfterIteration(2))
            solve(P, o, debug=[":Progress"])
    finally:
        register_progress_bar(None)
    assert [len(states) for states in made] == [4, 4]
    assert capsys.readouterr().out == ""


def test_tqdm_shows_the_run():
    import io

    from manopt_torch.adapters import tqdm_bar

    text = io.StringIO()
    o = GradientDescentOptions(START + 1.0, stepsize=ConstantStepsize(0.25), stop=StopAfterIteration(3))
    solve(P, o, debug=[DebugProgress(tqdm_bar(file=text, mininterval=0))])
    assert "3/3" in text.getvalue() and "cost=0.03125" in text.getvalue()


def test_use_tqdm_registers_and_unregisters():
    from manopt_torch.adapters import tqdm_bar, use_tqdm
    from manopt_torch.plans.debug import progress

    use_tqdm()
    try:
        assert progress._registered == [tqdm_bar]
    finally:
        use_tqdm(False)
    assert progress._registered == []
