"""The end of second-order runs whose bound on the gradient is out of reach; truth by eigenvalues and closed forms."""

from typing import Any

import pytest
import torch

from manopt_torch import (
    AdaptiveRegularizationOptions,
    Euclidean,
    Grassmann,
    HessianProblem,
    RecordCost,
    Sphere,
    Stiefel,
    StopAfterIteration,
    StopWhenGradientNormLess,
    TrustRegionsOptions,
    get_reason,
    get_record,
    report,
    solve,
)
from manopt_torch.functional.cg_iteration import INNER_REASONS
from tests.contracts.solver_table import assert_same_state, state_of, sub_problem

SOLVERS = [TrustRegionsOptions, AdaptiveRegularizationOptions]
UNREACHABLE = StopAfterIteration(300) | StopWhenGradientNormLess(1e-300)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def symmetric(*batch: int, n: int) -> torch.Tensor:
    a = normal(*batch, n, n)
    return a + a.mT


def rayleigh(x: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    return ((a * x.unsqueeze(-2)).sum(-1) * x).sum(-1)  # sums round alike for one and many


def valley(x: torch.Tensor) -> torch.Tensor:
    return 100 * (x[..., 1] - x[..., 0].square()).square() + (1 - x[..., 0]).square()


@pytest.mark.parametrize("options", SOLVERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_eigenvectors_as_exact_as_the_precision_allows(options: Any, dtype: torch.dtype) -> None:
    a, M = symmetric(2, 3, n=12).to(dtype), Sphere(12)
    values = torch.linalg.eigvalsh(a.double())
    x = M.project_point(normal(2, 3, 12, seed=1)).to(dtype)
    problem = HessianProblem(M, rayleigh, data=(a,))
    o = solve(problem, options(x, stop=UNREACHABLE))
    assert all("stagnated" in reason for row in get_reason(o) for reason in row)
    assert (o.iterations < 40).all()
    eps = torch.finfo(dtype).eps
    assert (M.norm(o.x, o.gradient) < 32 * eps * values.abs().amax(-1)).all()
    torch.testing.assert_close(o.cost.double(), values[..., 0], rtol=16 * eps, atol=0)
    # as each problem on its own, among Python's numbers
    part, start = sub_problem(problem, x, (1, 2))
    alone = solve(part, options(start, stop=UNREACHABLE))
    assert "stagnated" in get_reason(alone)
    if options is TrustRegionsOptions:  # no product of matrices takes part
        assert_same_state(state_of(alone), {name: value[1, 2] for name, value in state_of(o).items()})


@pytest.mark.parametrize("options", SOLVERS)
def test_a_run_ends_no_worse_than_one_that_goes_on(options: Any) -> None:
    n = 6
    a = symmetric(3, n=n).float()
    weights = torch.tensor([2.0, 1.0])

    def brockett(x: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        return ((x * (a @ x)).sum(-2) * weights).sum(-1)

    def plane(x: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        return (x * (a @ x)).sum((-2, -1))

    for M, cost in ((Stiefel(n, 2), brockett), (Grassmann(n, 2), plane)):
        x = M.random_point(3, generator=torch.Generator().manual_seed(2), dtype=torch.float32)
        problem = HessianProblem(M, cost, data=(a,))
        ended = solve(problem, options(x, stop=UNREACHABLE))
        assert all("stagnated" in reason for reason in get_reason(ended)) and (ended.iterations < 80).all()
        going_on = solve(problem, options(x, stop=StopAfterIteration(50)))
        assert (going_on.iterations == 50).all()  # no criterion of convergence asks it to end
        assert (M.norm(ended.x, ended.gradient) <= 4 * M.norm(going_on.x, going_on.gradient)).all()
        values = torch.linalg.eigvalsh(a.double())[:, :2]
        least = (values * (weights if cost is brockett else torch.ones(2))).sum(-1)
        torch.testing.assert_close(ended.cost.double(), least, rtol=2e-6, atol=0)


@pytest.mark.parametrize("options", SOLVERS)
def test_runs_that_still_converge_go_on(options: Any) -> None:
    # its values and all their differences are small against one
    x = torch.tensor([[-1.2, 1.0], [0.5, -1.0], [2.0, 3.0]])
    small: Any = {"sigma": 1e-4} if options is AdaptiveRegularizationOptions else {}
    stop = StopAfterIteration(500) | StopWhenGradientNormLess(1e-300)
    o = solve(HessianProblem(Euclidean(2), lambda x: 1e-6 * valley(x)), options(x, stop=stop, **small))
    torch.testing.assert_close(o.x, torch.ones(3, 2), rtol=0, atol=1e-3)
    # the decrease of a large cost is below its rounding long before the gradient is as short as wanted
    a, M = symmetric(n=8), Sphere(8)
    problem = HessianProblem(M, lambda x: rayleigh(x, a) + 1e6)
    o = solve(
        problem, options(M.project_point(normal(8)), stop=StopAfterIteration(100) | StopWhenGradientNormLess(1e-9))
    )
    assert report(o).converged == 1
    assert (rayleigh(o.x, a) - torch.linalg.eigvalsh(a)[0]).abs() < 1e-12


def costs_of(o: Any) -> torch.Tensor:
    return torch.stack(get_record(o))


@pytest.mark.parametrize("options", SOLVERS)
@pytest.mark.parametrize("scale", [2.0**-20, 2.0**-40])
def test_tiny_costs_are_minimised_as_others_are(options: Any, scale: float) -> None:
    x = torch.tensor([[-1.2, 1.0], [0.5, -1.0], [2.0, 3.0]])
    small: Any = {"sigma": 10 * scale, "sigma_min": 1e-30} if options is AdaptiveRegularizationOptions else {}
    problem = HessianProblem(Euclidean(2), lambda x: scale * valley(x))
    stop = StopAfterIteration(100) | StopWhenGradientNormLess(1e-300)
    o = solve(problem, options(x, stop=stop, **small), record=RecordCost())
    # what is added against rounding is as small as they are
    assert (costs_of(o).diff(dim=0) <= 2e-4 * scale * valley(x)).all()
    torch.testing.assert_close(o.x, torch.ones(3, 2), rtol=0, atol=1e-3)
    assert (o.iterations < 70).all()


@pytest.mark.parametrize("options", SOLVERS)
def test_a_small_difference_of_larger_terms_is_minimised(options: Any) -> None:
    M, y = Sphere(6), Sphere(6).project_point(normal(6)).float()
    x = M.project_point(y + 1e-4 * normal(6, seed=3).float())
    problem = HessianProblem(M, lambda x: 1 - (x * y).sum(-1))  # zero but for rounding
    assert M.norm(x, problem.get_gradient(x)) > 1e-4
    o = solve(problem, options(x, stop=StopAfterIteration(50) | StopWhenGradientNormLess(1e-6)))
    assert M.norm(o.x, o.gradient) < 4e-6


@pytest.mark.parametrize("options", SOLVERS)
@pytest.mark.parametrize("M", [Euclidean(5), Sphere(5)], ids=repr)
def test_no_run_goes_round_in_circles_at_kinks(options: Any, M: Any) -> None:
    x = M.project_point(normal(4, 5)).float()
    problem = HessianProblem(M, lambda x: x.abs().sum(-1))
    stop = StopAfterIteration(200) | StopWhenGradientNormLess(1e-6)
    o = solve(problem, options(x, stop=stop), record=RecordCost())
    ended = torch.tensor(["stagnated" in reason for reason in get_reason(o)])
    costs = costs_of(o)
    assert ended.sum() > 1 and (ended | (costs[-1] < costs[-10:-1].amin(0))).all()
    assert (costs.diff(dim=0) < 1e-4).all()


def test_inner_iterations_at_short_gradients_do_not_run_to_their_bound() -> None:
    n, M = 100, Sphere(100)
    a = symmetric(n=n)
    vectors = torch.linalg.eigh(a)[1]
    x = M.project_point(vectors[:, 0] + 1e-9 * normal(n))
    # the gradient has a length of about 1e-7, so that a residual of 1e-14 is asked for
    o = solve(HessianProblem(M, lambda x: rayleigh(x, a)), TrustRegionsOptions(x, stop=StopAfterIteration(1)))
    assert o.inner_iterations < n // 2 and "residual" in INNER_REASONS[o.inner_reason]
    assert M.norm(o.x, o.gradient) < 1e-12
