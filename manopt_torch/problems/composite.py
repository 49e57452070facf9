"""Problems made of a smooth part and one with a proximal map."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.base import Manifold
from manopt_torch.problems.autodiff import grad_mode, tracked
from manopt_torch.problems.base import Problem
from manopt_torch.problems.gradient import SmoothProblem, refuse_two


class CompositeProblem(SmoothProblem):
    r"""Minimise $f = g + h$ with a smooth $g$ and an $h$ that has a proximal map.

    $\operatorname{prox}_{\lambda h}(x) = \arg\min_y \tfrac1{2} d(x, y)^2 + \lambda h(y)$. The gradient, also the one
    that `get_gradient` returns, is that of $g$ alone, by autograd unless given.

    Args:
        M: the manifold.
        smooth: $g$, `smooth(x, *data)`, returns shape `(*batch,)`.
        prox: `prox(lam, x, *data) -> y`; `lam` is a number, or a tensor of shape `(*batch,)` with one for each problem.
        nonsmooth: $h$, `nonsmooth(x, *data)`, returns shape `(*batch,)`; None is zero, for an $h$ that is zero on a set
            and infinite elsewhere, onto which `prox` projects.
        gradient: the Riemannian gradient of $g$, `gradient(x, *data)`.
        euclidean_gradient: the Euclidean gradient of $g$ instead, converted by the manifold.
        data: tensors with the batch axes in front, handed to the callables last.
        vectorized: False if the callables are written for one point.

    Raises:
        OptionsError: if an argument has the wrong kind, or both gradients are given.

    Examples:
        >>> import torch
        >>> from manopt_torch import CompositeProblem, Euclidean, get_cost, get_gradient
        >>> shrink = lambda lam, x: x.sign() * (x.abs() - lam).clamp(min=0)
        >>> smooth, nonsmooth = lambda x: x.square().sum(-1), lambda x: x.abs().sum(-1)
        >>> p = CompositeProblem(Euclidean(2), smooth, shrink, nonsmooth=nonsmooth)
        >>> x = torch.tensor([2.0, -1.0])
        >>> get_cost(p, x), get_gradient(p, x)
        (tensor(8.), tensor([ 4., -2.]))
    """

    smooth: Any
    nonsmooth: Any

    provides: ClassVar[frozenset[str]] = frozenset({"cost", "smooth_gradient", "proximal_map"})

    def __init__(
        self,
        M: Manifold,
        smooth: Callable[..., Any],
        prox: Callable[..., Any],
        *,
        nonsmooth: Callable[..., Any] | None = None,
        gradient: Callable[..., Any] | None = None,
        euclidean_gradient: Callable[..., Any] | None = None,
        data: tuple[Any, ...] = (),
        vectorized: bool = True,
    ) -> None:
        Problem.__init__(self, M, smooth, data=data, vectorized=vectorized)
        refuse_two(self, gradient=gradient, euclidean_gradient=euclidean_gradient)
        part = self.smooth = self.cost
        other = self.nonsmooth = self._callable("nonsmooth", nonsmooth, vectorized)
        if other is not None:
            self.cost: Any = lambda x, *data: part(x, *data) + other(x, *data)
        if prox is None:
            raise OptionsError("CompositeProblem: prox must be callable, got None")
        self.proximal_map: Any = self._callable("prox", prox, vectorized, lead=1)
        self.gradient: Callable[..., Any] | None = self._callable("gradient", gradient, vectorized)
        self.euclidean_gradient: Callable[..., Any] | None = self._callable(
            "euclidean_gradient", euclidean_gradient, vectorized
        )

    def trial(self, x: Any) -> tuple[torch.Tensor, Any]:
        """Evaluate the cost; the context holds the value of the smooth part, see `smooth_value`."""
        self.counts.cost += 1
        leaf = None
        if self.needs_graph:
            with grad_mode(True):
                leaf = tracked(x)
                value = self.smooth(leaf, *self.data)
        else:
            value = self.smooth(x, *self.data)
        if not isinstance(value, torch.Tensor):
            return value, (leaf, value)  # refused by check_cost at initialize
        total = value.detach() if self.nonsmooth is None else value.detach() + self.nonsmooth(x, *self.data)
        return total, (leaf, value)

    @staticmethod
    def smooth_value(context: Any) -> torch.Tensor:
        """Return the smooth part of the cost at a trial point."""
        return context[1].detach()

    def get_proximal_map(self, lam: Any, x: Any, i: int) -> Any:
        """Return the proximal map of the other part with parameter `lam` at `x`; there is one, `i` is 0."""
        if i != 0:
            raise OptionsError(f"there is one proximal map, counted from 0; got i={i}")
        self.counts.proximal_map += 1
        return self.checked_like(x, self.proximal_map(lam, x, *self.data), "result of prox")
