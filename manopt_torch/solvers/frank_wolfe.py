r"""The Frank-Wolfe method, also called conditional gradients.

$$q_i \in \operatorname*{argmin}_{q \in C} \langle \operatorname{grad} f(x_i), \log_{x_i} q\rangle, \qquad
x_{i+1} = \operatorname{retr}_{x_i}(s_i \log_{x_i} q_i), \quad 0 \le s_i \le 1,$$

which never leaves a (geodesically) convex set $C$ and never projects. References: [FrankWolfe:1956]; [Jaggi:2013];
[WeberSra:2023] on manifolds.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from manopt_torch._keywords import what_came
from manopt_torch.errors import OptionsError
from manopt_torch.functional.linesearch import Trial
from manopt_torch.manifolds.base import Manifold
from manopt_torch.plans.begin import begin, check_answer, first_evaluation
from manopt_torch.plans.commit import commit, finite_point
from manopt_torch.plans.dispatch import get_solver_result, initialize_solver, step_solver
from manopt_torch.plans.options import Options, state, strict_keywords
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import (
    StopAfterIteration,
    StoppingCriterion,
    StopWhenGapLess,
    StopWhenGradientNormLess,
)
from manopt_torch.problems.base import map_over_batch
from manopt_torch.problems.gradient import GradientProblem
from manopt_torch.stepsizes.base import Linesearch, Stepsize, probe, trial_gradient
from manopt_torch.stepsizes.decreasing import DecreasingStepsize
from manopt_torch.stepsizes.short_step import ShortStepLinesearch


@dataclass(eq=False, kw_only=True)
class FrankWolfeOptions(Options):
    r"""Options of the Frank-Wolfe method.

    Args:
        x: the start, a point of the set, shape `(*batch, *point_shape)`.
        oracle: `oracle(x, gradient, *data)` returns the point of the set that minimises
            $q \mapsto \langle \operatorname{grad} f(x), \log_x q\rangle_x$. Or Options of a solver for that problem,
            `ProjectedGradientOptions(x, projection=...)`, say, which is run from `x` at every step.
        stepsize: the stepsize; None is `DecreasingStepsize(2.0, shift=2.0)`, the classical $2 / (i + 2)$.
            `ShortStepLinesearch()` is mostly faster. Steps are cut off at 1, the oracle's point.
        stop: the stopping criterion; None is `StopAfterIteration(200) | StopWhenGradientNormLess(1e-8) |
            StopWhenGapLess(1e-8)`.
        retraction_method: name of the retraction to move by, whose inverse gives the direction; None is the
            manifold's default. Only the geodesics of "exp" are sure to stay in a geodesically convex set.
        check_every: how often (in iterations) the host asks whether any problem of a batch still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter has the wrong kind or is out of its range.

    Examples:
        >>> import torch
        >>> from manopt_torch import FrankWolfeOptions
        >>> corner = lambda x, g: torch.nn.functional.one_hot(g.argmin(-1), 3).to(g)  # of the simplex
        >>> FrankWolfeOptions(torch.ones(3) / 3, oracle=corner).stepsize
        DecreasingStepsize(2.0, 1.0, 0.0, 1.0, shift=2.0)
    """

    needs: ClassVar[tuple[str, ...]] = ("cost", "gradient")

    oracle: Any
    stepsize: Stepsize | None = None
    retraction_method: str | None = "exp"

    # updated every step; direction and gap are those of the new point
    last_stepsize: Any = state()
    direction: Any = state()
    gap: Any = state()

    def __post_init__(self) -> None:
        """Fill in the defaults and check the ranges."""
        Options.__post_init__(self)
        if not (callable(self.oracle) or isinstance(self.oracle, Options)) or isinstance(self.oracle, type):
            got = repr(self.oracle)
            raise OptionsError(f"FrankWolfeOptions: oracle must be callable or Options of a sub-solver, got {got}")
        self.stepsize = DecreasingStepsize(2.0, shift=2.0) if self.stepsize is None else self.stepsize
        if not isinstance(self.stepsize, Stepsize):
            got = what_came(self.stepsize)
            raise OptionsError(f"FrankWolfeOptions: stepsize must be one such as ShortStepLinesearch(), got {got}")
        if isinstance(self.stepsize, Linesearch) and not _stays_inside(self.stepsize):
            raise OptionsError(
                f"FrankWolfeOptions: {self.stepsize!r} may step beyond the oracle's point, out of the set: use "
                "ShortStepLinesearch(), whose max_stepsize is at most 1"
            )
        if self.stop is None:
            self.stop = StopAfterIteration(200) | StopWhenGradientNormLess(1e-8) | StopWhenGapLess(1e-8)


def _stays_inside(search: Linesearch) -> bool:
    return isinstance(search, ShortStepLinesearch) and search.max_stepsize <= 1


@initialize_solver.register(FrankWolfeOptions)
def _initialize(p: Any, o: FrankWolfeOptions) -> None:
    begin(p, o)
    first_evaluation(p, o)
    o.last_stepsize = o.direction = None
    o.direction, o.gap = _towards(p, o, o.x, o.cost, o.gradient)


@step_solver.register(FrankWolfeOptions)
def _step(p: Any, o: FrankWolfeOptions, i: int) -> None:
    s, trial = _move(p, o, i)
    gradient = trial_gradient(p, trial)
    direction, gap = _towards(p, o, trial.x, trial.cost, gradient)
    commit(o, x=trial.x, cost=trial.cost, gradient=gradient, last_stepsize=s, direction=direction, gap=gap)


def _move(p: Any, o: FrankWolfeOptions, i: int) -> tuple[Any, Trial]:
    """Go towards the oracle's point; a step longer than one is cut off before anything is evaluated."""
    lane, stepsize = o.lane, o.stepsize
    assert stepsize is not None  # filled in at construction
    s = stepsize(p, o, i, o.direction)
    trial, o.trial = o.trial, None
    if trial is not None:
        return s, trial
    s = lane.min(lane.scalar(s) if isinstance(s, torch.Tensor) else lane.full(s), 1.0)
    return s, probe(p, o, s, o.direction)


def _towards(p: Any, o: FrankWolfeOptions, x: Any, cost: Any, gradient: Any) -> tuple[Any, Any]:
    """Return the direction from `x` to the oracle's point, and the gap."""
    x, gradient = finite_point(o, x, cost, gradient)
    direction = p.M.inverse_retract(x, _ask(p, o, x, gradient), o.retraction_method)
    return direction, -o.lane.scalar(p.M.inner(x, gradient, direction))


def _ask(p: Any, o: FrankWolfeOptions, x: Any, gradient: Any) -> Any:
    """Return the point of the set that minimises the linearised cost."""
    if not isinstance(o.oracle, Options):
        oracle = o.oracle if p.vectorized else map_over_batch(o.oracle, p.M)
        answer = oracle(x, gradient, *p.data)
        if o.direction is None:  # the first one
            check_answer(p, o, "answer of the oracle", answer)
        return answer
    M, method = p.M, o.retraction_method

    def linearised(q: Any, *data: torch.Tensor) -> torch.Tensor:
        return M.inner(x, gradient, M.inverse_retract(x, q, method))

    sub = copy.copy(o.oracle)
    # x and gradient stand in the closure, which compaction would not gather; the data are for a projection
    sub.x, sub.compact = x, False
    solve(GradientProblem(M, linearised, data=p.data), sub)
    return get_solver_result(sub)


@strict_keywords
def frank_wolfe(
    M: Manifold,
    cost: Callable[..., Any],
    x: Any,
    *,
    oracle: Any,
    gradient: Callable[..., Any] | None = None,
    euclidean_gradient: Callable[..., Any] | None = None,
    data: tuple[Any, ...] = (),
    vectorized: bool = True,
    stepsize: Stepsize | None = None,
    stop: StoppingCriterion | None = None,
    retraction_method: str | None = "exp",
    check_every: int = 1,
    compact: bool = True,
    debug: Any = None,
    record: Any = None,
    return_options: bool = False,
) -> Any:
    r"""Minimise a differentiable cost over a convex set, given by an oracle for linear costs, without projections.

    For sets over which linear costs are easy to minimise while projections are not: simplices, norm balls, spectral
    sets, intervals of positive definite matrices. The iterates are sparse combinations of the oracle's points, and the
    gap tells how far a convex cost can still fall. Converges slowly where the minimum lies on a face of the set.

    Args:
        M: the manifold.
        cost: `cost(x, *data)`, returns shape `(*batch,)`.
        x: the start, a point of the set, shape `(*batch, *point_shape)`.
        oracle: `oracle(x, gradient, *data)`, or Options of a sub-solver; see `FrankWolfeOptions`.
        gradient: the Riemannian gradient `gradient(x, *data)`; None is autograd.
        euclidean_gradient: the Euclidean gradient instead, converted by the manifold.
        data: tensors with the batch axes in front, handed to the callables after the point.
        vectorized: False if the callables, the oracle too, are written for one point.
        stepsize: see `FrankWolfeOptions`, as for the following.
        stop: the stopping criterion.
        retraction_method: name of the retraction and of its inverse.
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
        [FrankWolfe:1956]; [Jaggi:2013]; [WeberSra:2023]; [PedregosaNegiarAskariJaggi:2020] for the line search.

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, ShortStepLinesearch, frank_wolfe
        >>> corner = lambda x, g: torch.nn.functional.one_hot(g.argmin(-1), 3).to(g)  # of the simplex
        >>> a = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
        >>> start = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
        >>> f = lambda x: 0.5 * (x - a).square().sum(-1)
        >>> x = frank_wolfe(Euclidean(3), f, start, oracle=corner, stepsize=ShortStepLinesearch())
        >>> bool((x - a).abs().max() < 1e-2), abs(float(x.sum()) - 1) < 1e-12
        (True, True)
    """
    problem = GradientProblem(
        M, cost, gradient, euclidean_gradient=euclidean_gradient, data=data, vectorized=vectorized
    )
    options = FrankWolfeOptions(
        x,
        oracle=oracle,
        stepsize=stepsize,
        stop=stop,
        retraction_method=retraction_method,
        check_every=check_every,
        compact=compact,
    )
    solve(problem, options, debug=debug, record=record)
    return options if return_options else get_solver_result(options)
