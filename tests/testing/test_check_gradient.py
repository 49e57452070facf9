from typing import Any

import pytest
import torch

from manopt_torch import (
    CostProblem,
    CountedProblem,
    Euclidean,
    GradientProblem,
    ManoptError,
    MissingDerivativeError,
    NotOnManifoldError,
    OptionsError,
    Sphere,
    SymmetricPositiveDefinite,
)
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.testing import PROBLEMS, check_gradient, problem_named

CASES = pytest.mark.parametrize("case", PROBLEMS, ids=str)
BATCHES = pytest.mark.parametrize("batch", [(), (2, 3)], ids=str)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)


@CASES
@BATCHES
def test_the_gradients_of_autograd_pass(case: Any, batch: Any) -> None:
    problem, x, *_ = case.pose(*batch)
    report = check_gradient(problem, x, generator=seeded(), raise_on_failure=True)
    assert report and report.passed and report.passed_each.all() and report.failures == ()
    assert report.slope.shape == report.exact.shape == report.off_tangent.shape == batch
    assert report.window.shape == (2, *batch) and report.errors.shape == (101, *batch)
    assert ((report.slope - 2).abs() < 0.1).all()
    assert (report.window[1] >= 10 * report.window[0]).all()


@CASES
@pytest.mark.parametrize("factor", [0.5, -1.0, 1.1, 1.001])
def test_a_gradient_too_long_or_too_short_does_not(case: Any, factor: float) -> None:
    problem, x, *_ = case.pose(3)
    wrong = GradientProblem(
        problem.M,
        problem.cost,
        lambda x, *data: map_leaves(lambda leaf: factor * leaf, problem.get_gradient(x)),
        data=problem.data,
    )
    report = check_gradient(wrong, x, generator=seeded())
    assert not report and not report.passed_each.any()
    assert ((report.slope - 1).abs() < 0.2).all()
    assert report.failures == ("the gradient is not that of the cost at batch indices [(0,), (1,), (2,)]",)


def test_the_wrong_problem_of_a_batch_is_named() -> None:
    problem, x, *_ = problem_named("quadratic").pose(2, 3)
    factor = torch.ones(2, 3, 1, dtype=torch.float64)
    factor[1, 0] = 1.01
    wrong = GradientProblem(problem.M, problem.cost, lambda x, w, c: factor * w * (x - c), data=problem.data)
    report = check_gradient(wrong, x, generator=seeded())
    assert report.passed_each.tolist() == [[True] * 3, [False, True, True]]
    assert report.failures == ("the gradient is not that of the cost at batch indices [(1, 0)]",)
    text = str(report)
    assert text.startswith("check_gradient: FAILED\n") and "problems  6 (2, 3)" in text and text.endswith("[(1, 0)]")


def test_a_forgotten_term_is_seen_however_small() -> None:
    def cost(x: torch.Tensor) -> torch.Tensor:
        return x.square().sum(-1) + 1e-4 * x.pow(4).sum(-1)

    forgotten = GradientProblem(Euclidean(3), cost, lambda x: 2 * x)
    assert not check_gradient(forgotten, generator=seeded())


def test_a_gradient_that_sticks_out_of_the_tangent_space() -> None:
    a = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    euclidean = GradientProblem(Sphere(3), lambda x: (a * x).sum(-1), lambda x: a.expand_as(x))
    report = check_gradient(euclidean, generator=seeded())
    # along the sphere the part that sticks out does not show
    assert report.failures == ("the gradient is not tangent",) and abs(report.slope - 2) < 0.1


EUCLIDEAN = "the gradient given is the Euclidean one: pass it as euclidean_gradient="


@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_a_euclidean_gradient_is_told_where_to_go(batch: tuple[int, ...]) -> None:
    # of the trace of a x^2, a symmetric matrix: on positive definite ones it is tangent, but not the gradient
    a = torch.tensor([[2.0, 1.0], [1.0, 3.0]], dtype=torch.float64)
    M = SymmetricPositiveDefinite(2)
    x = M.random_point(*batch, generator=seeded(), dtype=torch.float64)
    euclidean = GradientProblem(M, lambda x: (a * (x @ x)).sum((-1, -2)), lambda x: a @ x + x @ a)
    report = check_gradient(CountedProblem(euclidean), x, generator=seeded())
    assert not report and report.cure == EUCLIDEAN and str(report).endswith(f"\n  cure      {EUCLIDEAN}")
    with pytest.raises(ManoptError, match="pass it as euclidean_gradient="):
        check_gradient(euclidean, x, generator=seeded(), raise_on_failure=True)
    passes = GradientProblem(M, euclidean.cost, euclidean_gradient=euclidean.gradient)
    assert check_gradient(passes, x, generator=seeded()).cure == ""


def test_a_gradient_that_is_wrong_in_either_form_is_not_told_so() -> None:
    for wrong in (
        GradientProblem(Sphere(3), lambda x: x[..., 0], lambda x: x),
        GradientProblem(Sphere(3), lambda x: x[..., 0], euclidean_gradient=torch.ones_like),
    ):
        report = check_gradient(wrong, generator=seeded())
        assert not report and report.cure == "" and "cure" not in str(report)


def test_a_linear_cost_is_exact() -> None:
    report = check_gradient(GradientProblem(Euclidean(), lambda x: 3.0 * x))
    assert report and report.exact and report.slope.isnan() and "exact" in str(report)
    assert not check_gradient(GradientProblem(Euclidean(), lambda x: 3.0 * x, lambda x: torch.full_like(x, 2.99)))


def test_a_higher_order_is_as_good() -> None:
    origin = torch.zeros(2, dtype=torch.float64)
    u = torch.tensor([0.6, 0.8], dtype=torch.float64)
    report = check_gradient(GradientProblem(Euclidean(2), lambda x: x.pow(3).sum(-1)), origin, u)
    assert report and abs(report.slope - 3) < 0.1


def test_a_cost_that_is_nan_fails_in_words() -> None:
    report = check_gradient(GradientProblem(Euclidean(1), lambda x: (x - 1e9).log().sum(-1)), generator=seeded())
    assert not report and report.slope.isnan() and "not that of the cost" in report.failures[0]


def test_failure_may_be_an_error_that_shows_the_table() -> None:
    wrong = GradientProblem(Euclidean(2), lambda x: x.square().sum(-1), lambda x: x)
    with pytest.raises(ManoptError, match=r"(?s)check_gradient: FAILED.*slope.*wanted 2.*not that of the cost"):
        check_gradient(wrong, generator=seeded(), raise_on_failure=True)


def test_a_direction_and_the_number_of_points_may_be_given() -> None:
    problem = GradientProblem(Sphere(3), lambda x: x[..., 0])
    x, u = torch.eye(3, dtype=torch.float64)[1:]
    report = check_gradient(CountedProblem(problem), x, u, points=41)
    assert report.step_sizes.shape == (41,) and report.step_sizes[[0, -1]].tolist() == [1e-8, 1.0]
    # f along the geodesic from e2 to e3 is zero, and so is its derivative
    assert report.exact


def test_the_same_seed_gives_the_same() -> None:
    problem = GradientProblem(Sphere(3), lambda x: x[..., 0].exp())
    first, second = (check_gradient(problem, generator=seeded()) for _ in range(2))
    assert torch.equal(first.errors, second.errors)


def test_bad_arguments() -> None:
    problem, x, *_ = problem_named("linear on a sphere").pose(2)
    with pytest.raises(OptionsError, match="has data"):
        check_gradient(problem)
    with pytest.raises(OptionsError, match=r"float64.*x.double\(\)"):
        check_gradient(problem, x.float())
    with pytest.raises(OptionsError, match="points"):
        check_gradient(problem, x, points=5)
    with pytest.raises(NotOnManifoldError, match="point"):
        check_gradient(problem, 2 * x)
    with pytest.raises(NotOnManifoldError, match="tangent"):
        check_gradient(problem, x, x)
    with pytest.raises(MissingDerivativeError):
        check_gradient(CostProblem(Sphere(3), lambda x: x[..., 0]))
    with pytest.raises(OptionsError, match="expected a Problem such as"):
        check_gradient(None)
    with pytest.raises(OptionsError, match=r"nothing to check in a batch of shape \(0,\)"):
        check_gradient(GradientProblem(Sphere(3), lambda x: x[..., 0]), torch.zeros(0, 3, dtype=torch.float64))
