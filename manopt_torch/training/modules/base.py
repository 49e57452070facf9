"""Modules besides direction rules and stepsizes: gradient providers, a rate that yields, a search amid a chain."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from manopt_torch._keywords import what_came
from manopt_torch.directions.base import DirectionRule
from manopt_torch.errors import MissingDerivativeError, OptionsError
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.plans.options import Functor, check_range
from manopt_torch.problems.base import Problem
from manopt_torch.stepsizes.base import Stepsize

# so many evaluations in a step have random numbers of their own
_EVALUATIONS = 64


class GradientProvider(Functor, ABC):
    """Make gradients from evaluations; everything that follows, searches included, sees the problem it makes.

    A provider of one's own writes `estimated`, and `value` if it changes the cost too.
    """

    # whether modules behind that evaluate elsewhere in a step find estimates there, too, or the closure's own gradients
    make_closure: bool = True
    # whether each evaluation in a step has random numbers of its own
    randomize_closure: bool = False

    @abstractmethod
    def estimated(self, p: Any, x: Any, turn: int) -> tuple[Any, Any]:
        """Return the cost at `x` (None if it was not needed) and the gradient, from evaluations of `p`.

        Args:
            p: the problem to evaluate.
            x: the point.
            turn: number of the iteration from 0, from which random numbers are drawn.
        """

    def value(self, p: Any, x: Any, turn: int) -> Any:
        """Return the cost at `x`."""
        return p.get_cost(x)

    def problem(self, p: Any, *, turn: int | None = None) -> "EstimatedProblem":
        """Return `p` with these gradients, for any solver.

        Args:
            p: a problem with a cost.
            turn: number of the iteration; None counts the gradients asked for.
        """
        return EstimatedProblem(p, self, turn)

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in vars(self).items() if not name.startswith("_"))
        return f"{type(self).__name__}({told})"


class EstimatedProblem(Problem):
    """A problem whose gradient comes from a `GradientProvider`; made by its `problem`."""

    provides: ClassVar[frozenset[str]] = frozenset({"cost", "gradient", "subgradient"})
    preconditioner = None
    needs_graph = False

    def __init__(self, problem: Any, provider: GradientProvider, turn: int | None) -> None:
        self.problem, self.provider, self.turn = problem, provider, turn
        self.M, self.data, self.counts = problem.M, problem.data, problem.counts
        self.cost, self.vectorized = self.get_cost, True
        self._asked, self._start = 0, None

    def get_cost(self, x: Any, *data: Any) -> torch.Tensor:
        """Return the cost at `x`."""
        return self.provider.value(self.problem, x, self._asked if self.turn is None else self.turn)

    def estimate(self, x: Any) -> tuple[Any, Any]:
        """Return the cost, None if it was not needed, and the estimated gradient."""
        provider, asked = self.provider, self._asked
        self._asked += 1
        if self.turn is None:
            return provider.estimated(self.problem, x, asked)
        if asked == 0:
            self._start = x  # the point of the step
        if x is not self._start and not provider.make_closure:
            return self.problem.get_cost_and_gradient(x)
        turn = self.turn * _EVALUATIONS + asked % _EVALUATIONS if provider.randomize_closure else self.turn
        return provider.estimated(self.problem, x, turn)

    def get_cost_and_gradient(self, x: Any) -> tuple[Any, Any]:
        """Return the cost and the estimated gradient."""
        cost, gradient = self.estimate(x)
        return self.get_cost(x) if cost is None else cost, gradient

    def get_gradient(self, x: Any) -> Any:
        """Return the estimated gradient."""
        return self.estimate(x)[1]

    def gradient_from(self, x: Any, context: Any) -> Any:
        """Return the estimated gradient at a trial point."""
        return self.estimate(x)[1]

    def linearize(self, x: Any, context: Any = None) -> Any:
        """Raise: there is no Hessian."""
        raise MissingDerivativeError(f"gradients by {self.provider!r} have no Hessian: take NewtonFDM()")

    def get_preconditioner(self, x: Any, u: Any) -> Any:
        """Return `u`: there is no preconditioner."""
        return u


@dataclass(eq=False, repr=False)
class OwnRateRule(DirectionRule):
    """Multiply by the learning rate that a module brings along; it gives way to any `LR` or line search in the chain.

    Args:
        factor: the rate.
        inner: rule whose direction to scale; None is the gradient.

    Raises:
        OptionsError: if the rate is negative.
    """

    factor: float = 1e-3
    inner: DirectionRule | None = None

    def __post_init__(self) -> None:
        """Check the rate."""
        check_range(self, "factor", 0.0, math.inf, open_low=False)

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Scale."""
        return o.lane.scale(float(self.factor), u)


@dataclass(eq=False, repr=False)
class SearchedRule(DirectionRule):
    """Multiply the direction by the step size that a line search finds along it: a search amid a chain.

    Args:
        search: the line search.
        inner: rule whose direction to scale; None is the gradient.

    Raises:
        OptionsError: if `search` is no stepsize.
    """

    search: Stepsize
    inner: DirectionRule | None = None

    def __post_init__(self) -> None:
        """Check the kind."""
        if not isinstance(self.search, Stepsize):
            raise OptionsError(f"SearchedRule: search must be a stepsize, got {what_came(self.search)}")

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Search, and scale."""
        lane = o.lane
        s = lane.scalar(self.search(p, o, i, map_leaves(torch.neg, u)))
        o.trial = None  # rules that follow lead elsewhere
        # a direction that is not finite has been searched in vain
        return lane.pick(s != 0, lane.scale(s, u), map_leaves(torch.zeros_like, u))
