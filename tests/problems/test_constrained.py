"""Problems with constraints: values, Lagrangians, residuals."""

import math

import pytest
import torch

from manopt_torch import (
    ConstrainedProblem,
    CountedProblem,
    Euclidean,
    GradientProblem,
    HessianProblem,
    OptionsError,
    Product,
    ShapeError,
    Sphere,
    augmented_lagrangian_method,
    get_cost,
    get_gradient,
    get_hessian,
)
from manopt_torch.manifolds.points import map_shaped
from manopt_torch.problems.constrained import (
    kkt_residual,
    lagrangian_of,
    second_order,
    second_order_products,
    violation_of,
)

D = torch.float64


def seeded(*shape):
    return torch.randn(*shape, dtype=D, generator=torch.Generator().manual_seed(2))


def disc(M=None, **keywords):
    """x + y within the unit disc, on the line y = 2 x."""
    cost = lambda x: x.sum(-1)  # noqa: E731
    g = lambda x: x.square().sum(-1, keepdim=True) - 1  # noqa: E731
    h = lambda x: (x[..., 1] - 2 * x[..., 0]).unsqueeze(-1)  # noqa: E731
    return ConstrainedProblem(M or Euclidean(2), cost, g, h, **keywords)


def test_values_and_gradients():
    p = CountedProblem(disc())
    x = torch.tensor([[3.0, 4.0], [0.0, 0.5]], dtype=D)
    at = p.evaluate(x)
    assert at.inequality.tolist() == [[24.0], [-0.75]] and at.equality.tolist() == [[-2.0], [0.5]]
    assert violation_of(at.inequality, at.equality).tolist() == [24.0, 0.5]
    mu, lam = torch.full((2, 1), 2.0, dtype=D), torch.full((2, 1), 3.0, dtype=D)
    gradient, lagrangian = p.gradients_from(x, at, mu, lam)
    assert torch.equal(gradient, torch.ones(2, 2, dtype=D))
    assert lagrangian.tolist() == [[1 + 12 - 6, 1 + 16 + 3], [1 - 6, 1 + 2 + 3]]
    assert (p.count(":Cost"), p.count(":Gradient")) == (1, 1)
    assert torch.equal(get_cost(p, x), x.sum(-1)) and torch.equal(get_gradient(p, x), gradient)


def test_the_residual_has_all_parts():
    p = disc()
    x, mu, lam = (torch.tensor(v, dtype=D) for v in ([0.0, 2.0], [-1.0], [0.0]))
    at = p.evaluate(x)
    _, u = p.gradients_from(x, at, mu, lam)
    # gradient (1, 1 - 4), multiplier -1, g = 3, mu g = -3, h = 2
    assert float(kkt_residual(p.M, x, u, at, mu)) == math.sqrt(10 + 1 + 9 + 9 + 4)


def test_one_kind_of_constraint_is_enough_but_needed():
    p = ConstrainedProblem(Sphere(3), lambda x: x[..., 0], equality=lambda x: x[..., :1])
    at = p.evaluate(torch.eye(3))
    assert at.inequality.shape == (3, 0) and at.equality.shape == (3, 1)
    assert violation_of(at.inequality, at.equality).tolist() == [1.0, 0.0, 0.0]
    with pytest.raises(OptionsError, match="give inequality=, equality= or both"):
        ConstrainedProblem(Sphere(3), lambda x: x[..., 0])
    with pytest.raises(OptionsError, match="inequality must be callable"):
        ConstrainedProblem(Sphere(3), lambda x: x[..., 0], 3.0)


@pytest.mark.parametrize(
    "g",
    [lambda x: x[..., 0], lambda x: 1.0, lambda x: x.sum(), lambda x: None],
    ids=["bare", "float", "sum", "none"],
)
def test_constraints_of_another_shape_are_refused(g):
    with pytest.raises(ShapeError, match="inequality must return a tensor of shape"):
        augmented_lagrangian_method(Sphere(3), lambda x: x[..., 0], torch.eye(3), inequality=g)


def test_constraints_that_are_no_real_numbers_are_refused():
    with pytest.raises(
        OptionsError, match=r"equality must return real floating-point numbers, got torch.int64.*double"
    ):
        augmented_lagrangian_method(Sphere(3), lambda x: x[..., 0], torch.eye(3), equality=lambda x: x.long())


def test_callables_for_one_point_and_sub_batches():
    q = seeded(4, 3)
    cost = lambda x, q: (x * q).sum(-1)  # noqa: E731
    p = ConstrainedProblem(Sphere(3), cost, lambda x, q: q - x, data=(q,))
    one = ConstrainedProblem(
        Sphere(3), lambda x, q: x @ q, lambda x, q: torch.stack([q[0] - x[0], q[1] - x[1], q[2] - x[2]]), data=(q,),
        vectorized=False,
    )  # fmt: skip
    x = torch.nn.functional.normalize(seeded(5, 3)[1:], dim=-1)
    torch.testing.assert_close(one.evaluate(x)[:3], p.evaluate(x)[:3])
    rows = torch.tensor([2, 0])
    assert torch.equal(p.take(rows, 1).evaluate(x[rows]).inequality, p.evaluate(x).inequality[rows])


@pytest.mark.parametrize("batch", [(), (3,), (2, 2)], ids=str)
def test_second_derivatives_are_those_of_the_lagrangian(batch):
    M = Product(Sphere(3), Euclidean(2))
    cost = lambda x: (x[0] ** 3).sum(-1) * x[1][..., 0].exp()  # noqa: E731
    g = lambda x: x[0] * x[1][..., :1]  # noqa: E731
    h = lambda x: (x[1].square().sum(-1) - x[0][..., 0]).unsqueeze(-1)  # noqa: E731
    p = ConstrainedProblem(M, cost, g, h)
    x = M.random_point(*batch, dtype=D, generator=torch.Generator().manual_seed(3))
    mu, lam = seeded(*batch, 3), seeded(*batch, 1)
    found = second_order(p, x, mu, lam)
    whole = HessianProblem(M, lambda x: lagrangian_of(cost(x), g(x), h(x), mu, lam))
    torch.testing.assert_close(M.from_coordinates(x, found.gradient), get_gradient(whole, x))
    for j in range(M.dim):
        u = map_shaped(lambda ndim, b, j=j: b.select(-1 - ndim, j), M.point_shape, M.basis(x))
        torch.testing.assert_close(M.from_coordinates(x, found.hessian[..., j]), get_hessian(whole, x, u))
    for n in range(3):
        row = get_gradient(GradientProblem(M, lambda x, n=n: g(x)[..., n]), x)
        torch.testing.assert_close(M.from_coordinates(x, found.G[..., n, :]), row)
    torch.testing.assert_close(
        M.from_coordinates(x, found.H[..., 0, :]), get_gradient(GradientProblem(M, lambda x: h(x)[..., 0]), x)
    )
    assert torch.equal(found.g, g(x)) and torch.equal(found.h, h(x))
    # without matrices
    alone = second_order_products(p, x, mu, lam)
    c, a, b = seeded(*batch, M.dim), seeded(*batch, 3), seeded(*batch, 1)
    u = M.from_coordinates(x, c)
    torch.testing.assert_close(alone.gradient, get_gradient(whole, x))
    torch.testing.assert_close(alone.hessian(u), get_hessian(whole, x, u))
    for times_u, J in zip(alone.jacobian(u), (found.G, found.H), strict=True):
        torch.testing.assert_close(times_u, (J * c.unsqueeze(-2)).sum(-1))
    transposed = (a.unsqueeze(-1) * found.G).sum(-2) + (b.unsqueeze(-1) * found.H).sum(-2)
    torch.testing.assert_close(alone.tangent(alone.adjoint(a, b)), M.from_coordinates(x, transposed))
