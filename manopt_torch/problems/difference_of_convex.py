"""Problems whose cost is the difference of two convex functions."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch

from manopt_torch.errors import MissingDerivativeError, OptionsError
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import leaves, map_leaves
from manopt_torch.problems.autodiff import backward, grad_mode, tracked
from manopt_torch.problems.base import Problem
from manopt_torch.problems.gradient import GradientProblem, SmoothProblem
from manopt_torch.problems.hessian import HessianProblem


class DifferenceOfConvexProblem(SmoothProblem):
    r"""Minimise $f = g - h$ with (geodesically) convex $g$ and $h$.

    Autograd finds what is not given: the gradient of $f$, a subgradient of $h$ (at a kink what torch defines there),
    the gradient of $g$.

    Args:
        M: the manifold.
        cost: $f$, `cost(x, *data)`, returns shape `(*batch,)`; None is `g` minus `h`.
        g: $g$, `g(x, *data)`, likewise; None where the sub problems are solved in closed form.
        subgradient_h: `subgradient_h(x, *data)`, a tangent vector at `x` of the subdifferential of $h$; None
            differentiates `h`.
        h: $h$, `h(x, *data)`; None is `g` minus `cost`. Not evaluated where cost and subgradient are given.
        gradient: the Riemannian gradient of $f$, `gradient(x, *data)`.
        gradient_g: the Riemannian gradient of $g$, `gradient_g(x, *data)`.
        data: tensors with the batch axes in front, handed to the callables after the point.
        vectorized: False if the callables are written for one point.

    Raises:
        OptionsError: if an argument has the wrong kind, or those given do not tell $f$ and a subgradient of $h$.

    References:
        [BergmannFerreiraSantosSouza:2024].

    Examples:
        >>> import torch
        >>> from manopt_torch import DifferenceOfConvexProblem, Euclidean, get_cost, get_gradient
        >>> p = DifferenceOfConvexProblem(Euclidean(1), None, lambda x: (x**4).sum(-1), h=lambda x: (x**2).sum(-1))
        >>> x = torch.tensor([2.0])
        >>> get_cost(p, x), get_gradient(p, x), p.get_subtrahend_gradient(x)
        (tensor(12.), tensor([28.]), tensor([4.]))
    """

    provides: ClassVar[frozenset[str]] = frozenset({"cost", "gradient", "subgradient", "subtrahend_gradient"})

    euclidean_gradient = None

    def __init__(
        self,
        M: Manifold,
        cost: Callable[..., Any] | None,
        g: Callable[..., Any] | None = None,
        subgradient_h: Callable[..., Any] | None = None,
        *,
        h: Callable[..., Any] | None = None,
        gradient: Callable[..., Any] | None = None,
        gradient_g: Callable[..., Any] | None = None,
        data: tuple[Any, ...] = (),
        vectorized: bool = True,
    ) -> None:
        if cost is None and (g is None or h is None):
            raise OptionsError("DifferenceOfConvexProblem: give cost=, or both g= and h=, whose difference it is")
        if subgradient_h is None and h is None and g is None:
            raise OptionsError(
                "DifferenceOfConvexProblem: give subgradient_h=, or h=, or g=, from which h follows as g - cost"
            )
        cost = _difference(g, h) if cost is None else cost
        h = _difference(g, cost) if h is None and g is not None else h
        Problem.__init__(self, M, cost, data=data, vectorized=vectorized)
        self.g: Any = self._callable("g", g, vectorized)
        self.h: Any = self._callable("h", h, vectorized)
        self.subgradient_h: Any = self._callable("subgradient_h", subgradient_h, vectorized)
        self.gradient: Callable[..., Any] | None = self._callable("gradient", gradient, vectorized)
        self.gradient_g: Any = self._callable("gradient_g", gradient_g, vectorized)

    def get_subtrahend_gradient(self, x: Any) -> Any:
        """Return a Riemannian subgradient of the function that is subtracted, $h$, at `x`."""
        self.counts.subgradient += 1
        if self.subgradient_h is not None:
            return self.subgradient_h(x, *self.data)
        with grad_mode(True):
            leaf = tracked(x)
            value = self.h(leaf, *self.data)
        return self.M.egrad2rgrad(x, backward(value, leaf))

    def surrogate(self, term: Callable[..., torch.Tensor], *held: Any, hessian: bool = False) -> SmoothProblem:
        r"""Return the convex problem to minimise $g$ plus a term that stands for $-h$.

        Args:
            term: `term(y, *held)`, differentiable by autograd, returns shape `(*batch,)`.
            held: points or tangent vectors that belong to the term; they travel with their problems as data do.
            hessian: whether the problem is to have Hessians too, by autograd.

        Raises:
            MissingDerivativeError: if there is no `g`.
        """
        if self.g is None:
            raise MissingDerivativeError(
                "DifferenceOfConvexProblem has no g, which a sub problem minimises: give g=, or solve the sub problems "
                "in closed form by sub_solver="
            )
        g, gradient_g, own = self.g, self.gradient_g, len(self.data)

        def parts(data: tuple[Any, ...]) -> tuple[tuple[Any, ...], list[Any]]:
            rest = iter(data[own:])
            return data[:own], [map_leaves(lambda _: next(rest), tree) for tree in held]

        def cost(y: Any, *data: torch.Tensor) -> torch.Tensor:
            data, kept = parts(data)
            return g(y, *data) + term(y, *kept)

        def gradient(y: Any, *data: torch.Tensor) -> Any:
            data, kept = parts(data)
            with grad_mode(True):
                leaf = tracked(y)
                value = term(leaf, *kept)
            of_term = self.M.egrad2rgrad(y, backward(value, leaf))
            return map_leaves(torch.add, gradient_g(y, *data), of_term)

        kind = HessianProblem if hessian else GradientProblem
        tensors = (leaf for tree in held for leaf in leaves(tree))
        return kind(self.M, cost, gradient if gradient_g is not None else None, data=(*self.data, *tensors))


def _difference(first: Any, second: Any) -> Callable[..., Any]:
    return lambda x, *data: first(x, *data) - second(x, *data)
