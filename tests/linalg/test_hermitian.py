"""Functions of Hermitian matrices, against SciPy and against symmetric matrices of twice the size."""

from collections.abc import Callable

import pytest
import scipy.linalg
import torch

from manopt_torch.linalg import (
    cholesky_or_nan,
    congruence,
    inverse_triangular,
    sym_eigh,
    sym_expm,
    sym_floor,
    sym_inv_sqrtm,
    sym_logm,
    sym_sqrtm,
    symmetric_part,
    whitened_log,
)

# forward-mode rules of torch are made by torch.jit, which warns of its own deprecation
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

FUNCTIONS: dict[str, tuple[Callable, Callable]] = {
    "expm": (sym_expm, scipy.linalg.expm),
    "logm": (sym_logm, scipy.linalg.logm),
    "sqrtm": (sym_sqrtm, scipy.linalg.sqrtm),
    "inv_sqrtm": (sym_inv_sqrtm, lambda a: scipy.linalg.inv(scipy.linalg.sqrtm(a))),
}
SPECTRA = [[1.0, 1.0, 1.0], [2.0, 2.0, 0.5], [1.0, 1.0 + 1e-9, 3.0]]


def with_spectrum(spectrum: list[float], seed: int = 0) -> torch.Tensor:
    gaussian = torch.randn(3, 3, dtype=torch.complex128, generator=torch.Generator().manual_seed(seed))
    frame, _ = torch.linalg.qr(gaussian)
    return symmetric_part((frame * torch.tensor(spectrum, dtype=torch.float64)) @ frame.mH)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("spectrum", SPECTRA, ids=str)
def test_values_are_those_of_scipy(name: str, spectrum: list[float]) -> None:
    ours, scipys = FUNCTIONS[name]
    X = with_spectrum(spectrum)
    torch.testing.assert_close(ours(X), torch.from_numpy(scipys(X.numpy())), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("spectrum", SPECTRA, ids=str)
def test_two_derivatives_are_those_of_finite_differences(name: str, spectrum: list[float]) -> None:
    X = with_spectrum(spectrum).requires_grad_()
    assert torch.autograd.gradcheck(FUNCTIONS[name][0], (X,), check_forward_ad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(FUNCTIONS[name][0], (X,), check_fwd_over_rev=True, fast_mode=True)


def test_floors_and_factors_take_hermitian_matrices() -> None:
    X = with_spectrum([2.0, 1.0, -3.0])
    torch.testing.assert_close(sym_eigh(sym_floor(X, 0.5))[0], torch.tensor([1.5, 1.5, 2.0], dtype=torch.float64))
    Y = with_spectrum([2.0, 1.0, 0.3])
    factor = cholesky_or_nan(Y)
    torch.testing.assert_close(congruence(factor, torch.eye(3, dtype=Y.dtype)), Y)
    torch.testing.assert_close(inverse_triangular(factor) @ factor, torch.eye(3, dtype=Y.dtype))


def test_one_matrix_that_is_not_finite_leaves_its_neighbours_alone() -> None:
    X = with_spectrum(SPECTRA[1])
    for broken in (complex(float("nan"), 0.0), complex(0.0, float("inf"))):
        bad = X.clone()
        bad[0, 1] = broken
        both = sym_expm(torch.stack([X, bad]))
        assert torch.equal(both[0], sym_expm(X))
        assert both[1].isnan().all()


@pytest.mark.parametrize("size", [1e-9, 1e-3, 0.1, 3.0])
def test_the_whitened_logarithm_keeps_relative_accuracy(size: float) -> None:
    x, direction = with_spectrum([0.3, 1.0, 2.0]), with_spectrum([1.0, -0.5, 0.2], seed=1)
    factor = cholesky_or_nan(x)
    y = symmetric_part(congruence(factor, sym_expm(size * direction)))
    logarithm = whitened_log(inverse_triangular(factor), x, y)
    # y is a rounded matrix, which hides as much of the direction
    torch.testing.assert_close(logarithm, size * direction, rtol=1e-6 if size < 1e-6 else 1e-12, atol=1e-15)
