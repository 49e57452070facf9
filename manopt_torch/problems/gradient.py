"""Problems with a gradient, by autograd unless given."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch

from manopt_torch.errors import OptionsError, ShapeError
from manopt_torch.manifolds.base import Manifold
from manopt_torch.problems.autodiff import backward, grad_mode, tracked
from manopt_torch.problems.base import Problem


class SmoothProblem(Problem):
    """Base of problems whose gradient is given, given in Euclidean form, or found by autograd."""

    # a gradient is a subgradient
    provides: ClassVar[frozenset[str]] = frozenset({"cost", "gradient", "subgradient"})

    gradient: Callable[..., Any] | None
    euclidean_gradient: Callable[..., Any] | None
    preconditioner: Callable[..., Any] | None = None

    @property
    def needs_graph(self) -> bool:
        """Whether the graph of the cost has to be kept for a derivative."""
        return self.gradient is None and self.euclidean_gradient is None

    def trial(self, x: Any) -> tuple[torch.Tensor, Any]:
        """Evaluate the cost; where a derivative needs it keep the graph, so that a gradient is one backward pass."""
        self.counts.cost += 1
        if not self.needs_graph:
            return self.cost(x, *self.data), None
        with grad_mode(True):
            leaf = tracked(x)
            value = self.cost(leaf, *self.data)
        if not isinstance(value, torch.Tensor):
            return value, (leaf, value)  # refused by check_cost at initialize
        return value.detach(), (leaf, value)

    def gradient_from(self, x: Any, context: Any) -> Any:
        """Return the Riemannian gradient at a trial point."""
        self.counts.gradient += 1
        if self.gradient is not None:
            return self.gradient(x, *self.data)
        return self.M.egrad2rgrad(x, self._euclidean_gradient(x, context))

    def _euclidean_gradient(self, x: Any, context: Any) -> Any:
        if self.euclidean_gradient is not None:
            g = self.euclidean_gradient(x, *self.data)
            if self.counts.gradient == 1:
                _check_euclidean(x, g)
            return g
        leaf, value = context
        return backward(value, leaf)

    def get_cost_and_gradient(self, x: Any) -> tuple[torch.Tensor, Any]:
        """Return cost and Riemannian gradient from one evaluation."""
        batch = self.M.batch_shape(x)
        value, context = self.trial(x)
        self.check_cost(value, batch)
        return value, self.gradient_from(x, context)

    def get_gradient(self, x: Any) -> Any:
        """Return the Riemannian gradient at `x`; a given gradient costs no evaluation of the cost."""
        if self.gradient is not None or self.euclidean_gradient is not None:
            return self.gradient_from(x, None)
        return self.get_cost_and_gradient(x)[1]

    def get_preconditioner(self, x: Any, u: Any) -> Any:
        """Return the preconditioner applied to `u`, or `u` itself if there is none."""
        if self.preconditioner is None:
            return u
        self.counts.preconditioner += 1
        v = self.preconditioner(x, u, *self.data)
        if self.counts.preconditioner == 1:
            self.check_tangent("result of the preconditioner", v, self.M.batch_shape(u))
        return v


class GradientProblem(SmoothProblem):
    r"""Minimise a differentiable $f\colon \mathcal M \to \mathbb R$.

    The gradient comes from autograd unless given: as the Riemannian gradient (`gradient`) or as the Euclidean one
    (`euclidean_gradient`), which the manifold converts. Value and gradient come from one evaluation.

    Args:
        M: the manifold.
        cost: `cost(x, *data)`, returns shape `(*batch,)`.
        gradient: `gradient(x, *data)`, the Riemannian gradient, a tangent vector at `x`.
        euclidean_gradient: `euclidean_gradient(x, *data)`, the gradient in the ambient space.
        preconditioner: `preconditioner(x, u, *data)`, an approximate inverse Hessian, symmetric and positive, that
            maps tangents to tangents; None is the identity.
        data: tensors with the batch axes in front, handed to the callables after the point.
        vectorized: False if the callables are written for one point.

    Raises:
        OptionsError: if an argument has the wrong kind, or both gradients are given.

    References:
        [Boumal:2023], section 3.8.

    Examples:
        >>> import torch
        >>> from manopt_torch import GradientProblem, Sphere, get_gradient
        >>> p = GradientProblem(Sphere(3), lambda x: x[..., 2])
        >>> get_gradient(p, torch.tensor([1.0, 0.0, 0.0]))
        tensor([0., 0., 1.])
    """

    def __init__(
        self,
        M: Manifold,
        cost: Callable[..., Any],
        gradient: Callable[..., Any] | None = None,
        *,
        euclidean_gradient: Callable[..., Any] | None = None,
        preconditioner: Callable[..., Any] | None = None,
        data: tuple[Any, ...] = (),
        vectorized: bool = True,
    ) -> None:
        Problem.__init__(self, M, cost, data=data, vectorized=vectorized)
        refuse_two(self, gradient=gradient, euclidean_gradient=euclidean_gradient)
        self.gradient: Callable[..., Any] | None = self._callable("gradient", gradient, vectorized)
        self.euclidean_gradient: Callable[..., Any] | None = self._callable(
            "euclidean_gradient", euclidean_gradient, vectorized
        )
        self.preconditioner: Callable[..., Any] | None = self._callable("preconditioner", preconditioner, vectorized)


def _check_euclidean(x: Any, g: Any) -> None:
    """Raise a ShapeError unless a Euclidean gradient fits to a point that is a tensor; it may be the same for all."""
    if not isinstance(x, torch.Tensor):
        return
    try:
        g.expand(x.shape)
    except (AttributeError, RuntimeError):
        got = f"one of shape {tuple(g.shape)}" if isinstance(g, torch.Tensor) else type(g).__name__
        raise ShapeError(
            f"euclidean_gradient must return a tensor of the shape of the point, {tuple(x.shape)}, got {got}"
        ) from None


def refuse_two(problem: Problem, **given: Any) -> None:
    """Raise an OptionsError if a derivative is given in more than one form."""
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise OptionsError(f"{type(problem).__name__}: give one of {' and '.join(names)}, not both")
