"""Exponential, root and logarithm of unitary matrices, against SciPy and known spectra."""

import math

import pytest
import scipy.linalg
import torch

from manopt_torch.linalg import unitary_angles, unitary_exp, unitary_log, unitary_root
from tests.together import together

# forward-mode rules of torch are made by torch.jit, which warns of its own deprecation
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

EYE = torch.eye(3, dtype=torch.complex128)
SPECTRA = [
    [0.3, -0.3, 1.2],  # the Hermitian part has a double eigenvalue
    [2.0, math.pi - 2.0, -1.0],  # the skew-Hermitian part has
    [1.0, 1.0, 1.0],
    [2.0, -2.0, 2.0],
    [1.5707, 1.5708, -1.5708],
    [0.0, 0.0, 0.0],
    [1e-9, 2e-9, -1e-9],
    [math.pi - 1e-9, 1.0, 1.0],
    [math.pi - 1e-13, 1.0, 1.0],
    [math.pi - 1e-7, math.pi - 1e-7, 1.0],
    [3.1, 3.1, -3.1],
]


def with_angles(angles: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a Hermitian matrix and the unitary one less the identity."""
    gaussian = torch.randn(3, 3, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    frame, _ = torch.linalg.qr(gaussian)
    t = torch.tensor(angles, dtype=torch.float64)
    half_sine = torch.sin(t / 2)
    E = (frame * torch.complex(-2 * half_sine * half_sine, torch.sin(t))) @ frame.mH
    return (frame * t) @ frame.mH, E


@together()
@pytest.mark.parametrize("angles", SPECTRA, ids=str)
def test_log_exp_and_root_are_those_of_the_spectrum(angles: list[float]) -> None:
    K, E = with_angles(angles)
    largest = max(map(abs, angles))
    torch.testing.assert_close(unitary_log(E), K, rtol=0, atol=5e-15 * max(largest, 1e-9))
    assert_same_multiset(unitary_angles(E), angles, 2e-15 * max(largest, 1e-9))
    torch.testing.assert_close(unitary_exp(K), EYE + E, rtol=0, atol=5e-15)
    root = unitary_root(E)
    # along an eigenvector next to -1 the root is as uncertain as its eigenvalue is small
    distance = max(math.pi - largest, 1e-15)
    torch.testing.assert_close(root @ root, EYE + E, rtol=0, atol=5e-15 / min(distance, 1.0))
    torch.testing.assert_close(root.mH @ root, EYE, rtol=0, atol=5e-15)


def assert_same_multiset(got: torch.Tensor, wanted: list[float], atol: float) -> None:
    sorted_ = torch.tensor(sorted(wanted), dtype=torch.float64)
    torch.testing.assert_close(got.sort().values, sorted_, rtol=0, atol=atol)


@pytest.mark.parametrize("angles", SPECTRA[:6], ids=str)
def test_values_are_those_of_scipy(angles: list[float]) -> None:
    K, E = with_angles(angles)
    log = torch.from_numpy(scipy.linalg.logm((EYE + E).numpy())) / 1j
    torch.testing.assert_close(unitary_log(E), log, rtol=0, atol=1e-13)
    torch.testing.assert_close(unitary_exp(K), torch.from_numpy(scipy.linalg.expm(1j * K.numpy())), rtol=0, atol=1e-13)


def test_a_half_turn_has_one_of_its_logarithms() -> None:
    for angles in ([math.pi, 0.0, 1.0], [math.pi, math.pi, 0.5], [math.pi] * 3):
        _, E = with_angles(angles)
        assert_same_multiset(unitary_angles(E).abs(), angles, 1e-14)
        torch.testing.assert_close(unitary_exp(unitary_log(E)), EYE + E, rtol=0, atol=1e-14)
    K = unitary_log(-2 * EYE)
    torch.testing.assert_close(K @ K, math.pi**2 * EYE)
    # the same, with noise that leaves -I + noise just short of unitary
    noisy = -2 * EYE - torch.diag(torch.tensor([1e-16, 2e-16, -3e-16], dtype=torch.complex128))
    torch.testing.assert_close(unitary_angles(noisy).abs(), torch.full((3,), math.pi, dtype=torch.float64))


@together()
@pytest.mark.parametrize("angle", [1e-7, 1e-5, 1e-3, 0.1, 1.0, 3.0, math.pi - 1e-3, math.pi - 1e-5, math.pi])
def test_single_precision_keeps_its_digits(angle: float) -> None:
    _, E = with_angles([angle, -0.5 * angle, 0.0])
    rounded = E.to(torch.complex64)
    truth = unitary_angles(rounded.to(torch.complex128)).norm()
    torch.testing.assert_close(truth, torch.tensor(angle, dtype=torch.float64) * math.sqrt(1.25), rtol=1e-5, atol=0)
    for got in (unitary_angles(rounded).norm(), unitary_log(rounded).norm()):
        torch.testing.assert_close(got.double(), truth, rtol=2e-6, atol=0)


@pytest.mark.parametrize("angles", [SPECTRA[0], SPECTRA[2], SPECTRA[5], [2.9, -1.0, 2.9]], ids=str)
def test_two_derivatives_are_those_of_finite_differences(angles: list[float]) -> None:
    K, _ = with_angles(angles)
    half = (K / 2).requires_grad_()

    def exp(H: torch.Tensor) -> torch.Tensor:
        return unitary_exp(H + H.mH)

    def log(H: torch.Tensor) -> torch.Tensor:
        return unitary_log(exp(H) - EYE)

    for function in (exp, log):
        assert torch.autograd.gradcheck(function, (half,), check_forward_ad=True, fast_mode=True)
        assert torch.autograd.gradgradcheck(function, (half,), check_fwd_over_rev=True, fast_mode=True)


def test_one_matrix_that_is_not_finite_leaves_its_neighbours_alone() -> None:
    K, E = with_angles(SPECTRA[0])
    for function, argument in ((unitary_exp, K), (unitary_log, E), (unitary_root, E), (unitary_angles, E)):
        both = function(torch.stack([argument, argument * math.nan]))
        torch.testing.assert_close(both[0], function(argument), rtol=1e-14, atol=1e-14)
        assert both[1].isnan().all()
