"""Solvers with constraints, against the published cases, closed forms and SciPy."""

import math

import pytest
import scipy.optimize
import torch

from manopt_torch import (
    AugmentedLagrangianOptions,
    ConstrainedProblem,
    Euclidean,
    ExactPenaltyOptions,
    GradientDescentOptions,
    InteriorPointNewtonOptions,
    LinearQuadraticHuber,
    LogarithmicSumOfExponentials,
    OptionsError,
    Product,
    Sphere,
    Stiefel,
    StopAfterIteration,
    StopWhenChangeLess,
    StopWhenKKTResidualLess,
    StopWhenSmallerOrEqual,
    SymmetricPositiveDefinite,
    augmented_lagrangian_method,
    check_gradient,
    exact_penalty_method,
    get_reason,
    get_record,
    interior_point_newton,
    solve,
)
from manopt_torch.solvers.augmented_lagrangian_method import augmented_lagrangian
from manopt_torch.solvers.exact_penalty_method import penalised
from tests.together import together

D = torch.float64
SMOOTHINGS = [LogarithmicSumOfExponentials(), LinearQuadraticHuber()]


def negative(x):
    return -x


def principal(v):
    """The cost of nonnegative principal components."""
    return lambda x: -0.5 * (x * v).sum(-1).square()


# ---- sub problems ---------------------------------------------------------------------------------------------------
def posed():
    M = SymmetricPositiveDefinite(2)
    x = M.random_point(3, dtype=D, generator=torch.Generator().manual_seed(0))
    p = ConstrainedProblem(
        M, lambda x: x.square().sum((-2, -1)), lambda x: x.flatten(-2) - 1, lambda x: x[..., 0, :1] - 2
    )
    return p, x


@pytest.mark.parametrize("rho", [0.2, 1.0, 50.0])
def test_cost_and_gradient_of_the_augmented_lagrangian_agree(rho):
    p, x = posed()
    at = p.evaluate(x)
    g = torch.Generator().manual_seed(1)
    mu, lam = (torch.randn(v.shape, dtype=D, generator=g) for v in (at.inequality.exp(), at.equality))
    rhos = torch.tensor([rho, 2 * rho, 3 * rho], dtype=D)
    sub = augmented_lagrangian(p, mu.abs(), lam, rhos)
    check_gradient(sub, x, raise_on_failure=True)
    # the value, written out for one problem
    terms = [max(0.0, float(m) / (2 * rho) + float(c)) ** 2 for m, c in zip(mu.abs()[1], at.inequality[1], strict=True)]
    squares = sum(terms) + (float(lam[1, 0]) / (2 * rho) + float(at.equality[1, 0])) ** 2
    assert math.isclose(float(sub.get_cost(x)[1]), float(at.cost[1]) + rho * squares, rel_tol=1e-12)


@pytest.mark.parametrize("smoothing", SMOOTHINGS, ids=repr)
@pytest.mark.parametrize("u", [1.0, 0.05])
def test_cost_and_gradient_of_the_penalised_cost_agree(smoothing, u):
    p, x = posed()
    one = torch.ones(3, dtype=D)
    sub = penalised(p, smoothing, 7 * one, u * one)
    at = p.evaluate(x)
    width = torch.full((3, 1), u, dtype=D)
    mu, lam = 7 * smoothing.inequality_slope(at.inequality, width), 7 * smoothing.equality_slope(at.equality, width)
    # the multipliers are those with which the gradient of the sub problem is that of the Lagrangian
    torch.testing.assert_close(sub.get_gradient(x), p.gradients_from(x, at, mu, lam)[1])
    assert check_gradient(sub, x).passed or isinstance(smoothing, LinearQuadraticHuber)


# ---- published cases ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("smoothing", SMOOTHINGS, ids=repr)
def test_nonnegative_principal_components_by_exact_penalties(smoothing):
    # reference case 28
    v = torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=D) / math.sqrt(2)
    x = torch.tensor([1.0, 1.0, 0.0, 0.1], dtype=D) / math.sqrt(2.01)
    late = StopWhenSmallerOrEqual("tolerance", 1e-6) & StopWhenChangeLess(1e-6)
    o = exact_penalty_method(
        Sphere(4),
        principal(v),
        x,
        inequality=negative,
        smoothing=smoothing,
        stop=StopAfterIteration(300) | late,
        record=[":Iteration", ":Cost", ":tolerance"],
        return_options=True,
    )
    rows = {row[0]: row[1:] for row in get_record(o)}
    published = {25: (-0.499449, 0.00017783), 50: (-0.499996, 3.162e-5), 75: (-0.5, 5.62e-6), 100: (-0.5, 1e-6)}
    for k, (cost, tolerance) in published.items():
        assert math.isclose(rows[k][1], tolerance, rel_tol=1e-3)
        if isinstance(smoothing, LogarithmicSumOfExponentials):
            assert math.isclose(float(rows[k][0]), cost, abs_tol=2e-5)
    assert o.iterations == 102 or isinstance(smoothing, LinearQuadraticHuber)
    assert float(Sphere(4).dist(o.x, v)) < 1e-4 and float(o.violation) < 1e-5


def test_nonnegative_principal_components_by_the_augmented_lagrangian():
    # reference case 29
    v = torch.tensor([0.5] * 4 + [0.0] * 16, dtype=D)
    x = torch.full((20,), 20**-0.5, dtype=D)
    x = augmented_lagrangian_method(Sphere(20), principal(v), x, inequality=negative)
    assert float(Sphere(20).dist(x, v)) < 1e-6


def test_factors_of_the_tolerances():
    p = ConstrainedProblem(Euclidean(1), lambda x: (x + 5).square().sum(-1), negative)
    x = torch.tensor([4.0], dtype=D)
    a, e = (solve(p, kind(x, stop=StopAfterIteration(1))) for kind in (AugmentedLagrangianOptions, ExactPenaltyOptions))
    assert math.isclose(a.tolerance, 1e-3 * 0.933254300796991) and math.isclose(e.tolerance, a.tolerance)
    assert math.isclose(e.width, 0.1 * 0.8912509381337456)


def concave(x):
    return -((x[..., 0] - 1) ** 2) - (x[..., 0] - x[..., 1]) ** 2 - (x[..., 1] - 3) ** 2


def squares_within_one(x):
    return torch.stack([x[..., 0] - 1, x[..., 0] - x[..., 1], x[..., 1] - 3], -1).square() - 1


@pytest.mark.parametrize("front", [augmented_lagrangian_method, exact_penalty_method, interior_point_newton])
def test_an_infeasible_start_of_a_concave_cost_gives_no_nan(front):
    # reference case 33: unbounded without the constraints, minimum -2 at three corners
    x = torch.tensor([[0.0, 0.0], [9.0, -2.0]], dtype=D)
    quick = {} if front is interior_point_newton else {"tolerance_exponent": 0.1}
    quick |= {"width_exponent": 0.1} if front is exact_penalty_method else {}
    o = front(Euclidean(2), concave, x, inequality=squares_within_one, return_options=True, **quick)
    corners = torch.tensor([[1.0, 2.0], [2.0, 2.0], [2.0, 3.0]], dtype=D)
    assert bool(((o.x.unsqueeze(-2) - corners).norm(dim=-1).amin(-1) < 1e-5).all())
    torch.testing.assert_close(o.cost, torch.full((2,), -2.0, dtype=D), rtol=0, atol=1e-5)
    # at (1, 2) the gradient (2, 0) is that of the two active constraints, (-2, 2) and (0, -2), with opposite sign
    torch.testing.assert_close(o.inequality_multipliers.sum(-1), torch.full((2,), 2.0, dtype=D), rtol=0, atol=1e-4)


@pytest.mark.parametrize("front", [augmented_lagrangian_method, exact_penalty_method])
def test_sub_problems_without_a_minimum_ask_for_a_larger_penalty(front):
    # Hock and Schittkowski's problem 36, minimum -3300 at (20, 11, 15), and a thousandth of its cost: penalties that
    # are squares or linear do not hold the cube before they are large
    weights = torch.tensor([1.0, 1e-3], dtype=D)
    highest = torch.tensor([20.0, 11.0, 42.0], dtype=D)
    weighted = lambda x: torch.stack([x[..., 0], 2 * x[..., 1], 2 * x[..., 2]], -1).sum(-1, True)  # noqa: E731
    quick = {"width_exponent": 0.2} if front is exact_penalty_method else {"largest_multiplier": 1e3}
    o = front(
        Euclidean(3),
        lambda x, w: -w * x.prod(-1),
        torch.full((2, 3), 10.0, dtype=D),
        inequality=lambda x, w: torch.cat([weighted(x) - 72, -x, x - highest], -1),
        data=(weights,),
        tolerance_exponent=0.2,
        return_options=True,
        **quick,
    )
    torch.testing.assert_close(o.cost, -3300.0 * weights, rtol=1e-5, atol=0)
    torch.testing.assert_close(o.x, torch.tensor([[20.0, 11.0, 15.0]] * 2, dtype=D), rtol=0, atol=1e-2)
    assert bool((o.violation < 1e-5).all())


@pytest.mark.parametrize("front", [augmented_lagrangian_method, exact_penalty_method])
def test_a_cost_that_no_penalty_holds_ends_as_stagnated(front):
    # the slope of the cube, 3e6 at the start, is far above that of the largest penalty, and grows faster
    x = torch.tensor([-1000.0], dtype=D)
    sub = GradientDescentOptions(x, stop=StopAfterIteration(3))
    cost, above = lambda x: x[..., 0] ** 3, lambda x: -1e-10 * x
    o = front(Euclidean(1), cost, x, inequality=above, sub_solver=sub, return_options=True)
    assert torch.equal(o.x, x) and "stagnated" in get_reason(o)


# ---- closed forms and SciPy -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("front", [augmented_lagrangian_method, interior_point_newton])
def test_quadratic_programs_against_scipy(front):
    g = torch.Generator().manual_seed(4)
    A = torch.randn(3, 4, 4, dtype=D, generator=g)
    Q, c = A @ A.mT + torch.eye(4, dtype=D), torch.randn(3, 4, dtype=D, generator=g)

    def cost(x, Q, c):
        return 0.5 * (x.unsqueeze(-1) * Q * x.unsqueeze(-2)).sum((-2, -1)) + (c * x).sum(-1)

    o = front(
        Euclidean(4),
        cost,
        torch.zeros(3, 4, dtype=D),
        inequality=lambda x, Q, c: -x,
        equality=lambda x, Q, c: x.sum(-1, keepdim=True) - 1,
        data=(Q, c),
        return_options=True,
        **({} if front is interior_point_newton else {"tolerance_exponent": 0.1}),
    )
    for n in range(3):
        best = scipy.optimize.minimize(
            lambda x, n=n: 0.5 * x @ Q[n].numpy() @ x + c[n].numpy() @ x,
            [0.25] * 4,
            bounds=[(0, None)] * 4,
            constraints={"type": "eq", "fun": lambda x: x.sum() - 1},
            method="SLSQP",
            options={"ftol": 1e-14},
        )
        torch.testing.assert_close(o.x[n], torch.as_tensor(best.x), rtol=0, atol=2e-6)
        assert float(o.kkt_residual[n]) < 1e-6


def test_multipliers_of_an_eigenvalue_problem():
    # x' A x on the circle, as an equation in the plane: the multiplier is minus the eigenvalue
    a = torch.tensor([3.0, 1.0], dtype=D)
    o = augmented_lagrangian_method(
        Euclidean(2),
        lambda x: (a * x * x).sum(-1),
        torch.tensor([2.0, 1.0], dtype=D),
        equality=lambda x: x.square().sum(-1, keepdim=True) - 1,
        tolerance_exponent=0.1,
        return_options=True,
    )
    torch.testing.assert_close(o.x.abs(), torch.tensor([0.0, 1.0], dtype=D), rtol=0, atol=1e-6)
    torch.testing.assert_close(o.equality_multipliers, torch.tensor([-1.0], dtype=D), rtol=0, atol=1e-5)


def test_interior_points_converge_with_order_three_halves_to_all_digits():
    # the nearest point to q below the parallel of height 0.28
    q = torch.tensor([0.0, 0.6, 0.8], dtype=D)
    o = interior_point_newton(
        Sphere(3),
        lambda x: -(x * q).sum(-1),
        torch.tensor([0.6, 0.8, 0.0], dtype=D),
        inequality=lambda x: x[..., 2:] - 0.28,
        record=[":kkt_residual"],
        stop=StopAfterIteration(50) | StopWhenKKTResidualLess(1e-12),
        return_options=True,
    )
    torch.testing.assert_close(o.x, torch.tensor([0.0, 0.96, 0.28], dtype=D), rtol=0, atol=1e-12)
    # q = 0.6 e_2 + 0.8 e_3 is u x + mu e_3 there, with u = 0.6 / 0.96
    torch.testing.assert_close(o.inequality_multipliers, torch.tensor([0.8 - 0.28 * 0.625], dtype=D))
    residuals = [float(row[0]) for row in get_record(o)]
    assert o.iterations < 15 and residuals[-2] < 1e-5 and residuals[-1] < 10 * residuals[-2] ** 1.5


def test_interior_points_are_quick_where_slacks_and_multipliers_vanish_together():
    # nonnegative PCA (case 28): at the minimum no multiplier is needed; the mean product must wait for that pair
    v = torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=D) / math.sqrt(2.0)
    x = torch.tensor([1.0, 1.0, 0.0, 0.1], dtype=D) / math.sqrt(2.01)
    stop = StopAfterIteration(40) | StopWhenKKTResidualLess(1e-8)
    f = lambda x: -0.5 * (x * v).sum(-1) ** 2  # noqa: E731
    o = interior_point_newton(Sphere(4), f, x, inequality=negative, stop=stop, return_options=True)
    assert o.kkt_residual < 1e-8 and o.cost + 0.5 < 1e-7


def nearest_frame(x, z):
    return (x - z).square().sum((-2, -1))


def cases_for_both_linear_solvers():
    """Yield problems with and without bounds on entries in several kinds of space, and where to start."""
    z = torch.randn(3, 5, dtype=D, generator=torch.Generator().manual_seed(5))
    cost = lambda x, z: (x - z).square().sum(-1)  # noqa: E731
    edge = lambda x, z: x.sum(-1, True) - 2  # noqa: E731
    yield ConstrainedProblem(Sphere(5), cost, lambda x, z: -x, edge, data=(z,)), torch.full((3, 5), 5**-0.5, dtype=D)
    # frames, a bound on each row: one is active
    z = torch.tensor([[1.0, 0.1], [0.2, 0.5], [0.1, 0.8], [0.2, -0.3]], dtype=D)
    x = torch.tensor([[0.5, 0.5], [0.5, -0.5], [0.5, 0.5], [0.5, -0.5]], dtype=D)
    rows_below = lambda x: x.square().sum(-1) - 0.7  # noqa: E731
    yield ConstrainedProblem(Stiefel(4, 2), lambda x: nearest_frame(x, z), rows_below), x
    # another metric: bounds on the diagonal, and a trace
    z = torch.diag_embed(torch.tensor([[0.4, 1.0, 1.5], [0.6, 1.1, 1.2]], dtype=D)) + 0.1
    diagonal = lambda x: x.diagonal(dim1=-2, dim2=-1)  # noqa: E731
    above, trace = lambda x, z: 0.8 - diagonal(x), lambda x, z: diagonal(x).sum(-1, True) - 3
    p = ConstrainedProblem(SymmetricPositiveDefinite(3), nearest_frame, above, trace, data=(z,))
    yield p, torch.eye(3, dtype=D).expand(2, 3, 3)
    # tuples
    M, q = Product(Sphere(3), Euclidean(2)), torch.tensor([0.6, 0.3, -0.5], dtype=D)
    x = torch.tensor([0.6, 0.0, 0.8], dtype=D), torch.tensor([1.0, 2.0], dtype=D)
    cost = lambda x: (x[1] - 1).square().sum(-1) - (x[0] * q).sum(-1)  # noqa: E731
    yield ConstrainedProblem(M, cost, lambda x: torch.cat([-x[0], x[1] - 0.5], -1)), x


def test_products_alone_find_what_a_factorisation_finds():
    stop = StopAfterIteration(80) | StopWhenKKTResidualLess(1e-9)
    for p, x in cases_for_both_linear_solvers():
        by_matrix, by_products = (
            solve(p, InteriorPointNewtonOptions(x, linear_solver=s, stop=stop)) for s in ("dense", "krylov")
        )
        for o in (by_matrix, by_products):
            assert bool((torch.as_tensor(o.kkt_residual) < 1e-9).all()), get_reason(o)
        assert bool((torch.as_tensor(by_products.inner_iterations) > 0).all())
        for name in ("x", "inequality_multipliers", "equality_multipliers"):
            torch.testing.assert_close(getattr(by_products, name), getattr(by_matrix, name), rtol=0, atol=1e-6)


def test_nonnegative_principal_components_of_two_thousand_numbers():
    # of one sample q: the best nonnegative direction is that of its positive part; a matrix would have 2,000 columns,
    # and one of them for each of 2,000 constraints would take 64 GB
    n, g = 2000, torch.Generator().manual_seed(0)
    q = torch.randn(n, dtype=D, generator=g)
    q = torch.where(q > -0.5, q.abs(), q) / math.sqrt(n)
    positive = q.clamp(min=0) / q.clamp(min=0).norm()
    x = torch.full((n,), n**-0.5, dtype=D)
    stop = StopAfterIteration(60) | StopWhenKKTResidualLess(1e-8)
    o = interior_point_newton(Sphere(n), principal(q), x, inequality=negative, stop=stop, return_options=True)
    assert o.kkt_residual < 1e-8 and float(Sphere(n).dist(o.x, positive)) < 1e-4
    lowest = -(positive * q).sum() * q.clamp(max=0)
    torch.testing.assert_close(o.inequality_multipliers, lowest, rtol=0, atol=1e-4)
    # bounds on entries are preconditioned
    assert o.evaluations["hessian"] < 25 * o.iterations


def test_sub_problems_end_where_single_precision_ends():
    # the nearest point to c in the half-space x_1 <= 0 of the plane x_1 + x_2 = 1; tolerances are out of reach
    c = torch.tensor([1.0, 1.0])
    f = lambda x: (x - c.to(x.dtype)).square().sum(-1)  # noqa: E731
    constraints = {"inequality": lambda x: x[..., :1], "equality": lambda x: x.sum(-1, keepdim=True) - 1}
    runs = [
        augmented_lagrangian_method(
            Euclidean(2), f, torch.tensor([2.0, -1.0], dtype=t), **constraints, return_options=True
        )
        for t in (torch.float32, D)
    ]
    torch.testing.assert_close(runs[0].x, torch.tensor([0.0, 1.0]), rtol=0, atol=1e-5)
    assert runs[0].evaluations["cost"] < 5 * runs[1].evaluations["cost"]


def test_a_singular_equation_is_solved_as_well_as_possible():
    # a linear cost without multipliers yet: the Hessian of the Lagrangian is zero
    o = interior_point_newton(
        Euclidean(2),
        lambda x: x.sum(-1),
        torch.tensor([-4.0, -1.0], dtype=D),
        equality=lambda x: x.square().sum(-1, keepdim=True) - 2,
        return_options=True,
    )
    torch.testing.assert_close(o.x.abs(), torch.ones(2, dtype=D), rtol=0, atol=1e-8)
    torch.testing.assert_close(o.equality_multipliers.abs(), torch.tensor([0.5], dtype=D), rtol=0, atol=1e-8)


def test_constraints_that_no_point_meets_end_with_a_reason():
    x = torch.tensor([3.0], dtype=D)
    g = lambda x: torch.cat([x + 1, 1 - x], -1)  # noqa: E731  x <= -1 and x >= 1
    for front in (augmented_lagrangian_method, exact_penalty_method, interior_point_newton):
        o = front(
            Euclidean(1),
            lambda x: x.square().sum(-1),
            x,
            inequality=g,
            stop=StopAfterIteration(40),
            return_options=True,
        )
        assert get_reason(o) and bool(torch.isfinite(o.x).all()) and float(o.violation) > 0.9


def test_another_sub_solver_and_an_empty_batch():
    x = torch.full((0, 3), 1.0, dtype=D)
    sub = GradientDescentOptions(x[:0], stop=StopAfterIteration(3))
    for front in (augmented_lagrangian_method, exact_penalty_method):
        assert front(Sphere(3), lambda x: x[..., 0], x, inequality=negative).shape == (0, 3)
        y = front(
            Sphere(3),
            lambda x: x[..., 1],
            torch.tensor([0.0, 0.6, 0.8], dtype=D),
            inequality=negative,
            sub_solver=sub,
            stop=StopAfterIteration(25),
        )
        assert abs(float(y[1])) < 0.05
    assert interior_point_newton(Sphere(3), lambda x: x[..., 0], x, inequality=negative).shape == (0, 3)


@together()
@pytest.mark.parametrize(
    ("kind", "wrong", "words"),
    [
        (AugmentedLagrangianOptions, {"sub_solver": 3}, "sub_solver must be Options"),
        (AugmentedLagrangianOptions, {"penalty_factor": 1.5}, "penalty_factor must lie in"),
        (AugmentedLagrangianOptions, {"least_tolerance": 1.0}, "least_tolerance must lie in"),
        (AugmentedLagrangianOptions, {"initial_equality_multiplier": "one"}, "must be a number or a tensor"),
        (ExactPenaltyOptions, {"smoothing": 3}, "smoothing must be one such as LinearQuadraticHuber"),
        (ExactPenaltyOptions, {"initial_width": 0.0}, "initial_width must lie in"),
        (InteriorPointNewtonOptions, {"initial_centrality": 0.2}, "initial_centrality must lie in"),
        (InteriorPointNewtonOptions, {"max_decreases": 0}, "max_decreases must be an int >= 1"),
        (InteriorPointNewtonOptions, {"linear_solver": "lu"}, "linear_solver must be 'dense', 'krylov' or None"),
        (InteriorPointNewtonOptions, {"max_inner_iterations": 0}, "max_inner_iterations must be an int >= 1"),
    ],
)
def test_parameters_are_checked(kind, wrong, words):
    with pytest.raises(OptionsError, match=words):
        kind(torch.zeros(2), **wrong)


def test_multipliers_are_checked_at_the_start():
    p = ConstrainedProblem(Euclidean(2), lambda x: x.sum(-1), negative)
    x = torch.zeros(2, dtype=D)
    with pytest.raises(OptionsError, match="initial_slack must be positive"):
        solve(p, InteriorPointNewtonOptions(x, initial_slack=torch.tensor([1.0, 0.0])))
    with pytest.raises(OptionsError, match=r"a tensor of the constraints' shape \(2,\), got shape \(3,\)"):
        solve(p, AugmentedLagrangianOptions(x, initial_inequality_multiplier=torch.ones(3)))
