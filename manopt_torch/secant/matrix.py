"""The operator of a full matrix in an orthonormal basis of the tangent space."""

from typing import Any, ClassVar

import torch

from manopt_torch.functional.secant import solved, times
from manopt_torch.manifolds.points import first_leaf, new_axis
from manopt_torch.secant.base import SecantUpdate
from manopt_torch.secant.operator import Operator, Secant, first_scale, same, transport_of


class FullMatrix(Operator):
    """A matrix of shape `(*batch, dim, dim)` in the coordinates that the manifold has at `x`."""

    fields: ClassVar[tuple[str, ...]] = ("matrix",)

    def __init__(self, update: SecantUpdate) -> None:
        self.update = update

    def start(self, p: Any, o: Any) -> dict[str, Any]:
        """Return the first matrix."""
        return {"matrix": self._first(p, o)}

    def applied(self, p: Any, o: Any, i: int) -> Any:
        """Return the operator applied to the gradient."""
        c = p.M.to_coordinates(o.x, o.gradient)
        return p.M.from_coordinates(o.x, times(o.matrix, c) if self.update.inverse else solved(o.matrix, c))

    def learned(self, p: Any, o: Any, found: Secant) -> dict[str, Any]:
        """Carry the matrix to the new point and update it there."""
        M, lane = p.M, o.lane
        matrix = self._carried(p, o, found.x)
        s, y = M.to_coordinates(found.x, found.s), M.to_coordinates(found.x, found.y)
        updated, safe = self.update.update(self._scaled(p, o, matrix, s, y), s, y)
        keep = found.keep & lane.finite(updated)
        keep = keep if safe is True else keep & (lane.scalar(safe) if lane.lone else safe)
        return {"matrix": lane.pick(keep, updated, matrix), "pairs": lane.where(keep, o.pairs + 1, o.pairs)}

    def forgotten(self, p: Any, o: Any, mask: Any) -> dict[str, Any]:
        """Return to the first matrix, at the point where the masked problems are now."""
        return {"matrix": o.lane.pick(mask, self._first(p, o), o.matrix)}

    def _first(self, p: Any, o: Any) -> torch.Tensor:
        """Return the matrix before any update."""
        M, lane, ref = p.M, o.lane, first_leaf(o.x).real
        eye = torch.eye(M.dim, dtype=ref.dtype, device=ref.device).expand(*lane.shape, M.dim, M.dim)
        if p.preconditioner is None:
            scale = lane.full(first_scale(p, o))
            return lane.scale(scale if self.update.inverse else lane.div(1.0, scale), eye)
        columns = []
        for c in eye.unbind(-1):
            u = p.get_preconditioner(o.x, M.from_coordinates(o.x, c))
            columns.append(M.to_coordinates(o.x, u))
        matrix = o.initial_scale * torch.stack(columns, -1)
        matrix = 0.5 * (matrix + matrix.mT)
        return matrix if self.update.inverse else torch.linalg.inv_ex(matrix)[0]

    def _scaled(self, p: Any, o: Any, matrix: torch.Tensor, s: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Give the first matrix of problems that learn from their first pair the scale of that pair."""
        if p.preconditioner is not None:
            return matrix
        lane = o.lane
        sy = (s * y).sum(-1)
        ratio = sy / (y * y).sum(-1) * (o.initial_scale * self.update.first_factor)
        eye = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
        scaled = (ratio if self.update.inverse else 1 / ratio)[..., None, None] * eye
        return lane.pick((o.pairs == 0) & (lane.scalar(sy) > 0.0), scaled, matrix)

    def _carried(self, p: Any, o: Any, x: Any) -> torch.Tensor:
        r"""Return the matrix at the new point: that of $\mathcal T H \mathcal T^*$, or of its inverse."""
        M = p.M
        here, there, basis = new_axis(o.x, M.point_shape), new_axis(x, M.point_shape), M.basis(o.x)
        moved = transport_of(M, o.transport_method)(here, there, basis)
        if same(moved, basis):
            return o.matrix
        # an axis more: products of lone matrices and of many are to round alike
        turn, A = M.to_coordinates(there, moved)[None], o.matrix[None]
        if self.update.inverse or M.transport_is_isometric or o.transport_method == "parallel":
            return (turn.mT @ A @ turn)[0]
        half = torch.linalg.solve_ex(turn, A)[0]
        return torch.linalg.solve_ex(turn, half.mT)[0][0]
