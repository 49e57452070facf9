"""Problems known by their cost alone."""

from collections.abc import Callable
from typing import Any

import torch

from manopt_torch.manifolds.base import Manifold
from manopt_torch.problems.autodiff import Value
from manopt_torch.problems.base import Problem


class CostProblem(Problem):
    r"""Minimise $f\colon \mathcal M \to \mathbb R$ by values of $f$ alone.

    For derivative-free solvers; it never differentiates. Use `GradientProblem` where autograd may help.

    Args:
        M: the manifold.
        cost: `cost(x, *data)`, returns shape `(*batch,)`.
        data: tensors with the batch axes in front, handed to `cost` after the point.
        vectorized: False if `cost` is written for one point.

    Raises:
        OptionsError: if an argument has the wrong kind.

    Examples:
        >>> import torch
        >>> from manopt_torch import CostProblem, Euclidean, get_cost
        >>> p = CostProblem(Euclidean(2), lambda x: (x * x).sum(-1))
        >>> get_cost(p, torch.tensor([[3.0, 4.0], [0.0, 1.0]]))
        tensor([25.,  1.])
    """

    def __init__(
        self, M: Manifold, cost: Callable[..., Any], *, data: tuple[Any, ...] = (), vectorized: bool = True
    ) -> None:
        Problem.__init__(self, M, cost, data=data, vectorized=vectorized)
        self._value = Value()

    def get_cost(self, x: Any) -> torch.Tensor:
        """Return the cost at `x`, shape `(*batch,)`."""
        self.counts.cost += 1
        return self._value(self.cost, x, *self.data)
