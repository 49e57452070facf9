"""Subspaces: independence of the basis, ends of the range of angles, pymanopt and SciPy as truth."""

import math
from typing import Any

import numpy as np
import pymanopt
import pytest
import scipy.linalg
import torch

from manopt_torch import GradientDescentOptions, GradientProblem, StopWhenGradientNormLess, solve
from manopt_torch.errors import OptionsError
from manopt_torch.manifolds import Grassmann

# forward-mode rules of torch are made by torch.jit, which warns of its own deprecation
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

FIELDS = ["real", "complex"]
every_field = pytest.mark.parametrize("field", FIELDS)
SINGLE = {"real": torch.float32, "complex": torch.complex64}
DOUBLE = {"real": torch.float64, "complex": torch.complex128}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pair(M: Grassmann, *batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    g = generator()
    x = M.random_point(*batch, generator=g, dtype=torch.float64)
    return x, M.random_tangent(x, g)


def turn(M: Grassmann, *batch: int) -> torch.Tensor:
    """Draw changes of basis."""
    p = M.point_shape[1]
    return torch.linalg.qr(torch.randn(*batch, p, p, dtype=DOUBLE[M.field], generator=generator(5)))[0]


def with_angles(M: Grassmann, x: torch.Tensor, angles: list[float]) -> torch.Tensor:
    """Return a tangent vector with these singular values."""
    u = M.random_tangent(x, generator(3))
    U, _, Vh = torch.linalg.svd(u, full_matrices=False)
    return (U * torch.tensor(angles, dtype=torch.float64)) @ Vh


def assert_same_subspace(x: torch.Tensor, y: torch.Tensor, atol: float = 1e-14) -> None:
    torch.testing.assert_close(x @ x.mH, y @ y.mH, rtol=0, atol=atol)


# ---- oracles --------------------------------------------------------------------------------------------------------


@every_field
def test_formulas_are_those_of_pymanopt(field: str) -> None:
    M = Grassmann(5, 2, field=field)
    kind = pymanopt.manifolds.Grassmann if field == "real" else pymanopt.manifolds.ComplexGrassmann
    N = kind(5, 2)
    x, u = pair(M)
    y = M.exp(x, u, 0.9) @ turn(M)
    a = torch.randn(5, 5, dtype=x.dtype, generator=generator(1))
    a = a + a.mH
    inner = x.mH @ a @ x  # the cost is the squared norm of this, whatever the basis
    g, h = 4 * a @ x @ inner, 4 * a @ (u @ inner + x @ (u.mH @ a @ x + x.mH @ a @ u))
    X, Y, U, G, H = (t.numpy() for t in (x, y, u, g, h))
    for ours, theirs in [
        (M.dist(x, y), N.dist(X, Y)),
        (M.log(x, y), N.log(X, Y)),
        (M.inner(x, u, g), np.real(N.inner_product(X, U, G))),
        (M.project_tangent(x, g), N.projection(X, G)),
        (M.egrad2rgrad(x, g), N.euclidean_to_riemannian_gradient(X, G)),
        (M.ehess2rhess(x, g, h, u), N.euclidean_to_riemannian_hessian(X, G, H, U)),
        (M.retract(x, u), N.retraction(X, U)),
    ]:
        torch.testing.assert_close(ours, torch.as_tensor(np.asarray(theirs)), rtol=1e-12, atol=1e-12)
    assert_same_subspace(M.exp(x, u), torch.from_numpy(N.exp(X, U)))
    assert M.dim == int(N.dim)
    assert M.typical_dist == pytest.approx(N.typical_dist)


@every_field
def test_principal_angles_are_those_of_scipy(field: str) -> None:
    M = Grassmann(6, 3, field=field)
    x, u = pair(M)
    y = M.exp(x, u, 1.3)
    wanted = torch.from_numpy(scipy.linalg.subspace_angles(x.numpy(), y.numpy()))
    torch.testing.assert_close(M.principal_angles(x, y), wanted, rtol=0, atol=3e-8)
    torch.testing.assert_close(M.principal_angles(x, y), 1.3 * torch.linalg.svdvals(u), rtol=1e-12, atol=0)


def test_lines_are_points_of_a_sphere_up_to_sign() -> None:
    M = Grassmann(3, 1)
    x, y = torch.tensor([[[1.0], [0.0], [0.0]], [[0.6], [-0.8], [0.0]]], dtype=torch.float64)
    angle = math.acos(0.6)
    for sign in (1.0, -1.0):
        torch.testing.assert_close(M.dist(x, sign * y).item(), angle)
        torch.testing.assert_close(M.log(x, sign * y), torch.tensor([[0.0], [-angle], [0.0]], dtype=torch.float64))


# ---- one subspace, many bases ---------------------------------------------------------------------------------------


@every_field
def test_nothing_depends_on_the_basis(field: str) -> None:
    M = Grassmann(5, 3, field=field)
    x, u = pair(M, 4)
    y, q, r = M.exp(x, u, 1.1), turn(M, 4), turn(M)
    close = torch.testing.assert_close
    close(M.dist(x @ q, y @ r), M.dist(x, y))
    close(M.log(x @ q, y @ r), M.log(x, y) @ q)
    close(M.exp(x @ q, u @ q), M.exp(x, u) @ q)
    for carry in (M.parallel_transport, M.transport):
        close(carry(x @ q, y @ r, u @ q), carry(x, y, u) @ r)
    assert torch.equal(M.dist(x, x), torch.zeros(4, dtype=torch.float64))
    assert M.dist(x, x @ q).max() < 1e-15
    assert M.norm(x, M.log(x, x @ q)).max() < 1e-14


@every_field
def test_both_retractions_lead_to_the_same_subspace_and_back(field: str) -> None:
    M = Grassmann(5, 2, field=field)
    x, u = pair(M, 3)
    polar, qr = M.retract(x, u), M.retract(x, u, method="qr")
    assert_same_subspace(polar, qr)
    torch.testing.assert_close(x.mH @ polar, (x.mH @ polar).mH)  # the basis is turned least
    for y in (polar, qr @ turn(M, 3)):
        torch.testing.assert_close(M.inverse_retract(x, y), u)
    huge = M.retract(x, 1e9 * u)
    assert M.off_manifold(huge).max() < 1e-14


# ---- ends of the range ----------------------------------------------------------------------------------------------

LADDER = [1e-7, 3e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.5, 1.0, 1.5, math.pi / 2 - 1e-4, math.pi / 2]


@every_field
@pytest.mark.parametrize("other_basis", [False, True])
def test_float32_keeps_relative_accuracy_from_1e_7_to_the_cut_locus(field: str, other_basis: bool) -> None:
    M = Grassmann(6, 3, field=field)
    x, _ = pair(M)
    for angle in LADDER:
        y = M.exp(x, with_angles(M, x, [angle, 0.3 * angle, 0.0]))
        y = y @ turn(M) if other_basis else y
        single = x.to(SINGLE[field]), y.to(SINGLE[field])
        # of the rounded bases, in double precision, by another route
        a, b = (torch.linalg.qr(z.to(DOUBLE[field]))[0] for z in single)
        outside = b - a @ (a.mH @ b)
        sines, cosines = torch.linalg.svdvals(outside - a @ (a.mH @ outside)), torch.linalg.svdvals(a.mH @ b)
        truth = torch.atan2(sines, cosines.flip(-1)).norm()
        for got in (M.dist(*single), M.squared_dist(*single).sqrt(), M.norm(single[0], M.log(*single))):
            assert got.dtype == torch.float32
            torch.testing.assert_close(got.double(), truth, rtol=2e-6, atol=0)


@every_field
def test_right_angles_have_a_shortest_geodesic_all_the_same(field: str) -> None:
    M = Grassmann(5, 2, field=field)
    x, _ = pair(M)
    for angles in ([math.pi / 2, 0.4], [math.pi / 2, math.pi / 2]):
        y = M.exp(x, with_angles(M, x, angles)) @ turn(M)
        log = M.log(x, y)
        length = math.hypot(*angles)
        assert M.dist(x, y).item() == pytest.approx(length, rel=1e-14)
        assert M.norm(x, log).item() == pytest.approx(length, rel=1e-14)
        assert M.off_tangent(x, log) < 1e-14
        assert_same_subspace(M.exp(x, log), y)
        assert not M.log_defined(x, y)
    assert M.log_defined(x, M.exp(x, with_angles(M, x, [1.57, 0.4])))


def test_half_a_turn_comes_back_and_rounding_does_not_add_up() -> None:
    M = Grassmann(4, 2)
    x, _ = pair(M)
    assert_same_subspace(M.exp(x, with_angles(M, x, [math.pi, 0.0])), x)
    assert_same_subspace(M.exp(x, with_angles(M, x, [100 * math.pi, 1e-9])), x, 1e-8)
    y = x.float()
    for seed in range(300):
        y = M.exp(y, M.random_tangent(y, generator(seed)))
    assert M.off_manifold(y) < 1e-6


@every_field
@pytest.mark.parametrize("angles", [[0.0, 0.0], [0.7, 0.7], [1e-9, 0.7], [1.2, 1.2000001]], ids=str)
def test_derivatives_at_repeated_angles(field: str, angles: list[float]) -> None:
    M = Grassmann(4, 2, field=field)
    x, _ = pair(M)
    center = M.to_coordinates(x, with_angles(M, x, angles)).requires_grad_()

    def point(c: torch.Tensor) -> torch.Tensor:
        return M.exp(x, M.from_coordinates(x, c))

    def log(c: torch.Tensor) -> torch.Tensor:
        return M.log(x, point(c))

    def squared(c: torch.Tensor) -> torch.Tensor:
        return M.squared_dist(x, point(c))

    assert torch.autograd.gradcheck(log, (center,), check_forward_ad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(log, (center,), fast_mode=True)
    # in normal coordinates, the logarithm is the identity and the squared distance that of the space
    torch.testing.assert_close(
        torch.func.jacfwd(lambda c: M.to_coordinates(x, log(c)))(center), torch.eye(M.dim).double()
    )
    torch.testing.assert_close(torch.func.grad(squared)(center), 2 * center)
    torch.testing.assert_close(torch.func.hessian(squared)(center), 2 * torch.eye(M.dim).double(), rtol=0, atol=1e-7)


# ---- use ------------------------------------------------------------------------------------------------------------


@every_field
def test_steepest_descent_finds_the_dominant_subspace(field: str) -> None:
    M = Grassmann(5, 2, field=field)
    a = torch.randn(3, 5, 5, dtype=DOUBLE[field], generator=generator(2))
    a = a @ a.mH

    def cost(x: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        return -(x.conj() * (a @ x)).sum((-2, -1)).real

    x, _ = pair(M, 3)
    o = solve(GradientProblem(M, cost, data=(a,)), GradientDescentOptions(x, stop=StopWhenGradientNormLess(1e-7)))
    values, vectors = torch.linalg.eigh(a)
    torch.testing.assert_close(o.cost, -values[:, -2:].sum(-1))
    assert M.dist(o.x, vectors[..., -2:]).max() < 1e-6


def test_one_subspace_that_is_not_finite_leaves_its_neighbours_alone() -> None:
    M = Grassmann(4, 2)
    x, u = pair(M, 2)
    y = M.exp(x, u)
    broken = y.clone()
    broken[1] = math.nan
    calls: list[tuple[Any, tuple]] = [(M.dist, (x,)), (M.log, (x,)), (M.principal_angles, (x,)), (M.project_point, ())]
    for method, rest in calls:
        got = method(*rest, broken)
        assert torch.equal(got[0], method(*rest, y)[0])
        assert got[1].isnan().all()
    assert M.log_defined(x, broken).tolist() == [True, False]


def test_sizes_and_fields_are_checked() -> None:
    with pytest.raises(OptionsError, match="p < n"):
        Grassmann(3, 3)
    with pytest.raises(OptionsError, match="sizes are integers"):
        Grassmann(3, 0)
    with pytest.raises(OptionsError, match="field='quaternion' is not known; there is 'real' and 'complex'"):
        Grassmann(3, 1, field="quaternion")
    assert repr(Grassmann(4, 2, field="complex")) == "Grassmann(4, 2, field='complex')"
    assert Grassmann(3, 1, field="complex").random_point(2).dtype == torch.complex64
    assert Grassmann(3, 1).random_point(dtype=torch.complex128).dtype == torch.float64
