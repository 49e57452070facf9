"""Newton-CG: approximations of the Hessian that learn, directions that do not descend, searches in vain."""

from typing import Any

import pytest
import torch

from manopt_torch import (
    ApproxHessianSymmetricRankOne,
    ConstantStepsize,
    Euclidean,
    GradientProblem,
    HessianProblem,
    NewtonOptions,
    StopAfterIteration,
    StopWhenGradientNormLess,
    get_reason,
    solve,
)

F64 = torch.float64


@pytest.mark.parametrize("batch", [(), (3,)], ids=str)
@pytest.mark.parametrize(("curvatures", "halvings"), [((0.5, 1.5), 0), ((3.0, 5.0), 2)], ids=["full", "halved"])
def test_two_steps_teach_the_hessian_of_a_quadratic(batch: Any, curvatures: Any, halvings: int) -> None:
    """Updates of rank one find it after as many independent steps as dimensions: the third step is Newton's own."""
    a = torch.tensor(curvatures, dtype=F64)
    x = torch.tensor([1.0, 2.0], dtype=F64).expand(*batch, 2).clone()
    rule = ApproxHessianSymmetricRankOne()
    problem = GradientProblem(Euclidean(2), lambda x: 0.5 * (a * x * x).sum(-1))
    steps: list[Any] = []
    stop = StopAfterIteration(3)
    o = solve(
        problem,
        NewtonOptions(x, hessian=rule, kappa=1e-12, stop=stop),
        debug=lambda p, o, i: steps.append(o.last_stepsize) if i > 0 else None,
    )
    # the first step is one along minus the gradient
    assert torch.equal(torch.as_tensor(steps[0]), torch.full(batch, 0.5**halvings, dtype=F64))
    torch.testing.assert_close(o.x, torch.zeros_like(x), rtol=0, atol=1e-12)
    known = torch.diag(a).expand(*batch, 2, 2)
    torch.testing.assert_close(o.memory[rule]["matrix"], known, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("batch", [(), (3,)], ids=str)
def test_where_no_direction_descends_it_goes_along_the_gradient(batch: Any) -> None:
    """A preconditioner that is not positive lets conjugate gradients begin nothing."""
    a = torch.tensor([1.0, 0.25], dtype=F64)
    x = torch.tensor([1.0, 2.0], dtype=F64).expand(*batch, 2).clone()
    problem = HessianProblem(Euclidean(2), lambda x: 0.5 * (a * x * x).sum(-1), preconditioner=lambda x, u: -u)
    for stepsize, s in ((ConstantStepsize(0.5), 0.5), (None, 1.0)):
        o = solve(problem, NewtonOptions(x, stepsize=stepsize, stop=StopAfterIteration(1)))
        torch.testing.assert_close(o.x, x * (1 - s * a), rtol=1e-14, atol=0)
        assert torch.as_tensor(o.inner_iterations).eq(0).all()


@pytest.mark.parametrize("batch", [(), (3,)], ids=str)
@pytest.mark.parametrize("converges", [False, True])
def test_a_search_in_vain_ends_the_run(batch: Any, converges: bool) -> None:
    problem = HessianProblem(Euclidean(1), lambda x: torch.where(x > 1, 1e3, -x).sum(-1))
    x = torch.ones(*batch, 1, dtype=F64)
    stop = StopAfterIteration(9) | StopWhenGradientNormLess(1e-8) if converges else StopAfterIteration(9)
    o = solve(problem, NewtonOptions(x, stop=stop))
    assert torch.equal(o.x, x) and torch.as_tensor(o.iterations).eq(1).all()
    assert "stagnated" in (get_reason(o)[0] if batch else get_reason(o))
