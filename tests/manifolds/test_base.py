"""What a short manifold of one's own gets from the base class."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from manopt_torch.errors import ManoptError, OptionsError
from manopt_torch.manifolds import FixedRank, Manifold, Power, Product, Sphere
from manopt_torch.manifolds.bases import gram_matrix
from manopt_torch.manifolds.images import ProductsOfImages
from manopt_torch.problems import HessianProblem, get_hessian
from manopt_torch.testing.check_manifold import check_manifold


class Hyperboloid(Manifold):
    """The upper sheet of <x, x> = -1 with the Minkowski product: a metric that is not that of the ambient space."""

    def __init__(self, n: int) -> None:
        self.point_shape, self.dim, self.typical_dist = (n + 1,), n, math.sqrt(n)

    def flip(self, z: torch.Tensor) -> torch.Tensor:
        return torch.cat([-z[..., :1], z[..., 1:]], dim=-1)

    def inner(self, x: Any, u: Any, v: Any) -> torch.Tensor:
        return (self.flip(u) * v).sum(-1)

    def project_point(self, z: Any) -> Any:
        return torch.cat([(1 + z[..., 1:].square().sum(-1, True)).sqrt(), z[..., 1:]], dim=-1)

    def project_tangent(self, x: Any, z: Any) -> Any:
        return z + self.inner(x, x, z)[..., None] * x

    def egrad2rgrad(self, x: Any, g: Any) -> Any:
        return self.project_tangent(x, self.flip(g))

    def ehess2rhess(self, x: Any, g: Any, h: Any, u: Any) -> Any:
        return self.project_tangent(x, self.flip(h) + (x * g).sum(-1, True) * u)

    def exp(self, x: Any, u: Any, t: Any = None) -> Any:
        u = u if t is None else u * torch.as_tensor(t, dtype=u.dtype)[..., None]
        n = self.norm(x, u)[..., None]
        return torch.cosh(n) * x + torch.where(n > 0, torch.sinh(n) / n, 1.0) * u

    def log(self, x: Any, y: Any) -> Any:
        v = self.project_tangent(x, y - x)
        n = self.norm(x, v)[..., None]
        return torch.where(n > 0, torch.asinh(n) / n, 1.0) * v

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> Any:
        shape = (*batch, *self.point_shape)
        return self.project_point(0.3 * torch.randn(shape, generator=generator, dtype=dtype, device=device))

    def off_manifold(self, x: Any) -> torch.Tensor:
        return (self.inner(x, x, x) + 1).abs()


class ProjectedSphere(Manifold):
    """A sphere without exponential map and logarithm."""

    retractions: Mapping[str, str] = {"projection": "retract_projection"}
    inverse_retractions: Mapping[str, str] = {}

    def __init__(self, n: int) -> None:
        self.point_shape, self.dim, self.typical_dist = (n,), n - 1, math.pi
        self.sphere = Sphere(n)

    def __getattribute__(self, name: str) -> Any:
        borrowed = ("inner", "project_point", "project_tangent", "egrad2rgrad", "ehess2rhess", "random_point")
        return getattr(self.sphere, name) if name in borrowed else object.__getattribute__(self, name)

    inner = project_point = project_tangent = egrad2rgrad = ehess2rhess = random_point = lambda *a: None

    def off_manifold(self, x: Any) -> torch.Tensor:
        return self.sphere.off_manifold(x)


@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_nine_methods_make_a_manifold(batch: tuple[int, ...]) -> None:
    for M in (Hyperboloid(3), Power(Hyperboloid(2), 2), Product(Hyperboloid(2), Sphere(3))):
        report = check_manifold(M, batch=batch)
        assert report.passed, str(report)
        assert M.has_exp
        assert M.has_log
        assert not M.has_parallel_transport


def test_the_default_basis_is_orthonormal_in_the_metric_and_tangent() -> None:
    M = Hyperboloid(3)
    x = M.random_point(5, dtype=torch.float64)
    basis = M.basis(x)
    assert basis.shape == (5, 3, 4)
    torch.testing.assert_close(gram_matrix(M, x, basis), torch.eye(3, dtype=torch.float64).expand(5, 3, 3))
    torch.testing.assert_close(M.inner(x[:, None], x[:, None], basis), torch.zeros(5, 3, dtype=torch.float64))


@pytest.mark.parametrize("batch", [(), (4,)])
def test_a_manifold_may_have_retractions_only(batch: tuple[int, ...]) -> None:
    for M in (ProjectedSphere(3), Power(ProjectedSphere(3), 2), Product(ProjectedSphere(3), Sphere(2))):
        assert not (M.has_exp or M.has_log)
        report = check_manifold(M, batch=batch)
        assert report.passed, str(report)


def test_hessian_products_follow_the_formula_that_a_class_writes() -> None:
    class Doubled(Sphere):
        def ehess2rhess(self, x: Any, g: Any, h: Any, u: Any) -> Any:
            return 2 * Sphere.ehess2rhess(self, x, g, h, u)

    class Inherited(Sphere):
        pass

    x = Sphere(3).random_point(4, dtype=torch.float64)
    u = Sphere(3).project_tangent(x, torch.ones_like(x))
    plain, same, doubled = (
        get_hessian(HessianProblem(M, lambda x: (x**3).sum(-1)), x, u) for M in (Sphere(3), Inherited(3), Doubled(3))
    )
    assert torch.equal(same, plain) and torch.equal(doubled, 2 * plain)
    expected = Sphere(3).project_tangent(x, 6 * x * u) - 3 * (x**3).sum(-1, True) * u
    torch.testing.assert_close(plain, expected, rtol=1e-12, atol=1e-13)


@torch.no_grad()
def test_inner_products_at_a_point_follow_the_formula_that_a_class_writes_and_flatten_each_vector_once() -> None:
    class Doubled(FixedRank):
        def inner(self, x: Any, u: Any, v: Any) -> torch.Tensor:
            return 2 * FixedRank.inner(self, x, u, v)

    M = FixedRank(6, 4, 2)
    for batch in ((), (3,)):
        x = M.random_point(*batch, dtype=torch.float64)
        u, v = M.random_tangent(x), M.random_tangent(x)
        U, V = (x.U @ w.S @ x.V.mT + w.U @ x.S @ x.V.mT + x.U @ x.S @ w.V.mT for w in (u, v))
        plain, doubled = M.inner_at(x), Doubled(6, 4, 2).inner_at(x)
        for _ in range(2):  # the second time from memory
            torch.testing.assert_close(plain(u, v), (U * V).sum((-2, -1)), rtol=1e-12, atol=1e-13)
            torch.testing.assert_close(plain(v, v), (V * V).sum((-2, -1)), rtol=1e-12, atol=1e-13)
            torch.testing.assert_close(doubled(u, v), 2 * (U * V).sum((-2, -1)), rtol=1e-12, atol=1e-13)
        assert isinstance(plain, ProductsOfImages) and torch.equal(plain.norm(u), M.norm(x, u))

    met: list[int] = []
    products = ProductsOfImages(lambda w: met.append(w) or torch.tensor([float(w), 1.0]), torch.dot)
    assert [products(a, b).item() for a, b in ((2, 3), (3, 3), (2, 5), (5, 3))] == [7.0, 10.0, 11.0, 16.0]
    assert met == [2, 3, 5]


def test_what_is_missing_is_said_with_what_to_use() -> None:
    M = ProjectedSphere(3)
    x = M.random_point()
    with pytest.raises(OptionsError, match=r"no exponential map: use M.retract\(x, u\)"):
        M.exp(x, x)
    with pytest.raises(OptionsError, match=r"no logarithm: use M.project_tangent\(x, y - x\) next to x"):
        M.dist(x, x)
    with pytest.raises(OptionsError, match=r"no logarithm: use M.inverse_retract\(x, y\)"):
        FixedRank(3, 3, 1).log(x, x)
    with pytest.raises(OptionsError, match=r"no parallel transport: use M.transport\(x, y, u\)"):
        M.parallel_transport(x, x, x)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([1.0, 0.0, 0.0], r"a point of Sphere\(3\) is a tensor, got list"),
        (None, "is a tensor, got NoneType"),
        ((torch.zeros(3),), r"is a tensor, got \(Tensor,\)"),
        (torch.tensor([1, 0, 0]), r"floating-point numbers, got torch.int64: convert with x.double\(\)"),
    ],
)
def test_what_is_no_point_is_named(x: Any, message: str) -> None:
    with pytest.raises(ManoptError, match=message):
        Sphere(3).check_point(x)


def test_sizes_may_be_integers_of_numpy() -> None:
    M = Power(Sphere(np.int64(3)), np.int32(2))
    assert M.point_shape == (2, 3) and M.random_point(4).shape == (4, 2, 3)
    with pytest.raises(OptionsError, match=r"Sphere\('3'\): sizes are integers"):
        Sphere("3")


def test_an_incomplete_manifold_cannot_be_made() -> None:
    class Incomplete(Manifold):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Incomplete()
