"""Oblique manifolds: columns are spheres, and one column does not disturb another."""

import math

import pytest
import torch

from manopt_torch.errors import OptionsError
from manopt_torch.manifolds import ComplexSphere, Manifold, Oblique, Power, Sphere
from tests.together import together

CASES = [(Oblique(3, 4), Sphere(3)), (Oblique(2, 3, field="complex"), ComplexSphere(2))]


def draw(M: Manifold, *batch: int, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    x = M.random_point(*batch, generator=generator, dtype=dtype)
    return x, M.random_tangent(x, generator), M.random_tangent(x, generator)


@pytest.mark.parametrize(("M", "sphere"), CASES, ids=repr)
def test_each_column_is_a_point_of_a_sphere(M: Oblique, sphere: Manifold) -> None:
    P = Power(sphere, M.point_shape[1])
    x, u, v = draw(M, 2)
    y = M.exp(x, u, torch.tensor([0.3, 2.0]))
    g, h = torch.randn_like(x), torch.randn_like(x)
    t = torch.tensor([0.5, 1.5], dtype=torch.float64)
    for name, arguments in {
        "exp": (x, u, t),
        "retract": (x, u, t),
        "log": (x, y),
        "parallel_transport": (x, y, v),
        "transport": (x, y, v),
        "project_tangent": (x, g),
        "project_point": (g,),
        "egrad2rgrad": (x, g),
        "ehess2rhess": (x, g, h, u),
        "inverse_retract": (x, M.retract(x, u)),
    }.items():
        rows = [a if a is t else a.mT for a in arguments]
        torch.testing.assert_close(getattr(M, name)(*arguments), getattr(P, name)(*rows).mT)
    for name, arguments in {"dist": (x, y), "squared_dist": (x, y), "norm": (x, u), "inner": (x, u, v)}.items():
        torch.testing.assert_close(getattr(M, name)(*arguments), getattr(P, name)(*(a.mT for a in arguments)))
    assert (M.dim, M.typical_dist) == (P.dim, P.typical_dist)


def test_coincident_and_antipodal_columns_side_by_side() -> None:
    M = Oblique(3, 3)
    x = torch.eye(3, dtype=torch.float64)
    y = torch.stack([x[:, 0], -x[:, 1], x[:, 0]], -1)  # equal, antipodal, at a right angle
    u = M.log(x, y)
    assert torch.equal(u[:, 0], torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close(torch.linalg.vector_norm(u, dim=0), torch.tensor([0, math.pi, math.pi / 2]).double())
    torch.testing.assert_close(M.exp(x, u), y)
    assert not M.log_defined(x, y)
    assert M.log_defined(x, x)
    assert M.dist(x, y).item() == pytest.approx(math.pi * math.sqrt(1.25))


def test_the_inverse_retraction_is_nan_in_columns_outside_its_image_only() -> None:
    M = Oblique(2, 2)
    x, y = torch.eye(2), torch.tensor([[0.0, 0.6], [1.0, 0.8]])
    u = M.inverse_retract(x, y)
    assert torch.isnan(u[:, 0]).all()
    torch.testing.assert_close(u[:, 1], torch.tensor([0.75, 0.0]))


@together()
@pytest.mark.parametrize("distance", [1e-7, 1e-5, 1e-3, 0.1, 1.0, 3.0, math.pi])
def test_float32_keeps_relative_accuracy_in_each_column(distance: float) -> None:
    M = Oblique(3, 2)
    x, u, _ = draw(M, 50)
    u = u / torch.linalg.vector_norm(u, dim=-2, keepdim=True) * torch.tensor([1.0, 0.1])
    x, y = x.float(), M.exp(x, u, distance).float()
    torch.testing.assert_close(M.dist(x, y).double(), M.dist(x.double(), y.double()), rtol=2e-6, atol=0)


@pytest.mark.parametrize("arguments", [(0, 2), (3, 0), (1, 2), (3, 2, "quaternion"), (2.0, 1)], ids=str)
def test_arguments_are_checked(arguments: tuple) -> None:
    with pytest.raises(OptionsError):
        Oblique(*arguments)
    assert Oblique(1, 2, field="complex").dim == 2
