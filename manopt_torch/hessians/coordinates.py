"""Linear operators on tangent spaces as matrices of coordinates."""

from typing import Any

import torch

from manopt_torch._typing import Mask, Tangent
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.geodesics import carry
from manopt_torch.manifolds.points import first_leaf, map_leaves, new_axis


def multiple_of_identity(p: Any, o: Any, factor: float) -> torch.Tensor:
    """Return a multiple of the identity for each problem, shape `(*batch, dim, dim)`."""
    ref = first_leaf(o.x)
    eye = torch.eye(p.M.dim, dtype=ref.real.dtype, device=ref.device) * factor
    return eye.expand(*o.lane.shape, *eye.shape).clone()


def times(matrix: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """Multiply matrices `(*batch, dim, dim)` by vectors `(*batch, dim)`, by sums that do not depend on the batch."""
    return (matrix * c.unsqueeze(-2)).sum(-1)


def outer(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the products of all entries, shape `(*batch, dim, dim)`."""
    return a.unsqueeze(-1) * b.unsqueeze(-2)


def apply_operator(M: Manifold, x: Any, matrix: torch.Tensor, u: Tangent) -> Tangent:
    """Apply the operator with this matrix in `M.basis(x)` to a tangent vector."""
    return M.from_coordinates(x, times(matrix, M.to_coordinates(x, u)))


def secant_pair(p: Any, o: Any, x: Any, gradient: Tangent, eta: Tangent) -> tuple[torch.Tensor, torch.Tensor]:
    """Return step and change of the gradient in coordinates at the former iterate, shapes `(*batch, dim)`."""
    M = p.M
    change = map_leaves(torch.sub, carry(M, o.x, x, o.gradient), gradient)
    return M.to_coordinates(x, eta), M.to_coordinates(x, change)


def carry_operator(M: Manifold, x: Any, y: Any, matrix: torch.Tensor) -> torch.Tensor:
    """Return the operator's matrix in `M.basis(y)` after transport from `x` to `y`."""
    at_x, at_y = new_axis(x, M.point_shape), new_axis(y, M.point_shape)
    frame = M.to_coordinates(at_y, carry(M, at_x, at_y, M.basis(x)))  # row j: where the j-th basis vector goes
    return frame.mT @ matrix @ frame


def moved(o: Any, accepted: Mask) -> Mask:
    """Tell which problems have taken a step."""
    lane = o.lane
    return accepted & o.active & lane.not_(o.broken) & lane.not_(o.stagnated)
