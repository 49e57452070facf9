"""Truncated conjugate gradients as a solver: answers, criteria, batches, state."""

import math
from typing import Any

import pytest
import torch

from manopt_torch import (
    CountedProblem,
    Euclidean,
    HessianProblem,
    OptionsError,
    ShapeError,
    Sphere,
    StopAfterIteration,
    StopWhenCurvatureIsNegative,
    StopWhenModelIncreased,
    StopWhenResidualIsReducedByFactorOrPower,
    StopWhenTrustRegionIsExceeded,
    TruncatedConjugateGradientOptions,
    get_reason,
    get_record,
    get_solver_result,
    load_state_dict,
    solve,
    state_dict,
    truncated_conjugate_gradient,
)
from manopt_torch.functional.cg_iteration import QuadraticModel
from manopt_torch.functional.masked import Lone
from manopt_torch.functional.truncated_cg import CGRule, truncated_cg
from manopt_torch.testing import problem_named
from tests.contracts.solver_table import assert_same_state, same_bits, state_of
from tests.functional.test_truncated_cg import matrices

F64 = torch.float64


def quadratic(a: torch.Tensor, b: torch.Tensor) -> HessianProblem:
    """Return a cost with Hessian a whose gradient at zero is b."""

    def cost(x: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return 0.5 * (x * (a * x.unsqueeze(-2)).sum(-1)).sum(-1) + (b * x).sum(-1)

    return HessianProblem(Euclidean(b.shape[-1]), cost, data=(a, b))


def options(x: torch.Tensor, **more: Any) -> TruncatedConjugateGradientOptions:
    return TruncatedConjugateGradientOptions(x, **{"kappa": 1e-10, **more})


def test_newtons_equation_is_solved_one_product_a_step() -> None:
    a, b = matrices(shift=9.0)
    counted, x = CountedProblem(quadratic(a, b)), torch.zeros(6, dtype=F64)
    o = solve(counted, options(x, trust_region_radius=100.0), record=[":model", ":squared_residual"])
    torch.testing.assert_close(get_solver_result(o), torch.linalg.solve(a, -b), rtol=1e-9, atol=0)
    assert torch.equal(o.x, x) and "residual" in get_reason(o)
    assert counted.as_dict() == {**counted.as_dict(), "cost": 1, "gradient": 1, "hessian": 6}
    models = [model for model, _ in get_record(o)]
    assert models == sorted(models, reverse=True)
    assert models[-1] == pytest.approx(counted.get_cost(o.eta).item(), rel=1e-12)


def test_it_takes_the_steps_of_the_inner_solver() -> None:
    a, b = matrices(shift=3.0)
    m = QuadraticModel(Euclidean(6), torch.zeros(6, dtype=F64), b, lambda u: (a * u).sum(-1))
    for radius in (0.1, 1.0, 100.0):
        o = solve(quadratic(a, b), options(torch.zeros(6, dtype=F64), trust_region_radius=radius))
        inner = truncated_cg(Lone(), m, radius, True, CGRule(1.0, 1e-10, 6))
        torch.testing.assert_close(o.eta, inner.eta, rtol=1e-12, atol=1e-14)
        assert o.inner_reason == inner.reason or o.iterations == 6


def test_each_criterion_has_its_cause() -> None:
    x = torch.zeros(3, dtype=F64)
    down, up = (
        torch.diag(torch.tensor([1.0, 2.0, -1.0], dtype=F64)),
        torch.diag(torch.tensor([1.0, 2.0, 3.0], dtype=F64)),
    )
    twisted = torch.tensor([[5, 0, -3], [-1, 2, -1], [3, 0, 5]], dtype=F64)
    b = torch.ones(3, dtype=F64)

    def reason(a: torch.Tensor, **more: Any) -> str:
        given = {"gradient": lambda x: b + x @ a.T, "hessian": lambda x, u: u @ a.T, "return_options": True}
        return get_reason(truncated_conjugate_gradient(Euclidean(3), lambda x: (b * x).sum(-1), x, **given, **more))

    assert "curvature" in reason(down, trust_region_radius=10.0)
    assert "trust region" in reason(up, trust_region_radius=0.1)
    assert "factor 0.1" in reason(up, trust_region_radius=10.0)
    assert "model increased" in reason(twisted, trust_region_radius=1e6, kappa=1e-12)
    assert "iterations (1)" in reason(up, trust_region_radius=10.0, stop=StopAfterIteration(1))
    # where no criterion asks for the cause, the run ends all the same
    assert "stagnated" in reason(up, trust_region_radius=0.1, stop=StopAfterIteration(50))


def test_a_batch_and_its_members() -> None:
    a, b = matrices(6, shift=4.0)
    x, radius = torch.zeros(6, 6, dtype=F64), 0.4
    o = solve(quadratic(a, b), options(x, trust_region_radius=radius))
    assert len(set(o.reason_code.tolist())) > 1 or len(set(o.iterations.tolist())) > 1
    for j in range(6):
        alone = solve(quadratic(a[j], b[j]), options(x[j], trust_region_radius=radius))
        assert same_bits(alone.eta, o.eta[j]) and alone.iterations == o.iterations[j]
    many = quadratic(a.repeat(11, 1, 1), b.repeat(11, 1))
    wide = options(x.repeat(11, 1), trust_region_radius=radius)
    assert same_bits(solve(many, wide).eta, o.eta.repeat(11, 1))


def test_a_run_is_taken_up() -> None:
    a, b = matrices(3, shift=9.0)

    def some(n: int) -> TruncatedConjugateGradientOptions:
        return options(torch.zeros(3, 6, dtype=F64), trust_region_radius=50.0, stop=StopAfterIteration(n))

    through = solve(quadratic(a, b), some(5))
    rest = load_state_dict(some(5), state_dict(solve(quadratic(a, b), some(2))))
    assert_same_state(state_of(through), state_of(solve(quadratic(a, b), rest)))


def test_radius_and_start() -> None:
    M, x = Sphere(4), torch.eye(4, dtype=F64)[0]
    o = truncated_conjugate_gradient(M, lambda x: x[..., 1] + 0 * x[..., 0], x, return_options=True)
    assert o.radius == pytest.approx(math.pi / 4)  # a quarter of the injectivity radius
    torch.testing.assert_close(o.eta, torch.tensor([0.0, -1.0, 0, 0], dtype=F64) * o.radius, rtol=1e-14, atol=1e-16)
    flat = truncated_conjugate_gradient(Euclidean(4), lambda x: x.sum(-1), x, return_options=True)
    assert flat.radius == 2.0
    a, b = matrices(shift=9.0)
    start = torch.full((6,), 0.01, dtype=F64)
    found = solve(quadratic(a, b), options(torch.zeros(6, dtype=F64), start=start, trust_region_radius=50.0))
    torch.testing.assert_close(found.eta, torch.linalg.solve(a, -b), rtol=1e-8, atol=0)
    front = truncated_conjugate_gradient(
        Euclidean(6), lambda x: quadratic(a, b).cost(x, a, b), 0 * start, start, kappa=1e-10, trust_region_radius=50.0
    )
    torch.testing.assert_close(front, found.eta, rtol=1e-12, atol=1e-14)
    with pytest.raises(OptionsError, match="inside"):
        solve(quadratic(a, b), options(torch.zeros(6, dtype=F64), start=start, trust_region_radius=1e-3))
    with pytest.raises(ShapeError, match="start"):
        solve(quadratic(a, b), options(torch.zeros(6, dtype=F64), start=start[:3]))


def test_a_zero_gradient_needs_no_step() -> None:
    a, _ = matrices()
    o = solve(quadratic(a, torch.zeros(6, dtype=F64)), options(torch.zeros(6, dtype=F64)))
    assert o.iterations == 0 and not o.eta.any()


def test_criteria_of_others_say_what_they_need() -> None:
    problem, x, *_ = problem_named("quadratic").pose()
    for criterion in (
        StopWhenTrustRegionIsExceeded(),
        StopWhenCurvatureIsNegative(),
        StopWhenModelIncreased(),
        StopWhenResidualIsReducedByFactorOrPower(),
    ):
        with pytest.raises(OptionsError, match="needs the field"):
            criterion(problem, object(), 1)
    with pytest.raises(OptionsError, match="kappa"):
        StopWhenResidualIsReducedByFactorOrPower(2.0)
    with pytest.raises(OptionsError, match="trust_region_radius"):
        TruncatedConjugateGradientOptions(x, trust_region_radius=0.0)
