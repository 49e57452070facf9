"""The points of a simplex, each problem's on an axis of their own after the batch axes."""

from typing import Any

import torch

from manopt_torch.manifolds.points import expand_right, map_leaves


def vertex(
    points: Any,  # shape: (*batch, k, *point_shape)
    axis: int,
    j: int,
) -> Any:
    """Return one point of each simplex; `axis` is the number of batch axes."""
    return map_leaves(lambda leaf: leaf.select(axis, j), points)


def grown(
    points: Any,  # shape: (*batch, k, *point_shape)
    axis: int,
    new: Any,  # shape: (*batch, *point_shape)
) -> Any:
    """Put one more point behind those of each simplex.

    Examples:
        >>> grown(torch.tensor([1.0, 2.0]), 0, torch.tensor(3.0))
        tensor([1., 2., 3.])
    """
    return map_leaves(lambda leaf, last: torch.cat((leaf, last.unsqueeze(axis)), axis), points, new)


def cheapest(
    k: int,
    costs: torch.Tensor,  # shape: (*batch, n)
    *points: Any,  # shape: (*batch, n, *point_shape)
) -> tuple[tuple[Any, ...], torch.Tensor]:
    """Sort by cost, numbers first, and keep `k` of each simplex; return costs and points, and where they were before.

    Examples:
        >>> cheapest(2, torch.tensor([3.0, torch.nan, 1.0]), torch.tensor([7.0, 8.0, 9.0]))
        ((tensor([1., 3.]), tensor([9., 7.])), tensor([2, 0]))
    """
    axis = costs.dim() - 1
    costs, order = (part.narrow(-1, 0, k) for part in torch.sort(costs, dim=-1, stable=True))

    def arrange(leaf: torch.Tensor) -> torch.Tensor:
        if not axis:  # the same at less cost
            return leaf.index_select(0, order)
        own = leaf.shape[axis + 1 :]
        return leaf.gather(axis, expand_right(order, len(own)).expand(*order.shape, *own))

    return (costs, *map_leaves(arrange, points)), order
