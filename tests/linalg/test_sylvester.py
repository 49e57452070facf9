"""Equations of Lyapunov type, against SciPy."""

import pytest
import scipy.linalg
import torch

from manopt_torch.linalg.sylvester import general_lyapunov, lyapunov, triangular_lyapunov

# forward-mode rules of torch are made by torch.jit, which warns of its own deprecation
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
every_field = pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=["real", "complex"])


def gaussian(seed: int, dtype: torch.dtype, *batch: int) -> torch.Tensor:
    return torch.randn(*batch, 3, 3, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def with_eigenvalues(eigenvalues: list[float], dtype: torch.dtype) -> torch.Tensor:
    frame, _ = torch.linalg.qr(gaussian(2, dtype))
    return (frame * torch.tensor(eigenvalues)) @ frame.mH


@every_field
def test_solutions_are_those_of_scipy(dtype: torch.dtype) -> None:
    C, M = gaussian(0, dtype), gaussian(1, dtype)
    P = with_eigenvalues([0.5, 2.0, 2.0], dtype)
    torch.testing.assert_close(lyapunov(P, C), torch.from_numpy(scipy.linalg.solve_sylvester(*map(_np, (P, P, C)))))
    wanted = torch.from_numpy(scipy.linalg.solve_continuous_lyapunov(_np(M), _np(C)))
    torch.testing.assert_close(general_lyapunov(M, C), wanted)


def _np(a: torch.Tensor) -> object:
    return a.numpy()


@pytest.mark.parametrize("eigenvalues", [[1.0, 1.0, 1.0], [0.3, 2.0, 5.0], [-1.0, 2.0, 2.0]], ids=str)
def test_derivatives_of_any_order_also_at_repeated_eigenvalues(eigenvalues: list[float]) -> None:
    P, C = with_eigenvalues(eigenvalues, torch.float64), gaussian(0, torch.float64)

    def solve(P: torch.Tensor, C: torch.Tensor) -> torch.Tensor:
        return lyapunov((P + P.mT) / 2, C)

    arguments = (P.requires_grad_(), C.requires_grad_())
    assert torch.autograd.gradcheck(solve, arguments, check_forward_ad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(solve, arguments, check_fwd_over_rev=True, fast_mode=True)


def test_directions_without_solution_are_left_out() -> None:
    P = torch.diag(torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)).requires_grad_()
    X = lyapunov(P, torch.ones(3, 3, dtype=torch.float64))
    assert X[0, 0] == 0
    assert torch.isfinite(torch.autograd.grad(X.sum(), P)[0]).all()


@every_field
def test_triangular_solutions_solve_and_others_are_nan(dtype: torch.dtype) -> None:
    A, eye = gaussian(0, dtype, 4), torch.eye(3, dtype=dtype)
    M = eye + 0.4 * (A - A.mH) - 0.1 * A @ A.mH
    R = triangular_lyapunov(M)
    torch.testing.assert_close(M @ R + R.mH @ M.mH, 2 * eye.expand(4, 3, 3))
    assert torch.equal(R, R.triu())
    diagonal = R.diagonal(dim1=-2, dim2=-1)
    assert (diagonal.real > 0).all()
    if dtype.is_complex:
        torch.testing.assert_close(diagonal.imag, torch.zeros_like(diagonal.imag))
    mixed = triangular_lyapunov(torch.stack([M[0], -M[1]]))
    torch.testing.assert_close(mixed[0], R[0])
    assert torch.isnan(mixed[1]).all()
