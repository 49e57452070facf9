"""How far an iterate has moved, also on manifolds whose distance nobody can compute."""

from typing import Any

import torch

from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import map_leaves


def distance(M: Manifold, x: Any, y: Any) -> torch.Tensor:
    """Return the distance of two points; where it is not known, its first order for points close together.

    That is the length of the tangent vector that retracts to `y`, or of the difference projected to the tangent space:
    enough for criteria and records of a change.

    Args:
        M: the manifold.
        x: points, shape `(*batch, *point_shape)`.
        y: points, same shape.

    Returns:
        Lengths, shape `(*batch,)`.

    Examples:
        >>> from manopt_torch import Euclidean
        >>> distance(Euclidean(2), torch.zeros(2), torch.tensor([3.0, 4.0]))
        tensor(5.)
    """
    if M.has_log:
        return M.dist(x, y)
    if M.inverse_retractions:
        return M.norm(x, M.inverse_retract(x, y))
    return M.norm(x, M.project_tangent(x, map_leaves(torch.sub, y, x)))
