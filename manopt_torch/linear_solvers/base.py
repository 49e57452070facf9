"""What a linear solver of least-squares steps is."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch

from manopt_torch.plans.options import Functor
from manopt_torch.problems.least_squares import Linearization, ResidualTrial, gradient_coordinates


class Solved(NamedTuple):
    """Outcome of a linear solve."""

    step: torch.Tensor  # shape: (*batch, n)
    ok: torch.Tensor  # shape: (*batch,), bool; where false the step means nothing and counts as rejected


class Normal(NamedTuple):
    """What is kept of the Jacobian at a point."""

    gradient: torch.Tensor  # shape: (*batch, n), J'r
    diagonal: torch.Tensor  # shape: (*batch, n), the squared lengths of the columns of J
    system: tuple[torch.Tensor, ...]  # of tensors with the batch axes in front


class LinearSolver(Functor, ABC):
    r"""Solve $(J' J + \operatorname{diag}(d))\, s = -J' r$ for each problem of a batch.

    It says what is kept of residuals and Jacobian from one step to the next (`assemble`): tensors with the batch axes
    in front, which are frozen, gathered and saved with the rest of the state. A rejected step solves the same system
    with other damping. One problem that cannot be solved is marked, the others do not notice.
    """

    def linearize(self, p: Any, x: Any, trial: ResidualTrial | None = None) -> Normal:
        """Return gradient, squared column norms and system at a trial point, weights and loss worked in."""
        return self.normal(p.linearize_residuals(x, trial))

    def normal(self, at: Linearization) -> Normal:
        """Return gradient, squared column norms and system of a dense Jacobian."""
        system = self.assemble(at)
        return Normal(gradient_coordinates(at), self.diagonal(at, system), system)

    def kept(
        self, system: tuple[torch.Tensor, ...], gradient: torch.Tensor, compiled: bool
    ) -> tuple[torch.Tensor, ...]:
        """Return a system as the evaluations of a run have it, which may be compiled; a saved run's may differ."""
        return system

    @abstractmethod
    def assemble(self, at: Linearization) -> tuple[torch.Tensor, ...]:
        """Return what `solve` needs of residuals and Jacobian: a tuple of tensors with the batch axes in front."""

    def diagonal(self, at: Linearization, system: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Return the squared lengths of the columns of the Jacobian, shape `(*batch, n)`."""
        return at.jacobian.square().sum(-2)

    @abstractmethod
    def solve(
        self,
        p: Any,
        x: Any,
        system: tuple[torch.Tensor, ...],
        gradient: torch.Tensor,  # shape: (*batch, n)
        damping: torch.Tensor | None,  # shape: (*batch, n); None is no damping
    ) -> Solved:
        """Return the step; problem and point are for solvers that form products instead of matrices."""

    def landed(self, p: Any, x: Any, y: Any) -> Any:
        """Return the point `y` to which a step from `x` has led, or the one next to it that the solver allows."""
        return y
