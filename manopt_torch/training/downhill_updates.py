"""One update of the parameters: loss and gradient of a batch, direction, move."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch

from manopt_torch.directions.base import DirectionRule, check_direction, rules_of
from manopt_torch.errors import MissingDerivativeError
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.plans.options import lane_of
from manopt_torch.problems.autodiff import backward, grad_mode, products
from manopt_torch.problems.base import Problem
from manopt_torch.problems.hessian import GradientGraph
from manopt_torch.solvers.stochastic_gradient_descent import StochasticGradientDescentOptions
from manopt_torch.training.downhill_parameters import Parameters, leaves_of


class LossProblem(Problem):
    """A loss of the batch at hand, as a function of the parameters that it reads.

    Args:
        loss: `loss(*batch)`, returns one number.
        parameters: what it reads; derivatives are taken where they are.
        second_order: whether Hessian products will be asked for, and the graph of gradients has to be kept.
        blocks: whether the Hessian is that of each parameter on its own, without mixed derivatives.
    """

    provides: ClassVar[frozenset[str]] = frozenset({"cost", "gradient", "hessian"})

    def __init__(
        self, loss: Callable[..., Any], parameters: Parameters, *, second_order: bool = False, blocks: bool = False
    ) -> None:
        Problem.__init__(self, parameters.M, self._at)
        self.loss, self.parameters = loss, parameters
        self.second_order, self.blocks = second_order, blocks
        self._graph: GradientGraph | None = None
        self._seen = False  # whether a loss has been found to depend on the parameters

    def _at(self, x: Any, *batch: Any) -> torch.Tensor:
        """Return the loss elsewhere: the parameters go there and come back."""
        here = self.parameters.point()
        self.parameters.move(x)
        try:
            return self.loss(*batch)
        finally:
            self.parameters.move(here)

    def evaluate(self, batch: tuple[Any, ...], x: Any) -> tuple[torch.Tensor, Any]:
        """Return loss and Riemannian gradient of a batch at `x`, which is where the parameters are."""
        self.data = batch
        self.counts.cost += 1
        self.counts.gradient += 1
        tensors, create = self.parameters.tensors, self.second_order
        with grad_mode(True):
            value = self.loss(*batch)
            self.check_cost(value, ())
            self._check_dependence(value)
            graph = backward(value, tensors, create_graph=create)
        g = self.parameters.tangent(part.detach() for part in graph)
        gradient = self.M.egrad2rgrad(x, g)
        self._graph = GradientGraph(tensors, graph, g, gradient) if create else None
        # a copy, since the value may be an entry of a parameter, which moves
        return value.detach().clone(), gradient

    def _check_dependence(self, value: torch.Tensor) -> None:
        if self._seen:
            return
        read = {id(leaf) for leaf in leaves_of(value)}
        self._seen = any(id(tensor) in read for tensor in self.parameters.tensors)
        if not self._seen:
            raise MissingDerivativeError(
                f"the loss does not depend on {', '.join(self.parameters.names)} through torch operations: avoid "
                ".detach(), .item() and NumPy inside it, or give as params= what it reads"
            )

    def linearize(self, x: Any, context: Any = None) -> GradientGraph:
        """Return the gradient with its graph, from the last evaluation."""
        if self._graph is None:
            self.second_order: bool = True
            self.evaluate(self.data, x)
        assert self._graph is not None
        return self._graph

    def hessian_from(self, x: Any, at: GradientGraph, u: Any) -> Any:
        """Return the Riemannian Hessian applied to `u`."""
        self.counts.hessian += 1
        weights = self.parameters.weights(u)
        if self.blocks:
            h = [_product([part], [v], t) for part, v, t in zip(at.graph, weights, at.leaf, strict=True)]
        else:
            h = _product(at.graph, weights, at.leaf)
        return self.M.ehess2rhess(x, at.euclidean_gradient, self.parameters.tangent(h), u)


def _product(graph: Any, weights: Any, leaf: Any) -> Any:
    pairs = [(part, v) for part, v in zip(graph, weights, strict=True) if part.requires_grad]
    if not pairs:
        return map_leaves(torch.zeros_like, leaf)
    return products(tuple(part for part, _ in pairs), tuple(v for _, v in pairs), leaf)


class Updates:
    r"""Moves the parameters by one step for each batch that it is called with, and returns the loss before.

    $x \leftarrow \operatorname{retr}_x(-d)$, with the direction $d$ of a chain of rules, which holds the learning
    rate. Made by `Downhill.get_updates`.

    Examples:
        >>> from manopt_torch import build
        >>> x = torch.tensor([3.0, 4.0], requires_grad=True)
        >>> update = build("sgd", lambda: x.square().sum(), params=[x]).get_updates(learning_rate=0.25)
        >>> update().item(), x.tolist()
        (25.0, [1.5, 2.0])
    """

    def __init__(self, loss: Callable[..., Any], parameters: Parameters, rule: DirectionRule, *, blocks: bool) -> None:
        self.parameters, self.rule, self.steps = parameters, rule, 0
        second_order = any("hessian" in part.needs for part in rules_of(rule))
        self.problem: LossProblem = LossProblem(loss, parameters, second_order=second_order, blocks=blocks)
        self.options: StochasticGradientDescentOptions = StochasticGradientDescentOptions(
            parameters.point(), direction=rule
        )
        # `begin` would ask for one dtype and one device; parameters may differ in both
        for M, part in zip(parameters.M.manifolds, self.options.x, strict=True):
            M.check_point(part)
        lane_of(self.problem, self.options)
        check_direction(self.problem, self.options)

    def __call__(self, *batch: Any) -> torch.Tensor:
        """Evaluate the loss, move the parameters, and return the loss, a tensor of shape `()`."""
        value = self.evaluate(batch)
        self.move()
        return value

    def evaluate(self, batch: tuple[Any, ...]) -> torch.Tensor:
        """Return the loss of a batch where the parameters are now; the gradient is in `options.gradient`."""
        o = self.options
        o.x = self.parameters.point()
        o.cost, o.gradient = self.problem.evaluate(batch, o.x)
        return o.cost

    def move(self) -> None:
        """Take the step from the last evaluation."""
        o = self.options
        self.steps += 1
        with grad_mode(False):
            d = self.rule(self.problem, o, self.steps)
            self.parameters.move(self.problem.M.retract(o.x, d, -1.0))

    def squared_norms(self) -> list[torch.Tensor]:
        """Return the squared norm of the gradient of each parameter."""
        o = self.options
        factors = zip(self.problem.parameters.M.manifolds, o.x, o.gradient, strict=True)
        return [M.inner(x, g, g) for M, x, g in factors]


class DeferredUpdates:
    """Updates whose parameters are found in the graph of the loss at the first call."""

    def __init__(self, make: Callable[[tuple[Any, ...]], Updates]) -> None:
        self._make, self._updates = make, None

    def __call__(self, *batch: Any) -> torch.Tensor:
        """Do what `Updates` do."""
        self._updates = self._updates or self._make(batch)
        return self._updates(*batch)
