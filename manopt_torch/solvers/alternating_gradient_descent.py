r"""Alternating gradient descent on a product manifold.

$$x^{(j)}_{i+1} = \operatorname{retr}_{x^{(j)}_i}\bigl(-s_i \operatorname{grad}_{x^{(j)}} f(x_i)\bigr)$$

for one factor $j$ after the other, each for some iterations, while the others stay. Reference: [Bergmann:2022].
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from manopt_torch._keywords import what_came
from manopt_torch.errors import OptionsError
from manopt_torch.functional.linesearch import Trial
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import first_leaf, map_leaves, rebuild
from manopt_torch.manifolds.product import Product
from manopt_torch.plans.begin import begin, first_evaluation
from manopt_torch.plans.commit import commit
from manopt_torch.plans.dispatch import get_solver_result, initialize_solver, step_solver
from manopt_torch.plans.options import Functor, Options, check_count, state, strict_keywords
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration, StoppingCriterion, StopWhenGradientNormLess
from manopt_torch.problems.eval_order import EvalOrder, LinearEvalOrder
from manopt_torch.problems.gradient import GradientProblem
from manopt_torch.stepsizes.armijo import ArmijoLinesearch
from manopt_torch.stepsizes.base import Stepsize, check_stepsize, take_step, trial_gradient


@dataclass(eq=False, kw_only=True)
class AlternatingGradientDescentOptions(Options):
    r"""Options of alternating gradient descent.

    Args:
        x: the start, a tuple with a part for each factor.
        inner_iterations: how many iterations a factor gets before the next one has its turn.
        order: the order of the factors in cycle $c$; None is `LinearEvalOrder()`.
        stepsize: the stepsize; None is `ArmijoLinesearch()`. Each factor has a copy of its own, which sees that factor
            only: what a line search remembers of one does not disturb the others.
        stop: the stopping criterion; None is `StopAfterIteration(1000) | StopWhenGradientNormLess(1e-9)`.
        retraction_method: name of the factors' retraction; None is their default.
        check_every: how often (in iterations) the host asks whether any problem of a batch still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter has the wrong kind or is out of its range.

    Examples:
        >>> import torch
        >>> from manopt_torch import AlternatingGradientDescentOptions
        >>> AlternatingGradientDescentOptions((torch.zeros(2), torch.zeros(3))).inner_iterations
        5
    """

    needs: ClassVar[tuple[str, ...]] = ("cost", "gradient")

    inner_iterations: int = 5
    order: EvalOrder | None = None
    stepsize: Stepsize | None = None

    # a copy of the stepsize for each factor
    stepsizes: tuple[Stepsize, ...] = field(init=False, repr=False, default=())

    # updated every step
    last_stepsize: Any = state()
    idle: Any = state()  # how many iterations in a row no step of a line search made the cost fall

    def __post_init__(self) -> None:
        """Fill in the defaults and check the ranges."""
        Options.__post_init__(self)
        check_count(self, "inner_iterations", 1)
        self.order = LinearEvalOrder() if self.order is None else self.order
        if not isinstance(self.order, EvalOrder):
            came = what_came(self.order)
            raise OptionsError(f"{type(self).__name__}: order must be one such as LinearEvalOrder(), got {came}")
        self.stepsize = ArmijoLinesearch() if self.stepsize is None else self.stepsize
        check_stepsize(self)
        factors = len(self.x) if isinstance(self.x, tuple) else 1
        self.stepsizes = tuple(copy.copy(self.stepsize) for _ in range(factors))
        if self.stop is None:
            self.stop = StopAfterIteration(1000) | StopWhenGradientNormLess(1e-9)


@initialize_solver.register(AlternatingGradientDescentOptions)
def _initialize(p: Any, o: AlternatingGradientDescentOptions) -> None:
    begin(p, o)
    first_evaluation(p, o)
    # factors that have not had their turn are handed on: not those of the caller
    o.x = map_leaves(torch.clone, o.x)
    o.last_stepsize, o.idle = None, o.lane.full(0)
    if isinstance(p.M, Product):
        for j, stepsize in enumerate(o.stepsizes):  # each begins at its own part of the start
            if isinstance(stepsize, Functor):
                o.memory[stepsize] = stepsize.init(_FactorProblem(p, o.x, j), _FactorOptions(o, j))


@step_solver.register(AlternatingGradientDescentOptions)
def _step(p: Any, o: AlternatingGradientDescentOptions, i: int) -> None:
    if not isinstance(p.M, Product):  # a single factor
        s, trial = take_step(p, o, i)
        commit(o, x=trial.x, cost=trial.cost, gradient=trial_gradient(p, trial), last_stepsize=s)
        return
    factors = len(p.M.manifolds)
    cycle, place = divmod((i - 1) // o.inner_iterations, factors)
    j = (o.order or LinearEvalOrder())(factors, cycle)[place]
    problem, options = _FactorProblem(p, o.x, j), _FactorOptions(o, j)
    remembered = dict(o.memory.get(options.stepsize) or {})
    s, trial = take_step(problem, options, i)
    new = problem.whole_trial(trial)
    if options.stagnated is options.untouched:
        new["idle"] = o.lane.full(0)
    else:
        new |= _set_aside(o, options, remembered, new, factors * o.inner_iterations)
    commit(o, **new, last_stepsize=s)


def _set_aside(o: Any, options: Any, remembered: dict[str, Any], new: dict[str, Any], cycle: int) -> dict[str, Any]:
    """Let a factor that finds no better point stay where it is; a problem stagnates when all do, for a cycle."""
    lane, failed = o.lane, options.stagnated
    for name, value in remembered.items():  # the search has ended at a step of no use
        memory = o.memory[options.stepsize]
        if lane.lone or isinstance(first_leaf(value), torch.Tensor):
            memory[name] = lane.pick(failed, value, memory[name])
    idle = lane.where(failed, o.idle + 1, lane.full(0))
    o.stagnated = o.stagnated | (idle >= cycle)
    return {name: lane.pick(failed, getattr(o, name), value) for name, value in new.items()} | {"idle": idle}


class _FactorOptions:
    """The options as the stepsize of one factor sees them; what it writes stays here."""

    def __init__(self, o: Any, j: int) -> None:
        self._options = o
        self.x, self.gradient, self.stepsize = o.x[j], o.gradient[j], o.stepsizes[j]
        self.stagnated = self.untouched = o.lane.full(False)
        self.trial = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._options, name)


class _FactorProblem:
    """The problem on one factor, with the others held where they are."""

    def __init__(self, p: Any, x: tuple[Any, ...], j: int) -> None:
        self._problem, self._x, self._j = p, x, j
        self.M = p.M.manifolds[j]
        self._gradient: Any = None  # the last whole gradient asked for

    def whole(self, part: Any) -> Any:
        """Return the whole point."""
        return rebuild(self._x, [part if k == self._j else other for k, other in enumerate(self._x)])

    def get_cost(self, part: Any) -> Any:
        """Return the cost of the whole point."""
        return self._problem.get_cost(self.whole(part))

    def trial(self, part: Any) -> tuple[Any, Any]:
        """Evaluate the cost of the whole point."""
        return self._problem.trial(self.whole(part))

    def gradient_from(self, part: Any, context: Any) -> Any:
        """Return the factor's part of the gradient."""
        self._gradient = self._problem.gradient_from(self.whole(part), context)
        return self._gradient[self._j]

    def whole_trial(self, trial: Trial) -> dict[str, Any]:
        """Return point, cost and gradient of an accepted trial for all factors."""
        x, cost, context = self.whole(trial.x), trial.cost, trial.context
        if trial.gradient is None:
            return {"x": x, "cost": cost, "gradient": self._problem.gradient_from(x, context)}
        if self._gradient is None or trial.gradient is not self._gradient[self._j]:
            # the search has looked elsewhere since, and the graph is used up
            cost, context = self._problem.trial(x)
            self._gradient = self._problem.gradient_from(x, context)
        return {"x": x, "cost": cost, "gradient": self._gradient}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._problem, name)


@strict_keywords
def alternating_gradient_descent(
    M: Manifold,
    cost: Callable[..., Any],
    x: Any,
    *,
    gradient: Callable[..., Any] | Sequence[Callable[..., Any]] | None = None,
    euclidean_gradient: Callable[..., Any] | Sequence[Callable[..., Any]] | None = None,
    data: tuple[Any, ...] = (),
    vectorized: bool = True,
    inner_iterations: int = 5,
    order: EvalOrder | None = None,
    stepsize: Stepsize | None = None,
    stop: StoppingCriterion | None = None,
    retraction_method: str | None = None,
    check_every: int = 1,
    compact: bool = True,
    debug: Any = None,
    record: Any = None,
    return_options: bool = False,
) -> Any:
    r"""Minimise over a product manifold by steepest descent in one factor after the other.

    Use it where the factors differ in scale or curvature, so that a step size in common would suit none of them.

    Args:
        M: the manifold, a `Product`; any other counts as a single factor.
        cost: `cost(x, *data)` with the tuple `x`, returns shape `(*batch,)`.
        x: the start, a tuple with a part for each factor.
        gradient: the Riemannian gradient `gradient(x, *data)`, a tuple, or a list of functions with one for each
            factor; None is autograd.
        euclidean_gradient: the Euclidean gradient in the same way, converted by the manifold.
        data: tensors with the batch axes in front, handed to the callables after the point.
        vectorized: False if the callables are written for one point.
        inner_iterations: see `AlternatingGradientDescentOptions`, as for the following.
        order: the order of the factors.
        stepsize: the stepsize.
        stop: the stopping criterion.
        retraction_method: name of the factors' retraction.
        check_every: how often the host asks whether any problem still runs.
        compact: whether finished problems leave the working set.
        debug: what to print, see `solve`.
        record: what to record, see `solve`.
        return_options: whether to return the options (with reasons, iterations, records) instead of the result.

    Returns:
        The minimiser, a tuple, or the options.

    Raises:
        ManoptError: for bad input, before the first iteration; see `solve`.

    References:
        [Bergmann:2022].

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, Product, Sphere, alternating_gradient_descent
        >>> target = torch.tensor([0.0, 0.0, 2.0], dtype=torch.float64)
        >>> start = (torch.tensor([0.6, 0.8, 0.0], dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64))
        >>> direction, scale = alternating_gradient_descent(
        ...     Product(Sphere(3), Euclidean()),
        ...     lambda x: (x[0] * x[1].unsqueeze(-1) - target).square().sum(-1),
        ...     start,
        ... )
        >>> round(direction[2].item(), 6), round(scale.item(), 6)
        (1.0, 2.0)
    """
    problem = GradientProblem(
        M,
        cost,
        _gathered(gradient),
        euclidean_gradient=_gathered(euclidean_gradient),
        data=data,
        vectorized=vectorized,
    )
    options = AlternatingGradientDescentOptions(
        x,
        inner_iterations=inner_iterations,
        order=order,
        stepsize=stepsize,
        stop=stop,
        retraction_method=retraction_method,
        check_every=check_every,
        compact=compact,
    )
    solve(problem, options, debug=debug, record=record)
    return options if return_options else get_solver_result(options)


def _gathered(parts: Any) -> Any:
    """Return one function for a list of them that give a factor each."""
    if not isinstance(parts, (list, tuple)):
        return parts
    return lambda x, *data: rebuild(x, [part(x, *data) for part in parts])
