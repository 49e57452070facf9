"""`check_manifold` finds the mistakes that manifolds are written with."""

from typing import Any

import pytest
import torch

from manopt_torch.errors import ManoptError, OptionsError
from manopt_torch.linalg import symmetric_part
from manopt_torch.manifolds import Sphere, SymmetricPositiveDefinite
from manopt_torch.testing.check_manifold import check_manifold

SPHERE, SPD = Sphere(4), SymmetricPositiveDefinite(3)

# (class, method, wrong formula, a law that it breaks)
MISTAKES: list[tuple[type, str, Any, str]] = [
    (Sphere, "project_tangent", lambda M, x, z: z - (x * z).sum(-1, True), "the projector is idempotent"),
    (Sphere, "egrad2rgrad", lambda M, x, g: 2 * SPHERE.egrad2rgrad(x, g), "the cost follows its gradient"),
    (Sphere, "egrad2rgrad", lambda M, x, g: g, "the gradient is tangent"),
    (Sphere, "ehess2rhess", lambda M, x, g, h, u: SPHERE.project_tangent(x, h), "the cost follows its Hessian"),
    (Sphere, "exp", lambda M, x, u, t=None: SPHERE.retract(x, u, t), "geodesics have constant speed"),
    (Sphere, "log", lambda M, x, y: SPHERE.project_tangent(x, y), "log inverts exp"),
    (Sphere, "dist", lambda M, x, y: (x - y).norm(dim=-1), "dist is the length of log"),
    (
        Sphere,
        "parallel_transport",
        lambda M, x, y, u: SPHERE.transport(x, y, u),
        "parallel transport keeps inner products",
    ),
    (
        Sphere,
        "retract_default",
        lambda M, x, u, t=None: SPHERE.exp(x, 1.01 * u, t),
        "the default retraction follows exp",
    ),
    (Sphere, "random_tangent", lambda M, x, g=None: 2 * SPHERE.random_tangent(x, g), "random tangents have length one"),
    (Sphere, "to_coordinates", lambda M, x, u: u[..., 1:], "coordinates invert"),
    (Sphere, "inner", lambda M, x, u, v: (u * v).sum(), "inner of a batch is that of its problems"),
    (
        SymmetricPositiveDefinite,
        "retract_default",
        lambda M, x, u, t=None: symmetric_part(x + u if t is None else x + t * u),
        "the default retraction follows exp",
    ),
    (
        SymmetricPositiveDefinite,
        "ehess2rhess",
        lambda M, x, g, h, u: SPD.egrad2rgrad(x, h),
        "the cost follows its Hessian",
    ),
    (SymmetricPositiveDefinite, "egrad2rgrad", lambda M, x, g: symmetric_part(g), "the cost follows its gradient"),
    (SymmetricPositiveDefinite, "parallel_transport", lambda M, x, y, u: u, "parallel transport keeps inner products"),
]


@pytest.mark.parametrize(("cls", "method", "wrong", "law"), MISTAKES, ids=[f"{m[1]}: {m[3]}" for m in MISTAKES])
def test_mistakes_are_found(cls: type, method: str, wrong: Any, law: str) -> None:
    M = type(cls.__name__, (cls,), {method: wrong})(4 if cls is Sphere else 3)
    report = check_manifold(M, batch=(2,))
    assert not report.passed
    assert law in [failure.law for failure in report.failures], str(report)


def test_the_report_prints_a_line_a_law() -> None:
    report = check_manifold(SPHERE, batch=(2,), dtype=torch.float32)
    lines = str(report).splitlines()
    assert lines[0] == "Sphere(4), batch (2,), torch.float32: all laws hold"
    assert len(lines) == 1 + len(report.laws)
    assert all(line.startswith("ok ") for line in lines[1:])


def test_failures_raise_on_request() -> None:
    M = type("Flat", (Sphere,), {"egrad2rgrad": lambda M, x, g: g})(4)
    with pytest.raises(ManoptError, match="FAIL the gradient is tangent"):
        check_manifold(M, raise_on_failure=True)


def test_the_sample_follows_from_the_generator() -> None:
    first, second = (check_manifold(SPHERE, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    other = check_manifold(SPHERE, generator=torch.Generator().manual_seed(4))
    assert first == second
    assert first != other


def test_what_cannot_be_checked() -> None:
    with pytest.raises(OptionsError, match="M must be a Manifold such as"):
        check_manifold(Sphere)  # pyright: ignore[reportArgumentType]
    with pytest.raises(OptionsError, match=r"nothing to check in a batch of shape \(2, 0\)"):
        check_manifold(SPHERE, batch=(2, 0))
