r"""Stochastic gradient descent.

$$x_{i+1} = \operatorname{retr}_{x_i}(-s_i d_i), \qquad d_i \text{ made from } \operatorname{grad} f_{B_i}(x_i)$$

with $f_{B_i}$ the terms of the cost whose turn it is. References: [RobbinsMonro:1951]; on manifolds [Bonnabel:2013].
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from manopt_torch.directions.base import DirectionRule, check_direction, check_rule, direction_of
from manopt_torch.functional.linesearch import Trial
from manopt_torch.manifolds.base import Manifold
from manopt_torch.plans.begin import begin, first_evaluation
from manopt_torch.plans.commit import commit
from manopt_torch.plans.dispatch import get_solver_result, initialize_solver, step_solver
from manopt_torch.plans.options import Options, state, strict_keywords
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration, StoppingCriterion, StopWhenGradientNormLess
from manopt_torch.problems.eval_order import EvalOrder
from manopt_torch.problems.stochastic import StochasticProblem, sample_of
from manopt_torch.stepsizes.base import Linesearch, Stepsize, check_stepsize, take_step, trial_gradient
from manopt_torch.stepsizes.constant import ConstantStepsize


@dataclass(eq=False, kw_only=True)
class StochasticGradientDescentOptions(Options):
    r"""Options of stochastic gradient descent.

    `cost` and `gradient` are those of the terms that the next step looks at, at the current point: a step costs one
    evaluation. Other problems than a `StochasticProblem` are taken for one term.

    Args:
        x: the start, shape `(*batch, *point_shape)`.
        direction: the rule that makes $d_i$ from the gradient of the sample, such as `AdamRule()`; None is that
            gradient.
        stepsize: the stepsize $s_i$; None is `ConstantStepsize(0.01)`. With a constant one the iterates end up
            wandering in a neighbourhood of a minimiser; they converge with `DecreasingStepsize(l, exponent=e)`,
            $\tfrac12 < e \le 1$. A line search sees the cost of the sample; the accepted point is then evaluated once
            more, for the next sample.
        stop: the stopping criterion; None is `StopAfterIteration(10000) | StopWhenGradientNormLess(1e-9)`, as in
            Manopt.jl. The gradient is that of a sample: where single terms may be flat, use
            `StopWhenRepeated(StopWhenGradientNormLess(eps), problem.steps_of_a_cycle())`.
        retraction_method: name of the manifold's retraction; None is its default.
        check_every: how often (in iterations) the host asks whether any problem of a batch still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter has the wrong kind or is out of its range.

    Examples:
        >>> import torch
        >>> from manopt_torch import AdamRule, StochasticGradientDescentOptions
        >>> StochasticGradientDescentOptions(torch.zeros(2), direction=AdamRule()).stepsize
        ConstantStepsize(0.01)
    """

    needs: ClassVar[tuple[str, ...]] = ("cost", "gradient")

    direction: DirectionRule | None = None
    stepsize: Stepsize | None = None

    # updated every step
    last_stepsize: Any = state()
    # what the next step looks at: problem, step and sample
    sample: Any = state(per_problem=False, saved=False)

    def __post_init__(self) -> None:
        """Fill in the defaults and check the ranges."""
        Options.__post_init__(self)
        # the usual first guess in machine learning; the 1 of Manopt.jl diverges on most sums
        self.stepsize = ConstantStepsize(0.01) if self.stepsize is None else self.stepsize
        check_stepsize(self)
        check_rule(self, searched=isinstance(self.stepsize, Linesearch))
        if self.stop is None:
            self.stop = StopAfterIteration(10_000) | StopWhenGradientNormLess(1e-9)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the sample of the next step behind in copies and pickles: it holds data and local functions."""
        return {**Options.__getstate__(self), "sample": None}


@initialize_solver.register(StochasticGradientDescentOptions)
def _initialize(p: Any, o: StochasticGradientDescentOptions) -> None:
    begin(p, o)
    check_direction(p, o)
    first_evaluation(sample_of(p, o, 1), o)
    o.last_stepsize = o.sample = None


@step_solver.register(StochasticGradientDescentOptions)
def _step(p: Any, o: StochasticGradientDescentOptions, i: int) -> None:
    following = sample_of(p, o, i + 1)
    if isinstance(o.stepsize, Linesearch):
        sample = _sample(p, o, i)
        s, trial = take_step(sample, o, i, direction_of(sample, o, i, searched=True))
        if following is not sample:
            trial = Trial(trial.x, *following.trial(trial.x))
    else:
        eta = None if o.direction is None else direction_of(_sample(p, o, i), o, i)
        # the cost at the new point is asked for the sample of the next step
        s, trial = take_step(following, o, i, eta)
    o.sample = (p, i + 1, following)
    commit(o, x=trial.x, cost=trial.cost, gradient=trial_gradient(following, trial), last_stepsize=s)


def _sample(p: Any, o: Any, i: int) -> Any:
    """Return the sample of this step, which the former step has made unless the batch was compacted since."""
    problem, step, sample = o.sample or (None, 0, None)
    return sample if problem is p and step == i else sample_of(p, o, i)


@strict_keywords
def stochastic_gradient_descent(
    M: Manifold,
    cost: Callable[..., Any] | Sequence[Callable[..., Any]],
    x: Any,
    *,
    gradient: Any = None,
    euclidean_gradient: Any = None,
    terms: int | None = None,
    batch_size: int | None = 1,
    order: EvalOrder | None = None,
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
    r"""Minimise a sum of many terms by steps along the gradients of a few of them.

    The method where one look at all terms costs too much, or where the noise is welcome. Steps are cheap, the way is
    erratic, accuracy is low; with few terms a method that looks at all of them is faster.

    Args:
        M: the manifold.
        cost: the terms, in one of the three forms of `StochasticProblem`.
        x: the start, shape `(*batch, *point_shape)`.
        gradient: the Riemannian gradient in the same form; None is autograd.
        euclidean_gradient: the Euclidean gradient instead, converted by the manifold.
        terms: the number of terms for a `cost(x, index, *data)`.
        batch_size: how many terms a step looks at; None is all.
        order: in which order they come; None is a new random order in every cycle.
        data: tensors with the batch axes in front, and then the axis of terms unless `terms` or a list is given.
        vectorized: False if the callables are written for one point.
        direction: see `StochasticGradientDescentOptions`, as for the following.
        stepsize: the stepsize.
        stop: the stopping criterion.
        retraction_method: name of the manifold's retraction.
        check_every: how often the host asks whether any problem still runs.
        compact: whether finished problems leave the working set.
        debug: what to print, see `solve`.
        record: what to record, see `solve`.
        return_options: whether to return the options (with reasons, iterations, records) instead of the result.

    Returns:
        The last iterate, shape `(*batch, *point_shape)`, or the options.

    Raises:
        ManoptError: for bad input, before the first iteration; see `solve`.

    References:
        [RobbinsMonro:1951]; [Bonnabel:2013]; [BottouCurtisNocedal:2018].

    Examples:
        >>> import torch
        >>> from manopt_torch import DecreasingStepsize, Sphere, StopAfterIteration, stochastic_gradient_descent
        >>> points = torch.tensor([[1.0, 0.2, 0.0], [1.0, -0.2, 0.1], [1.0, 0.0, -0.1]], dtype=torch.float64)
        >>> x = stochastic_gradient_descent(
        ...     Sphere(3),
        ...     lambda x, rows: -(rows * x.unsqueeze(-2)).sum(-1).mean(-1),
        ...     torch.tensor([0.0, 0.6, 0.8], dtype=torch.float64),
        ...     data=(points,),
        ...     stepsize=DecreasingStepsize(2.0),
        ...     stop=StopAfterIteration(300),
        ... )
        >>> round(x[0].item(), 3)
        1.0
    """
    problem = StochasticProblem(
        M,
        cost,
        gradient,
        euclidean_gradient=euclidean_gradient,
        terms=terms,
        batch_size=batch_size,
        order=order,
        data=data,
        vectorized=vectorized,
    )
    options = StochasticGradientDescentOptions(
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
