"""Exponentials by matrix products, against arbitrary precision."""

import math

import mpmath
import pytest
import torch

from manopt_torch.linalg.matrix_exp import matrix_expm1

# forward-mode rules of torch are made by torch.jit, which warns of its own deprecation
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")


def gaussian(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def of_norm(M: torch.Tensor, norm: float) -> torch.Tensor:
    return M * (norm / M.abs().sum(-2).amax(-1)[..., None, None])


def exact(M: torch.Tensor) -> torch.Tensor:
    with mpmath.workdps(60):
        E = mpmath.expm(mpmath.matrix(M.tolist())) - mpmath.eye(M.shape[-1])
        return torch.tensor([[complex(v) for v in row] for row in E.tolist()], dtype=torch.complex128)


@pytest.mark.parametrize("norm", [1e-12, 1e-6, 1e-3, 0.1, 1.0, 1.5, 1.6, 3.0, 30.0])
@pytest.mark.parametrize("kind", ["any", "skew", "complex"])
def test_values_keep_relative_accuracy_from_tiny_matrices_on(norm: float, kind: str) -> None:
    M = gaussian(4, 4, dtype=torch.complex128 if kind == "complex" else torch.float64)
    M = of_norm(M - M.mH if kind != "any" else M, norm)
    for dtype in (torch.float32, torch.float64):
        low = M.to(dtype.to_complex() if kind == "complex" else dtype)
        wanted = exact(low.to(M.dtype))
        error = (matrix_expm1(low) - wanted).abs().max() / wanted.abs().max()
        assert error <= 4 * torch.finfo(dtype).eps * max(1.0, norm)


def test_matrices_of_a_batch_are_scaled_each_for_itself() -> None:
    M = torch.stack([of_norm(gaussian(3, 3, seed=k), norm) for k, norm in enumerate((1e-8, 0.7, 20.0, 900.0))])
    skew = M - M.mT
    together = matrix_expm1(skew)
    for alone, one in zip(map(matrix_expm1, skew), together, strict=True):
        torch.testing.assert_close(alone, one, rtol=1e-13, atol=0)
    torch.testing.assert_close(torch.func.vmap(matrix_expm1)(skew), together)


def test_what_cannot_be_scaled_is_nan_and_leaves_its_neighbours_alone() -> None:
    M = gaussian(3, 3)
    spoilt = torch.stack([M, of_norm(M, 1e6), M * math.nan, M * math.inf, M]).requires_grad_()
    result = matrix_expm1(spoilt)
    assert torch.isnan(result[1:4]).all()
    assert torch.equal(result[[0, 4]], matrix_expm1(torch.stack([M, M])))
    (gradient,) = torch.autograd.grad(result[[0, 4]].sum(), spoilt)
    assert torch.isfinite(gradient[[0, 4]]).all()


@pytest.mark.parametrize("norm", [0.0, 0.5, 4.0])
def test_two_derivatives_are_those_of_finite_differences(norm: float) -> None:
    M = (of_norm(gaussian(3, 3), 1.0) * norm).requires_grad_()
    assert torch.autograd.gradcheck(matrix_expm1, (M,), check_forward_ad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(matrix_expm1, (M,), fast_mode=True)
