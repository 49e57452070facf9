"""Relative eigenvalues of two positive definite matrices, against SciPy and against both ways of computing them."""

import pytest
import scipy.linalg
import torch

from manopt_torch.linalg import definite_pencil as module
from manopt_torch.linalg.definite_pencil import definite_pencil, log_between, log_distance_squared
from manopt_torch.linalg.whitening import affine_invariant_squared_distance
from manopt_torch.manifolds import SymmetricPositiveDefinite

SIZES = pytest.mark.parametrize("n", [1, 2, 3, 4])


def pairs(n: int, count: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return SymmetricPositiveDefinite(n).random_point(2, count, generator=generator, dtype=dtype)


@SIZES
def test_eigenvalues_are_those_of_scipy(n: int) -> None:
    x, y = pairs(n, 20)
    pencil = definite_pencil(x, y)
    for k in range(20):
        wanted = torch.from_numpy(scipy.linalg.eigvalsh(y[k].numpy(), x[k].numpy()))
        torch.testing.assert_close(pencil.eigenvalues[k], wanted, rtol=1e-11, atol=0)
    torch.testing.assert_close(log_distance_squared(x, y), pencil.eigenvalues.log().square().sum(-1))
    whitened = pencil.inverse @ y @ pencil.inverse.mT
    rebuilt = pencil.vectors @ torch.diag_embed(pencil.eigenvalues) @ pencil.vectors.mT
    torch.testing.assert_close(rebuilt, whitened, rtol=1e-11, atol=1e-11)


@SIZES
@pytest.mark.parametrize("apart", [0.0, 1e-9, 0.1, 1.0])
def test_both_ways_agree(n: int, apart: float, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = pairs(n, 50)
    y = torch.lerp(x, y, apart)
    quick = log_distance_squared(x, y), log_between(x, y)
    monkeypatch.setattr(module, "is_small", lambda x, y: False)
    slow = log_distance_squared(x, y), log_between(x, y)
    torch.testing.assert_close(quick[0], slow[0], rtol=1e-11 / max(apart, 1e-4), atol=1e-28)
    # relative to its length, also where that is tiny
    torch.testing.assert_close(quick[1], slow[1], rtol=1e-8, atol=1e-12 * apart)


@SIZES
def test_gradients_with_and_without_a_second_derivative_agree(n: int) -> None:
    x, y = (t.requires_grad_() for t in pairs(n, 5).unbind(0))
    value = affine_invariant_squared_distance(x, y).sum()
    plain = torch.autograd.grad(value, (x, y), retain_graph=True)
    differentiable = torch.autograd.grad(value, (x, y), create_graph=True)
    torch.testing.assert_close(plain, differentiable, rtol=1e-9, atol=1e-10)
    one, many = x[0].detach().requires_grad_(), y.detach()
    total = affine_invariant_squared_distance(one, many).sum()  # a point against many
    wanted = sum(torch.autograd.grad(affine_invariant_squared_distance(one, many[k]), one)[0] for k in range(5))
    torch.testing.assert_close(torch.autograd.grad(total, one)[0], wanted, rtol=1e-9, atol=1e-10)


def test_a_matrix_that_is_not_definite_gets_nan_alone() -> None:
    x, y = (t.clone() for t in pairs(3, 3).unbind(0))
    wanted = log_distance_squared(x, y)
    x[1, 0, 0], y[2, 2, 2] = -1.0, -100.0
    found = log_distance_squared(x, y)
    assert torch.equal(found[:1], wanted[:1])
    assert found[1:].isnan().all()
    assert log_between(x, y)[1:].isnan().any(-1).any(-1).all()
