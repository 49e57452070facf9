"""Problems with a subgradient."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch

from manopt_torch.manifolds.base import Manifold
from manopt_torch.problems.autodiff import backward, grad_mode, tracked
from manopt_torch.problems.base import Problem


class SubGradientProblem(Problem):
    r"""Minimise a nonsmooth $f\colon \mathcal M \to \mathbb R$ by elements of its subdifferential.

    Without a given subgradient autograd picks one: at a kink it returns what torch defines there (0 for `abs` at 0).

    Args:
        M: the manifold.
        cost: `cost(x, *data)`, returns shape `(*batch,)`.
        subgradient: `subgradient(x, *data)`, a tangent vector at `x`.
        data: tensors with the batch axes in front, handed to the callables after the point.
        vectorized: False if the callables are written for one point.

    Raises:
        OptionsError: if an argument has the wrong kind.

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, SubGradientProblem, get_subgradient
        >>> p = SubGradientProblem(Euclidean(2), lambda x: x.abs().sum(-1))
        >>> get_subgradient(p, torch.tensor([3.0, -2.0]))
        tensor([ 1., -1.])
    """

    provides: ClassVar[frozenset[str]] = frozenset({"cost", "subgradient"})

    def __init__(
        self,
        M: Manifold,
        cost: Callable[..., Any],
        subgradient: Callable[..., Any] | None = None,
        *,
        data: tuple[Any, ...] = (),
        vectorized: bool = True,
    ) -> None:
        Problem.__init__(self, M, cost, data=data, vectorized=vectorized)
        self.subgradient: Any = self._callable("subgradient", subgradient, vectorized)

    def get_subgradient(self, x: Any) -> Any:
        """Return a Riemannian subgradient at `x`."""
        return self.gradient_from(x, None if self.subgradient is not None else self._tracked_cost(x))

    def trial(self, x: Any) -> tuple[torch.Tensor, Any]:
        """Evaluate the cost; where autograd has to find the subgradient, keep the graph."""
        self.counts.cost += 1
        if self.subgradient is not None:
            return self.cost(x, *self.data), None
        leaf, value = self._tracked_cost(x)
        return (value.detach() if isinstance(value, torch.Tensor) else value), (leaf, value)

    def gradient_from(self, x: Any, context: Any) -> Any:
        """Return a Riemannian subgradient at a trial point."""
        self.counts.subgradient += 1
        if self.subgradient is not None:
            return self.subgradient(x, *self.data)
        leaf, value = context
        return self.M.egrad2rgrad(x, backward(value, leaf))

    def _tracked_cost(self, x: Any) -> tuple[Any, Any]:
        with grad_mode(True):
            leaf = tracked(x)
            return leaf, self.cost(leaf, *self.data)
