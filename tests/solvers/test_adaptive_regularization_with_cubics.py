"""Adaptive regularisation with cubics: order of convergence, counts, robustness, known answers."""

import math
from typing import Any

import pytest
import torch

from manopt_torch import (
    AdaptiveRegularizationOptions,
    ApproxHessianFiniteDifference,
    CountedProblem,
    Euclidean,
    HessianProblem,
    OptionsError,
    Sphere,
    StopAfterIteration,
    StopWhenAllLanczosVectorsUsed,
    StopWhenGradientNormLess,
    adaptive_regularization_with_cubics,
    get_reason,
    get_record,
    initialize_solver,
    record_to_dict,
    report,
    solve,
    step_solver,
)
from manopt_torch.testing import problem_named
from tests.contracts.solver_table import assert_same_state, state_of
from tests.contracts.test_numeric_cases import EIGENVALUE, MATRIX, rosenbrock, tensor
from tests.solvers.second_order import SMOOTH_PROBLEMS, observed_order, walled
from tests.together import together

F64 = torch.float64


def rayleigh(x: torch.Tensor) -> torch.Tensor:
    return (x * (x @ MATRIX)).sum(-1)


@pytest.mark.parametrize("name", SMOOTH_PROBLEMS)
def test_convergence_is_quadratic(name: str) -> None:
    problem, starts = SMOOTH_PROBLEMS[name]()
    stop = StopAfterIteration(60) | StopWhenGradientNormLess(1e-12)
    options = AdaptiveRegularizationOptions(starts, theta=1e-2, stop=stop)
    o = solve(problem, options, record=[":GradientNorm"])
    assert report(o).converged == len(starts)
    assert observed_order(record_to_dict(o)[":GradientNorm"]) >= 1.8


def test_case_8_the_lowest_eigenvector() -> None:
    o = adaptive_regularization_with_cubics(Sphere(4), rayleigh, tensor(0, 0, 0, 1), return_options=True)
    assert report(o).converged == 1 and o.cost.item() == pytest.approx(EIGENVALUE, rel=1e-14)


def test_rosenbrock() -> None:
    stop = StopAfterIteration(200) | StopWhenGradientNormLess(1e-9)
    x = adaptive_regularization_with_cubics(Euclidean(2), rosenbrock, tensor(-1.2, 1), stop=stop, sigma=10.0)
    torch.testing.assert_close(x, tensor(1, 1), rtol=0, atol=1e-8)


def test_the_weight_follows_the_quality() -> None:
    problem, x, *_ = problem_named("rosenbrock").pose(kind=HessianProblem)
    o = AdaptiveRegularizationOptions(x, stop=StopAfterIteration(30), sigma_min=1e-3)
    solve(problem, o, record=[":weight", ":rho"])
    former = 100 / math.sqrt(2)
    seen = set()
    for weight, rho in get_record(o):
        expected = max(0.1 * former, 1e-3) if rho >= 0.9 else former if rho >= 0.1 else 2 * former
        seen.add(0 if rho >= 0.9 else 1 if rho >= 0.1 else 2)
        assert weight == pytest.approx(expected, rel=1e-15)
        former = weight
    assert seen >= {0, 1}


def test_a_rejected_step_takes_up_the_lanczos_vectors() -> None:
    x = torch.randn(6, generator=torch.Generator().manual_seed(1), dtype=F64)

    def cost(x: torch.Tensor) -> torch.Tensor:
        return (x[..., :-1].square() - x[..., 1:]).square().sum(-1) * 50 + torch.cos(3 * x).sum(-1)

    problem = HessianProblem(Euclidean(6), cost)
    counted = CountedProblem(problem)
    o = AdaptiveRegularizationOptions(x, sigma=1e-3, stop=StopAfterIteration(30))
    initialize_solver(counted, o)
    rejected, longest, point = 0, 0, None
    for i in range(1, 25):
        here, before = o.x, counted.as_dict()
        step_solver(counted, o, i)
        products = counted.count(":Hessian") - before["hessian"]
        longest = 0 if here is not point else longest
        assert products == max(0, o.inner_iterations - longest)
        longest, point = max(longest, o.inner_iterations), here
        if o.x is here:
            rejected += 1
            assert counted.count(":Gradient") == before["gradient"]
    assert rejected >= 3

    def forget(p: Any, o: Any, i: int) -> None:
        o.linearization = None

    runs = [
        solve(problem, AdaptiveRegularizationOptions(x, sigma=1e-3, stop=StopAfterIteration(24)), debug=debug)
        for debug in (None, forget)
    ]
    assert_same_state(*map(state_of, runs))


def test_too_few_lanczos_vectors_end_the_run() -> None:
    weights = torch.logspace(0, 4, 30, dtype=F64)

    def cost(x: torch.Tensor) -> torch.Tensor:
        return 0.5 * (weights * x * x).sum(-1)

    x = torch.ones(30, dtype=F64)
    o = adaptive_regularization_with_cubics(Euclidean(30), cost, x, max_lanczos_vectors=2, return_options=True)
    assert "Lanczos" in get_reason(o) and o.inner_iterations == 2
    going_on = adaptive_regularization_with_cubics(
        Euclidean(30), cost, x, max_lanczos_vectors=2, stop=StopAfterIteration(7), return_options=True
    )
    assert going_on.iterations == 7 and going_on.cost < o.cost
    with pytest.raises(OptionsError, match="lanczos_unsolved"):
        StopWhenAllLanczosVectorsUsed()(None, object(), 1)


@together()
@pytest.mark.parametrize(
    "wrong",
    [
        {"sigma": 0.0},
        {"sigma_min": -1.0},
        {"sigma_min": 2.0, "sigma": 1.0},
        {"eta1": 0.0},
        {"eta1": 0.5, "eta2": 0.4},
        {"gamma1": 1.0},
        {"gamma2": 1.0},
        {"theta": 0.0},
        {"max_lanczos_vectors": 0},
        {"hessian": "BFGS"},
    ],
    ids=str,
)
def test_parameters_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionsError, match=list(wrong)[-1]):
        AdaptiveRegularizationOptions(torch.zeros(3), **wrong)


def saddle(x: torch.Tensor) -> torch.Tensor:
    return x[..., 0].square() - x[..., 1].square() + x[..., 1].pow(4)


def test_saddles_zero_gradients_walls_and_unbounded_costs() -> None:
    cubic = adaptive_regularization_with_cubics
    near = cubic(Euclidean(2), saddle, tensor(1, 1e-8), sigma=1.0)
    torch.testing.assert_close(near.abs(), tensor(0, math.sqrt(0.5)), rtol=0, atol=1e-8)
    at = cubic(Euclidean(2), saddle, torch.zeros(2, dtype=F64), return_options=True)
    assert "gradient norm" in get_reason(at)
    still = cubic(Euclidean(3), lambda x: 0 * x.sum(-1), torch.ones(2, 3).double(), stop=StopAfterIteration(3))
    assert torch.equal(still, torch.ones(2, 3).double())
    for f in (lambda x: -x.square().sum(-1), lambda x: -x.exp().sum(-1), lambda x: x.sum(-1)):
        o = cubic(Euclidean(2), f, tensor(1, 2), stop=StopAfterIteration(100), return_options=True)
        assert torch.isfinite(o.x).all() and torch.isfinite(o.cost) and get_reason(o)
    for batch in ((), (4,)):
        problem, x = walled(*batch)
        o = solve(problem, AdaptiveRegularizationOptions(x, stop=StopAfterIteration(600)))
        reasons = [get_reason(o)] if not batch else get_reason(o)
        assert all("stagnated" in reason for reason in reasons)
        assert torch.isfinite(o.cost).all() and (o.x[..., 0] > 0.99).all()


def test_an_approximate_hessian() -> None:
    problem, x, minimum, _ = problem_named("rayleigh, sums").pose(4)
    o = solve(problem, AdaptiveRegularizationOptions(x, hessian=ApproxHessianFiniteDifference()))
    torch.testing.assert_close(o.cost, minimum, rtol=0, atol=1e-12)
