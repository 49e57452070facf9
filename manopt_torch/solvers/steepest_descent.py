r"""Steepest descent.

$$x_{i+1} = \operatorname{retr}_{x_i}(-s_i d_i)$$

with the step size $s_i$ of a stepsize functor and the direction $d_i$ of a direction rule, by default
$\operatorname{grad} f(x_i)$. References: [AbsilMahonySepulchre:2008], chapter 4; [Boumal:2023], chapter 4.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from manopt_torch.directions.base import DirectionRule, check_direction, check_rule, direction_of
from manopt_torch.manifolds.base import Manifold
from manopt_torch.plans.begin import begin, first_evaluation
from manopt_torch.plans.commit import commit
from manopt_torch.plans.dispatch import get_solver_result, initialize_solver, step_solver
from manopt_torch.plans.options import Options, state, strict_keywords
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration, StoppingCriterion, StopWhenGradientNormLess
from manopt_torch.problems.gradient import GradientProblem
from manopt_torch.problems.pieces import piece_size
from manopt_torch.stepsizes.armijo import ArmijoLinesearch
from manopt_torch.stepsizes.base import Linesearch, Stepsize, check_stepsize, take_step, trial_gradient


@dataclass(eq=False, kw_only=True)
class GradientDescentOptions(Options):
    r"""Options of steepest descent.

    Args:
        x: the start, shape `(*batch, *point_shape)`.
        direction: the rule that makes $d_i$ from the gradient, such as `HeavyBallRule(0.9)`; None is the gradient.
            Where a line search meets a direction that does not descend, that problem takes the gradient instead.
        stepsize: the stepsize $s_i$; None is `ArmijoLinesearch()`, which needs no knowledge of the cost.
        stop: the stopping criterion; None is `StopAfterIteration(200) | StopWhenGradientNormLess(1e-8)`, as in
            Manopt.jl.
        retraction_method: name of the manifold's retraction; None is its default.
        check_every: how often (in iterations) the host asks whether any problem of a batch still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter has the wrong kind or is out of its range.

    Examples:
        >>> import torch
        >>> from manopt_torch import ConstantStepsize, GradientDescentOptions
        >>> GradientDescentOptions(torch.zeros(2), stepsize=ConstantStepsize(0.1)).stepsize
        ConstantStepsize(0.1)
    """

    needs: ClassVar[tuple[str, ...]] = ("cost", "gradient")

    direction: DirectionRule | None = None
    stepsize: Stepsize | None = None

    # updated every step
    last_stepsize: Any = state()

    def __post_init__(self) -> None:
        """Fill in the defaults and check the ranges."""
        Options.__post_init__(self)
        self.stepsize = ArmijoLinesearch() if self.stepsize is None else self.stepsize
        check_stepsize(self)
        check_rule(self, searched=isinstance(self.stepsize, Linesearch))
        if self.stop is None:
            self.stop = StopAfterIteration(200) | StopWhenGradientNormLess(1e-8)


@initialize_solver.register(GradientDescentOptions)
def _initialize(p: Any, o: GradientDescentOptions) -> None:
    begin(p, o)
    check_direction(p, o)
    first_evaluation(p, o)
    o.piece_size = piece_size(p, o.x, o.cost, o.gradient)
    o.last_stepsize = None


@step_solver.register(GradientDescentOptions)
def _step(p: Any, o: GradientDescentOptions, i: int) -> None:
    eta = None if o.direction is None else direction_of(p, o, i, searched=isinstance(o.stepsize, Linesearch))
    s, trial = take_step(p, o, i, eta)
    commit(o, x=trial.x, cost=trial.cost, gradient=trial_gradient(p, trial), last_stepsize=s)


@strict_keywords
def steepest_descent(
    M: Manifold,
    cost: Callable[..., Any],
    x: Any,
    *,
    gradient: Callable[..., Any] | None = None,
    euclidean_gradient: Callable[..., Any] | None = None,
    data: tuple[Any, ...] = (),
    vectorized: bool = True,
    direction: DirectionRule | None = None,
    stepsize: Stepsize | None = None,
    stop: StoppingCriterion | None = None,
    retraction_method: str | None = None,
    check_every: int = 1,
    compact: bool = True,
    debug: Any = None,
    record: Any = None,
    return_options: bool = False,
) -> Any:
    r"""Minimise a differentiable cost by steepest descent, each problem of the batch on its own path.

    The simplest method that works on every manifold; converges linearly. Prefer a second-order method for accuracy.

    Args:
        M: the manifold.
        cost: `cost(x, *data)`, returns shape `(*batch,)`.
        x: the start, shape `(*batch, *point_shape)`.
        gradient: the Riemannian gradient `gradient(x, *data)`; None is autograd.
        euclidean_gradient: the Euclidean gradient instead, converted by the manifold.
        data: tensors with the batch axes in front, handed to the callables after the point.
        vectorized: False if the callables are written for one point.
        direction: momentum, Adam and the like, see `GradientDescentOptions`.
        stepsize: see `GradientDescentOptions`, as for the following.
        stop: the stopping criterion.
        retraction_method: name of the manifold's retraction.
        check_every: how often the host asks whether any problem still runs.
        compact: whether finished problems leave the working set.
        debug: what to print, see `solve`.
        record: what to record, see `solve`.
        return_options: whether to return the options (with reasons, iterations, records) instead of the result.

    Returns:
        The minimiser, shape `(*batch, *point_shape)`, or the options.

    Raises:
        ManoptError: for bad input, before the first iteration; see `solve`.

    References:
        [AbsilMahonySepulchre:2008], chapter 4; [Boumal:2023], chapter 4.

    Examples:
        >>> import torch
        >>> from manopt_torch import Sphere, steepest_descent
        >>> x = steepest_descent(Sphere(3), lambda x: x[..., 2], torch.tensor([0.6, 0.8, 0.0], dtype=torch.float64))
        >>> round(float(x[2]), 6)
        -1.0
    """
    problem = GradientProblem(
        M, cost, gradient, euclidean_gradient=euclidean_gradient, data=data, vectorized=vectorized
    )
    options = GradientDescentOptions(
        x,
        direction=direction,
        stepsize=stepsize,
        stop=stop,
        retraction_method=retraction_method,
        check_every=check_every,
        compact=compact,
    )
    solve(problem, options, debug=debug, record=record)
    return options if return_options else get_solver_result(options)
