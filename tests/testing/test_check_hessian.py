from typing import Any

import pytest
import torch

from manopt_torch import (
    Euclidean,
    GradientProblem,
    HessianProblem,
    ManoptError,
    MissingDerivativeError,
    OptionsError,
    Sphere,
    SymmetricPositiveDefinite,
)
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.testing import PROBLEMS, check_hessian, problem_named

CASES = pytest.mark.parametrize("case", [c for c in PROBLEMS if "hessian" in c.provides], ids=str)
BATCHES = pytest.mark.parametrize("batch", [(), (2, 3)], ids=str)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)


@CASES
@BATCHES
def test_the_hessians_of_autograd_pass(case: Any, batch: Any) -> None:
    problem, x, *_ = case.pose(*batch, kind=HessianProblem)
    report = check_hessian(problem, x, generator=seeded(), raise_on_failure=True)
    assert report and report.passed_each.all()
    shapes = {t.shape for t in (report.slope, report.exact, report.nonlinear, report.asymmetric, report.off_tangent)}
    assert shapes == {batch}
    assert (report.exact | (report.slope >= 2.9)).all()


@CASES
@pytest.mark.parametrize("factor", [0.5, 1.1])
def test_a_hessian_too_large_or_too_small_does_not(case: Any, factor: float) -> None:
    problem, x, *_ = case.pose(3, kind=HessianProblem)
    wrong = HessianProblem(
        problem.M,
        problem.cost,
        hessian=lambda x, u, *data: map_leaves(lambda leaf: factor * leaf, problem.get_hessian(x, u)),
        data=problem.data,
    )
    report = check_hessian(wrong, x, generator=seeded())
    assert not report.passed_each.any()
    assert ((report.slope - 2).abs() < 0.2).all()
    assert report.failures == ("the Hessian is not that of the cost at batch indices [(0,), (1,), (2,)]",)


def test_a_wrong_gradient_shows_as_well() -> None:
    wrong = HessianProblem(Euclidean(2), lambda x: x.pow(3).sum(-1), lambda x: 2 * x * x, lambda x, u: 6 * x * u)
    report = check_hessian(wrong, generator=seeded())
    assert not report and abs(report.slope - 1) < 0.2


def test_the_curvature_term_of_the_sphere_is_missed() -> None:
    a = torch.diag(torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64))
    M = Sphere(3)
    flat = HessianProblem(M, lambda x: (x * (x @ a)).sum(-1), hessian=lambda x, u: M.project_tangent(x, 2 * u @ a))
    assert check_hessian(flat, generator=seeded()).failures == ("the Hessian is not that of the cost",)
    outside = HessianProblem(M, lambda x: (x * (x @ a)).sum(-1), hessian=lambda x, u: 2 * u @ a)
    assert check_hessian(outside, generator=seeded()).failures[0] == "the Hessian is not tangent"


def test_linearity_and_symmetry_are_seen_where_the_model_is_blind() -> None:
    x, u = torch.tensor([1.0, 2.0], dtype=torch.float64), torch.tensor([1.0, 0.0], dtype=torch.float64)
    turn = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
    # <u, turn u> = 0 for each u: the second-order model does not see an antisymmetric part
    skew = HessianProblem(Euclidean(2), lambda x: x.square().sum(-1), hessian=lambda x, u: 2 * u + u @ turn)
    report = check_hessian(skew, x, u)
    assert report.exact and report.failures == ("the Hessian is not symmetric",)
    # |u| u is right for this u of length one
    bent = HessianProblem(Euclidean(2), lambda x: x.square().sum(-1), hessian=lambda x, u: 2 * u * u.norm())
    report = check_hessian(bent, x, u)
    assert report.exact and "the Hessian is not linear" in report.failures


def test_tolerance_lets_finite_differences_pass() -> None:
    problem = problem_named("rosenbrock").pose()[0]
    x = torch.tensor([0.1, 0.2], dtype=torch.float64)
    step = 2.0**-26

    def differences(x: torch.Tensor, u: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        return (problem.get_gradient(x + step * u) - problem.get_gradient(x)) / step

    coarse = HessianProblem(problem.M, problem.cost, hessian=differences, data=problem.data)
    assert "the Hessian is not linear" in check_hessian(coarse, x, generator=seeded()).failures
    assert check_hessian(coarse, x, tolerance=1e-5, generator=seeded())


def test_a_quadratic_is_exact_and_prints_so() -> None:
    report = check_hessian(HessianProblem(Euclidean(3), lambda x: x.square().sum(-1)))
    assert report.exact and "exact" in str(report) and "symmetric off by" in str(report)
    batch = check_hessian(*problem_named("quadratic").pose(4, kind=HessianProblem)[:2])
    assert batch.exact.all() and "4 exact" in str(batch)


def test_failure_may_be_an_error() -> None:
    wrong = HessianProblem(Euclidean(2), lambda x: x.square().sum(-1), hessian=lambda x, u: u)
    with pytest.raises(ManoptError, match=r"(?s)check_hessian: FAILED.*wanted 3.*not that of the cost"):
        check_hessian(wrong, generator=seeded(), raise_on_failure=True)


def test_what_it_cannot_do_without() -> None:
    class Rough(Euclidean):
        has_exp = False
        retraction_order = 1

    with pytest.raises(OptionsError, match="neither an exponential map nor a retraction of second order"):
        check_hessian(HessianProblem(Rough(2), lambda x: x.square().sum(-1)))
    with pytest.raises(MissingDerivativeError):
        check_hessian(GradientProblem(Euclidean(2), lambda x: x.square().sum(-1)))


def test_euclidean_hessians_are_told_where_to_go() -> None:
    a = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
    ball, matrix = Sphere(3), torch.diag(a)
    spd = SymmetricPositiveDefinite(3)

    def quadratic(gradient: Any = None, **more: Any) -> HessianProblem:
        return HessianProblem(ball, lambda x: (a * x * x).sum(-1), gradient, lambda x, u: 2 * a * u, **more)

    def matrices(gradient: Any = None, **more: Any) -> HessianProblem:
        cost = lambda x: (matrix * (x @ x)).sum((-1, -2))  # noqa: E731
        return HessianProblem(spd, cost, gradient, lambda x, u: matrix @ u + u @ matrix, **more)

    def on_matrices(x: torch.Tensor) -> torch.Tensor:
        return matrix @ x + x @ matrix

    alone = "the Hessian given is the Euclidean one: pass it as euclidean_hessian="
    both = "gradient and Hessian given are the Euclidean ones: pass them as euclidean_gradient=, euclidean_hessian="
    for problem, cure in (
        (quadratic(), alone),
        (quadratic(euclidean_gradient=lambda x: 2 * a * x), alone),
        (quadratic(lambda x: ball.project_tangent(x, 2 * a * x)), alone),
        (quadratic(lambda x: 2 * a * x), both),
        (matrices(), alone),
        (matrices(on_matrices), both),
    ):
        report = check_hessian(problem, generator=seeded())
        assert not report and report.cure == cure and str(report).endswith(f"\n  cure      {cure}")


def test_a_hessian_that_is_wrong_in_either_form_is_not_told_so() -> None:
    for wrong in (
        HessianProblem(Sphere(3), lambda x: x[..., 0], hessian=lambda x, u: 3 * u),
        HessianProblem(Sphere(3), lambda x: x[..., 0], euclidean_hessian=lambda x, u: 3 * u),
    ):
        report = check_hessian(wrong, generator=seeded())
        assert not report and report.cure == "" and "cure" not in str(report)
