"""Reasons of constrained runs: convergence only at points that satisfy the KKT conditions, else what they lack."""

import pytest
import torch

from manopt_torch import (
    Euclidean,
    OptionsError,
    Sphere,
    StopAtRestUnsolved,
    augmented_lagrangian_method,
    exact_penalty_method,
    get_reason,
    interior_point_newton,
    load_state_dict,
    report,
    state_dict,
    steepest_descent,
)
from manopt_torch.solvers.exact_penalty_method import ExactPenaltyOptions

D = torch.float64
QUICK = {
    augmented_lagrangian_method: {"tolerance_exponent": 0.2},
    exact_penalty_method: {"tolerance_exponent": 0.2, "width_exponent": 0.2},
    interior_point_newton: {},
}
PENALTIES = [augmented_lagrangian_method, exact_penalty_method]
INFEASIBLE = "stagnated at an infeasible point, where a constraint is violated by 0.0001 or more"
FEASIBLE = "stagnated at a feasible point whose KKT residual is 0.0001 or more"


def squares(x, *_):
    return x.square().sum(-1)


def between(x, low, high):
    return torch.stack([low - x[..., 0], x[..., 0] - high], -1)


def least_square(front, low, high):
    """The least square from `low` to `high`: `low` squared where 0 < low <= high, nothing where low > high."""
    x = torch.full((*low.shape, 1), 3.0, dtype=D)
    return front(
        Euclidean(1),
        squares,
        x,
        inequality=between,
        data=(low, high),
        return_options=True,
        compact=False,
        **QUICK[front],
    )


@pytest.mark.parametrize("front", PENALTIES)
def test_a_late_small_change_is_convergence_only_where_the_constraints_are_met(front):
    low, high = torch.tensor([[1.0, 1.0, 2.0], [3.0, -1.0, 5.0]], dtype=D)
    o = least_square(front, low, high)
    reasons = get_reason(o)
    assert report(o).converged == 2 and INFEASIBLE in reasons[1]
    assert all("KKT residual below" in reasons[n] for n in (0, 2))
    torch.testing.assert_close(o.x[[0, 2], 0], low[[0, 2]], rtol=0, atol=1e-4)
    # least squares of both violations halfway, any point between them for their sum
    assert float(o.violation[1]) > 0.99


@pytest.mark.parametrize("front", PENALTIES)
def test_a_broken_problem_and_an_infeasible_one_leave_the_others_alone(front):
    low, high = torch.tensor([[1.0, float("nan"), 1.0], [3.0, 3.0, -1.0]], dtype=D)
    o = least_square(front, low, high)
    well = torch.tensor([1.0, 1.0, 1.0], dtype=D)
    beside = least_square(front, well, torch.tensor([3.0, 3.0, 3.0], dtype=D))
    reasons = get_reason(o)
    assert "non-finite at iteration 0" in reasons[1] and INFEASIBLE in reasons[2]
    assert reasons[0] == get_reason(beside)[0] and torch.equal(o.x[0], beside.x[0])


def thirteenth(front, scale=1.0):
    """Problem 13 of Hock and Schittkowski: minimum 1 at (1, 0), where no multipliers exist."""
    return front(
        Euclidean(2),
        lambda x: (x[..., 0] - 2).square() + x[..., 1].square(),
        scale * torch.tensor([-2.0, -2.0], dtype=D),
        inequality=lambda x: torch.cat([x[..., 1:] - (1 - x[..., :1]) ** 3, -x], -1),
        return_options=True,
        **QUICK[front],
    )


@pytest.mark.parametrize("scale", [1.0, 10.0])
@pytest.mark.parametrize("front", QUICK)
def test_where_no_multipliers_exist_no_run_claims_to_have_converged(front, scale):
    o = thirteenth(front, scale)
    assert report(o).converged == 0
    said = get_reason(o)
    worst = float(o.violation)
    assert (INFEASIBLE in said and worst >= 1e-4) or (FEASIBLE in said and worst < 1e-4) or "maximal number" in said
    assert float(o.kkt_residual) >= 1e-4  # bounded multipliers leave a part of the slope -2


def test_the_feasible_kind_is_told_from_the_infeasible_one():
    o = thirteenth(exact_penalty_method)
    assert FEASIBLE in get_reason(o) and float(o.violation) < 1e-4


def test_interior_points_without_a_step_say_that_they_are_infeasible():
    # x^2 + c = 0 has the solutions 1 and -1 for c = -1, and none for c = 1
    c = torch.tensor([1.0, -1.0], dtype=D)
    solve = lambda x, c: interior_point_newton(  # noqa: E731
        Euclidean(1), squares, x, equality=lambda x, c: x.square() + c.unsqueeze(-1), data=(c,), return_options=True
    )
    o = solve(torch.tensor([[0.0], [2.0]], dtype=D), c)
    reasons = get_reason(o)
    assert INFEASIBLE in reasons[0] and "KKT residual below" in reasons[1] and report(o).converged == 1
    assert float(o.x[1, 0].abs() - 1) == pytest.approx(0, abs=1e-8)
    lone = solve(torch.tensor([0.0], dtype=D), c[0])
    assert get_reason(lone) == reasons[0] and report(lone).converged == 0


@pytest.mark.parametrize("front", PENALTIES)
def test_on_a_sphere_too(front):
    # no unit vector has all entries above 0.8; all above 0.5 have a least third entry of 0.5
    def cost(x, _):
        return x[..., 2]

    bound = torch.tensor([0.8, 0.5], dtype=D)
    x = torch.tensor([[0.6, 0.0, 0.8]] * 2, dtype=D)
    above = lambda x, b: b.unsqueeze(-1) - x  # noqa: E731
    o = front(Sphere(3), cost, x, inequality=above, data=(bound,), return_options=True, **QUICK[front])
    assert INFEASIBLE in get_reason(o)[0] and report(o).converged == 1
    assert float(o.x[1, 2]) == pytest.approx(0.5, abs=1e-4)


def test_a_state_taken_up_keeps_the_reason():
    low, high = torch.tensor([1.0], dtype=D), torch.tensor([-1.0], dtype=D)
    o = least_square(exact_penalty_method, low, high)
    other = ExactPenaltyOptions(torch.full((1, 1), 3.0, dtype=D), **QUICK[exact_penalty_method])
    load_state_dict(other, state_dict(o))
    assert get_reason(other) == get_reason(o) and INFEASIBLE in get_reason(other)[0]


def test_the_criterion_is_checked_and_shown():
    criterion = StopAtRestUnsolved(0.5, feasible=True)
    assert repr(criterion) == "StopAtRestUnsolved(0.5, feasible=True)" and not criterion.indicates_convergence
    with pytest.raises(OptionsError, match="eps must lie in"):
        StopAtRestUnsolved(-1.0, feasible=True)
    with pytest.raises(OptionsError, match="violation"):
        steepest_descent(Euclidean(1), squares, torch.ones(1), stop=criterion)
