"""Products: tuples, named tuples, nesting, and what follows from the factors."""

import math
from typing import Any, NamedTuple

import pytest
import torch

from manopt_torch.errors import NotOnManifoldError, OptionsError, ShapeError
from manopt_torch.manifolds import Circle, Euclidean, FixedRank, Power, Product, Sphere, SymmetricPositiveDefinite
from manopt_torch.manifolds.points import leaves


class Pose(NamedTuple):
    direction: Any
    height: Any


M = Product(Sphere(3), Euclidean())
X = Pose(torch.tensor([1.0, 0.0, 0.0]), torch.tensor(0.0))
Y = Pose(torch.tensor([0.0, 1.0, 0.0]), torch.tensor(2.0))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_squared_distances_add() -> None:
    assert M.squared_dist(X, Y).item() == pytest.approx((math.pi / 2) ** 2 + 4)
    assert M.dist(X, Y).item() == pytest.approx(math.hypot(math.pi / 2, 2))
    assert M.norm(X, M.log(X, Y)).item() == pytest.approx(math.hypot(math.pi / 2, 2))


def test_named_tuples_keep_their_type() -> None:
    u = M.log(X, Y)
    for result in (u, M.exp(X, u), M.retract(X, u, 0.5), M.egrad2rgrad(X, u), M.ehess2rhess(X, u, u, u)):
        assert isinstance(result, Pose)
    for result in (M.transport(X, Y, u), M.parallel_transport(X, Y, u), M.project_point(X), M.zero_tangent(X)):
        assert isinstance(result, Pose)
    assert isinstance(M.random_tangent(X, generator()), Pose)
    assert isinstance(M.basis(X), Pose)
    torch.testing.assert_close(tuple(M.exp(X, u)), tuple(Y))


def test_facts_follow_from_the_factors() -> None:
    nested = Product(Sphere(3), Product(Euclidean(4), Circle()), SymmetricPositiveDefinite(2))
    assert nested.point_shape == ((3,), ((4,), ()), (2, 2))
    assert nested.dim == 2 + 4 + 1 + 3
    assert nested.typical_dist == pytest.approx(math.sqrt(math.pi**2 + 4 + (math.pi / 2) ** 2 + 3))
    assert nested.injectivity_radius() == math.pi
    assert repr(nested) == "Product(Sphere(3), Product(Euclidean(4), Circle()), SymmetricPositiveDefinite(2))"
    assert not nested.transport_is_isometric
    assert Product(Euclidean(2), Circle()).transport_is_isometric


def test_coordinates_are_those_of_the_parts_one_after_the_other() -> None:
    x = M.random_point(5, generator=generator(), dtype=torch.float64)
    u = M.random_tangent(x, generator())
    c = M.to_coordinates(x, u)
    torch.testing.assert_close(c[:, :2], Sphere(3).to_coordinates(x[0], u[0]))
    torch.testing.assert_close(c[:, 2], u[1])
    directions, heights = M.basis(x)
    assert directions.shape == (5, 3, 3)
    assert heights.shape == (5, 3)
    assert (heights[:, :2] == 0).all()  # each basis vector lives in one factor
    assert (directions[:, 2] == 0).all()
    assert (heights[:, 2] == 1).all()


def test_a_retraction_is_used_in_every_factor() -> None:
    u = M.log(X, Y)
    torch.testing.assert_close(tuple(M.retract(X, u, method="exp")), tuple(Y))
    step = M.retract(X, u, 0.5, method="projection")
    torch.testing.assert_close(step.direction, Sphere(3).retract(X.direction, u.direction, 0.5))
    assert set(M.retractions) == {"projection", "exp"}
    with pytest.raises(OptionsError, match=r"SymmetricPositiveDefinite\(2\) has no retraction 'projection'"):
        mixed = Product(Sphere(3), SymmetricPositiveDefinite(2))
        x = mixed.random_point()
        mixed.retract(x, mixed.random_tangent(x), method="projection")


def test_the_injectivity_radius_may_differ_from_point_to_point() -> None:
    class Interval(Euclidean):
        def injectivity_radius(self, x: Any = None) -> Any:
            return 0.0 if x is None else 1 - x.abs()

    product = Product(Interval(), Sphere(3), Interval())
    x = (torch.tensor([0.25, -0.5]), product.random_point(2)[1], torch.tensor([0.0, 0.75]))
    assert product.injectivity_radius(x).tolist() == [0.75, 0.25]
    assert product.injectivity_radius() == 0.0
    assert Power(Interval(), 2).injectivity_radius(torch.tensor([[0.25, 0.5]])).tolist() == [0.5]


@pytest.mark.parametrize("M", [M, FixedRank(4, 3, 2)], ids=repr)
def test_batch_axes_of_points_and_vectors_broadcast(M: Any) -> None:
    x = M.random_point(2, 1, generator=torch.Generator().manual_seed(0))
    u = M.random_tangent(x, generator=torch.Generator().manual_seed(1))
    vectors = tuple(leaf[0].expand(3, *leaf.shape[2:]) for leaf in u)
    wide = tuple(leaf.expand(2, 3, *leaf.shape[2:]) for leaf in x)
    wide_vectors = tuple(leaf.expand(2, *leaf.shape) for leaf in vectors)
    assert torch.equal(M.to_coordinates(x, vectors), M.to_coordinates(wide, wide_vectors))
    assert torch.equal(M.off_tangent(x, vectors), M.off_tangent(wide, wide_vectors))


def test_errors_name_the_part() -> None:
    with pytest.raises(ShapeError, match="same batch axes"):
        M.batch_shape((torch.zeros(2, 3), torch.zeros(3)))
    with pytest.raises(ShapeError, match="has 2 tensors, got 1"):
        M.check_point(X.direction)
    with pytest.raises(ShapeError, match=r"pass a tuple of tensors of shapes \(\(\*batch, 3\), \(\*batch\)\)"):
        M.check_point((X.direction,))
    with pytest.raises(ShapeError, match=r"^part 1 of a point of Product\(.*has shape \(\*batch, 2\), got \(1,\)"):
        Product(Sphere(3), Euclidean(2)).check_point((X.direction, torch.zeros(1)))
    with pytest.raises(NotOnManifoldError, match=r"off Product\(Sphere\(3\), Euclidean\(\)\)"):
        M.check_point((2 * X.direction, X.height))
    with pytest.raises(OptionsError, match="one or more manifolds"):
        Product()
    with pytest.raises(OptionsError, match="each as an argument of its own"):
        Product([Sphere(3), Euclidean()])


@pytest.mark.parametrize(
    ("x", "told"),
    [
        ([X.direction, X.height], r"got a list of Tensor, Tensor: write tuple\(x\)"),
        (
            [[1, 0, 0], 0],
            r"list of list, int: write tuple\(torch.as_tensor\(part, dtype=torch.float64\) for part in x\)",
        ),
        (([1.0, 0.0, 0.0], 0.0), r"got a tuple of list, float: write tuple\(torch.as_tensor\(part,"),
        ([X.direction, X.height, X.height], "got a list of Tensor, Tensor, Tensor$"),
        ([], "got a list of nothing$"),
    ],
)
def test_what_is_no_tuple_of_tensors_is_told_how_to_become_one(x: Any, told: str) -> None:
    wanted = r"a point of Product\(.*\) must be a tuple of tensors of shapes \(\(\*batch, 3\), \(\*batch\)\), "
    with pytest.raises(ShapeError, match=wanted + ".*" + told):
        M.check_point(x)


def test_the_cure_for_a_list_makes_a_point() -> None:
    x = [[1, 0, 0], 0]
    point = tuple(torch.as_tensor(part, dtype=torch.float64) for part in x)
    M.check_point(point)
    nested = Product(Euclidean(2), M)
    with pytest.raises(
        ShapeError, match=r"of shapes \(\(\*batch, 2\), \(\(\*batch, 3\), \(\*batch\)\)\), got a list of .*list$"
    ):
        nested.check_point([[0.0, 0.0], x])


def test_gradients_come_as_points_do() -> None:
    gradient = torch.func.grad(lambda x: M.squared_dist(x, Y))(Pose(X.direction, X.height))
    assert isinstance(gradient, Pose)
    wanted = [-2 * leaf for leaf in leaves(M.log(X, Y))]
    torch.testing.assert_close(leaves(M.egrad2rgrad(X, gradient)), wanted)
