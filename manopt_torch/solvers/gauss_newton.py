r"""The Gauss-Newton method with a line search.

$$x_{i+1} = \operatorname{retr}_{x_i}(s_i h_i), \qquad h_i = \arg\min_h \lVert r(x_i) + J(x_i)\, h\rVert^2,$$

the shortest such $h$ where there are many, with weights and a robust loss worked into residuals and Jacobian.
References: [NocedalWright:2006], section 10.3; [MadsenNielsenTingleff:2004], section 3.1; on manifolds
[AbsilMahonySepulchre:2008], section 8.4.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch

from manopt_torch._keywords import what_came
from manopt_torch.errors import OptionsError
from manopt_torch.functional.gauss_newton import distance_to_go, largest_cosine, relative_length, squared_sizes
from manopt_torch.linear_solvers.base import LinearSolver
from manopt_torch.linear_solvers.least_norm import LeastNormSolver
from manopt_torch.manifolds.base import Manifold
from manopt_torch.plans.begin import begin, mark_broken_start
from manopt_torch.plans.commit import commit
from manopt_torch.plans.dispatch import get_solver_result, initialize_solver, step_solver
from manopt_torch.plans.options import Options, state, strict_keywords
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import (
    StopAfterIteration,
    StoppingCriterion,
    StopWhenCosineLess,
    StopWhenReductionLess,
    StopWhenRelativeStepLess,
)
from manopt_torch.problems.least_squares import LeastSquaresProblem, ResidualTrial, gradient_coordinates
from manopt_torch.stepsizes.armijo import ArmijoLinesearch
from manopt_torch.stepsizes.base import Linesearch, Stepsize, take_step
from manopt_torch.stepsizes.renew import renew


@dataclass(eq=False, kw_only=True)
class GaussNewtonOptions(Options):
    r"""Options of the Gauss-Newton method.

    Args:
        x: the start, shape `(*batch, *point_shape)`.
        stepsize: the stepsize $s_i$; None halves it from 1 on until Armijo's rule holds, each iteration anew.
            `ConstantStepsize(1.0)` is the plain method, without a guard.
        linear_solver: how $h_i$ is computed; None is `LeastNormSolver()`, a Cholesky factorisation, with the
            pseudo-inverse for the problems that need it.
        stop: the stopping criterion; None is `StopAfterIteration(200) | StopWhenCosineLess() | StopWhenReductionLess()
            | StopWhenRelativeStepLess()`, the tests of MINPACK at working precision.
        retraction_method: name of the manifold's retraction; None is its default.
        check_every: how often (in iterations) the host asks whether any problem of a batch still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter has the wrong kind or is out of its range.

    Examples:
        >>> import torch
        >>> from manopt_torch import GaussNewtonOptions
        >>> GaussNewtonOptions(torch.zeros(2)).linear_solver
        LeastNormSolver()
    """

    needs: ClassVar[tuple[str, ...]] = ("residuals", "jacobian")

    stepsize: Stepsize | None = None
    linear_solver: LinearSolver | None = None

    # updated every step
    newton: Any = state()  # the next step, in coordinates, (*batch, n)
    predicted: Any = state()  # reduction of the cost that the model promises for it
    cosine: Any = state()
    step_ahead: Any = state()  # its relative length
    relative_reduction: Any = state()
    relative_step: Any = state()
    last_stepsize: Any = state()

    def __post_init__(self) -> None:
        """Fill in the defaults and check the ranges."""
        Options.__post_init__(self)
        if self.stepsize is None:
            self.stepsize = whole_step_first()
        if not callable(self.stepsize) or isinstance(self.stepsize, type):
            came = what_came(self.stepsize)
            raise OptionsError(f"GaussNewtonOptions: stepsize must be one such as ConstantStepsize(1.0), got {came}")
        self.linear_solver = LeastNormSolver() if self.linear_solver is None else self.linear_solver
        if not isinstance(self.linear_solver, LinearSolver):
            raise OptionsError(
                f"GaussNewtonOptions: linear_solver must be one such as QRSolver(), got {what_came(self.linear_solver)}"
            )
        if self.stop is None:
            self.stop = (
                StopAfterIteration(200) | StopWhenCosineLess() | StopWhenReductionLess() | StopWhenRelativeStepLess()
            )


@initialize_solver.register(GaussNewtonOptions)
def _initialize(p: Any, o: GaussNewtonOptions) -> None:
    begin(p, o)
    lane = o.lane
    trial = p.residual_trial(o.x, lane.shape)
    o.cost = trial.cost
    for name, value in _model(p, o, o.x, trial).items():
        setattr(o, name, value)
    o.relative_reduction = o.relative_step = lane.full(float("nan"))
    o.last_stepsize = None
    mark_broken_start(o, lane.finite(o.cost) & lane.finite(o.gradient))


@step_solver.register(GaussNewtonOptions)
def _step(p: Any, o: GaussNewtonOptions, i: int) -> None:
    lane, cost = o.lane, o.lane.scalar(o.cost)
    # what the last search found says nothing about this one: the whole step is always tried first
    if isinstance(o.stepsize, Linesearch):  # other rules live from what they remember
        renew(o.stepsize, p, o, lane.full(True))
    s, trial = take_step(_Residuals(p), o, i, p.M.from_coordinates(o.x, o.newton))
    change = lane.max(abs(cost - lane.scalar(trial.cost)), o.predicted)
    # a search that looked at gradients has spent the graph of the residuals
    model = _model(p, o, trial.x, p.residual_trial(trial.x) if trial.context is None else trial.context)
    change, left = lane.div(change, cost), distance_to_go(lane, model["step_ahead"], o.step_ahead)
    commit(o, x=trial.x, cost=trial.cost, last_stepsize=s, relative_reduction=change, relative_step=left, **model)


def _model(p: Any, o: GaussNewtonOptions, x: Any, trial: ResidualTrial) -> dict[str, Any]:
    """Return the gradient and the Gauss-Newton step at a point, and how far from the end they say it is."""
    lane, M, solver = o.lane, p.M, cast(LinearSolver, o.linear_solver)
    normal = solver.linearize(p, x, trial)
    g = normal.gradient
    h, ok = solver.solve(p, x, normal.system, g, None)
    slope = lane.scalar(torch.where(ok, (g * h).sum(-1), torch.inf))
    # where the solver found no way down: minus the gradient
    h = lane.pick(slope < 0.0, h, -g)
    return {
        "gradient": M.from_coordinates(x, g),
        "newton": h,
        "predicted": -0.5 * lane.scalar((g * h).sum(-1)),
        "cosine": lane.scalar(largest_cosine(g, normal.diagonal, trial.cost)),
        "step_ahead": lane.scalar(relative_length(h, squared_sizes(M, x).sqrt(), normal.diagonal)),
    }


def whole_step_first() -> ArmijoLinesearch:
    """Return the search that tries the whole step, and halves it until it gains a fifth of what the model promises.

    With the usual $10^{-4}$ of the slope more steps leap onto a plateau, from which there is no way back. Near the end
    the whole step is good although rounding hides what it gains.
    """
    return ArmijoLinesearch(1.0, 0.5, 0.1, max_increases=0, max_stepsize=float("inf"), cost_resolution=16.0)


class _Residuals:
    """A least-squares problem as line searches see it: trials keep the graph of the residuals, not of the cost."""

    def __init__(self, p: Any) -> None:
        self._problem, self.M = p, p.M

    def __getattr__(self, name: str) -> Any:
        return getattr(self._problem, name)

    def trial(self, x: Any) -> tuple[Any, Any]:
        """Evaluate the residuals at a trial point: cost and all of the outcome."""
        at = self._problem.residual_trial(x)
        return at.cost, at

    def gradient_from(self, x: Any, context: Any) -> Any:
        """Return the gradient at a trial point."""
        return self.M.from_coordinates(x, gradient_coordinates(self._problem.linearize_residuals(x, context)))


@strict_keywords
def gauss_newton(
    M: Manifold,
    residuals: Callable[..., Any],
    x: Any,
    *,
    jacobian: Callable[..., Any] | str | None = None,
    weights: torch.Tensor | None = None,
    loss: Any = None,
    data: tuple[Any, ...] = (),
    vectorized: bool = True,
    stepsize: Stepsize | None = None,
    linear_solver: LinearSolver | None = None,
    stop: StoppingCriterion | None = None,
    retraction_method: str | None = None,
    check_every: int = 1,
    compact: bool = True,
    debug: Any = None,
    record: Any = None,
    return_options: bool = False,
) -> Any:
    r"""Minimise half a sum of squares by the Gauss-Newton method, each problem of the batch on its own path.

    Quadratic convergence where residuals vanish, fast where they are small, and no parameter to choose. Where starts
    are far or Jacobians nearly singular prefer `levenberg_marquardt` or `dogleg`.

    Args:
        M: the manifold.
        residuals: `residuals(x, *data)`, returns shape `(*batch, m)`.
        x: the start, shape `(*batch, *point_shape)`.
        jacobian: the ambient differential `jacobian(x, *data)`, shape `(*batch, m, *point_shape)`; None is autograd.
        weights: weights of the squares, shape `(m,)` or `(*batch, m)`.
        loss: a robust loss such as `HuberLoss()`.
        data: tensors with the batch axes in front, handed to the callables after the point.
        vectorized: False if the callables are written for one point.
        stepsize: see `GaussNewtonOptions`, as for the following.
        linear_solver: how the step is computed.
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
        [NocedalWright:2006], section 10.3; [MadsenNielsenTingleff:2004], section 3.1.

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, gauss_newton
        >>> t = torch.linspace(0, 1, 5, dtype=torch.float64)
        >>> y = 2 * torch.exp(-3 * t)
        >>> start = torch.ones(2, dtype=torch.float64)
        >>> x = gauss_newton(Euclidean(2), lambda x: x[..., :1] * torch.exp(-x[..., 1:] * t) - y, start)
        >>> x.round(decimals=6)
        tensor([2., 3.], dtype=torch.float64)
    """
    problem = LeastSquaresProblem(M, residuals, jacobian, weights=weights, loss=loss, data=data, vectorized=vectorized)
    options = GaussNewtonOptions(
        x,
        stepsize=stepsize,
        linear_solver=linear_solver,
        stop=stop,
        retraction_method=retraction_method,
        check_every=check_every,
        compact=compact,
    )
    solve(problem, options, debug=debug, record=record)
    return options if return_options else get_solver_result(options)
