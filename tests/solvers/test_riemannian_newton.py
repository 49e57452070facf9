"""Newton-CG: order of convergence, counts, the line search, robustness."""

import math
from typing import Any

import pytest
import scipy.optimize
import torch

from manopt_torch import (
    ApproxHessianBFGS,
    ApproxHessianFiniteDifference,
    ArmijoLinesearch,
    ConstantStepsize,
    CountedProblem,
    Euclidean,
    HessianProblem,
    NewtonOptions,
    OptionsError,
    Sphere,
    StopAfterIteration,
    StopWhenGradientNormLess,
    get_reason,
    get_record,
    record_to_dict,
    report,
    riemannian_newton,
    solve,
)
from manopt_torch.testing import problem_named
from tests.contracts.test_numeric_cases import rosenbrock, tensor
from tests.solvers.second_order import SMOOTH_PROBLEMS, observed_order, walled
from tests.together import together

F64 = torch.float64


@pytest.mark.parametrize("name", SMOOTH_PROBLEMS)
def test_convergence_is_quadratic(name: str) -> None:
    problem, starts = SMOOTH_PROBLEMS[name]()
    stop = StopAfterIteration(60) | StopWhenGradientNormLess(1e-12)
    o = solve(problem, NewtonOptions(starts, kappa=1e-6, stop=stop), record=[":GradientNorm", ":Stepsize"])
    assert report(o).converged == len(starts)
    assert observed_order(record_to_dict(o)[":GradientNorm"]) >= 1.8
    assert (get_record(o)[-1][1] == 1).all()  # full steps at the end


def test_a_quadratic_takes_one_step() -> None:
    problem, x, _, minimiser = problem_named("quadratic").pose(3, kind=HessianProblem)
    o = solve(problem, NewtonOptions(x, kappa=1e-12))
    assert (o.iterations == 1).all() and (o.inner_iterations == 3).all()
    torch.testing.assert_close(o.x, minimiser, rtol=0, atol=1e-12)


def test_rosenbrock_as_scipy() -> None:
    x0 = tensor(-1.2, 1)
    theirs = scipy.optimize.minimize(
        scipy.optimize.rosen, x0, jac=scipy.optimize.rosen_der, hess=scipy.optimize.rosen_hess, method="Newton-CG"
    )
    o = riemannian_newton(Euclidean(2), rosenbrock, x0, return_options=True)
    torch.testing.assert_close(o.x, tensor(1, 1), rtol=0, atol=1e-8)
    assert o.iterations <= 2 * theirs.nit


def test_a_run_ends_where_rounding_lets_no_step_gain_anything() -> None:
    a = torch.randn(4, 20, 20, generator=torch.Generator().manual_seed(0))
    a = a + a.mT
    values, vectors = torch.linalg.eigh(a.double())
    x = Sphere(20).project_point(vectors[..., 0].float() + 0.1)
    problem = HessianProblem(Sphere(20), lambda x, a: (x * (a @ x.unsqueeze(-1)).squeeze(-1)).sum(-1), data=(a,))
    o = solve(problem, NewtonOptions(x))
    assert all("stagnated" in reason for reason in get_reason(o)) and (o.iterations < 15).all()
    # the gradient is as short as single precision allows, and nothing that came later has spoilt the point
    assert (Sphere(20).norm(o.x, o.gradient) < 64 * torch.finfo(x.dtype).eps * values.abs().amax(-1)).all()
    torch.testing.assert_close(o.cost, values[:, 0].float(), rtol=1e-6, atol=0)
    bounded = solve(problem, NewtonOptions(x, stop=StopAfterIteration(15)))
    assert (bounded.iterations == 15).all()
    # in double precision the bound is met first
    o = solve(
        HessianProblem(Sphere(20), problem.cost, data=(a.double(),)),
        NewtonOptions(Sphere(20).project_point(x.double())),
    )
    assert report(o).converged == 4


def test_one_gradient_a_step_one_product_an_inner_iteration() -> None:
    problem, x, *_ = problem_named("rayleigh, sums").pose(kind=HessianProblem)
    counted = CountedProblem(problem)
    o = solve(counted, NewtonOptions(x, stop=StopAfterIteration(7)), record=[":inner_iterations", ":Stepsize"])
    rows = get_record(o)
    halvings = sum(round(-math.log2(s)) for _, s in rows)
    assert counted.count(":Gradient") == 8 and counted.count(":Cost") == 8 + halvings
    assert counted.count(":Hessian") == sum(k for k, _ in rows)


@pytest.mark.parametrize("stepsize", [ConstantStepsize(1.0), ArmijoLinesearch(contraction_factor=0.5), None], ids=repr)
@pytest.mark.parametrize("batch", [(), (3,)], ids=str)
def test_stepsizes(stepsize: Any, batch: Any) -> None:
    problem, x, minimum, _ = problem_named("mean of two matrices").pose(*batch, kind=HessianProblem)
    o = solve(
        problem, NewtonOptions(x, stepsize=stepsize, stop=StopAfterIteration(60) | StopWhenGradientNormLess(1e-6))
    )
    assert report(o).converged == max(1, math.prod(batch))
    torch.testing.assert_close(o.cost, minimum, rtol=0, atol=1e-12)


@pytest.mark.parametrize("rule", [ApproxHessianFiniteDifference, ApproxHessianBFGS])
def test_approximate_hessians(rule: Any) -> None:
    problem, x, minimum, _ = problem_named("product").pose(3)
    o = solve(problem, NewtonOptions(x, hessian=rule()))
    torch.testing.assert_close(o.cost, minimum, rtol=0, atol=1e-12)


def test_negative_curvature_leads_down() -> None:
    def saddle(x: torch.Tensor) -> torch.Tensor:
        return x[..., 0].square() - x[..., 1].square() + x[..., 1].pow(4)

    x = riemannian_newton(Euclidean(2), saddle, tensor([0.5, 0.1], [0.0, 1e-3]))
    torch.testing.assert_close(x.abs(), tensor(0, math.sqrt(0.5)).expand(2, 2), rtol=0, atol=1e-7)


def test_zero_gradients_walls_and_unbounded_costs() -> None:
    still = riemannian_newton(
        Euclidean(3), lambda x: 0 * x.sum(-1), torch.ones(2, 3).double(), stop=StopAfterIteration(3)
    )
    assert torch.equal(still, torch.ones(2, 3).double())
    for f in (lambda x: -x.square().sum(-1), lambda x: -x.exp().sum(-1), lambda x: x.sum(-1)):
        o = riemannian_newton(Euclidean(2), f, tensor(1, 2), stop=StopAfterIteration(50), return_options=True)
        assert torch.isfinite(o.x).all() and torch.isfinite(o.cost) and get_reason(o)
    for batch in ((), (4,)):
        problem, x = walled(*batch)
        o = solve(problem, NewtonOptions(x, stop=StopAfterIteration(300)))
        reasons = [get_reason(o)] if not batch else get_reason(o)
        assert all("non-finite" in reason or "stagnated" in reason for reason in reasons)
        assert torch.isfinite(o.cost).all() and (o.x[..., 0] > 0.99).all()


@together()
@pytest.mark.parametrize(
    "wrong",
    [
        {"stepsize": 1.0},
        {"sufficient_decrease": 0.5},
        {"cost_resolution": -1.0},
        {"theta": -1.0},
        {"kappa": 0.0},
        {"max_inner_iterations": 0},
        {"hessian": 1},
    ],
    ids=str,
)
def test_parameters_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionsError, match=next(iter(wrong))):
        NewtonOptions(torch.zeros(3), **wrong)
