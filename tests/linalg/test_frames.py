"""Geodesics of frames, against their differential equations and dense exponentials."""

from collections.abc import Callable

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import torch

from manopt_torch.linalg.frame_log import frame_log, frame_tolerance
from manopt_torch.linalg.frames import frame_step, frame_tangent, frame_transport
from manopt_torch.linalg.orthogonal import qr_unique

# forward-mode rules of torch are made by torch.jit, which warns of its own deprecation
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
every_metric = pytest.mark.parametrize("kappa", [1, 2], ids=["canonical", "euclidean"])
every_shape = pytest.mark.parametrize("shape", [(5, 2), (4, 3), (3, 3), (4, 1)], ids=str)
every_dtype = pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=["real", "complex"])


def frame_and_tangents(shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    X, U, V = (torch.randn(shape, dtype=dtype, generator=generator) for _ in range(3))
    X, _ = qr_unique(X)
    U, V = (frame_tangent(X, Z) for Z in (U, V))
    return X, *(Z / torch.linalg.vector_norm(Z, dim=(-2, -1), keepdim=True) for Z in (U, V))


def christoffel(X: np.ndarray, U: np.ndarray, V: np.ndarray, kappa: int) -> np.ndarray:
    """Return the term that makes U' + christoffel = 0 parallel ([EdelmanAriasSmith:1998], section 2.2)."""
    if kappa == 2:
        inner = U.conj().T @ V
        return X @ (inner + inner.conj().T) / 2

    def half(U: np.ndarray, V: np.ndarray) -> np.ndarray:
        normal = V - X @ (X.conj().T @ V)
        return (U @ V.conj().T @ X + X @ (U.conj().T @ normal)) / 2

    return half(U, V) + half(V, U)


def integrate(X: torch.Tensor, U: torch.Tensor, V: torch.Tensor, kappa: int) -> list[torch.Tensor]:
    """Follow the geodesic from X with velocity U, and carry V along, by an accurate solver."""
    parts = [Z.numpy().astype(complex) for Z in (X, U, V)]
    shape = parts[0].shape

    def derivative(t: float, state: np.ndarray) -> np.ndarray:
        X, U, V = state.reshape(3, *shape)
        return np.stack([U, -christoffel(X, U, U, kappa), -christoffel(X, U, V, kappa)]).ravel()

    run = scipy.integrate.solve_ivp(derivative, (0, 1), np.stack(parts).ravel(), "DOP853", rtol=1e-12, atol=1e-13)
    ends = torch.from_numpy(run.y[:, -1].reshape(3, *shape).copy())
    return [end if X.is_complex() else end.real for end in ends]


@every_metric
@every_dtype
@every_shape
def test_steps_and_transport_solve_their_differential_equations(
    shape: tuple[int, ...], dtype: torch.dtype, kappa: int
) -> None:
    X, U, V = frame_and_tangents(shape, dtype)
    U = 2.0 * U
    Y, velocity, carried = integrate(X, U, V, kappa)
    torch.testing.assert_close(X + frame_step(X, U, kappa), Y, rtol=0, atol=1e-10)
    torch.testing.assert_close(frame_transport(X, U, V, kappa), carried, rtol=0, atol=1e-10)
    torch.testing.assert_close(frame_transport(X, U, U, kappa), velocity, rtol=0, atol=1e-10)


@every_metric
@pytest.mark.parametrize("length", [1e-12, 1e-6, 1.0, 100.0])
def test_steps_are_those_of_the_dense_exponential(length: float, kappa: int) -> None:
    X, U, _ = frame_and_tangents((5, 2))
    U = length * U
    A = X.mT @ U
    B = U - X @ A
    Omega = (kappa * X @ A + B) @ X.mT - X @ B.mT
    turned = torch.from_numpy(scipy.linalg.expm(Omega.numpy()) - np.eye(5)) @ X
    wanted = turned + (X + turned) @ torch.from_numpy(scipy.linalg.expm((1 - kappa) * A.numpy()) - np.eye(2))
    tolerance = max(1e-16, 1e-14 * length)  # of SciPy's values: one was subtracted
    torch.testing.assert_close(frame_step(X, U, kappa), wanted, rtol=0, atol=tolerance)
    if length < 1e-3:
        torch.testing.assert_close(frame_step(X, U, kappa), U, rtol=0, atol=length**2)


@every_metric
@every_dtype
@every_shape
def test_logarithms_lead_back_for_all_lengths_up_to_two(shape: tuple[int, ...], dtype: torch.dtype, kappa: int) -> None:
    X, U, _ = frame_and_tangents((40, *shape), dtype)
    # complex canonical frames with one column are conjugate from 2.2 on, and Euclidean lengths are the longer ones
    U = torch.linspace(0, 1.7 if dtype.is_complex else 2.0, 40, dtype=torch.float64)[:, None, None] * U
    got, residual = frame_log(X, X + frame_step(X, U, kappa), kappa)
    torch.testing.assert_close(got, U, rtol=0, atol=1e-13)
    assert (residual <= frame_tolerance(X)).all()


@every_metric
@pytest.mark.parametrize("shape", [(5, 2), (3, 2), (5, 1)], ids=str)
def test_derivatives_of_the_logarithm_are_those_of_finite_differences(shape: tuple[int, ...], kappa: int) -> None:
    X, U, V = frame_and_tangents(shape)

    def from_here(P: torch.Tensor, Q: torch.Tensor) -> torch.Tensor:
        points = [X + frame_step(X, frame_tangent(X, Z), kappa) for Z in (P, Q)]
        return frame_log(*points, kappa)[0]

    for length in (0.0, 0.9):  # of coincident frames, and of some far apart
        arguments = (length * U).requires_grad_(), (-length * V).requires_grad_()
        assert torch.autograd.gradcheck(from_here, arguments, check_forward_ad=True, fast_mode=True)
    assert second_derivative_agrees(from_here, 0.9 * U, -0.9 * V, V)


def second_derivative_agrees(f: Callable, P: torch.Tensor, Q: torch.Tensor, direction: torch.Tensor) -> bool:
    def slope(t: torch.Tensor) -> torch.Tensor:
        return torch.func.jvp(lambda t: f(P + t * direction, Q - t * direction), (t,), (torch.ones_like(t),))[1]

    zero, h = torch.zeros((), dtype=torch.float64), 1e-5
    _, second = torch.func.jvp(slope, (zero,), (torch.ones_like(zero),))
    difference = (slope(zero + h) - slope(zero - h)) / (2 * h)
    return torch.allclose(second, difference, rtol=1e-6, atol=1e-7)


@every_metric
def test_one_bad_pair_leaves_its_neighbours_alone(kappa: int) -> None:
    X, U, _ = frame_and_tangents((3, 5, 2))
    Y = X + frame_step(X, U, kappa)
    for bad in (torch.nan, torch.inf):
        for spoil_x, spoil_y in ((True, False), (False, True), (True, True)):
            x, y = X.clone(), Y.clone()
            x[1], y[1] = x[1] * (bad if spoil_x else 1), y[1] * (bad if spoil_y else 1)
            got, residual = frame_log(x, y, kappa)
            torch.testing.assert_close(got[[0, 2]], U[[0, 2]])
            assert torch.isnan(got[1]).all()
            assert not residual[1] <= frame_tolerance(X)
    square, turned = torch.eye(3).expand(2, 3, 3), torch.eye(3).expand(2, 3, 3).clone()
    turned[0] *= torch.nan
    assert torch.isnan(frame_log(square, turned, kappa)[0][0]).all()
    assert (frame_log(square, turned, kappa)[0][1] == 0).all()
