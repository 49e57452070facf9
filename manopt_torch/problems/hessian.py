"""Problems with a Hessian, by autograd unless given."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch

from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import leaves, map_leaves
from manopt_torch.problems.autodiff import backward, grad_mode, products
from manopt_torch.problems.base import Problem
from manopt_torch.problems.gradient import SmoothProblem, refuse_two


class GradientGraph:
    """The Euclidean gradient at a point together with its graph: what a Hessian-vector product starts from.

    Args:
        leaf: the tracked point.
        graph: its Euclidean gradient, still attached; None where the Hessian is given.
        euclidean_gradient: the same, detached.
        gradient: the Riemannian gradient.
    """

    __slots__ = ("_converted", "euclidean_gradient", "gradient", "graph", "leaf")

    leaf: Any
    graph: Any
    euclidean_gradient: Any
    gradient: Any

    def __init__(self, leaf: Any, graph: Any, euclidean_gradient: Any, gradient: Any) -> None:
        self.leaf, self.graph, self.euclidean_gradient, self.gradient = leaf, graph, euclidean_gradient, gradient
        self._converted: Callable[[Any, Any], Any] | None = None

    def converted(self, M: Manifold, x: Any, h: Any, u: Any) -> Any:
        """Convert a Euclidean product along `u` to the Riemannian one; what depends on `x` alone is computed once."""
        if self._converted is None:
            self._converted = M.ehess2rhess_at(x, self.euclidean_gradient)
        return self._converted(h, u)


class HessianProblem(SmoothProblem):
    r"""Minimise a twice differentiable $f\colon \mathcal M \to \mathbb R$.

    Hessian-vector products come from autograd unless given: the gradient's graph is kept for the last point, so that
    each further product at that point costs one backward pass through it; the manifold adds the curvature terms.

    Args:
        M: the manifold.
        cost: `cost(x, *data)`, returns shape `(*batch,)`.
        gradient: `gradient(x, *data)`, the Riemannian gradient.
        hessian: `hessian(x, u, *data)`, the Riemannian Hessian applied to the tangent vector `u`.
        preconditioner: `preconditioner(x, u, *data)`, an approximate inverse Hessian, symmetric and positive, that
            maps tangents to tangents; None is the identity.
        euclidean_gradient: the gradient in the ambient space.
        euclidean_hessian: `euclidean_hessian(x, u, *data)`, the ambient Hessian applied to `u`.
        data: tensors with the batch axes in front, handed to the callables last.
        vectorized: False if the callables are written for one point.

    Raises:
        OptionsError: if an argument has the wrong kind, or a derivative is given twice.

    References:
        [Boumal:2023], sections 5.5 and 5.11.

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, HessianProblem, get_hessian
        >>> p = HessianProblem(Euclidean(2), lambda x: (x**3).sum(-1))
        >>> get_hessian(p, torch.tensor([1.0, 2.0]), torch.tensor([1.0, 1.0]))
        tensor([ 6., 12.])
    """

    provides: ClassVar[frozenset[str]] = frozenset({"cost", "gradient", "subgradient", "hessian", "preconditioner"})

    def __init__(
        self,
        M: Manifold,
        cost: Callable[..., Any],
        gradient: Callable[..., Any] | None = None,
        hessian: Callable[..., Any] | None = None,
        *,
        preconditioner: Callable[..., Any] | None = None,
        euclidean_gradient: Callable[..., Any] | None = None,
        euclidean_hessian: Callable[..., Any] | None = None,
        data: tuple[Any, ...] = (),
        vectorized: bool = True,
    ) -> None:
        Problem.__init__(self, M, cost, data=data, vectorized=vectorized)
        refuse_two(self, gradient=gradient, euclidean_gradient=euclidean_gradient)
        refuse_two(self, hessian=hessian, euclidean_hessian=euclidean_hessian)
        self.gradient: Callable[..., Any] | None = self._callable("gradient", gradient, vectorized)
        self.hessian: Any = self._callable("hessian", hessian, vectorized)
        self.preconditioner: Callable[..., Any] | None = self._callable("preconditioner", preconditioner, vectorized)
        self.euclidean_gradient: Callable[..., Any] | None = self._callable(
            "euclidean_gradient", euclidean_gradient, vectorized
        )
        self.euclidean_hessian: Any = self._callable("euclidean_hessian", euclidean_hessian, vectorized)
        self._last: tuple[Any, list[int], GradientGraph] | None = None

    @property
    def needs_graph(self) -> bool:
        """Whether the graph of the cost has to be kept: a Hessian that is not given is its second derivative."""
        if self.hessian is not None:
            return self.gradient is None and self.euclidean_gradient is None
        # a Euclidean Hessian is converted with the help of the Euclidean gradient
        return self.euclidean_hessian is None or self.euclidean_gradient is None

    def linearize(self, x: Any, context: Any = None) -> GradientGraph:
        """Return the gradient at a trial point with its graph retained, ready for Hessian-vector products.

        Args:
            x: the point.
            context: what `trial` returned for it; None evaluates the cost (again) where its graph is needed.
        """
        at: Any = self._evaluated(x) if context is None and self.needs_graph else context
        if self.hessian is not None:
            return GradientGraph(None, None, None, self.gradient_from(x, at))
        self.counts.gradient += 1
        if self.euclidean_hessian is not None:
            leaf, graph, g = None, None, self._euclidean_gradient(x, at)
        else:
            leaf, value = at
            with grad_mode(True):
                graph = backward(value, leaf, create_graph=True)
            g = map_leaves(torch.Tensor.detach, graph)
        given = self.gradient(x, *self.data) if self.gradient is not None else self.M.egrad2rgrad(x, g)
        return GradientGraph(leaf, graph, g, given)

    def hessian_from(self, x: Any, at: GradientGraph, u: Any) -> Any:
        """Return the Riemannian Hessian at `x` applied to `u`, from the retained gradient."""
        counts, given = self.counts, self.euclidean_hessian if self.hessian is None else self.hessian
        counts.hessian += 1
        if given is None:
            return at.converted(self.M, x, self._euclidean_product(at, u), u)
        h = given(x, u, *self.data)
        if counts.hessian == 1:
            self.check_tangent("result of the Hessian", h, self.M.batch_shape(u))
        return h if self.hessian is not None else at.converted(self.M, x, h, u)

    def get_hessian(self, x: Any, u: Any) -> Any:
        """Return the Riemannian Hessian at `x` applied to `u`; the gradient's graph is kept for the last point."""
        if self.hessian is not None:
            return self.hessian_from(x, GradientGraph(None, None, None, None), u)
        versions = [leaf._version for leaf in leaves(x)]
        held = self._last  # read once, as another thread may write
        if held is None or held[0] is not x or held[1] != versions:
            held = self._last = None  # the former graph makes room for the new one
            held = self._last = (x, versions, self.linearize(x))
        return self.hessian_from(x, held[2], u)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the graph of the last point behind in copies: it is another batch's, and cannot be pickled."""
        return {**self.__dict__, "_last": None}

    def _evaluated(self, x: Any) -> Any:
        """Return the context of a point of which none is known."""
        value, context = self.trial(x)
        self.check_cost(value, self.M.batch_shape(x))
        return context

    def _euclidean_product(self, at: GradientGraph, u: Any) -> Any:
        """Differentiate the retained gradient in direction `u`; a part that is constant contributes nothing."""
        if isinstance(at.graph, torch.Tensor) and at.graph.requires_grad:  # the usual case, at less cost
            return products((at.graph,), (u,), at.leaf)
        pairs = [(part, v) for part, v in zip(leaves(at.graph), leaves(u), strict=True) if part.requires_grad]
        if not pairs:
            return map_leaves(torch.zeros_like, at.leaf)
        return products(tuple(part for part, _ in pairs), tuple(v for _, v in pairs), at.leaf)
