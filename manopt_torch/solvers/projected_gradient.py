r"""The projected gradient method.

$$x_{i+1} = P_C\bigl(\operatorname{retr}_{x_i}(-s_i \operatorname{grad} f(x_i))\bigr)$$

with a projection $P_C$ onto the set $C$ and a step size $s_i$ found by backtracking along the arc of projected points.
References: [Goldstein:1964]; [Bertsekas:1976].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from manopt_torch._keywords import what_came
from manopt_torch.errors import OptionsError
from manopt_torch.functional.linesearch import Trial
from manopt_torch.functional.projected_search import ArcRule, projected_search
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import first_leaf
from manopt_torch.plans.begin import begin, check_answer, first_evaluation
from manopt_torch.plans.commit import commit, finite_point
from manopt_torch.plans.dispatch import get_solver_result, initialize_solver, step_solver
from manopt_torch.plans.options import Options, check_count, check_range, state, strict_keywords
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration, StoppingCriterion, StopWhenStationarityLess
from manopt_torch.problems.base import map_over_batch
from manopt_torch.problems.gradient import GradientProblem
from manopt_torch.stepsizes.constant import ConstantStepsize
from manopt_torch.stepsizes.decreasing import DecreasingStepsize
from manopt_torch.stepsizes.two_faced import smallest_step

# how often (in iterations) accepted steps are compared with the smallest that still moves the point
_LOOK_FOR_STAGNATION = 16


@dataclass(eq=False, kw_only=True)
class ProjectedGradientOptions(Options):
    r"""Options of the projected gradient method.

    Args:
        x: the start, shape `(*batch, *point_shape)`; it is projected onto the set first.
        projection: `projection(x, *data)` returns the nearest point of the set.
        stepsize: None for backtracking; a `ConstantStepsize` or `DecreasingStepsize` is taken as it is.
        stop: the stopping criterion; None is `StopAfterIteration(300) | StopWhenStationarityLess(1e-7)`, as in
            Manopt.jl.
        initial_stepsize: first step that backtracking tries in a run.
        contraction_factor: ratio of two trials, in $(0, 1)$.
        growth_factor: ratio of the first trial of a search and the step before, where that was accepted at once.
        sufficient_decrease: $c \in (0, 1)$ in the test $f(x(s)) \le f(x) - \frac{c}{s} d(x, x(s))^2$; below one half
            a step of $1/L$ passes on sets that are not convex as well.
        max_decreases: bound on the shrinking rounds of one search.
        retraction_method: name of the manifold's retraction; None is its default.
        check_every: how often (in iterations) the host asks whether any problem of a batch still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter has the wrong kind or is out of its range.

    Examples:
        >>> import torch
        >>> from manopt_torch import ProjectedGradientOptions
        >>> ProjectedGradientOptions(torch.zeros(2), projection=lambda x: x.clamp(min=0)).stop
        StopAfterIteration(300) | StopWhenStationarityLess(1e-07)
    """

    needs: ClassVar[tuple[str, ...]] = ("cost", "gradient")

    projection: Callable[..., Any]
    stepsize: ConstantStepsize | DecreasingStepsize | None = None
    initial_stepsize: float = 1.0
    contraction_factor: float = 0.5
    growth_factor: float = 1.2  # a search in four then tries a second step
    sufficient_decrease: float = 0.3
    max_decreases: int = 100

    # updated every step; the last three speak of the new point
    last_stepsize: Any = state()
    next_stepsize: Any = state()
    ahead: Any = state()  # the projected point that the next step tries first
    stationarity: Any = state()

    def __post_init__(self) -> None:
        """Fill in the defaults and check the ranges."""
        Options.__post_init__(self)
        if not callable(self.projection):
            raise OptionsError(f"ProjectedGradientOptions: projection must be callable, got {self.projection!r}")
        if not isinstance(self.stepsize, (ConstantStepsize, DecreasingStepsize, type(None))):
            raise OptionsError(
                "ProjectedGradientOptions: stepsize must be ConstantStepsize(...), DecreasingStepsize(...), or None "
                f"for backtracking, got {what_came(self.stepsize)}"
            )
        check_range(self, "initial_stepsize", 0.0, float("inf"))
        check_range(self, "contraction_factor", 0.0, 1.0)
        check_range(self, "growth_factor", 1.0, float("inf"), open_low=False)
        check_range(self, "sufficient_decrease", 0.0, 1.0)
        check_count(self, "max_decreases", 1)
        if self.stop is None:
            self.stop = StopAfterIteration(300) | StopWhenStationarityLess(1e-7)


@initialize_solver.register(ProjectedGradientOptions)
def _initialize(p: Any, o: ProjectedGradientOptions) -> None:
    begin(p, o)
    start, inside = o.x, _project(p, o, o.x)
    check_answer(p, o, "result of the projection", inside)
    o.x = o.lane.pick(o.lane.finite(inside), inside, start)
    try:
        first_evaluation(p, o)
    except Exception:
        o.x = start  # options that cannot start are left as they were
        raise
    o.last_stepsize = None
    o.next_stepsize = o.lane.full(float(o.initial_stepsize)) if o.stepsize is None else o.stepsize(p, o, 1)
    o.ahead, o.stationarity = _look_ahead(p, o, o.x, o.cost, o.gradient, o.next_stepsize)


@step_solver.register(ProjectedGradientOptions)
def _step(p: Any, o: ProjectedGradientOptions, i: int) -> None:
    trial = Trial(o.ahead, *p.trial(o.ahead))
    if o.stepsize is None:
        s, trial, following = _search(p, o, i, trial)
    else:
        s, following = o.next_stepsize, o.stepsize(p, o, i + 1)
    gradient = p.gradient_from(trial.x, trial.context)
    ahead, stationarity = _look_ahead(p, o, trial.x, trial.cost, gradient, following)
    commit(
        o,
        x=trial.x,
        cost=trial.cost,
        gradient=gradient,
        last_stepsize=s,
        next_stepsize=following,
        ahead=ahead,
        stationarity=stationarity,
    )


def _search(p: Any, o: ProjectedGradientOptions, i: int, first: Trial) -> tuple[Any, Trial, Any]:
    """Backtrack along the arc; return the step, the trial there, and the step to try first next time."""
    M, lane, s = p.M, o.lane, o.next_stepsize

    def squared_distance(y: Any) -> Any:
        u = M.inverse_retract(o.x, y)
        return lane.scalar(M.inner(o.x, u, u))

    def probe(s: Any) -> tuple[Trial, Any]:
        y = _arc(p, o, o.x, o.gradient, s)
        return Trial(y, *p.trial(y)), squared_distance(y)

    def smallest() -> Any:
        return smallest_step(lane, o.x, o.gradient)

    eps = torch.finfo(first_leaf(o.x).dtype).eps
    rule = ArcRule(o.contraction_factor, o.sufficient_decrease, o.max_decreases, 0.5 * eps)
    found = projected_search(
        lane,
        probe,
        lane.scalar(o.cost),
        (first, (o.stationarity * s) * (o.stationarity * s)),
        s,
        o.active,
        rule,
        smallest,
    )
    o.stagnated = o.stagnated | found.failed
    if i % _LOOK_FOR_STAGNATION == 0:
        o.stagnated = o.stagnated | (o.active & (found.step <= smallest()))
    return found.step, found.trial, lane.where(found.step < s, found.step, o.growth_factor * s)


def _look_ahead(p: Any, o: ProjectedGradientOptions, x: Any, cost: Any, gradient: Any, s: Any) -> tuple[Any, Any]:
    """Return the projected step from `x`, and its length in units of the step size."""
    M, lane = p.M, o.lane
    x, gradient = finite_point(o, x, cost, gradient)
    ahead = _arc(p, o, x, gradient, s)
    moved = lane.div(lane.scalar(M.norm(x, M.inverse_retract(x, ahead))), s)
    # a step that rounding swallows, as at a wall, says nothing of the set
    swallowed = s <= smallest_step(lane, x, gradient)
    return ahead, lane.where(swallowed, lane.scalar(M.norm(x, gradient)), moved)


def _arc(p: Any, o: ProjectedGradientOptions, x: Any, gradient: Any, s: Any) -> Any:
    return _project(p, o, p.M.retract(x, gradient, -s, o.retraction_method))


def _project(p: Any, o: ProjectedGradientOptions, y: Any) -> Any:
    projection = o.projection if p.vectorized else map_over_batch(o.projection, p.M)
    return projection(y, *p.data)


@strict_keywords
def projected_gradient(
    M: Manifold,
    cost: Callable[..., Any],
    x: Any,
    *,
    projection: Callable[..., Any],
    gradient: Callable[..., Any] | None = None,
    euclidean_gradient: Callable[..., Any] | None = None,
    data: tuple[Any, ...] = (),
    vectorized: bool = True,
    stepsize: ConstantStepsize | DecreasingStepsize | None = None,
    stop: StoppingCriterion | None = None,
    retraction_method: str | None = None,
    check_every: int = 1,
    compact: bool = True,
    debug: Any = None,
    record: Any = None,
    return_options: bool = False,
) -> Any:
    r"""Minimise a differentiable cost over a set onto which points are easy to project.

    For boxes, balls, half-spaces and cones, on manifolds too. All iterates lie in the set. Converges linearly, as
    steepest descent does. Further parameters of the backtracking are those of `ProjectedGradientOptions`.

    Args:
        M: the manifold.
        cost: `cost(x, *data)`, returns shape `(*batch,)`.
        x: the start, shape `(*batch, *point_shape)`; it is projected onto the set first.
        projection: `projection(x, *data)` returns the nearest point of the set.
        gradient: the Riemannian gradient `gradient(x, *data)`; None is autograd.
        euclidean_gradient: the Euclidean gradient instead, converted by the manifold.
        data: tensors with the batch axes in front, handed to the callables after the point.
        vectorized: False if the callables, the projection too, are written for one point.
        stepsize: see `ProjectedGradientOptions`, as for the following.
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
        [Goldstein:1964]; [Bertsekas:1976].

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, projected_gradient
        >>> f = lambda x: (x[..., 0] - 1) ** 2 + (x[..., 1] + 1) ** 2
        >>> start = torch.tensor([2.0, 2.0], dtype=torch.float64)
        >>> x = projected_gradient(Euclidean(2), f, start, projection=lambda x: x.clamp(min=0))
        >>> [round(v, 6) for v in x.tolist()]
        [1.0, 0.0]
    """
    problem = GradientProblem(
        M, cost, gradient, euclidean_gradient=euclidean_gradient, data=data, vectorized=vectorized
    )
    options = ProjectedGradientOptions(
        x,
        projection=projection,
        stepsize=stepsize,
        stop=stop,
        retraction_method=retraction_method,
        check_every=check_every,
        compact=compact,
    )
    solve(problem, options, debug=debug, record=record)
    return options if return_options else get_solver_result(options)
