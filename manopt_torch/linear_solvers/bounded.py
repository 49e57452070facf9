r"""Steps that stay within bounds of the parameters."""

from typing import Any

import torch

from manopt_torch._host import first_failures, uploaded
from manopt_torch.errors import OptionsError
from manopt_torch.functional.masked import any_active
from manopt_torch.linalg.cholesky import solve_positive_definite
from manopt_torch.linear_solvers.base import LinearSolver, Normal, Solved
from manopt_torch.manifolds.euclidean import Euclidean
from manopt_torch.problems.least_squares import Linearization, ResidualTrial, gradient_coordinates


class BoundedSolver(LinearSolver):
    r"""Keep $l \le x \le u$: minimise the damped model over the parameters that are free to move.

    A parameter at a bound that its gradient pushes against stays there; one that the step would carry beyond a bound
    is set on it, and the step of the others is computed anew, until all are inside. The gradient that a run sees is
    the projected one, which vanishes at a solution on the bounds. Residuals are asked for inside the bounds only,
    apart from what a Jacobian by finite differences or of a lower precision looks at.

    Args:
        lower: $l$, a number or a tensor of shape `(n,)`; `-inf` where there is none.
        upper: $u$, likewise.

    Raises:
        OptionsError: if a lower bound is not below the upper one; at the start of a run, if the manifold is not
            Euclidean, the number of bounds is not that of the parameters, or the start lies outside.

    References:
        [NocedalWright:2006], section 16.7; [Bertsekas:1982].

    Examples:
        >>> import torch
        >>> from manopt_torch import BoundedSolver, Euclidean, levenberg_marquardt
        >>> start = torch.tensor([0.5, 0.5], dtype=torch.float64)
        >>> target = torch.tensor([-1.0, 3.0], dtype=torch.float64)
        >>> levenberg_marquardt(Euclidean(2), lambda x: x - target, start, linear_solver=BoundedSolver(0.0, 2.0))
        tensor([0., 2.], dtype=torch.float64)
    """

    lower: torch.Tensor
    upper: torch.Tensor

    def __init__(self, lower: float | torch.Tensor, upper: float | torch.Tensor) -> None:
        try:
            self.lower, self.upper = (torch.as_tensor(bound, dtype=torch.float64) for bound in (lower, upper))
        except (TypeError, ValueError):
            got = f"{lower!r} and {upper!r}: torch.inf is no bound"
            raise OptionsError(f"BoundedSolver: bounds must be numbers or tensors (n,), got {got}") from None
        if self.lower.dim() > 1 or self.upper.dim() > 1 or len({*self.lower.shape, *self.upper.shape}) > 1:
            shapes = f"{tuple(self.lower.shape)} and {tuple(self.upper.shape)}"
            raise OptionsError(f"BoundedSolver: bounds must be numbers or of shape (n,), got {shapes}")
        if first_failures((self.lower < self.upper).reshape(-1)):
            raise OptionsError(
                f"BoundedSolver: lower must be below upper, got {lower!r} and {upper!r}: they are given as "
                "bounds=(lower, upper), not parameter by parameter"
            )

    def init(self, p: Any, o: Any) -> Any:
        """Look at the start: is it inside?"""
        c = self._coordinates(p, o.x0)
        low, up = self._bounds(c)
        failures = first_failures(((c >= low) & (c <= up)).all(-1))
        if failures:
            where = "" if failures == [()] else f" at batch indices {failures}"
            raise OptionsError(f"the start x lies outside the bounds{where}: clamp it first, x.clamp(lower, upper)")

    def linearize(self, p: Any, x: Any, trial: ResidualTrial | None = None) -> Normal:
        """Return the projected gradient, and $J' J$."""
        at = p.linearize_residuals(x, trial)
        c, g, system = self._coordinates(p, x), gradient_coordinates(at), self.assemble(at)
        low, up = self._bounds(c)
        blocked = ((c <= low) & (g > 0)) | ((c >= up) & (g < 0))
        return Normal(torch.where(blocked, torch.zeros_like(g), g), self.diagonal(at, system), system)

    def assemble(self, at: Linearization) -> tuple[torch.Tensor, ...]:
        """Keep $J' J$."""
        return (at.jacobian.mT @ at.jacobian,)

    def solve(
        self,
        p: Any,
        x: Any,
        system: tuple[torch.Tensor, ...],
        gradient: torch.Tensor,
        damping: torch.Tensor | None,
    ) -> Solved:
        """Solve for the free parameters; set those on their bound that would leave, and solve again."""
        (H,) = system
        c = self._coordinates(p, x)
        low, up = self._bounds(c)
        free = ~(((c <= low) & (gradient >= 0)) | ((c >= up) & (gradient <= 0)))
        fixed = torch.zeros_like(c)  # steps of the parameters that are not free
        step, ok = self._free_step(H, gradient, damping, free, fixed)
        for _ in range(c.shape[-1]):
            target = c + step
            out = free & ((target < low) | (target > up))
            if not any_active(out):
                break
            fixed = torch.where(out, torch.minimum(torch.maximum(target, low), up) - c, fixed)
            free = free & ~out
            step, ok = self._free_step(H, gradient, damping, free, fixed)
        return Solved(step, ok)

    def landed(self, p: Any, x: Any, y: Any) -> Any:
        """Set the parameters on their bound that a step has carried there or beyond, up to rounding."""
        c, z = self._coordinates(p, x), self._coordinates(p, y)
        low, up = self._bounds(c)
        z = torch.minimum(torch.maximum(z, low), up)
        # one that is left beside its bound would pass for free to move
        rounding = 2 * torch.finfo(c.dtype).eps * (c.abs() + z.abs())
        z = torch.where(up - z <= rounding, up, z)
        return p.M.from_coordinates(x, torch.where(z - low <= rounding, low, z))

    @staticmethod
    def _free_step(
        H: torch.Tensor, g: torch.Tensor, damping: torch.Tensor | None, free: torch.Tensor, fixed: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        one = torch.ones_like(g)
        matrix = torch.where(free.unsqueeze(-1) & free.unsqueeze(-2), H, torch.zeros_like(H))
        shift = torch.where(free, torch.zeros_like(g) if damping is None else damping, one)
        right = -(g + (H @ fixed.unsqueeze(-1)).squeeze(-1))
        step, ok = solve_positive_definite(matrix, torch.where(free, right, torch.zeros_like(g)), shift)
        return torch.where(free, step, fixed), ok

    def _bounds(self, c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        for bound in (self.lower, self.upper):
            if bound.dim() and bound.shape[0] != c.shape[-1]:
                raise OptionsError(f"{bound.shape[0]} bounds for {c.shape[-1]} parameters: give one each, or a number")
        return uploaded(self.lower, c), uploaded(self.upper, c)

    @staticmethod
    def _coordinates(p: Any, x: Any) -> torch.Tensor:
        if not isinstance(p.M, Euclidean):
            raise OptionsError(f"BoundedSolver needs a Euclidean space, got {p.M!r}")
        return p.M.to_coordinates(x, x)

    def __repr__(self) -> str:
        return f"BoundedSolver({self.lower.tolist()}, {self.upper.tolist()})"


def bounded_by(bounds: Any, linear_solver: LinearSolver | None) -> LinearSolver:
    """Return the linear solver that an option `bounds` stands for.

    Raises:
        OptionsError: if the bounds are no pair, or there is another linear solver besides.
    """
    if not isinstance(bounds, tuple | list) or len(bounds) != 2:
        raise OptionsError(f"bounds must be a pair (lower, upper) of numbers or tensors, got {bounds!r}")
    if isinstance(linear_solver, BoundedSolver):  # a copy of the options has both
        return linear_solver
    if linear_solver is not None:
        raise OptionsError(f"bounds have a linear solver of their own: leave out {linear_solver!r}, or the bounds")
    return BoundedSolver(*bounds)
