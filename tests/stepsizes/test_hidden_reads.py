"""No stepsize and no criterion reads a value on the host outside of the one place."""

import pytest
import torch

from manopt_torch import (
    AdaptiveWNGradient,
    ArmijoInitialGuess,
    ArmijoLinesearch,
    ConstantStepsize,
    CubicBracketingLinesearch,
    DecreasingStepsize,
    DistanceOverGradients,
    GradientDescentOptions,
    HagerZhangInitialGuess,
    HagerZhangLinesearch,
    PolyakStepsize,
    StopAfterIteration,
    StopWhenCostChangeLess,
    StopWhenCostLess,
    StopWhenEntryChangeLess,
    StopWhenGradientChangeLess,
    StopWhenRelativeAPosterioriCostChangeLessOrEqual,
    StopWhenRelativeGradientNormLess,
    StopWhenSmallerOrEqual,
    WolfeBinaryLinesearch,
    WolfeLinesearch,
    solve,
)
from manopt_torch.testing import problem_named
from tests.contracts.watch import Watch

STEPSIZES = [
    WolfeLinesearch(initial_guess=ArmijoInitialGuess()),
    WolfeBinaryLinesearch(initial_guess=HagerZhangInitialGuess()),
    HagerZhangLinesearch(),
    CubicBracketingLinesearch(),
    ArmijoLinesearch(initial_guess=HagerZhangInitialGuess()),
    AdaptiveWNGradient(),
    DistanceOverGradients(sectional_curvature_bound=-1.0),
    PolyakStepsize(),
    ConstantStepsize(0.1, type="absolute"),
    DecreasingStepsize(0.1, type="absolute"),
]
CRITERIA = (
    StopAfterIteration(4)
    | StopWhenGradientChangeLess(1e-12)
    | StopWhenCostChangeLess(1e-15)
    | StopWhenEntryChangeLess("last_stepsize", 0.0)
    | StopWhenRelativeAPosterioriCostChangeLessOrEqual(-0.0)
    | StopWhenRelativeGradientNormLess(1e-12)
    | StopWhenSmallerOrEqual("cost", -1e9)
    | StopWhenCostLess(-1e9).after(2)
)


@pytest.mark.parametrize("stepsize", STEPSIZES, ids=repr)
@pytest.mark.parametrize("name", ["rayleigh, sums", "product", "exponential"])
def test_a_run_reads_nothing_hidden(stepsize, name):
    case = problem_named(name)
    for batch in [(3,), ()]:
        problem, x, *_ = case.pose(*batch, device="meta")
        o = solve(problem, GradientDescentOptions(x, stepsize=stepsize, stop=CRITERIA))
        assert o.cost.is_meta and o.cost.shape == batch
    problem, x, *_ = case.pose(3)
    with Watch() as watch:
        solve(problem, GradientDescentOptions(x, stepsize=stepsize, stop=CRITERIA))
    assert not watch.host_reads


@pytest.mark.parametrize("stepsize", STEPSIZES, ids=repr)
def test_a_batch_is_the_same_compacted_or_not_and_alone(stepsize):
    problem, x, *_ = problem_named("rayleigh, sums").pose(40)
    stop = StopAfterIteration(25) | StopWhenRelativeGradientNormLess(1e-3)
    whole, part = (
        solve(problem, GradientDescentOptions(x, stepsize=stepsize, stop=stop, compact=c)) for c in (False, True)
    )
    for name in ("x", "cost", "gradient", "iterations", "reason_code"):
        assert torch.equal(getattr(whole, name), getattr(part, name)), name
    for k in (0, 17):
        lone = problem.take(torch.tensor([k]), 1)
        lone.data = tuple(d[0] for d in lone.data)
        alone = solve(lone, GradientDescentOptions(x[k], stepsize=stepsize, stop=stop))
        assert torch.equal(alone.x, whole.x[k]) and alone.iterations == whole.iterations[k]
