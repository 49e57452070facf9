"""Phases: NumPy and pymanopt as truth, antipodes, single precision."""

import math

import numpy as np
import pymanopt
import pytest
import torch

from manopt_torch import GradientDescentOptions, GradientProblem, StopWhenGradientNormLess, solve
from manopt_torch.errors import OptionsError
from manopt_torch.manifolds import Circle, ComplexCircle
from tests.together import together

M = ComplexCircle(4)


def phases(*angles: float) -> torch.Tensor:
    return torch.from_numpy(np.exp(1j * np.array(angles)))


def test_distances_and_logarithms_are_those_of_the_angles() -> None:
    g = torch.Generator().manual_seed(0)
    a, b = (Circle().random_point(50, 4, generator=g, dtype=torch.float64) for _ in range(2))
    x, y = torch.polar(torch.ones_like(a), a), torch.polar(torch.ones_like(b), b)
    delta = Circle().log(a, b)
    torch.testing.assert_close(M.dist(x, y), delta.norm(dim=-1))
    torch.testing.assert_close(M.log(x, y), 1j * delta * x)
    torch.testing.assert_close(M.exp(x, 1j * delta * x), y)
    torch.testing.assert_close(M.to_coordinates(x, M.log(x, y)), delta)
    torch.testing.assert_close(M.parallel_transport(x, y, 1j * b * x), 1j * b * y)


def test_formulas_are_those_of_pymanopt() -> None:
    N = pymanopt.manifolds.ComplexCircle(4)
    g = torch.Generator().manual_seed(0)
    x = M.random_point(generator=g, dtype=torch.float64)
    u = M.random_tangent(x, g)
    y, z, h = M.exp(x, u, 1.2), *torch.randn(2, 4, dtype=x.dtype, generator=g)
    X, Y, U, Z, H = (a.numpy() for a in (x, y, u, z, h))
    for ours, theirs in [
        (M.dist(x, y), N.dist(X, Y)),
        (M.log(x, y), N.log(X, Y)),
        (M.inner(x, u, z), N.inner_product(X, U, Z)),
        (M.project_tangent(x, z), N.projection(X, Z)),
        (M.egrad2rgrad(x, z), N.euclidean_to_riemannian_gradient(X, Z)),
        (M.ehess2rhess(x, z, h, u), N.euclidean_to_riemannian_hessian(X, Z, H, U)),
        (M.retract(x, u, method="projection"), N.retraction(X, U)),
    ]:
        torch.testing.assert_close(ours, torch.as_tensor(np.asarray(theirs)), rtol=1e-7, atol=1e-12)
    # its exponential map drops imaginary parts; Euler's formula is the truth
    torch.testing.assert_close(y, torch.from_numpy(X * np.exp(1.2 * U / X)))


def test_antipodes() -> None:
    x, y = phases(0.3, 1.0, 2.0, -3.0), phases(0.3 - math.pi, 1.0, 2.0, -3.0)
    assert M.dist(x, y).item() == pytest.approx(math.pi, rel=1e-15)
    torch.testing.assert_close(M.exp(x, M.log(x, y)), y)
    assert not M.log_defined(x, -x)
    assert not M.log_defined(x, y)
    assert M.log_defined(x, phases(0.3 - math.pi + 1e-9, 1.0, 2.0, -3.0))
    torch.testing.assert_close(M.log(x, -x), 1j * math.pi * x)
    assert M.inverse_retract(x, -x, method="projection").isnan().all()


@together()
@pytest.mark.parametrize("angle", [1e-7, 3e-7, 1e-5, 1e-3, 0.1, 1.0, 3.0, math.pi - 1e-4, math.pi - 1e-6])
def test_float32_keeps_relative_accuracy(angle: float) -> None:
    x = phases(0.1, 1.0, 2.0, -2.5)
    y = x * phases(angle, -angle, 0.5 * angle, 0.0)
    single = x.to(torch.complex64), y.to(torch.complex64)
    wide = [z.numpy().astype(np.complex128) for z in single]
    turned = wide[0].conj() * (wide[1] - wide[0])
    truth = np.linalg.norm(np.arctan2(turned.imag, turned.real + np.abs(wide[0]) ** 2))
    for got in (M.dist(*single), M.squared_dist(*single).sqrt(), M.norm(single[0], M.log(*single))):
        assert got.dtype == torch.float32
        assert got.item() == pytest.approx(truth, rel=2e-6)


def test_steepest_descent_recovers_phases() -> None:
    truth = M.random_point(generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    relative = truth[:, None] * truth.conj()

    def cost(x: torch.Tensor) -> torch.Tensor:
        return -(x.conj() * (relative @ x[..., None])[..., 0]).real.sum(-1)

    x = M.random_point(3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    o = solve(GradientProblem(M, cost), GradientDescentOptions(x, stop=StopWhenGradientNormLess(1e-7)))
    torch.testing.assert_close(o.cost, torch.full((3,), -16.0, dtype=torch.float64))
    phase = o.x[:, :1] / truth[:1]
    torch.testing.assert_close(o.x, phase * truth, rtol=0, atol=1e-6)


@pytest.mark.parametrize("batch", [(), (3,)])
def test_a_single_phase_is_a_point_without_axes(batch: tuple[int, ...]) -> None:
    one = ComplexCircle()
    x = one.random_point(*batch, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    o = solve(
        GradientProblem(one, lambda x: (x - 1j).abs().square()),
        GradientDescentOptions(x, stop=StopWhenGradientNormLess(1e-7)),
        debug=[":Iterate", " ", ":Cost", "\n", 100],
        record=[":Iterate"],
    )
    torch.testing.assert_close(o.x, torch.full(batch, 1j, dtype=torch.complex128), rtol=0, atol=1e-6)


def test_sizes() -> None:
    assert (ComplexCircle().dim, ComplexCircle(2, 3).dim) == (1, 6)
    assert repr(ComplexCircle(2, 3)) == "ComplexCircle(2, 3)"
    assert ComplexCircle(2).random_point().dtype == torch.complex64
    with pytest.raises(OptionsError, match="sizes are integers"):
        ComplexCircle(0)
