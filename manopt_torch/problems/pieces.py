"""A large batch, some problems at a time: what is computed on the way stays in the cache and takes no memory.

Problems do not mix, so that pieces give the same bits as the whole.
"""

import copy
from typing import Any

import torch

from manopt_torch.manifolds.points import first_leaf, leaves, map_leaves
from manopt_torch.problems.base import Counts
from manopt_torch.problems.counted import bare_problem
from manopt_torch.problems.gradient import GradientProblem

# a piece has about so many numbers, so that a dozen of them fit into the cache of a core, and vectors of any length
_NUMBERS = 32_768
_MULTIPLE = 64
# a batch is divided if it makes so many pieces
_FEWEST = 8


def piece_size(p: Any, x: Any, cost: torch.Tensor, gradient: Any) -> int | None:
    """Return how many rows of the first batch axis to evaluate at a time; None is all at once.

    A batch is divided on a CPU if it is large, and if a piece of it agrees with the whole in every bit: the closure of
    a cost may hold something for every problem, which only `data=` could divide.

    Args:
        p: the problem.
        x: the point.
        cost: the cost there, of the whole batch.
        gradient: the gradient there.
    """
    leaf = first_leaf(x)
    if type(bare_problem(p)) is not GradientProblem or leaf.device.type != "cpu" or not cost.dim():
        return None
    rows = max(_NUMBERS * len(leaf) // max(sum(part.numel() for part in leaves(x)), 1), 1)
    rows = -(-rows // _MULTIPLE) * _MULTIPLE
    if len(leaf) < _FEWEST * rows:
        return None
    first = slice(0, rows)
    try:
        found = _evaluated(_rows_of(p, first), _cut(x, first))
    except Exception:  # whatever a closure for all problems may raise
        return None
    wanted = _cut((cost, gradient), first)
    same = [a.shape == b.shape and torch.equal(a, b) for a, b in zip(leaves(found), leaves(wanted), strict=True)]
    return rows if all(same) else None


def arrive(
    p: Any,
    x: Any,
    u: Any,
    t: torch.Tensor,  # shape: (*batch,)
    method: str | None,
    rows: int,
) -> tuple[Any, torch.Tensor, Any]:
    """Move from `x` along `t * u`, and return point, cost and gradient there; counted as one evaluation."""
    p.counts.cost += 1
    p.counts.gradient += 1
    whole: Any = None
    for start in range(0, len(t), rows):
        here = slice(start, start + rows)
        y = p.M.retract(_cut(x, here), _cut(u, here), t[here], method)
        part = (y, *_evaluated(_rows_of(p, here), y))
        if whole is None:
            whole = map_leaves(lambda leaf: leaf.new_empty((len(t), *leaf.shape[1:])), part)
        map_leaves(lambda into, leaf, here=here: into[here].copy_(leaf), whole, part)
    return whole


def _evaluated(p: Any, x: Any) -> tuple[torch.Tensor, Any]:
    value, context = p.trial(x)
    return value, p.gradient_from(x, context)


def _rows_of(p: Any, rows: slice) -> Any:
    """Return the problem of some rows of the first batch axis, with counters of its own."""
    part = copy.copy(bare_problem(p))
    part.data, part.counts = tuple(d[rows] for d in part.data), Counts()
    return part


def _cut(tree: Any, rows: slice) -> Any:
    return map_leaves(lambda leaf: leaf[rows], tree)
