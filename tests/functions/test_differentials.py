"""Jacobi fields against automatic differentiation, finite differences and the definition of an adjoint."""

import math

import pytest
import torch

from manopt_torch import (
    Circle,
    Euclidean,
    Grassmann,
    Hyperboloid,
    OptionsError,
    Power,
    Product,
    Rotations,
    Sphere,
    Stiefel,
    SymmetricPositiveDefinite,
    adjoint_differential_forward_logs,
    adjoint_jacobi_field,
    differential_forward_logs,
    forward_logs,
    functions,
    jacobi_field,
)
from manopt_torch.functions import differentials
from manopt_torch.manifolds.points import leaves, map_leaves

D = torch.float64
KNOWN = [
    Circle(),
    Euclidean(2),
    Sphere(4),
    Hyperboloid(4, curvature=-0.5),
    SymmetricPositiveDefinite(3),
    Product(Power(Sphere(3), 2), SymmetricPositiveDefinite(2, metric="log_cholesky")),
]
NAMES = [
    f"{part}_{of}"
    for part, of in (
        ("geodesic", "startpoint"),
        ("geodesic", "endpoint"),
        ("exp", "basepoint"),
        ("exp", "argument"),
        ("log", "basepoint"),
        ("log", "argument"),
    )
]


def case(M, name):
    """Return (arguments before the vector, its base point, base point of the result) for a batch of two."""
    generator = torch.Generator().manual_seed(2)
    x = M.random_point(2, dtype=D, generator=generator)
    u = map_leaves(lambda leaf: 0.8 * leaf, M.random_tangent(x, generator))
    y, t = M.exp(x, u), torch.tensor([0.3, 0.6], dtype=D)
    known = {
        "geodesic_startpoint": ((x, y, t), x, M.geodesic(x, y, t)),
        "geodesic_endpoint": ((x, y, t), y, M.geodesic(x, y, t)),
        "exp_basepoint": ((x, u), x, y),
        "exp_argument": ((x, u), x, y),
        "log_basepoint": ((x, y), x, x),
        "log_argument": ((x, y), y, x),
    }
    arguments, start, end = known[name]
    return arguments, start, end, M.random_tangent(start, generator), M.random_tangent(end, generator)


def assert_same(u, v, tolerance=1e-9):
    for a, b in zip(leaves(u), leaves(v), strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("M", KNOWN, ids=repr)
@pytest.mark.parametrize("name", NAMES)
def test_closed_forms_agree_with_autograd(M, name, monkeypatch):
    arguments, start, end, X, Y = case(M, name)
    forward, adjoint = getattr(functions, f"differential_{name}"), getattr(functions, f"adjoint_differential_{name}")
    DX, DY = forward(M, *arguments, X), adjoint(M, *arguments, Y)
    M.check_tangent(end, DX, atol=1e-10)
    M.check_tangent(start, DY, atol=1e-10)
    torch.testing.assert_close(M.inner(end, DX, Y), M.inner(start, X, DY))
    if isinstance(M, (Circle, Euclidean)):
        sign = -1 if name == "log_basepoint" else 1
        share = {"geodesic_startpoint": 1 - arguments[-1], "geodesic_endpoint": arguments[-1]}.get(name, sign)
        assert_same(DX, X * share if M.point_shape == () or not torch.is_tensor(share) else X * share[:, None])
        return
    monkeypatch.setattr(differentials, "curvature_is_known", lambda M: False)
    assert_same(forward(M, *arguments, X), DX)
    assert_same(adjoint(M, *arguments, Y), DY)


@pytest.mark.parametrize("name", [name for name in NAMES if "base" not in name])
def test_where_the_curvature_is_not_known(name):
    # bi-invariant: geodesics are one-parameter groups, so central differences are easily right
    M = Rotations(3)
    arguments, start, end, X, Y = case(M, name)
    forward, adjoint = getattr(functions, f"differential_{name}"), getattr(functions, f"adjoint_differential_{name}")
    place = {"geodesic_startpoint": 0, "geodesic_endpoint": 1, "exp_argument": 1, "log_argument": 1}[name]
    fn = {"geodesic": M.geodesic, "exp": M.exp, "log": M.log}[name.split("_")[0]]

    def moved(h):
        at = list(arguments)
        at[place] = at[place] + h * X if name == "exp_argument" else M.exp(at[place], X, h)
        return fn(*at)

    h = 1e-5
    DX = forward(M, *arguments, X)
    assert_same(DX, M.project_tangent(end, (moved(h) - moved(-h)) / (2 * h)), 1e-8)
    torch.testing.assert_close(M.inner(end, DX, Y), M.inner(start, X, adjoint(M, *arguments, Y)))


def test_subspaces_whose_bases_have_nothing_in_common():
    # how the squared distance of the point at time t to a probe changes, whatever the bases at both ends
    M, generator = Grassmann(5, 2), torch.Generator().manual_seed(3)
    x, y, probe = M.random_point(3, dtype=D, generator=generator)
    t, h, z = 0.3, 1e-5, M.geodesic(x, y, 0.3)
    X, Y, Z = (M.random_tangent(at, generator) for at in (x, y, z))
    for name, end, along, moved in (
        ("differential_geodesic_startpoint", x, X, lambda s: M.geodesic(M.exp(x, X, s), y, t)),
        ("differential_geodesic_endpoint", y, Y, lambda s: M.geodesic(x, M.exp(y, Y, s), t)),
    ):
        DX = getattr(functions, name)(M, x, y, t, along)
        M.check_tangent(z, DX, atol=1e-10)
        slope = (M.squared_dist(moved(h), probe) - M.squared_dist(moved(-h), probe)) / (2 * h)
        torch.testing.assert_close(-2 * M.inner(z, M.log(z, probe), DX), slope, rtol=1e-6, atol=1e-8)
        DZ = getattr(functions, f"adjoint_{name}")(M, x, y, t, Z)
        torch.testing.assert_close(M.inner(z, DX, Z), M.inner(end, along, DZ))


def test_beyond_the_cut_locus():
    # on the great circle through x, three quarters round: the field of the base point turns with the geodesic
    x, u, X = torch.eye(3, dtype=D)
    u = 1.5 * math.pi * u
    assert_same(functions.differential_exp_basepoint(Sphere(3), x, u, X), math.cos(1.5 * math.pi) * X, 1e-14)
    assert_same(functions.differential_exp_argument(Sphere(3), x, u, X), -X / (1.5 * math.pi), 1e-14)


def test_coincident_points():
    for M in (Sphere(3), Hyperboloid(3), SymmetricPositiveDefinite(2)):
        x = M.random_point(2, dtype=D, generator=torch.Generator().manual_seed(0))
        X = M.random_tangent(x, torch.Generator().manual_seed(1))
        assert_same(jacobi_field(M, x, x, 0.25, X), 0.75 * X)
        assert_same(functions.differential_log_basepoint(M, x, x, X), -X)
        assert_same(functions.differential_exp_argument(M, x, M.zero_tangent(x), X), X)


def test_the_field_satisfies_the_jacobi_equation():
    # on the unit sphere across the geodesic: second derivative minus the field itself, times d squared
    M, (x, y, X) = Sphere(3), torch.eye(3, dtype=D)
    d, h = math.pi / 2, 1e-3
    lengths = [float(jacobi_field(M, x, y, t, X)[2]) for t in (0.4 - h, 0.4, 0.4 + h)]
    assert (lengths[0] - 2 * lengths[1] + lengths[2]) / h**2 == pytest.approx(-d * d * lengths[1], rel=1e-5)
    torch.testing.assert_close(adjoint_jacobi_field(M, x, y, 0.4, X), jacobi_field(M, x, y, 0.4, X))


def test_unknown_curvature_is_an_error_that_names_the_cure():
    M = Stiefel(4, 2)
    x = M.random_point(dtype=D)
    with pytest.raises(OptionsError, match="differential_"):
        jacobi_field(M, x, x, 0.5, x)


@pytest.mark.parametrize("base", [Circle(), Sphere(3), Product(Sphere(3), Euclidean(2))], ids=repr)
def test_differential_of_forward_logs(base):
    M = Power(base, 3, 2)
    generator = torch.Generator().manual_seed(4)
    x = M.random_point(2, dtype=D, generator=generator)
    X = M.random_tangent(x, generator)
    Y = map_leaves(lambda leaf: torch.randn(leaf.shape, generator=generator, dtype=D), forward_logs(M, x))
    at = map_leaves(lambda leaf: leaf.unsqueeze(3), x)
    Y = base.project_tangent(at, Y)
    DX, DY = differential_forward_logs(M, x, X), adjoint_differential_forward_logs(M, x, Y)
    torch.testing.assert_close(base.inner(at, DX, Y).sum((-3, -2, -1)), M.inner(x, X, DY))
    h = 1e-6
    forth, back = (forward_logs(M, M.exp(x, X, s)) for s in (h, -h))
    central = base.project_tangent(at, map_leaves(lambda a, b: (a - b) / (2 * h), forth, back))
    assert_same(DX, central, 1e-6)
