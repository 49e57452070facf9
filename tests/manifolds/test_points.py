"""Trees of tensors: structure, axes, and steps that round alike."""

from typing import NamedTuple

import pytest
import torch

from manopt_torch.manifolds import points
from tests.together import together


class Pair(NamedTuple):
    first: object
    second: object


def test_maps_keep_the_structure() -> None:
    doubled = points.map_leaves(lambda a, b: a + b, Pair(1, (2, 3)), (1, (2, 3)))
    assert doubled == Pair(2, (4, 6))
    assert isinstance(doubled, Pair)
    assert points.leaves(doubled) == [2, 4, 6]
    assert points.first_leaf(((7, 8), 9)) == 7


def test_vectors_and_points_are_the_same_numbers() -> None:
    shape = ((3,), ((), (2, 2)))
    tree = Pair(torch.randn(5, 3), (torch.randn(5), torch.randn(5, 2, 2)))
    vector = points.to_vector(tree, shape)
    assert vector.shape == (5, 8)
    back = points.from_vector(vector, tree, shape)
    assert isinstance(back, Pair)
    assert all(torch.equal(a, b) for a, b in zip(points.leaves(back), points.leaves(tree), strict=True))


def test_a_new_axis_stands_before_the_own_axes() -> None:
    tree = (torch.zeros(5, 3), torch.zeros(5))
    assert [leaf.shape for leaf in points.new_axis(tree, ((3,), ()))] == [(5, 1, 3), (5, 1)]


@together()
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (64, 17), (5, 4, 4)], ids=str)
def test_float_and_tensor_steps_round_alike(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    x, u = torch.randn(shape, dtype=dtype), torch.randn(shape, dtype=dtype)
    t, ndim = 0.1234567890123, min(len(shape), 2)
    step = torch.full(shape[: len(shape) - ndim], t, dtype=torch.float64)
    assert torch.equal(points.axpy(x, u, t, ndim), points.axpy(x, u, step, ndim))
    assert torch.equal(points.scale(u, t, ndim), points.scale(u, step, ndim))
    assert points.axpy(x, u, step, ndim).dtype == dtype
    assert points.scale(u, None, ndim) is u
    assert torch.equal(points.axpy(x, u, None, ndim), x + u)


def test_steps_beyond_the_range_of_float32_are_infinite_for_floats_too() -> None:
    x, u = torch.ones(4), torch.tensor([1.0, -1.0, 1e-30, 0.0])
    for t in (1e39, -1e39):
        there = points.axpy(x, u, t, 1)
        assert torch.equal(there[:3], t * u[:3] * 1e30) and there[3].isnan()
        torch.testing.assert_close(
            there, points.axpy(x, u, torch.tensor(t, dtype=torch.float64), 1), rtol=0, atol=0, equal_nan=True
        )
