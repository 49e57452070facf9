r"""Conjugate gradients on the normal equations, without a matrix."""

from collections.abc import Callable
from typing import Any

import torch

from manopt_torch.functional.masked import lane_for
from manopt_torch.functional.normal_cg import conjugate_gradients
from manopt_torch.linear_solvers.base import LinearSolver, Normal, Solved
from manopt_torch.plans.options import check_count, check_range
from manopt_torch.problems.autodiff import products
from manopt_torch.problems.least_squares import Linearization, ResidualTrial
from manopt_torch.problems.residual_jacobian import products as forward_products


class ConjugateGradientSolver(LinearSolver):
    r"""Solve by products $J u$ and $J^\top w$ from autograd; neither $J$ nor $J^\top J$ is ever formed.

    For many parameters (thousands), where matrices would not fit or their columns would take too long. A step costs
    one evaluation of the residuals and two products a round. What is kept is nothing but the gradient, so column norms
    are not known: damping scaled by them acts as that by the identity. A Jacobian that is given, or found by finite
    differences, is multiplied with as it is.

    Args:
        tolerance: rounds end at $\lVert (J^\top J + D) s + J^\top r\rVert \le \tau \lVert J^\top r\rVert$; an inexact
            step is a descent step all the same.
        max_rounds: bound on the rounds.

    Raises:
        OptionsError: if a parameter is out of its range.

    References:
        [HestenesStiefel:1952]; [NocedalWright:2006], section 10.3.

    Examples:
        >>> ConjugateGradientSolver(tolerance=1e-4)
        ConjugateGradientSolver(0.0001, 500)
    """

    tolerance: float
    max_rounds: int

    def __init__(self, tolerance: float = 1e-6, max_rounds: int = 500) -> None:
        self.tolerance, self.max_rounds = tolerance, max_rounds
        check_range(self, "tolerance", 0.0, 1.0)
        check_count(self, "max_rounds", 1)

    def linearize(self, p: Any, x: Any, trial: ResidualTrial | None = None) -> Normal:
        """Return the gradient alone."""
        now = p.residual_trial(x) if trial is None else trial
        if now.context is None:
            return self.normal(p.linearize_residuals(x, now))
        p.counts.gradient += 1
        r, back = _pieces(p, x, now)[:2]
        gradient = back(r)
        return Normal(gradient, torch.ones_like(gradient), ())

    def assemble(self, at: Linearization) -> tuple[torch.Tensor, ...]:
        """Keep the Jacobian if there is one."""
        return (at.jacobian,)

    def solve(
        self,
        p: Any,
        x: Any,
        system: tuple[torch.Tensor, ...],
        gradient: torch.Tensor,
        damping: torch.Tensor | None,
    ) -> Solved:
        """Run conjugate gradients from zero."""
        if system:
            (J,) = system
            ahead: Callable[..., Any] = lambda c: (J @ c.unsqueeze(-1)).squeeze(-1)  # noqa: E731
            back: Callable[..., Any] = lambda w: (w.unsqueeze(-2) @ J).squeeze(-2)  # noqa: E731
        else:
            _, back, ahead = _pieces(p, x, p.residual_trial(x))
        lane = lane_for(p.M, x)

        def apply(c: torch.Tensor) -> torch.Tensor:
            image = back(ahead(c))
            return image if damping is None else torch.addcmul(image, damping, c)

        found = conjugate_gradients(
            lane,
            apply,
            lambda u, v: lane.scalar((u * v).sum(-1)),
            gradient,
            lane.full(True),
            tolerance=self.tolerance,
            max_rounds=self.max_rounds,
        )
        return Solved(found.h, torch.isfinite(found.h).all(-1))

    def __repr__(self) -> str:
        return f"ConjugateGradientSolver({self.tolerance}, {self.max_rounds})"


def _pieces(p: Any, x: Any, trial: ResidualTrial) -> tuple[torch.Tensor, Callable[..., Any], Callable[..., Any]]:
    r"""Return $\tilde r$ and the maps $w \mapsto \tilde J^\top w$, $c \mapsto \tilde J c$ of the corrected problem."""
    M = p.M
    leaf, attached = trial.context

    def corrected(v: torch.Tensor) -> torch.Tensor:
        # what is done to Jacobians is done to each column; it is a symmetric map of the residuals
        return p.corrected(trial.residuals, v.unsqueeze(-1)).jacobian.squeeze(-1)

    def back(w: torch.Tensor) -> torch.Tensor:
        ambient = products((attached,), (corrected(w),), leaf)
        return M.to_coordinates(x, M.egrad2rgrad(x, ambient))

    forward: list[Callable[..., Any]] = []

    def ahead(c: torch.Tensor) -> torch.Tensor:
        if not forward:
            forward.append(forward_products(leaf, attached))
        return corrected(forward[0](M.from_coordinates(x, c)))

    return p.corrected(trial.residuals, trial.residuals.unsqueeze(-1)).residuals, back, ahead
