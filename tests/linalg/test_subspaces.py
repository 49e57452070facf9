"""Pairs of subspaces, against SciPy."""

import math

import pytest
import scipy.linalg
import torch

from manopt_torch.linalg import normal_part, principal_angles
from manopt_torch.linalg.subspaces import subspace_pair
from tests.together import together

KINDS = {torch.float64: torch.float32, torch.complex128: torch.complex64}
ANGLES = [
    [1e-7, 1e-7, 1e-7],
    [1e-7, 3e-5, 1e-2],
    [1e-3, 1e-3, 0.5],
    [0.0, 0.7, 1.5],
    [1.5, 1.57, math.pi / 2],
    [math.pi / 2] * 3,
]


def orthonormal(n: int, p: int, dtype: torch.dtype, seed: int = 0) -> torch.Tensor:
    gaussian = torch.randn(n, p, dtype=dtype, generator=torch.Generator().manual_seed(seed))
    return torch.linalg.qr(gaussian)[0]


def pair(angles: list[float], dtype: torch.dtype, same_basis: bool) -> tuple[torch.Tensor, torch.Tensor]:
    frame, theta = orthonormal(7, 6, dtype), torch.tensor(angles, dtype=torch.float64)
    X, Y = frame[:, :3], frame[:, :3] * torch.cos(theta) + frame[:, 3:] * torch.sin(theta)
    return X, Y if same_basis else Y @ orthonormal(3, 3, dtype, seed=1)


@together()
@pytest.mark.parametrize("same_basis", [True, False])
@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("angles", ANGLES, ids=str)
def test_angles_are_those_of_scipy(angles: list[float], dtype: torch.dtype, same_basis: bool) -> None:
    X, Y = pair(angles, dtype, same_basis)
    wanted = torch.tensor(sorted(angles, reverse=True), dtype=torch.float64)
    torch.testing.assert_close(principal_angles(X, Y), wanted, rtol=1e-8, atol=1e-15)
    # SciPy takes angles from cosines or sines by one common switch, and loses half the digits beside a large one
    torch.testing.assert_close(principal_angles(X, Y), scipys(X, Y), rtol=1e-8, atol=3e-8)


def scipys(X: torch.Tensor, Y: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(scipy.linalg.subspace_angles(X.numpy(), Y.numpy()))


@together()
@pytest.mark.parametrize("same_basis", [True, False])
@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("angles", ANGLES, ids=str)
def test_single_precision_loses_nothing(angles: list[float], dtype: torch.dtype, same_basis: bool) -> None:
    X, Y = (Z.to(KINDS[dtype]) for Z in pair(angles, dtype, same_basis))
    truth = scipys(X.to(dtype), Y.to(dtype))
    got = principal_angles(X, Y)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.norm().double(), truth.norm(), rtol=2e-6, atol=0)
    pieces = subspace_pair(X, Y)
    angle = torch.atan2(pieces.sines, pieces.cosines)
    torch.testing.assert_close(angle.norm().double(), truth.norm(), rtol=2e-6, atol=0)


@pytest.mark.parametrize("dtype", [*KINDS, *KINDS.values()], ids=str)
def test_the_normal_part_is_normal_and_zero_for_the_same_basis(dtype: torch.dtype) -> None:
    X, Z = orthonormal(6, 2, dtype), orthonormal(6, 2, dtype, seed=1)
    part = normal_part(X, Z)
    assert part.dtype == dtype
    assert torch.linalg.vector_norm(X.mH @ part) < 1e-6 if dtype in KINDS.values() else 1e-15
    assert torch.equal(normal_part(X, X), torch.zeros_like(X))


def test_angles_have_derivatives_and_leave_neighbours_alone() -> None:
    X, Y = pair([0.2, 0.9, 1.3], torch.float64, True)
    Y = Y.requires_grad_()
    (slope,) = torch.autograd.grad(principal_angles(X, Y).sum(), Y)
    assert slope.isfinite().all()
    both = principal_angles(X, torch.stack([Y, Y * math.nan]))
    assert both[1].isnan().all()
    torch.testing.assert_close(both[0], principal_angles(X, Y))
