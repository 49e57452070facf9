"""Asking a rule for directions without a run."""

from types import SimpleNamespace
from typing import Any

import torch

from manopt_torch import Euclidean, GradientProblem
from manopt_torch.functional.masked import lane_for
from manopt_torch.plans.options import Memory


def options(x: Any, gradient: Any = None, M: Any = None) -> SimpleNamespace:
    """Return what a rule reads of options."""
    M = Euclidean(*x.shape) if M is None else M
    return SimpleNamespace(x=x, gradient=gradient, lane=lane_for(M, x), memory=Memory(), retraction_method=None)


def directions(rule: Any, *gradients: Any) -> list[torch.Tensor]:
    """Return what a rule makes of gradients that come one after the other, at the origin of Euclidean space."""
    gradients = tuple(torch.as_tensor(g, dtype=torch.float64) for g in gradients)
    o = options(torch.zeros_like(gradients[0]))
    p = GradientProblem(Euclidean(*o.x.shape), lambda x: x.sum())
    found = []
    for i, g in enumerate(gradients, 1):
        o.gradient = g
        found.append(rule(p, o, i))
    return found
