r"""Geodesic acceleration: the second-order correction of a Levenberg-Marquardt step.

Along the curve $t \mapsto \operatorname{retr}_x(t s)$ the residuals are $r + t J s + \tfrac12 t^2 r'' + \dots$; the
correction $a = -\tfrac12 (J'J + \lambda D)^{-1} J' r''$ follows the bend [TranstrumSethna:2012].
"""

from typing import Any

import torch

from manopt_torch.linear_solvers.base import LinearSolver, Solved
from manopt_torch.linear_solvers.pieces import in_pieces
from manopt_torch.problems.residual_jacobian import times

# share of the step over which the bend of the residuals is measured
_SHARE = 0.1
# the correction may be so long, relative to half the step; and a shorter relative step needs none: it would be rounding
_LONGEST, _SHORTEST = 0.75, 1e-4


def accelerated(
    solver: LinearSolver,
    p: Any,
    o: Any,
    s: torch.Tensor,  # shape: (*batch, n)
    added: torch.Tensor,  # shape: (*batch, n)
) -> torch.Tensor:
    """Return the step with its correction where that is short enough, else the step itself, shape `(*batch, n)`."""

    def bent(p: Any, x: Any, s: torch.Tensor) -> torch.Tensor:
        at = p.residual_trial(x)
        J = p.jacobian_from(x, at)
        ahead = p.residual_trial(p.M.retract(x, p.M.from_coordinates(x, _SHARE * s), None, o.retraction_method))
        second = (2 / _SHARE) * ((ahead.residuals - at.residuals) / _SHARE - times(J, s))
        bend, J = p.corrected(second, J)
        return times(J.mT, bend)

    rhs = 0.5 * in_pieces(bent, p, (o.x, s), tuple(s.shape[:-1]), o.piece)
    a, ok = Solved(*solver.solve(p, o.x, o.system, rhs, added))
    squares, corrections = ((o.damping_matrix * (t * t)).sum(-1) for t in (s, a))
    extent = o.extent if isinstance(o.extent, torch.Tensor) else torch.full_like(squares, o.extent)
    useful = ok & (4 * corrections <= _LONGEST**2 * squares) & (squares > _SHORTEST**2 * extent)
    return torch.where(useful.unsqueeze(-1), s + a, s)
