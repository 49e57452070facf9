"""Cholesky factors that fail one matrix at a time."""

import torch

from manopt_torch.linalg import cholesky_or_nan, congruence, inverse_triangular

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
    assert torch.autograd.gradcheck(inverse_of_factor, (start,))
