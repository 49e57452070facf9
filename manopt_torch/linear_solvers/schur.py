r"""The Schur complement, for parameters of two kinds."""

from typing import Any

import torch

from manopt_torch._host import first_failures
from manopt_torch.errors import OptionsError
from manopt_torch.linalg.schur import (
    rows_touch_one_block,
    solve_by_schur_complement,
    two_blocks,
)
from manopt_torch.linear_solvers.base import LinearSolver, Solved
from manopt_torch.plans.options import check_count
from manopt_torch.problems.least_squares import Linearization


class SchurSolver(LinearSolver):
    r"""Eliminate many small blocks of parameters that never meet in one residual, and solve for the few others.

    The last `blocks * size` coordinates, in blocks of `size`, are those to eliminate: the points of a bundle
    adjustment, whose cameras stand first. What is factorised are the small blocks and a matrix of the size of the
    rest. The same step as with `CholeskySolver`.

    Args:
        blocks: how many blocks there are.
        size: coordinates of one.

    Raises:
        OptionsError: if a parameter is no positive int; at the start of a run, if there are fewer coordinates, or a
            residual depends on two of the blocks.

    References:
        [TriggsEtAl:1999], section 6.1; [AgarwalEtAl:2023].

    Examples:
        >>> SchurSolver(blocks=200, size=3)
        SchurSolver(200, 3)
    """

    blocks: int
    size: int

    def __init__(self, blocks: int, size: int) -> None:
        self.blocks, self.size = blocks, size
        check_count(self, "blocks", 1)
        check_count(self, "size", 1)

    def init(self, p: Any, o: Any) -> Any:
        """Look at the Jacobian of the start: has it the structure?"""
        failures = first_failures(rows_touch_one_block(p.linearize_residuals(o.x).jacobian, self.blocks, self.size))
        if failures:
            raise OptionsError(
                f"{self!r}: a residual depends on two of the eliminated blocks; these must be independent of each other"
            )

    def assemble(self, at: Linearization) -> tuple[torch.Tensor, ...]:
        """Keep the blocks of J'J that are not zero."""
        n = at.jacobian.shape[-1]
        if n <= self.blocks * self.size:
            raise OptionsError(f"{self!r} eliminates {self.blocks * self.size} coordinates, the problem has {n} in all")
        return two_blocks(at.jacobian, self.blocks, self.size)

    def diagonal(self, at: Linearization, system: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Read the squared lengths of the columns off the blocks."""
        A, _, C = system
        parts = [matrix.diagonal(dim1=-2, dim2=-1) for matrix in (A, C)]
        return torch.cat([parts[0], parts[1].flatten(-2)], dim=-1)

    def solve(
        self,
        p: Any,
        x: Any,
        system: tuple[torch.Tensor, ...],
        gradient: torch.Tensor,
        damping: torch.Tensor | None,
    ) -> Solved:
        """Eliminate, solve, substitute."""
        A, B, C = system
        first, second = self._split(gradient)
        if damping is not None:
            d_first, d_second = self._split(damping)
            A, C = A + torch.diag_embed(d_first), C + torch.diag_embed(d_second)
        step = solve_by_schur_complement(A, B, C, first, second)
        return Solved(step, torch.isfinite(step).all(-1))

    def _split(self, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        k = v.shape[-1] - self.blocks * self.size
        return v[..., :k], v[..., k:].unflatten(-1, (self.blocks, self.size))

    def __repr__(self) -> str:
        return f"SchurSolver({self.blocks}, {self.size})"
