"""Skew matrices: coordinates, and the exponential with its derivative against SciPy."""

import numpy as np
import pytest
import scipy.linalg
import torch

from manopt_torch.linalg.skew import (
    SkewEigen,
    skew_dim,
    skew_exp_derivative,
    skew_exp_integral,
    skew_expm1,
    skew_from_vector,
    skew_to_vector,
)
from tests.together import together

every_field = pytest.mark.parametrize("is_complex", [False, True], ids=["real", "complex"])


def coordinates(n: int, is_complex: bool) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, skew_dim(n, is_complex), dtype=torch.float64, generator=generator)


def eigen(A: torch.Tensor) -> SkewEigen:
    return SkewEigen(*torch.linalg.eigh(-1j * A))


@together()
@every_field
@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_coordinates_are_one_to_one_and_keep_half_of_the_squared_norm(n: int, is_complex: bool) -> None:
    c = coordinates(n, is_complex)
    A = skew_from_vector(c, n, is_complex)
    assert A.shape == (2, n, n)
    assert torch.equal(A, -A.mH)
    torch.testing.assert_close(skew_to_vector(A), c)
    torch.testing.assert_close(A.abs().square().sum((-2, -1)) / 2, c.square().sum(-1))


@every_field
def test_exponential_and_integral_are_those_of_scipy(is_complex: bool) -> None:
    A = skew_from_vector(coordinates(4, is_complex), 4, is_complex)
    for one in A:
        wanted = torch.from_numpy(scipy.linalg.expm(one.numpy())).to(torch.complex128) - torch.eye(4)
        torch.testing.assert_close(skew_expm1(eigen(one), 2), wanted[:, :2])
        # the integral over exp(s A) is the upper right block of the exponential of [[A, I], [0, 0]]
        block = np.block([[one.numpy(), np.eye(4)], [np.zeros((4, 8))]])
        integral = torch.from_numpy(scipy.linalg.expm(block)[:4, 4:]).to(torch.complex128)
        torch.testing.assert_close(skew_exp_integral(eigen(one), 2), integral[:2, :2])


@every_field
@pytest.mark.parametrize("size", [0.0, 1e-9, 1.0], ids=str)
def test_derivatives_are_those_of_scipy_also_where_angles_repeat(size: float, is_complex: bool) -> None:
    dim = skew_dim(4, is_complex)
    directions = skew_from_vector(torch.eye(dim, dtype=torch.float64), 4, is_complex)
    twice = skew_from_vector(size * coordinates(2, is_complex)[0], 2, is_complex)
    A = torch.block_diag(twice, twice)
    got = skew_exp_derivative(eigen(A), directions + 0j, 3)
    for direction, derivative in zip(directions, got, strict=True):
        wanted = scipy.linalg.expm_frechet(A.numpy(), direction.numpy(), compute_expm=False)
        torch.testing.assert_close(derivative, torch.from_numpy(wanted[:, :3]).to(torch.complex128))


def test_a_tiny_matrix_keeps_its_digits() -> None:
    A = skew_from_vector(1e-9 * coordinates(3, False), 3, False).float()
    assert (skew_expm1(eigen(A), 3).real - A).abs().max() <= 1e-6 * A.abs().max()
