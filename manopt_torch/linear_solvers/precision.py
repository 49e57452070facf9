"""Jacobians in a lower precision than the residuals."""

import copy
from typing import Any

import torch

from manopt_torch.linear_solvers.base import LinearSolver, Normal
from manopt_torch.manifolds.points import first_leaf, map_leaves
from manopt_torch.problems.counted import bare_problem


def linearize(
    solver: LinearSolver,
    p: Any,
    x: Any,
    trial: Any,
    dtype: torch.dtype | None,
) -> Normal:
    """Return gradient and system at a trial point, from a Jacobian of precision `dtype`; None is that of the point.

    Residuals, cost and the solve keep their precision: the Jacobian is widened before anything is summed up.
    """
    if dtype is None:
        return solver.linearize(p, x, trial)
    narrow: Any = copy.copy(bare_problem(p))
    narrow.data = tuple(d.to(dtype) if d.is_floating_point() else d for d in p.data)
    there = map_leaves(lambda leaf: leaf.to(dtype), x)
    J = narrow.jacobian_from(there, narrow.residual_trial(there))
    return solver.normal(p.corrected(trial.residuals, J.to(first_leaf(x).dtype)))
