"""Unit vectors of a complex space: the real sphere in other clothes, phases, single precision."""

import math

import pytest
import torch

from manopt_torch import GradientDescentOptions, GradientProblem, StopWhenGradientNormLess, solve
from manopt_torch.errors import OptionsError
from manopt_torch.manifolds import ComplexSphere, Sphere
from tests.together import together

M, S = ComplexSphere(3), Sphere(6)


def reals(z: torch.Tensor) -> torch.Tensor:
    return torch.cat([z.real, z.imag], -1)


def sample() -> tuple[torch.Tensor, ...]:
    g = torch.Generator().manual_seed(0)
    x = M.random_point(4, generator=g, dtype=torch.float64)
    ambient = torch.randn(2, 4, 3, dtype=x.dtype, generator=g)
    return x, M.random_tangent(x, g), M.random_tangent(x, g), *ambient


def test_formulas_are_those_of_the_real_sphere() -> None:
    x, u, v, g, h = sample()
    y = M.exp(x, v, 2.0)
    a, b, c, d, e, f = map(reals, (x, y, u, v, g, h))
    for ours, real in [
        (M.inner(x, u, v), S.inner(a, c, d)),
        (M.norm(x, u), S.norm(a, c)),
        (M.dist(x, y), S.dist(a, b)),
        (M.squared_dist(x, y), S.squared_dist(a, b)),
        (M.off_manifold(g), S.off_manifold(e)),
        (M.off_tangent(x, g), S.off_tangent(a, e)),
    ]:
        torch.testing.assert_close(ours, real)
    for ours, real in [
        (M.exp(x, u, 0.7), S.exp(a, c, 0.7)),
        (M.log(x, y), S.log(a, b)),
        (M.retract(x, u), S.retract(a, c)),
        (M.inverse_retract(x, M.retract(x, u)), c),
        (M.project_tangent(x, g), S.project_tangent(a, e)),
        (M.egrad2rgrad(x, g), S.egrad2rgrad(a, e)),
        (M.ehess2rhess(x, g, h, u), S.ehess2rhess(a, e, f, c)),
        (M.transport(x, y, u), S.transport(a, b, c)),
        (M.parallel_transport(x, y, u), S.parallel_transport(a, b, c)),
    ]:
        torch.testing.assert_close(reals(ours), real)


def test_a_phase_moves_a_point_along_a_great_circle() -> None:
    x = sample()[0]
    for phase in (1e-6, 0.4, 2.0, 3.1):
        y = x * torch.polar(torch.tensor(1.0), torch.tensor(phase)).to(x.dtype)
        torch.testing.assert_close(M.dist(x, y), torch.full((4,), phase, dtype=torch.float64), rtol=1e-6, atol=0)
        torch.testing.assert_close(M.log(x, y), 1j * phase * x, rtol=1e-6, atol=0)


@together()
@pytest.mark.parametrize("angle", [1e-7, 1e-5, 1e-3, 0.1, 1.0, 3.0, math.pi - 1e-4, math.pi])
def test_float32_keeps_relative_accuracy(angle: float) -> None:
    x, u, *_ = sample()
    single = x.to(torch.complex64), M.exp(x, u, angle).to(torch.complex64)
    wide = [z.to(torch.complex128) for z in single]
    for length in (M.dist, lambda x, y: M.squared_dist(x, y).sqrt(), lambda x, y: M.norm(x, M.log(x, y))):
        got, truth = length(*single), length(*wide)
        assert got.dtype == torch.float32
        torch.testing.assert_close(got.double(), truth, rtol=2e-6, atol=0)
        torch.testing.assert_close(truth, torch.full_like(truth, angle), rtol=1e-6, atol=2e-7)


def test_antipodes() -> None:
    x = sample()[0]
    torch.testing.assert_close(M.dist(x, -x), torch.full((4,), math.pi, dtype=torch.float64))
    torch.testing.assert_close(M.exp(x, M.log(x, -x)), -x)
    assert not M.log_defined(x, -x).any()
    assert M.log_defined(x, 1j * x).all()


def test_steepest_descent_finds_the_least_eigenvalue() -> None:
    x = sample()[0]
    a = torch.randn(4, 3, 3, dtype=x.dtype, generator=torch.Generator().manual_seed(1))
    a = a + a.mH

    def cost(x: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        return (x.conj() * (a @ x[..., None])[..., 0]).real.sum(-1)

    o = solve(GradientProblem(M, cost, data=(a,)), GradientDescentOptions(x, stop=StopWhenGradientNormLess(1e-7)))
    torch.testing.assert_close(o.cost, torch.linalg.eigvalsh(a)[:, 0])
    assert o.x.dtype == torch.complex128


def test_dtypes_and_sizes() -> None:
    assert M.random_point(2).dtype == torch.complex64
    assert M.random_point(2, dtype=torch.complex128).dtype == torch.complex128
    assert M.random_point(2, dtype=torch.float64).dtype == torch.complex128
    assert (M.dim, M.point_shape, repr(M)) == (5, (3,), "ComplexSphere(3)")
    with pytest.raises(OptionsError, match="sizes are integers"):
        ComplexSphere(0)
