"""Minimisers of tridiagonal cubics against eigenvalues."""

import pytest
import torch

from manopt_torch.functional.masked import Batch, Lone
from manopt_torch.functional.tridiagonal_cubic import minimize_tridiagonal_cubic
from tests.together import together

F64 = torch.float64


def draw(*batch: int, k: int = 5, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(*batch, k, generator=g, dtype=F64), torch.rand(*batch, k - 1, generator=g, dtype=F64) + 0.1


def dense(diagonal: torch.Tensor, beside: torch.Tensor) -> torch.Tensor:
    return torch.diag(diagonal) + torch.diag(beside, 1) + torch.diag(beside, -1)


@together()
@pytest.mark.parametrize("sigma", [1e-8, 1e-3, 1.0, 1e4])
@pytest.mark.parametrize("shift", [-30.0, 0.0, 3.0])
@pytest.mark.parametrize("k", [1, 2, 5, 12])
def test_the_conditions_of_a_global_minimum_hold(sigma: float, shift: float, k: int) -> None:
    diagonal, beside = draw(k=k)
    diagonal = diagonal + shift
    gamma = 0.7
    lam, y, squared = minimize_tridiagonal_cubic(Lone(), diagonal.tolist(), beside.tolist(), gamma, sigma, True)
    T, y = dense(diagonal, beside), torch.tensor(y, dtype=F64)
    eye = torch.eye(k, dtype=F64)
    # [CartisGouldToint:2011], theorem 3.1
    scale = T.abs().max() * y.norm() + gamma
    torch.testing.assert_close((T + lam * eye) @ y, -gamma * eye[0], rtol=0, atol=1e-12 * float(scale))
    assert squared == pytest.approx(y.square().sum().item(), rel=1e-12)
    values, vectors = torch.linalg.eigh(T)
    least, along = values[0].item(), abs(vectors[0, 0].item())
    assert least + lam >= -1e-13 * abs(lam)
    # where T + lambda is nearly singular, rounding of lambda changes the length
    tolerance = 1e-9 + 1e-14 * abs(least) * y.norm().item() / (gamma * along)
    assert lam == pytest.approx(sigma * y.norm().item(), rel=tolerance)


def test_a_batch_gives_what_lone_problems_give_in_bits() -> None:
    diagonal, beside = draw(30)
    gamma, sigma = torch.linspace(0.1, 3.0, 30, dtype=F64), torch.logspace(-4, 3, 30, dtype=F64)
    lane = Batch((30,), diagonal)
    parts = [list(diagonal.unbind(-1)), list(beside.unbind(-1))]
    lam, y, _ = minimize_tridiagonal_cubic(lane, *parts, gamma, sigma, torch.ones(30) > 0)
    for j in range(30):
        alone = minimize_tridiagonal_cubic(
            Lone(), diagonal[j].tolist(), beside[j].tolist(), gamma[j].item(), sigma[j].item(), True
        )
        assert alone.lam == lam[j].item() and alone.y == [c[j].item() for c in y]


def test_a_good_guess_changes_nothing_but_the_work() -> None:
    diagonal, beside = (t.tolist() for t in draw())
    first = minimize_tridiagonal_cubic(Lone(), diagonal, beside, 1.0, 2.0, True)
    for guess in (first.lam, 0.9 * first.lam, 1e9, -1.0):
        again = minimize_tridiagonal_cubic(Lone(), diagonal, beside, 1.0, 2.0, True, guess)
        assert again.lam == pytest.approx(first.lam, rel=1e-12)


def test_values_that_are_not_finite_end_too() -> None:
    lone = minimize_tridiagonal_cubic(Lone(), [float("nan")], [], 1.0, 1.0, True)
    assert len(lone.y) == 1
