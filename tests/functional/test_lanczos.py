"""Cubic models against dense minimisers."""

import math

import pytest
import scipy.optimize
import torch

from manopt_torch import Euclidean
from manopt_torch.functional.cg_iteration import QuadraticModel
from manopt_torch.functional.lanczos import Krylov, minimize_cubic
from manopt_torch.functional.masked import Batch, Lone
from tests.functional.test_truncated_cg import Counting, matrices, model, value

F64 = torch.float64


@pytest.mark.parametrize("sigma", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("shift", [9.0, 0.0])
def test_the_whole_krylov_space_holds_the_global_minimiser(sigma: float, shift: float) -> None:
    a, g = matrices(shift=shift)
    m = model(a, g)
    found = minimize_cubic(Lone(), m, sigma, True, 1e-9, 6)
    least, length = torch.linalg.eigvalsh(a)[0], found.u.norm()
    # [CartisGouldToint:2011], theorem 3.1
    torch.testing.assert_close(a @ found.u + g + sigma * length * found.u, torch.zeros(6, dtype=F64), rtol=0, atol=1e-8)
    assert least + sigma * length >= -1e-9
    assert found.length == pytest.approx(length.item(), rel=1e-9)
    assert found.fall == pytest.approx(-value(a, g, found.u).item(), rel=1e-8)
    assert found.count <= 6 and m.hessian.count == found.count and not found.unsolved

    def cubic(u: torch.Tensor) -> float:
        u = torch.as_tensor(u, dtype=F64)
        return (value(a, g, u) + sigma / 3 * u.norm() ** 3).item()

    best = min(scipy.optimize.minimize(cubic, start, method="BFGS").fun for start in (-g, g, 0.1 * g.abs()))
    assert cubic(found.u) <= best + 1e-8 * abs(best)


def test_it_ends_as_soon_as_the_models_gradient_is_small_enough() -> None:
    a, g = matrices(n=40, shift=16.0)
    counts = []
    for theta in (0.5, 1e-2, 1e-4):
        m = model(a, g)
        found = minimize_cubic(Lone(), m, 1.0, True, theta, 40)
        length = found.u.norm()
        assert (a @ found.u + g + length * found.u).norm() <= theta * length**2 * (1 + 1e-9)
        counts.append(found.count)
    assert counts == sorted(counts) and counts[0] < 20
    short = minimize_cubic(Lone(), model(a, g), 1.0, True, 1e-6, 3)
    assert short.count == 3 and short.unsolved


def test_another_weight_takes_up_the_space_grown_before() -> None:
    a, g = matrices(n=12, shift=3.0)
    m = model(a, g)
    krylov = Krylov(Lone(), m)
    minimize_cubic(Lone(), m, 1.0, True, 0.1, 12, krylov)
    used = m.hessian.count
    again = minimize_cubic(Lone(), m, 20.0, True, 0.1, 12, krylov)
    fresh_model = model(a, g)
    fresh = minimize_cubic(Lone(), fresh_model, 20.0, True, 0.1, 12)
    assert torch.equal(again.u, fresh.u) and again.count == fresh.count
    assert m.hessian.count == max(used, fresh_model.hessian.count) < used + fresh_model.hessian.count


def test_every_problem_of_a_batch_has_its_own_end() -> None:
    a, g = matrices(20, shift=4.0)
    sigma = torch.logspace(-2, 2, 20, dtype=F64)
    g = torch.where(torch.arange(20)[:, None] == 3, 0.0, g)
    a = torch.where(torch.arange(20)[:, None, None] == 5, torch.nan, a)
    active = torch.arange(20) != 8
    found = minimize_cubic(Batch((20,), g), model(a, g), sigma, active, 0.1, 6)
    for j in range(20):
        alone = minimize_cubic(Lone(), model(a[j], g[j]), sigma[j].item(), bool(active[j]), 0.1, 6)
        assert torch.equal(alone.u, found.u[j]), j
        assert (alone.length, alone.fall, alone.count) == (found.length[j], found.fall[j], found.count[j])
        assert alone.unsolved == bool(found.unsolved[j])
    assert not found.u[8].any() and not found.u[3].any()
    # without curvature the model is linear and cubic: length sqrt(|g| / sigma) down the gradient
    step = math.sqrt(float(g[5].norm() / sigma[5]))
    torch.testing.assert_close(found.u[5], -step * g[5] / g[5].norm(), rtol=1e-10, atol=0)


def test_points_may_be_scalars() -> None:
    g = torch.tensor([2.0, -3.0], dtype=F64)
    m = QuadraticModel(Euclidean(), torch.zeros_like(g), g, Counting(torch.ones(2, 1, dtype=F64)).a[:, 0].mul)
    found = minimize_cubic(Batch((2,), g), m, torch.ones(2, dtype=F64), torch.ones(2) > 0, 0.5, 1)
    # g + u + |u| u = 0
    root = (torch.sqrt(1 + 4 * g.abs()) - 1) / 2
    torch.testing.assert_close(found.u, -g.sign() * root, rtol=1e-12, atol=0)
