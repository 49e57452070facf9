"""Residuals, Jacobians and their normal equations of a large batch, piece by piece.

A Jacobian of a hundred thousand problems does not fit into the cache, and need not: what is kept of it is small. The
pieces give the same bits as the whole, since problems do not mix.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.linear_solvers.base import LinearSolver, Normal
from manopt_torch.linear_solvers.compiled import Kernel, kernel_for, normal_from
from manopt_torch.linear_solvers.precision import linearize
from manopt_torch.manifolds.points import first_leaf, leaves, map_leaves

# Jacobians of about this many bytes are made at a time: on a CPU they stay in its cache; elsewhere memory is the limit
_BYTES_CPU, _BYTES_ELSEWHERE = 3 << 20, 1 << 30
# below this, calling the operations takes longer than they do
_FEWEST = 64
# a batch of so many problems is divided from the first evaluation on
_MANY = 1000


def evaluate(
    solver: LinearSolver,
    p: Any,
    x: Any,  # shape: (*batch, *point_shape)
    batch: tuple[int, ...],
    size: int | None,
    *,
    kernel: Kernel | None = None,
    dtype: torch.dtype | None = None,
) -> tuple[torch.Tensor, Normal]:
    """Return cost and normal equations at `x`, at most about `size` problems at a time; None is all at once.

    Args:
        solver: what is kept of the Jacobian.
        p: the problem.
        x: the point.
        batch: the batch axes, at least one.
        size: how many problems at a time.
        kernel: the compiled function that does it instead; None is without.
        dtype: precision of the Jacobian; None is that of the point.
    """

    def whole(p: Any, x: Any) -> tuple[torch.Tensor, Normal]:
        trial = p.residual_trial(x)
        return trial.cost, linearize(solver, p, x, trial, dtype)

    if kernel is not None:
        return normal_from(kernel(p, x, batch), p.M.dim)
    return in_pieces(whole, p, (x,), batch, size)


def first_evaluation(
    solver: LinearSolver,
    p: Any,
    x: Any,  # shape: (*batch, *point_shape)
    lane: Any,
    wanted: int | str | None,
    *,
    compile: bool = False,
    dtype: torch.dtype | None = None,
) -> tuple[torch.Tensor, Normal, int | None, Kernel | None]:
    """Check what the residuals are like; return cost and normal equations at the start, and how to evaluate further.

    That is the size of the pieces, and the compiled function if one is wanted and can be had.

    Raises:
        ShapeError: if the residuals, the weights or the Jacobian have the wrong shape.
    """
    batch = lane.shape
    if torch.Size(batch).numel() < _MANY or not p.data:
        trial = p.residual_trial(x, batch)
        size = None if lane.lone else piece_size(wanted, x, trial.residuals.shape[-1], p.M.dim)
        kernel = kernel_for(solver, p, x, batch, dtype) if compile and not lane.lone else None
        return trial.cost, linearize(solver, p, x, trial, dtype), size, kernel
    # two problems, not counted, tell how many residuals there are, and so into what pieces the batch is to be divided
    part = p.piece(0, 2, len(batch))
    part.counts = copy.copy(p.counts)
    r = part.residual_trial(map_leaves(lambda leaf: leaf.flatten(0, len(batch) - 1)[:2], x), (2,)).residuals
    size = piece_size(wanted, x, r.shape[-1], p.M.dim)
    kernel = kernel_for(solver, p, x, batch, dtype) if compile else None
    return *evaluate(solver, p, x, batch, size, kernel=kernel, dtype=dtype), size, kernel


def in_pieces(fn: Callable[..., Any], p: Any, trees: tuple[Any, ...], batch: tuple[int, ...], size: int | None) -> Any:
    """Return `fn(p, *trees)`, a tree of tensors with the batch axes in front, found for some problems at a time.

    Only a problem with data can be divided; others are taken whole.
    """
    count = first_leaf(trees[0]).shape[: len(batch)].numel()
    if size is None or count <= size or not p.data:
        return fn(p, *trees)
    pieces = -(-count // size)
    flat = map_leaves(lambda leaf: leaf.flatten(0, len(batch) - 1), trees)
    found = []
    for k in range(pieces):
        a, b = k * count // pieces, (k + 1) * count // pieces
        found.append(fn(p.piece(a, b, len(batch)), *map_leaves(lambda leaf, a=a, b=b: leaf[a:b], flat)))
    columns = zip(*(leaves(part) for part in found), strict=True)
    joined = iter([torch.cat(column).unflatten(0, batch) for column in columns])
    return map_leaves(lambda leaf: next(joined), found[0])


def check_chunk_size(o: Any) -> None:
    """Raise an OptionsError unless the option `chunk_size` is a positive int, "auto" or None."""
    size = o.chunk_size
    if not (size is None or size == "auto" or (isinstance(size, int) and not isinstance(size, bool) and size > 0)):
        raise OptionsError(f"{type(o).__name__}: chunk_size must be an int >= 1, 'auto' or None, got {size!r}")


def piece_size(wanted: int | str | None, x: Any, m: int, n: int) -> int | None:
    """Return how many problems to take at a time: what was asked for, or what fits the cache for `"auto"`."""
    if wanted is None or isinstance(wanted, int):
        # kernels for a single matrix differ from those for many
        return None if wanted is None else max(wanted, 2)
    ref = first_leaf(x)
    room = _BYTES_CPU if ref.device.type == "cpu" else _BYTES_ELSEWHERE
    return max(_FEWEST, room // max(1, m * n * ref.element_size()))
