"""Trees of tensors: tuples of one, axes of many kinds, and complex entries."""

from typing import NamedTuple

import torch

from manopt_torch.manifolds import points

D = torch.float64


class One(NamedTuple):
    only: object


def test_tuples_of_one_keep_their_type_and_depth():
    add = lambda *parts: sum(parts)  # noqa: E731
    assert points.map_leaves(add, (1,)) == (1,)
    assert points.map_leaves(add, (1,), (10,)) == (11,) and points.map_leaves(add, (1,), (10,), (100,)) == (111,)
    assert points.map_leaves(add, ((1, 2),), ((10, 20),)) == ((11, 22),)
    one = points.map_leaves(add, One(1), One(10))
    assert one == One(11) and isinstance(one, One)


def test_trees_of_different_length_are_refused():
    for other in ((1,), (1, 2, 3)):
        try:
            points.map_leaves(lambda a, b: a, (1, 2), other)
        except ValueError:
            continue
        raise AssertionError(other)


def test_arrays_one_behind_the_other_share_their_batch():
    a, b = torch.arange(6.0).reshape(2, 1, 3), torch.arange(8.0).reshape(4, 2)
    found = points.joined([a, b])
    assert found.shape == (2, 4, 5)
    assert torch.equal(found[1, 2], torch.tensor([3.0, 4.0, 5.0, 4.0, 5.0]))
    assert points.joined([torch.ones(0), torch.zeros(2)]).tolist() == [0.0, 0.0]


def test_one_of_several_points_of_any_shape():
    tree = (torch.arange(6.0).reshape(2, 3), torch.arange(48.0).reshape(2, 3, 2, 4))
    index = torch.tensor([[2], [0]])
    found = points.take_one(tree, index)
    assert all(torch.equal(a, torch.stack([b[0, 2], b[1, 0]])) for a, b in zip(found, tree, strict=True))
    lone = points.take_one(torch.arange(6.0).reshape(3, 2), torch.tensor([1]))
    assert lone.tolist() == [2.0, 3.0]


def test_complex_entries_are_two_numbers_each():
    generator = torch.Generator().manual_seed(0)
    tree = tuple(
        torch.randn(2, *own, dtype=kind, generator=generator) for own, kind in (((3,), D), ((2, 2), D.to_complex()))
    )
    shape = ((3,), (2, 2))
    vector = points.to_vector(tree, shape)
    assert vector.shape == (2, 11) and vector.dtype == D
    assert torch.equal(vector[:, :3], tree[0])
    torch.testing.assert_close(vector[:, 3:].square().sum(-1), tree[1].abs().square().sum((-2, -1)), rtol=1e-14, atol=0)
    back = points.from_vector(vector, tree, shape)
    assert all(torch.equal(a, b) for a, b in zip(back, tree, strict=True))


def test_scalars_are_laid_out_to_the_right():
    t = torch.tensor([1.0, 2.0])
    assert [tuple(points.expand_right(t, n).shape) for n in range(4)] == [(2,), (2, 1), (2, 1, 1), (2, 1, 1, 1)]
    assert points.leaf_shapes(((3,), ((2, 2), ()))) == [(3,), (2, 2), ()] and not points.is_nested((3, 2))
