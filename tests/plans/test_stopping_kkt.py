"""The criterion on the KKT residual, and the residual in reports and records."""

import pytest
import torch

from manopt_torch import (
    AugmentedLagrangianOptions,
    ConstrainedProblem,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    OptionsError,
    StopAfterIteration,
    StopWhenKKTResidualLess,
    get_reason,
    report,
    solve,
)

D = torch.float64
# the least x with x >= 0: with multiplier 1 the start is the solution already
P = ConstrainedProblem(Euclidean(1), lambda x: x[..., 0], lambda x: -x)


def test_it_is_asked_before_the_first_step_too():
    x = torch.tensor([[0.0], [3.0]], dtype=D)
    o = solve(P, AugmentedLagrangianOptions(x, stop=StopAfterIteration(50) | StopWhenKKTResidualLess(1e-6)))
    assert o.iterations[0] == 0 and o.iterations[1] > 0
    assert get_reason(o)[0] == "The algorithm reached a KKT residual below 1e-06 after 0 iterations."
    assert report(o).converged == 2 and report(o).kkt_residual is not None
    assert "KKT residual" in str(report(o))


def test_solvers_without_multipliers_have_none():
    p = GradientProblem(Euclidean(1), lambda x: x.square().sum(-1))
    with pytest.raises(OptionsError, match="needs the field kkt_residual, GradientDescentOptions has none"):
        solve(p, GradientDescentOptions(torch.ones(1), stop=StopWhenKKTResidualLess(1e-3)))
    o = solve(p, GradientDescentOptions(torch.ones(1), stop=StopAfterIteration(1)))
    assert report(o).kkt_residual is None and "KKT" not in str(report(o))
    assert report(o).violation is None and "violation" not in str(report(o))


def test_a_report_shows_how_far_off_the_constraints_are_where_iterations_ran_out():
    x = torch.tensor([[-3.0], [-2.0]], dtype=D)  # x >= 0 is violated by three and two
    o = solve(P, AugmentedLagrangianOptions(x, stop=StopAfterIteration(0)))
    assert report(o).violation == (2.0, 2.0, 3.0)
    assert "violation" in str(report(o)) and "min 2, median 2, max 3" in str(report(o))


def test_the_bound_is_checked_and_shown():
    criterion = StopWhenKKTResidualLess(0.5)
    assert repr(criterion) == "StopWhenKKTResidualLess(0.5)" and criterion.indicates_convergence
    with pytest.raises(OptionsError, match="eps must lie in"):
        StopWhenKKTResidualLess(-1.0)
