"""Points as trees: one map over tensors and (nested) tuples of tensors.

A tenth of the cost of `torch.utils._pytree`, which solvers would pay several times an iteration.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch

from manopt_torch.manifolds.fields import from_reals, to_reals


def map_leaves(fn: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """Apply `fn` to the tensors of `tree` (and of `rest` in step), keeping tuples and named tuples.

    Examples:
        >>> map_leaves(lambda a, b: a + b, (1, (2, 3)), (10, (20, 30)))
        (11, (22, 33))
    """
    if isinstance(tree, tuple):
        if len(tree) == 1 and type(tree) is tuple and not isinstance(tree[0], tuple):  # that of a lone parameter
            return (fn(tree[0], rest[0][0]) if len(rest) == 1 else fn(tree[0], *[other[0] for other in rest]),)
        columns = zip(tree, *rest, strict=True)
        # tensors are told apart here, and plain tuples, which saves a call for each
        parts = [map_leaves(fn, *c) if isinstance(c[0], tuple) else fn(*c) for c in columns]
        return tuple(parts) if type(tree) is tuple else rebuild(tree, parts)
    return fn(tree, *rest)


def joined(parts: list[torch.Tensor]) -> torch.Tensor:
    """Return arrays one behind the other on the last axis; their other axes broadcast.

    Examples:
        >>> joined([torch.ones(2, 1), torch.zeros(1)])
        tensor([[1., 0.],
                [1., 0.]])
    """
    batch = torch.broadcast_tensors(*(part[..., :1] for part in parts))[0].shape[:-1]
    return torch.cat([part.expand(*batch, -1) for part in parts], dim=-1)


def map_shaped(fn: Callable[..., Any], shape: tuple[Any, ...], *trees: Any) -> Any:
    """Apply `fn(ndim, *tensors)` to each tensor of a point, `ndim` being the number of the point's own axes.

    Examples:
        >>> map_shaped(lambda ndim, name: f"{name}: {ndim}", ((3,), ((2, 2), ())), ("a", ("b", "c")))
        ('a: 1', ('b: 2', 'c: 0'))
    """
    if isinstance(trees[0], tuple):
        return rebuild(trees[0], [map_shaped(fn, *columns) for columns in zip(shape, *trees, strict=True)])
    return fn(len(shape), *trees)


def rebuild(like: Any, parts: Iterable[Any]) -> Any:
    """Return the parts as a tuple of the same type as `like`, which may be a named tuple."""
    return type(like)(*parts) if hasattr(like, "_fields") else tuple(parts)


def leaves(tree: Any) -> list[Any]:
    """List the tensors of a point from left to right."""
    if isinstance(tree, tuple):
        return [leaf for part in tree for leaf in leaves(part)]
    return [tree]


def first_leaf(tree: Any) -> Any:
    """Return the leftmost tensor of a point."""
    while isinstance(tree, tuple):
        tree = tree[0]
    return tree


def leaf_shapes(point_shape: tuple[Any, ...]) -> list[tuple[int, ...]]:
    """List the shapes of the tensors of a point, from left to right.

    Examples:
        >>> leaf_shapes((3, 2)), leaf_shapes(((3,), ((2, 2), ())))
        ([(3, 2)], [(3,), (2, 2), ()])
    """
    if is_nested(point_shape):
        return [shape for part in point_shape for shape in leaf_shapes(part)]
    return [point_shape]


def is_nested(point_shape: tuple[Any, ...]) -> bool:
    """Tell whether points of this shape are tuples; `(3,)` is one tensor, `((3,), ())` are two."""
    return any(isinstance(part, tuple) for part in point_shape)


def expand_right(
    t: torch.Tensor,  # shape: (*batch,)
    ndim: int,
) -> torch.Tensor:
    """View a scalar per problem as `(*batch, 1, ..., 1)`, so that it scales points with `ndim` axes of their own."""
    if ndim == 1:  # the usual case, at half the cost of indexing
        return t.unsqueeze(-1)
    return t[(...,) + (None,) * ndim] if ndim else t


def take_one(
    tree: Any,  # shape: (*batch, k, *point_shape)
    index: torch.Tensor,  # shape: (*batch, 1)
) -> Any:
    """Return one of several points for each problem, shape `(*batch, *point_shape)`.

    Examples:
        >>> take_one(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1], [0]]))
        tensor([2., 3.])
    """
    axis = index.dim() - 1

    def take(leaf: torch.Tensor) -> torch.Tensor:
        place = expand_right(index, leaf.dim() - axis - 1)
        return leaf.gather(axis, place.expand(*leaf.shape[:axis], 1, *leaf.shape[axis + 1 :])).squeeze(axis)

    return map_leaves(take, tree)


def new_axis(tree: Any, shape: tuple[Any, ...]) -> Any:
    """Insert an axis of length one between the batch axes and the point's own axes, shape `(*batch, 1, *shape)`."""
    return map_shaped(lambda ndim, leaf: leaf.unsqueeze(-1 - ndim), shape, tree)


def to_vector(tree: Any, shape: tuple[Any, ...]) -> torch.Tensor:
    """Lay the real entries of a point side by side, shape `(*batch, size)`; a complex entry is two.

    Examples:
        >>> to_vector((torch.zeros(5, 3), torch.zeros(5, 2, 2)), ((3,), (2, 2))).shape
        torch.Size([5, 7])
    """
    return torch.cat(leaves(map_shaped(_real_row, shape, tree)), dim=-1)


def _real_row(ndim: int, leaf: torch.Tensor) -> torch.Tensor:
    row = leaf.flatten(-ndim) if ndim else leaf[..., None]
    return to_reals(row) if leaf.is_complex() else row


def from_vector(
    v: torch.Tensor,  # shape: (*batch, size)
    like: Any,
    shape: tuple[Any, ...],
) -> Any:
    """Undo `to_vector`; the tuple types, and which leaves are complex, are those of `like`."""
    sizes = [
        math.prod(part) * (2 if leaf.is_complex() else 1)
        for part, leaf in zip(leaf_shapes(shape), leaves(like), strict=True)
    ]
    pieces = zip(v.split(sizes, dim=-1), leaf_shapes(shape), strict=True)

    def next_leaf(leaf: torch.Tensor) -> torch.Tensor:
        piece, own = next(pieces)
        return (from_reals(piece) if leaf.is_complex() else piece).reshape((*v.shape[:-1], *own))

    return map_leaves(next_leaf, like)


def scale(
    u: torch.Tensor,  # shape: (*batch, *point_shape)
    t: float | torch.Tensor | None,
    ndim: int,
) -> torch.Tensor:
    """Return `t * u` for a float or a `(*batch,)` tensor `t`; `None` means one."""
    if t is None:
        return u
    if isinstance(t, torch.Tensor):
        return u * expand_right(t if t.dtype is u.dtype else t.to(u.dtype), ndim)
    return u * t


def axpy(
    x: torch.Tensor,  # shape: (*batch, *point_shape)
    u: torch.Tensor,  # shape: (*batch, *point_shape)
    t: float | torch.Tensor | None,
    ndim: int,
) -> torch.Tensor:
    """Return `x + t * u` with one rounding fewer than the two-step form.

    `add(alpha=)` and `addcmul` round alike, so a lone run (float step) and a batch (tensor step) agree in bits.
    """
    if t is None:
        return x + u
    if isinstance(t, torch.Tensor):
        return torch.addcmul(x, expand_right(t if t.dtype is x.dtype else t.to(x.dtype), ndim), u)
    try:
        return torch.add(x, u, alpha=t)
    except RuntimeError:  # a number beyond the range of float32, which is infinite there
        return torch.add(x, u, alpha=math.copysign(math.inf, t))
