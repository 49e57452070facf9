"""Cholesky factors that fail one matrix at a time."""

import pytest
import torch

from manopt_torch.linalg import cholesky_or_nan, congruence, inverse_triangular, solve_positive_definite

X = torch.tensor([[4.0, 2.0], [2.0, 5.0]], dtype=torch.float64)


def test_factor_of_a_known_matrix() -> None:
    wanted = torch.tensor([[2.0, 0.0], [1.0, 2.0]], dtype=torch.float64)
    torch.testing.assert_close(cholesky_or_nan(X), wanted)
    torch.testing.assert_close(inverse_triangular(wanted), torch.tensor([[0.5, 0.0], [-0.25, 0.5]]).double())
    torch.testing.assert_close(congruence(inverse_triangular(wanted), X), torch.eye(2).double())


def test_only_the_indefinite_matrix_is_nan() -> None:
    factor = cholesky_or_nan(torch.stack([X, -X, torch.full_like(X, torch.nan), X]))
    assert torch.isnan(factor).all((-2, -1)).tolist() == [False, True, True, False]
    assert torch.equal(factor[0], factor[3])


def test_derivatives_pass_the_check() -> None:
    def inverse_of_factor(a: torch.Tensor) -> torch.Tensor:
        return inverse_triangular(cholesky_or_nan(a @ a.mT + X))

    start = torch.tensor([[0.3, -1.0], [0.7, 0.2]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(inverse_of_factor, (start,), fast_mode=True)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7])
def test_solve_positive_definite_agrees_with_lapack_and_marks_failures(n: int) -> None:
    g = torch.Generator().manual_seed(n)
    root = torch.randn(6, n, n + 2, generator=g, dtype=torch.float64)
    A, b, shift = (
        root @ root.mT,
        torch.randn(6, n, generator=g, dtype=torch.float64),
        torch.rand(6, n, generator=g).double(),
    )
    A[4] -= 100 * torch.eye(n, dtype=torch.float64)
    A[5] = torch.nan
    good = torch.tensor([True] * 4 + [False] * 2)
    for added in (None, shift):
        whole = A if added is None else A + torch.diag_embed(added)
        y, ok = solve_positive_definite(A, b, added)
        assert torch.equal(ok, good)
        torch.testing.assert_close(y[good], torch.linalg.solve(whole[good], b[good]), rtol=1e-9, atol=1e-9)
        lone, fine = solve_positive_definite(A[0], b[0], None if added is None else added[0])
        assert bool(fine)
        torch.testing.assert_close(lone, y[0], rtol=1e-9, atol=1e-9)
