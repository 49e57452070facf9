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


def without_last(
    points: Any,  # shape: (*batch, k, *point_shape)
    axis: int,
    new: Any,  # shape: (*batch, *point_shape)
) -> Any:
    """Put a new point in the place of the last one.

    Examples:
        >>> without_last(torch.tensor([1.0, 2.0, 5.0]), 0, torch.tensor(3.0))
        tensor([1., 2., 3.])
    """
    others = (slice(None),) * axis + (slice(-1),)
    return map_leaves(lambda leaf, last: torch.cat((leaf[others], last.unsqueeze(axis)), axis), points, new)


def in_order(
    points: Any,  # shape: (*batch, k, *point_shape)
    costs: torch.Tensor,  # shape: (*batch, k)
) -> tuple[Any, torch.Tensor, torch.Tensor]:
    """Sort each simplex by cost, numbers first; return it, its costs, and where its points were before.

    Examples:
        >>> in_order(torch.tensor([7.0, 8.0, 9.0]), torch.tensor([3.0, torch.nan, 1.0]))
        (tensor([9., 7., 8.]), tensor([1., 3., nan]), tensor([2, 0, 1]))
    """
    axis = costs.dim() - 1
    costs, order = torch.sort(costs, dim=-1, stable=True)

    def arrange(leaf: torch.Tensor) -> torch.Tensor:
        if not axis:  # the same at less cost
            return leaf.index_select(0, order)
        return leaf.gather(axis, expand_right(order, leaf.dim() - axis - 1).expand_as(leaf))

    return map_leaves(arrange, points), costs, order
