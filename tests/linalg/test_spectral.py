"""Functions of symmetric matrices, against SciPy and arbitrary precision."""

from collections.abc import Callable

import mpmath
import numpy as np
import pytest
import scipy.linalg
import torch

from manopt_torch.errors import MissingDerivativeError
from manopt_torch.linalg import (
    sym_eigh,
    sym_expm,
    sym_floor,
    sym_inv_sqrtm,
    sym_logm,
    sym_sqrtm,
    sym_sqrtm_pair,
    symmetric_part,
)
from manopt_torch.linalg.divided_differences import first_difference, second_difference
from tests.together import together

# forward-mode rules of torch are made by torch.jit, which warns of its own deprecation
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

FUNCTIONS: dict[str, tuple[Callable, Callable]] = {
    "expm": (sym_expm, scipy.linalg.expm),
    "logm": (sym_logm, scipy.linalg.logm),
    "sqrtm": (sym_sqrtm, scipy.linalg.sqrtm),
    "inv_sqrtm": (sym_inv_sqrtm, lambda a: scipy.linalg.inv(scipy.linalg.sqrtm(a))),
}
EXACT = {
    "exp": mpmath.exp,
    "log": mpmath.log,
    "sqrt": mpmath.sqrt,
    "inverse_sqrt": lambda x: 1 / mpmath.sqrt(x),
}
# eigenvalues that are all equal, equal in a pair, nearly equal, on both sides of the switch to a series, far apart
SPECTRA = [
    [1.0, 1.0, 1.0],
    [2.0, 2.0, 0.5],
    [1.0, 1.0 + 1e-9, 1.0 - 1e-9],
    [1.0, 1.0 + 1e-5, 3.0],
    [1.0, 1.0 + 7e-4, 1.0 + 8e-4],
    [1.0, 1.01, 0.98],
    [0.01, 1.0, 50.0],
]


def with_spectrum(spectrum: list[float]) -> torch.Tensor:
    gaussian = torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    frame, _ = torch.linalg.qr(gaussian)
    return symmetric_part((frame * torch.tensor(spectrum, dtype=torch.float64)) @ frame.mT)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("spectrum", SPECTRA, ids=str)
def test_values_are_those_of_scipy(name: str, spectrum: list[float]) -> None:
    ours, scipys = FUNCTIONS[name]
    X = with_spectrum([s / 10 for s in spectrum] if name == "expm" else spectrum)
    wanted = torch.from_numpy(np.real(scipys(X.numpy())))
    torch.testing.assert_close(ours(X), wanted, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("spectrum", SPECTRA[:6], ids=str)
def test_two_derivatives_are_those_of_finite_differences(name: str, spectrum: list[float]) -> None:
    X = with_spectrum(spectrum).requires_grad_()
    assert torch.autograd.gradcheck(FUNCTIONS[name][0], (X,), check_forward_ad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(FUNCTIONS[name][0], (X,), check_fwd_over_rev=True, fast_mode=True)


@together()
@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("gap", [0.0, 1e-14, 1e-9, 1e-5, 6e-4, 9e-4, 1e-2, 1.0, 20.0])
def test_divided_differences_have_no_cancellation(name: str, gap: float) -> None:
    x = torch.tensor([0.7, 0.7 + 0.3 * gap, 0.7 + gap], dtype=torch.float64)
    first, second = first_difference(name, x), second_difference(name, x)
    with mpmath.workdps(80):
        a, b, c = (mpmath.mpf(v) for v in x.tolist())
        f_ab, f_bc = exact_first(name, a, b), exact_first(name, b, c)
        f_abc = (f_bc - f_ab) / (c - a) if c != a else mpmath.diff(EXACT[name], a, 2) / 2
    assert first[0, 1].item() == pytest.approx(float(f_ab), rel=1e-14)
    assert second[2, 0, 1].item() == pytest.approx(float(f_abc), rel=1e-11)
    for i, j, k in [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 1, 0)]:
        assert second[i, j, k] == second[2, 0, 1]


def exact_first(name: str, a: mpmath.mpf, b: mpmath.mpf) -> mpmath.mpf:
    f = EXACT[name]
    return (f(b) - f(a)) / (b - a) if a != b else mpmath.diff(f, a)


def test_transforms_compose() -> None:
    X = torch.stack([with_spectrum(s) for s in SPECTRA[:3]])

    def scalar(X: torch.Tensor) -> torch.Tensor:
        return sym_logm(X).sin().sum()

    gradient = torch.func.vmap(torch.func.grad(scalar))(X)
    (wanted,) = torch.autograd.grad(scalar(Y := X.clone().requires_grad_()), Y)
    torch.testing.assert_close(gradient, wanted)
    forward_over_reverse = torch.func.hessian(scalar)(X[1])
    torch.testing.assert_close(forward_over_reverse, torch.func.jacrev(torch.func.jacrev(scalar))(X[1]))
    torch.testing.assert_close(torch.func.vmap(torch.func.hessian(scalar))(X)[1], forward_over_reverse)


def test_derivatives_without_grad_mode() -> None:
    X, G = with_spectrum(SPECTRA[0]), with_spectrum(SPECTRA[5])
    value, slope = torch.func.jvp(sym_expm, (X,), (G,))
    with torch.no_grad():
        assert torch.equal(sym_expm(X), value)
        assert torch.equal(torch.func.jvp(sym_expm, (X,), (G,))[1], slope)
        gradient = torch.func.grad(lambda X: (sym_expm(X) * G).sum())(X)
    torch.testing.assert_close(gradient, slope)  # the derivative is self-adjoint


def test_a_third_derivative_is_refused() -> None:
    def scalar(X: torch.Tensor) -> torch.Tensor:
        return sym_expm(X).square().sum()

    with pytest.raises(MissingDerivativeError, match="two derivatives"):
        torch.func.jacrev(torch.func.hessian(scalar))(with_spectrum(SPECTRA[5]))
    with pytest.raises(MissingDerivativeError, match="two derivatives"):
        torch.func.jacfwd(torch.func.hessian(scalar))(with_spectrum(SPECTRA[5]))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_one_bad_matrix_leaves_its_neighbours_alone(bad: float) -> None:
    clean = torch.stack([with_spectrum(s) for s in SPECTRA[:3]])
    spoilt = torch.stack([clean[0], torch.full_like(clean[1], bad), clean[2]]).requires_grad_()
    for function, _ in FUNCTIONS.values():
        result = function(spoilt)
        assert torch.isnan(result[1]).all()
        assert torch.equal(result[[0, 2]], function(clean)[[0, 2]])
        (gradient,) = torch.autograd.grad(result.sum(), spoilt)
        assert torch.isfinite(gradient[[0, 2]]).all()


def test_outside_the_domain_is_nan() -> None:
    X = torch.diag(torch.tensor([1.0, -1.0]))
    for function in (sym_logm, sym_sqrtm, sym_inv_sqrtm):
        assert torch.isnan(function(X)).all()


def test_the_pair_is_root_and_inverse_root() -> None:
    X = with_spectrum(SPECTRA[6])
    root, inverse_root = sym_sqrtm_pair(X)
    torch.testing.assert_close(root @ root, X)
    torch.testing.assert_close(root @ inverse_root, torch.eye(3, dtype=torch.float64))


def test_eigenvalues_are_constants() -> None:
    eigenvalues, eigenvectors = sym_eigh(with_spectrum(SPECTRA[5]).requires_grad_())
    assert not eigenvalues.requires_grad
    assert not eigenvectors.requires_grad


def test_logarithm_next_to_the_identity_keeps_relative_accuracy() -> None:
    small = torch.tensor([1e-6, -1e-5, 3e-7])
    X = torch.stack([torch.diag(small), torch.diag(1 + small)])
    logarithm = sym_logm(X, torch.tensor([True, False])).diagonal(dim1=-2, dim2=-1)
    torch.testing.assert_close(logarithm[0], torch.log1p(small.double()).float(), rtol=1e-6, atol=0)
    assert (logarithm[1] / small - 1).abs().max() > 1e-3  # what would be lost


def test_floor_raises_only_what_is_too_small() -> None:
    X = with_spectrum([3.0, 1.0, -2.0])
    eigenvalues, eigenvectors = torch.linalg.eigh(sym_floor(X, 0.1))
    torch.testing.assert_close(eigenvalues, torch.tensor([0.3, 1.0, 3.0], dtype=torch.float64))
    torch.testing.assert_close(eigenvectors.abs(), torch.linalg.eigh(X).eigenvectors.abs())
    inside = with_spectrum([3.0, 1.0, 0.5])
    assert torch.equal(sym_floor(inside, 0.1), inside)
    torch.testing.assert_close(sym_floor(torch.zeros(2, 2), 0.1), 0.1 * torch.eye(2))
    start = with_spectrum([3.0, 1.0, -2.0])
    G = symmetric_part(torch.arange(9.0, dtype=torch.float64).reshape(3, 3))
    _, slope = torch.func.jvp(lambda X: sym_floor(X, 1e-9), (start,), (G,))
    step = 1e-6
    difference = (sym_floor(start + step * G, 1e-9) - sym_floor(start - step * G, 1e-9)) / (2 * step)
    torch.testing.assert_close(slope, difference, rtol=1e-7, atol=1e-7)
