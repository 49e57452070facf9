"""The Cholesky factor and its inverse in closed form, against LAPACK and finite differences."""

import math

import pytest
import torch

from manopt_torch.linalg import symmetric_part
from manopt_torch.linalg.cholesky_pair import cholesky_pair
from manopt_torch.manifolds import SymmetricPositiveDefinite
from tests.together import together

# forward-mode rules of torch are made by torch.jit, which warns of its own deprecation
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
SIZES = pytest.mark.parametrize("n", [1, 2, 3, 4])


def points(n: int, count: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return SymmetricPositiveDefinite(n).random_point(count, generator=generator, dtype=dtype)


@together()
@SIZES
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_factors_are_those_of_lapack(n: int, dtype: torch.dtype) -> None:
    X = points(n, 500, dtype)
    L, W = (a.double() for a in cholesky_pair(X))
    wanted = torch.linalg.cholesky(X.double())
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(L, wanted, rtol=0, atol=200 * eps)  # of matrices with condition 100
    torch.testing.assert_close(W @ wanted, torch.eye(n).double().expand_as(W), rtol=0, atol=500 * eps)
    assert torch.equal(L, L.tril())
    assert torch.equal(W, W.tril())
    assert torch.equal(cholesky_pair(X)[1][5:9], cholesky_pair(X[5:9])[1])


@SIZES
def test_derivatives_are_those_of_finite_differences(n: int) -> None:
    X = points(n, 2).requires_grad_()

    def of_symmetric(X: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return cholesky_pair(symmetric_part(X))

    assert torch.autograd.gradcheck(of_symmetric, (X,), check_forward_ad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(of_symmetric, (X,), fast_mode=True)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_what_is_not_positive_definite_becomes_nan(n: int) -> None:
    eye = torch.eye(n, dtype=torch.float64)
    last = torch.zeros(n, dtype=torch.float64)
    last[-1] = 1
    bad = [
        -eye,
        0 * eye,
        eye * math.nan,
        eye - torch.diag(last),
        eye - 2 * torch.diag(last),
        eye - 2 * torch.diag(last.flip(0)),
    ]
    for matrix in bad:
        both = torch.stack([eye, matrix])
        for factor in cholesky_pair(both):
            assert torch.equal(factor[0], eye)
            assert torch.isnan(factor[1]).all()
