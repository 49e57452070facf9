"""Orthonormal factors and moves, against NumPy, SciPy and dense formulas."""

import math

import pytest
import scipy.linalg
import torch

from manopt_torch.linalg.orthogonal import cayley, from_complement, polar, qr_unique, to_complement
from tests.together import together

# forward-mode rules of torch are made by torch.jit, which warns of its own deprecation
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
every_field = pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=["real", "complex"])


def gaussian(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def assert_orthonormal(Q: torch.Tensor) -> None:
    torch.testing.assert_close(Q.mH @ Q, torch.eye(Q.shape[-1], dtype=Q.dtype).expand(*Q.shape[:-2], -1, -1))


@every_field
def test_qr_is_unique_and_a_projection(dtype: torch.dtype) -> None:
    Z = gaussian(5, 4, 3, dtype=dtype)
    Q, R = qr_unique(Z)
    assert_orthonormal(Q)
    torch.testing.assert_close(Q @ R, Z)
    assert torch.equal(R, R.triu())
    assert (R.diagonal(dim1=-2, dim2=-1).real > 0).all()
    torch.testing.assert_close(qr_unique(Q)[0], Q)
    assert torch.autograd.gradcheck(lambda Z: qr_unique(Z)[0], (Z[0].clone().requires_grad_(),), fast_mode=True)


def test_qr_of_a_zero_column_is_still_orthonormal() -> None:
    Z = gaussian(4, 3)
    Z[:, 1] = 0
    assert_orthonormal(qr_unique(Z)[0])
    assert_orthonormal(qr_unique(torch.zeros(4, 3, dtype=torch.float64))[0])


@every_field
@pytest.mark.parametrize("shape", [(3, 3), (5, 2)], ids=str)
def test_polar_factor_is_that_of_scipy(shape: tuple[int, int], dtype: torch.dtype) -> None:
    Z = gaussian(*shape, dtype=dtype)
    torch.testing.assert_close(polar(Z), torch.from_numpy(scipy.linalg.polar(Z.numpy())[0]))


@pytest.mark.parametrize("singular_values", [[1.0, 1.0, 1.0], [2.0, 2.0, 0.5], [3.0, 1.0, 0.2]], ids=str)
@pytest.mark.parametrize("n", [3, 4])
def test_two_derivatives_of_polar_also_at_repeated_singular_values(singular_values: list[float], n: int) -> None:
    U, V = qr_unique(gaussian(n, 3))[0], qr_unique(gaussian(3, 3, seed=1))[0]
    Z = ((U * torch.tensor(singular_values)) @ V.mT).requires_grad_()
    assert torch.autograd.gradcheck(polar, (Z,), check_forward_ad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(polar, (Z,), check_fwd_over_rev=True, fast_mode=True)


def test_polar_of_deficient_and_bad_matrices() -> None:
    good, deficient = gaussian(4, 3), gaussian(4, 3, seed=1) * torch.tensor([1.0, 0.0, 1.0])
    Z = torch.stack([good, deficient, torch.zeros(4, 3), good * math.nan, 1e-200 * good]).requires_grad_()
    Q = polar(Z)
    assert_orthonormal(Q[[0, 1, 2, 4]])
    assert torch.isnan(Q[3]).all()
    torch.testing.assert_close(Q[4], Q[0])
    (gradient,) = torch.autograd.grad(Q[:3].sum(), Z)
    assert torch.isfinite(gradient[:3]).all()


@every_field
def test_cayley_is_the_dense_formula(dtype: torch.dtype) -> None:
    X, Z = qr_unique(gaussian(5, 2, dtype=dtype))[0], gaussian(5, 2, dtype=dtype, seed=1)
    W = Z @ X.mH - X @ Z.mH
    eye = torch.eye(5, dtype=dtype)
    wanted = torch.linalg.solve(eye - W / 2, (eye + W / 2) @ X)
    got = cayley(X, torch.cat([Z, X], -1), torch.cat([X, -Z], -1))
    torch.testing.assert_close(got, wanted)
    assert_orthonormal(got)


@together()
@every_field
@pytest.mark.parametrize("top", ["any", "singular", "identity", "minus identity"])
def test_complements_are_orthonormal_whatever_stands_on_top(top: str, dtype: torch.dtype) -> None:
    X = qr_unique(gaussian(2, 5, 2, dtype=dtype))[0]
    if top != "any":
        X = torch.eye(5, dtype=dtype).roll(2 if top == "singular" else 0, 1)[:, :2].expand(2, 5, 2)
        X = -X if top == "minus identity" else X
    basis = from_complement(X, torch.eye(3, dtype=dtype).expand(2, 3, 3))
    assert_orthonormal(torch.cat([X, basis], -1))
    U = gaussian(2, 5, 2, dtype=dtype, seed=2)
    torch.testing.assert_close(to_complement(X, U), basis.mH @ U)
