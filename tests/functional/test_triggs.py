"""Triggs' correction: the gradient and the Gauss-Newton Hessian of a robust cost, by autograd."""

import pytest
import torch

from manopt_torch import BlockLoss, CauchyLoss, HuberLoss, TolerantLoss, TukeyLoss
from manopt_torch.functional.triggs import correct, squared_blocks, triggs_factors
from tests.together import together

D = torch.float64
LOSSES = [HuberLoss(), CauchyLoss(), TukeyLoss(), TolerantLoss(0.5, 0.3)]


def drawn(*batch, m=6, n=3, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(*batch, m, generator=g, dtype=D), torch.randn(*batch, m, n, generator=g, dtype=D)


def robust_cost(loss, r):
    return 0.5 * loss.rho(squared_blocks(r, loss.block_size)).value.sum(-1)


@together()
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("strict", [True, False])
def test_the_gradient_is_exact(loss, size, strict):
    loss = BlockLoss(loss, size)
    r, J = drawn(2, 4)
    h = torch.zeros(2, 4, 3, dtype=D, requires_grad=True)  # the residuals are linear: r + J h
    truth = torch.autograd.grad(robust_cost(loss, r + (J @ h.unsqueeze(-1)).squeeze(-1)).sum(), h)[0]
    _, first, second = loss.rho(squared_blocks(r, size))
    rt, Jt = correct(r, J, first, second, size, strict=strict)
    assert rt.shape == r.shape and Jt.shape == J.shape
    torch.testing.assert_close((Jt.mT @ rt.unsqueeze(-1)).squeeze(-1), truth, rtol=1e-8, atol=1e-9)


@together()
@pytest.mark.parametrize("loss", [TolerantLoss(0.5, 0.3), CauchyLoss(2.0), HuberLoss()], ids=repr)
@pytest.mark.parametrize("size", [1, 2])
def test_the_hessian_is_exact_for_linear_residuals_where_it_is_positive(loss, size):
    loss = BlockLoss(loss, size)
    r, J = drawn()
    if "Huber" in repr(loss):
        r = 0.4 * r / r.abs().max()
    elif "Cauchy" in repr(loss):
        r = r / r.abs().max()
    truth = torch.autograd.functional.hessian(lambda h: robust_cost(loss, r + J @ h), torch.zeros(3, dtype=D))
    _, first, second = loss.rho(squared_blocks(r, size))
    _, Jt = correct(r, J, first, second, size, strict=False)
    torch.testing.assert_close(Jt.mT @ Jt, truth, rtol=1e-10, atol=1e-12)


def test_strict_is_reweighting():
    r, J = drawn()
    _, first, second = CauchyLoss().rho(r.square())
    rt, Jt = correct(r, J, first, second)
    torch.testing.assert_close(rt, first.sqrt() * r, rtol=0, atol=0)
    torch.testing.assert_close(Jt, first.sqrt().unsqueeze(-1) * J, rtol=0, atol=0)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("size", [1, 2])
def test_nothing_breaks_at_zero_or_without_weight(strict, size):
    r = torch.tensor([0.0, 0.0, 5.0, 5.0], dtype=D)  # the latter are beyond Tukey's scale
    _, first, second = TukeyLoss().rho(squared_blocks(r, size))
    rt, Jt = correct(r, torch.ones(4, 2, dtype=D), first, second, size, strict=strict)
    assert torch.equal(rt, torch.zeros(4, dtype=D))
    assert torch.equal(Jt, torch.tensor([[1.0, 1], [1, 1], [0, 0], [0, 0]], dtype=D))


def test_alpha_is_capped():
    s = torch.tensor([9.0], dtype=D)
    _, first, second = CauchyLoss().rho(s)
    root, alpha = triggs_factors(s, first, second, strict=False)
    assert torch.isfinite(root / (1 - alpha)).all() and 0.999 < alpha < 1
