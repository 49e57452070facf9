"""Truncated conjugate gradients against dense linear algebra."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from manopt_torch import Euclidean, Sphere
from manopt_torch.functional.cg_iteration import (
    ALL_ITERATIONS,
    EXCEEDED,
    INNER_REASONS,
    MODEL_INCREASED,
    NEGATIVE_CURVATURE,
    RESIDUAL,
    QuadraticModel,
)
from manopt_torch.functional.masked import Batch, Lone
from manopt_torch.functional.truncated_cg import CGRule, cauchy_point, rewind, truncated_cg
from tests.together import together

F64 = torch.float64
EXACT = CGRule(1.0, 1e-12, 50)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def matrices(*batch: int, n: int = 6, shift: float = 5.0, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw symmetric matrices, positive if shifted enough, and gradients."""
    a = torch.randn(*batch, n, n, generator=generator(seed), dtype=F64)
    return a + a.mT + shift * torch.eye(n, dtype=F64), torch.randn(*batch, n, generator=generator(seed + 1), dtype=F64)


class Counting:
    """A matrix as a Hessian that counts its products."""

    def __init__(self, a: torch.Tensor) -> None:
        self.a, self.count = a, 0

    def __call__(self, u: torch.Tensor) -> torch.Tensor:
        self.count += 1
        return (self.a * u.unsqueeze(-2)).sum(-1)


def model(a: torch.Tensor, g: torch.Tensor, precondition: Any = None) -> QuadraticModel:
    return QuadraticModel(Euclidean(g.shape[-1]), torch.zeros_like(g), g, Counting(a), precondition)


def value(a: torch.Tensor, g: torch.Tensor, eta: torch.Tensor) -> torch.Tensor:
    return (g * eta).sum(-1) + 0.5 * (eta * (a @ eta.unsqueeze(-1)).squeeze(-1)).sum(-1)


def test_the_minimiser_inside_solves_newtons_equation_with_one_product_an_iteration() -> None:
    a, g = matrices(shift=9.0)
    m = model(a, g)
    found = truncated_cg(Lone(), m, 100.0, True, EXACT)
    torch.testing.assert_close(found.eta, torch.linalg.solve(a, -g), rtol=1e-10, atol=0)
    assert found.reason == RESIDUAL and found.count == m.hessian.count == 6
    assert found.fall == pytest.approx(-value(a, g, found.eta).item(), rel=1e-12)
    assert found.ee == pytest.approx(found.eta.square().sum().item(), rel=1e-12)


@together()
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shift", [9.0, 2.0])
def test_a_small_ball_is_left_at_its_boundary_below_the_cauchy_point(seed: int, shift: float) -> None:
    a, g = matrices(shift=shift, seed=10 * seed)
    for radius in (0.05, 0.2):
        found = truncated_cg(Lone(), model(a, g), radius, True, EXACT)
        assert found.reason in (EXCEEDED, NEGATIVE_CURVATURE)
        assert found.eta.norm().item() == pytest.approx(radius, rel=1e-13)
        assert found.fall == pytest.approx(-value(a, g, found.eta).item(), rel=1e-12)
        curvature = (g @ a @ g).item()
        t = radius / g.norm() if curvature <= 0 else min(radius / g.norm(), g @ g / curvature)
        assert found.fall >= -value(a, g, -t * g).item() * (1 - 1e-12)
        cauchy = cauchy_point(Lone(), model(a, g), radius, found)
        assert cauchy.fall == found.fall and cauchy.reason == found.reason


@pytest.mark.parametrize("radius", [None, 100.0, 0.3])
def test_what_is_known_of_hessian_and_gradient_saves_inner_products(radius: float | None) -> None:
    a, g = matrices(shift=9.0)

    class Space(Euclidean):
        count = 0

        def inner(self, x: Any, u: Any, v: Any) -> torch.Tensor:
            Space.count += 1
            return Euclidean.inner(self, x, u, v)

    plain = replace(model(a, g), M=Space(6))
    known = replace(plain, symmetric=True, norm=g.norm().item())
    slow, used = truncated_cg(Lone(), plain, radius, True, EXACT), Space.count
    fast = truncated_cg(Lone(), known, radius, True, EXACT)
    torch.testing.assert_close(fast.eta, slow.eta, rtol=1e-12, atol=0)
    assert (fast.reason, fast.count) == (slow.reason, slow.count)
    assert fast.fall == pytest.approx(-value(a, g, fast.eta).item(), rel=1e-13)
    # two an iteration, of the direction with its product and of the residual; none of the latter at the boundary
    assert Space.count - used == 2 * fast.count - (fast.reason == EXCEEDED) < used


def test_reasons() -> None:
    a, g = torch.diag(torch.tensor([1.0, 2.0, 3.0, -1.0], dtype=F64)), torch.ones(4, dtype=F64)
    assert truncated_cg(Lone(), model(a, g), 10.0, True, EXACT).reason == NEGATIVE_CURVATURE
    a = a.abs()
    assert truncated_cg(Lone(), model(a, g), 0.1, True, EXACT).reason == EXCEEDED
    assert truncated_cg(Lone(), model(a, g), 10.0, True, CGRule(1.0, 0.5, 50)).reason == RESIDUAL
    assert truncated_cg(Lone(), model(a, g), 10.0, True, CGRule(1.0, 1e-12, 1)).reason == ALL_ITERATIONS
    still = truncated_cg(Lone(), model(a, 0 * g), 10.0, True, EXACT)
    assert still.reason == RESIDUAL and still.count == 0 and not still.eta.any()
    twisted = torch.tensor([[5, 0, -3], [-1, 2, -1], [3, 0, 5]], dtype=F64)  # no Hessian: not symmetric
    odd = truncated_cg(Lone(), model(twisted, g[:3]), 1e9, True, EXACT)
    assert odd.reason == MODEL_INCREASED and odd.count == 2
    once = truncated_cg(Lone(), model(twisted, g[:3]), 1e9, True, CGRule(1.0, 1e-12, 1))
    assert torch.equal(odd.eta, once.eta) and odd.fall == once.fall  # the last step is undone
    assert INNER_REASONS[odd.reason] == "model increased"


def test_the_residual_rule() -> None:
    a, g = matrices(n=30, shift=20.0)
    for scale, theta, kappa in ((1.0, 1.0, 0.1), (1e-3, 1.0, 0.1), (1e-4, 0.5, 0.9), (1e-2, 2.0, 1.0)):
        found = truncated_cg(Lone(), model(a, scale * g), 1e9, True, CGRule(theta, kappa, 50))
        size = scale * g.norm()
        target = size * min(size**theta, kappa)
        assert (a @ found.eta + scale * g).norm() <= target * (1 + 1e-9)
        before = truncated_cg(Lone(), model(a, scale * g), 1e9, True, CGRule(theta, kappa, found.count - 1))
        assert found.count == 1 or (a @ before.eta + scale * g).norm() > target


@together()
@pytest.mark.parametrize("radius", [0.3, 0.05, 1e-3])
@pytest.mark.parametrize("seed", range(3))
def test_going_back_gives_what_a_fresh_iteration_gives_without_a_product(radius: float, seed: int) -> None:
    a, g = matrices(shift=4.0, seed=seed)
    for first_radius in (2.0, 0.5):
        m, path = model(a, g), []
        first = truncated_cg(Lone(), m, first_radius, True, EXACT, path=path, remember=first_radius)
        assert first.ee > radius**2
        used = m.hessian.count
        again = rewind(Lone(), m, radius, path)
        assert m.hessian.count == used == first.count
        fresh = truncated_cg(Lone(), m, radius, True, EXACT)
        assert again is not None and torch.equal(again.eta, fresh.eta)
        assert (again.fall, again.ee, again.reason, again.count) == (fresh.fall, fresh.ee, fresh.reason, fresh.count)


def test_a_path_that_ends_inside_leads_nowhere() -> None:
    a, g = matrices(shift=9.0)
    path: list[Any] = []
    m = model(a, g)
    truncated_cg(Lone(), m, 100.0, True, EXACT, path=path, remember=100.0)
    assert rewind(Lone(), m, 50.0, path) is None


@pytest.mark.parametrize("symmetric", [False, True])
def test_every_problem_of_a_batch_has_its_own_end(symmetric: bool) -> None:
    a, g = matrices(40, shift=4.0)
    radius = torch.logspace(-2, 1, 40, dtype=F64)
    g = torch.where(torch.arange(40)[:, None] == 7, 0.0, g)
    a = torch.where(torch.arange(40)[:, None, None] == 9, torch.nan, a)
    rule = CGRule(1.0, 1e-3, 5)
    active = torch.arange(40) != 11
    found = truncated_cg(Batch((40,), g), replace(model(a, g), symmetric=symmetric), radius, active, rule)
    assert set(found.reason.tolist()) >= {NEGATIVE_CURVATURE, EXCEEDED, RESIDUAL}
    for j in range(40):
        m = replace(model(a[j], g[j]), symmetric=symmetric)
        alone = truncated_cg(Lone(), m, radius[j].item(), bool(active[j]), rule)
        assert torch.equal(alone.eta, found.eta[j])
        assert (alone.fall, alone.ee, alone.count) == (found.fall[j], found.ee[j], found.count[j])
        assert alone.reason == found.reason[j]
    assert not found.eta[11].any() and not found.eta[7].any()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_products_of_problems_that_have_ended_do_not_matter(bad: float) -> None:
    a, g = matrices(3, shift=9.0)
    radius = torch.tensor([1e3, 1e-3, 1e3], dtype=F64)
    rounds = iter([1.0, bad, bad, 1.0, bad, 1.0])

    def hessian(u: torch.Tensor) -> torch.Tensor:
        return (a * u.unsqueeze(-2)).sum(-1) * torch.tensor([1.0, next(rounds), 1.0], dtype=F64)[:, None]

    m, lane, rule = QuadraticModel(Euclidean(6), 0 * g, g, hessian), Batch((3,), g), CGRule(1.0, 1e-12, 6)
    found = truncated_cg(lane, m, radius, torch.ones(3) > 0, rule)
    wanted = truncated_cg(lane, model(a, g), radius, torch.ones(3) > 0, rule)
    assert found.count.tolist() == wanted.count.tolist() and found.count[1] == 1 and found.count[0] > 4
    assert torch.equal(found.eta, wanted.eta) and torch.equal(found.fall, wanted.fall)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_problem_whose_gradient_is_not_finite_stays_at_zero(bad: float) -> None:
    a, g = matrices(3, shift=9.0)
    broken = torch.where(torch.arange(3)[:, None] == 1, bad, g)
    active = torch.tensor([True, False, True])
    found = truncated_cg(Batch((3,), g), model(a, broken), torch.full((3,), 1e3, dtype=F64), active, EXACT)
    wanted = truncated_cg(Batch((3,), g), model(a, g), torch.full((3,), 1e3, dtype=F64), active, EXACT)
    assert torch.equal(found.eta, wanted.eta) and not found.eta[1].any()


def test_a_product_that_is_not_finite_counts_as_no_curvature() -> None:
    a, g = matrices()
    found = truncated_cg(Lone(), model(torch.nan * a, g), 0.5, True, EXACT)
    torch.testing.assert_close(found.eta, -0.5 * g / g.norm(), rtol=1e-14, atol=0)
    assert found.reason == NEGATIVE_CURVATURE and found.fall == pytest.approx(0.5 * g.norm().item(), rel=1e-13)
    endless = QuadraticModel(Euclidean(6), 0 * g, g, lambda u: math.inf * u)
    for lane, m, radius in (
        (Lone(), endless, 0.5),
        (Batch((1,), g), replace(endless, x=0 * g[None], gradient=g[None]), torch.tensor([0.5], dtype=F64)),
    ):
        found = truncated_cg(lane, m, radius, lane.full(True), EXACT)
        torch.testing.assert_close(found.eta.reshape(6), -0.5 * g / g.norm(), rtol=1e-14, atol=0)
        assert found.reason == NEGATIVE_CURVATURE
    later = torch.diag(torch.tensor([2.0, 1.0, 3.0, 1.0, 1.0, 1.0], dtype=F64))
    calls = iter([later, torch.nan * later])
    m = QuadraticModel(Euclidean(6), 0 * g, g, lambda u: next(calls) @ u)
    found = truncated_cg(Lone(), m, 30.0, True, EXACT)
    assert found.count == 2 and math.isfinite(found.fall) and found.eta.norm().item() == pytest.approx(30.0)


def test_with_the_inverse_as_preconditioner_one_iteration_is_enough() -> None:
    a, g = matrices(5, shift=9.0)
    inverse = torch.linalg.inv(a)

    def precondition(u: torch.Tensor) -> torch.Tensor:
        return (inverse * u.unsqueeze(-2)).sum(-1)

    found = truncated_cg(Batch((5,), g), model(a, g, precondition), torch.full((5,), 1e3), torch.ones(5) > 0, EXACT)
    assert (found.count <= 2).all()
    torch.testing.assert_close(found.eta, torch.linalg.solve(a, -g), rtol=1e-9, atol=1e-12)
    # lengths are in the norm of the inverse preconditioner
    small = truncated_cg(Lone(), model(a[0], g[0], lambda u: inverse[0] @ u), 0.1, True, EXACT)
    assert (small.eta @ a[0] @ small.eta).item() == pytest.approx(0.01, rel=1e-10)


def test_a_start_inside_the_ball() -> None:
    a, g = matrices(shift=9.0)
    start = torch.full((6,), 0.02, dtype=F64)
    found = truncated_cg(Lone(), model(a, g), 100.0, True, EXACT, eta=start)
    torch.testing.assert_close(found.eta, torch.linalg.solve(a, -g), rtol=1e-9, atol=0)
    assert found.fall == pytest.approx(-value(a, g, found.eta).item(), rel=1e-12)
    edge = truncated_cg(Lone(), model(a, g), 0.06, True, EXACT, eta=start)
    assert edge.eta.norm().item() == pytest.approx(0.06, rel=1e-12)
    assert edge.fall == pytest.approx(-value(a, g, edge.eta).item(), rel=1e-12)


def test_without_a_radius_negative_curvature_ends_at_the_last_iterate() -> None:
    a, g = torch.diag(torch.tensor([-1.0, 2.0], dtype=F64)), torch.tensor([2.0, 0.1], dtype=F64)
    first = truncated_cg(Lone(), model(a, g), None, True, EXACT)
    assert first.reason == NEGATIVE_CURVATURE
    torch.testing.assert_close(first.eta, g * (g @ g) / (g @ a @ g), rtol=1e-13, atol=0)  # the curvature's opposite
    assert first.ee == pytest.approx((first.eta @ first.eta).item(), rel=1e-13)
    assert torch.equal(truncated_cg(Lone(), model(torch.nan * a, g), None, True, EXACT).eta, -g)
    g = torch.tensor([0.1, 2.0], dtype=F64)
    second = truncated_cg(Lone(), model(a, g), None, True, EXACT)
    assert second.reason == NEGATIVE_CURVATURE and second.count == 2
    torch.testing.assert_close(second.eta, -g * (g @ g) / (g @ a @ g), rtol=1e-13, atol=0)
    assert second.ee == pytest.approx((second.eta @ second.eta).item(), rel=1e-13)


def test_the_cauchy_point_wins_over_a_bad_start() -> None:
    a, g = matrices(3, shift=9.0)
    lane, m = Batch((3,), g), model(a, g)
    radius = torch.full((3,), 0.3, dtype=F64)
    poor = truncated_cg(lane, m, radius, torch.ones(3) > 0, CGRule(1.0, 1.0, 1), eta=0.29 * g / g.norm(dim=-1)[:, None])
    better = cauchy_point(lane, m, radius, poor._replace(fall=poor.fall - 10.0))
    torch.testing.assert_close(better.fall, -value(a, g, better.eta), rtol=1e-11, atol=1e-14)
    assert (better.eta.norm(dim=-1) <= 0.3 * (1 + 1e-12)).all()


def test_on_a_tangent_space() -> None:
    M, x = Sphere(5), torch.eye(5, dtype=F64)[0]
    a, g = matrices(n=5, shift=9.0)
    g = M.project_tangent(x, g)
    m = QuadraticModel(M, x, g, lambda u: M.project_tangent(x, a @ u))
    found = truncated_cg(Lone(), m, 100.0, True, EXACT)
    torch.testing.assert_close(found.eta[1:], torch.linalg.solve(a[1:, 1:], -g[1:]), rtol=1e-9, atol=0)
    assert abs(found.eta[0]) < 1e-14
