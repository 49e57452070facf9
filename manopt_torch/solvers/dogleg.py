r"""Powell's dogleg method for nonlinear least squares.

Each step minimises the model $\tfrac12\lVert r + J h\rVert^2$ along the dogleg from 0 by the steepest descent step to
the Gauss-Newton step, within a radius that grows where the model predicts well and shrinks where it does not. Lengths
are those of scaled parameters, $\lVert h\rVert_D^2 = h^\top D h$.
References: [Powell:1970]; [MadsenNielsenTingleff:2004], section 3.3.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch

from manopt_torch._keywords import what_came
from manopt_torch.errors import OptionsError
from manopt_torch.functional.dogleg import dogleg_path
from manopt_torch.functional.gauss_newton import distance_to_go, largest_cosine, relative_length, squared_sizes
from manopt_torch.linear_solvers.base import LinearSolver
from manopt_torch.linear_solvers.least_norm import LeastNormSolver
from manopt_torch.manifolds.base import Manifold
from manopt_torch.plans.begin import begin, mark_broken_start
from manopt_torch.plans.commit import commit
from manopt_torch.plans.dispatch import get_solver_result, initialize_solver, step_solver
from manopt_torch.plans.options import Options, check_range, state, strict_keywords
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import (
    StopAfterIteration,
    StoppingCriterion,
    StopWhenCosineLess,
    StopWhenReductionLess,
    StopWhenRelativeStepLess,
)
from manopt_torch.problems.least_squares import LeastSquaresProblem, Linearization

# how good a model must be for the radius to grow, how bad to shrink, and by how much [MadsenNielsenTingleff:2004]
_GOOD, _BAD, _GROWTH, _SHRINKAGE = 0.75, 0.25, 3.0, 0.5
# a cost carries an error of some roundings, though never of so many times these
_UNSEEN, _HARM = 4.0, 100.0
# a parameter counts as at least so large as this share of the change that alone would explain the residuals
_LEAST_SHARE = 1e-2


@dataclass(eq=False, kw_only=True)
class DoglegOptions(Options):
    r"""Options of the dogleg method.

    Args:
        x: the start, shape `(*batch, *point_shape)`.
        initial_radius: radius of the first step, a length of parameters measured in their sizes at the start.
        max_radius: the radius never exceeds this.
        acceptance: least ratio of actual to predicted decrease for a step to be taken, in [0, 0.25).
        linear_solver: how the Gauss-Newton step is computed; None is `LeastNormSolver()`, a Cholesky factorisation,
            with the pseudo-inverse for the problems that need it.
        stop: the stopping criterion; None is `StopAfterIteration(1000) | StopWhenCosineLess() |
            StopWhenReductionLess() | StopWhenRelativeStepLess()`, the tests of MINPACK at working precision.
        retraction_method: name of the manifold's retraction; None is its default.
        check_every: how often (in iterations) the host asks whether any problem of a batch still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter has the wrong kind or is out of its range.

    Examples:
        >>> import torch
        >>> from manopt_torch import DoglegOptions
        >>> DoglegOptions(torch.zeros(2)).acceptance
        0.0001
    """

    needs: ClassVar[tuple[str, ...]] = ("residuals", "jacobian")

    initial_radius: float = 1.0
    max_radius: float = float("inf")
    acceptance: float = 1e-4
    linear_solver: LinearSolver | None = None

    # updated when a step is accepted
    coordinates: Any = state()  # of the gradient in the basis of the tangent space, (*batch, n)
    newton: Any = state()  # the Gauss-Newton step, likewise
    curvature: Any = state()  # of the model along the gradient
    cosine: Any = state()
    step_ahead: Any = state()  # relative length of the Gauss-Newton step
    # set at the start of a run
    scaling: Any = state()  # diagonal of D, (*batch, n)
    # updated every step
    radius: Any = state()
    gain_ratio: Any = state()
    relative_reduction: Any = state()
    relative_step: Any = state()

    def __post_init__(self) -> None:
        """Fill in the defaults and check the ranges."""
        Options.__post_init__(self)
        check_range(self, "initial_radius", 0.0, float("inf"))
        check_range(self, "max_radius", 0.0, float("inf"), open_high=False)
        check_range(self, "acceptance", 0.0, _BAD, open_low=False)
        self.linear_solver = LeastNormSolver() if self.linear_solver is None else self.linear_solver
        if not isinstance(self.linear_solver, LinearSolver):
            raise OptionsError(
                f"DoglegOptions: linear_solver must be one such as QRSolver(), got {what_came(self.linear_solver)}"
            )
        if self.stop is None:
            self.stop = (
                StopAfterIteration(1000) | StopWhenCosineLess() | StopWhenReductionLess() | StopWhenRelativeStepLess()
            )


@initialize_solver.register(DoglegOptions)
def _initialize(p: Any, o: DoglegOptions) -> None:
    begin(p, o)
    lane = o.lane
    trial = p.residual_trial(o.x, lane.shape)
    o.cost = trial.cost
    at = p.linearize_residuals(o.x, trial)
    o.scaling = _scaling(at.jacobian.square().sum(-2), o.cost, squared_sizes(p.M, o.x).sqrt())
    for name, value in _model(p, o, o.x, o.cost, at).items():
        setattr(o, name, value)
    o.radius = lane.full(float(min(o.initial_radius, o.max_radius)))
    o.gain_ratio = o.relative_reduction = o.relative_step = lane.full(float("nan"))
    mark_broken_start(o, lane.finite(o.cost) & lane.finite(o.gradient))


@step_solver.register(DoglegOptions)
def _step(p: Any, o: DoglegOptions, i: int) -> None:
    lane, cost = o.lane, o.lane.scalar(o.cost)
    g, newton, D = o.coordinates, o.newton, o.scaling
    steepest = g / D
    a, b, squared, predicted = dogleg_path(
        lane, _dot(lane, g, steepest), o.curvature, _dot(lane, g, newton), _dot(lane, newton, D * newton), o.radius
    )
    h = lane.axpy(lane.scale(-a, steepest), b, newton)
    x = p.M.retract(o.x, p.M.from_coordinates(o.x, h), None, o.retraction_method)
    trial = p.residual_trial(x)
    actual = cost - lane.trial_cost(trial.cost)
    # below the rounding error of the cost no decrease can be seen: there a step counts as good that does no harm
    rounding = torch.finfo(trial.residuals.dtype).eps * cost
    unseen = _UNSEEN * rounding
    ratio = lane.div(actual + unseen, predicted + unseen)
    accepted = (ratio > o.acceptance) & (predicted > 0.0) & (actual >= 0.0)
    # a step that promised next to nothing and did harm, more than rounding does: a shorter one is no use either
    hopeless = (predicted <= rounding) & lane.not_(abs(actual) <= _HARM * unseen)
    o.stagnated = o.stagnated | (lane.without(o.active, accepted) & (hopeless | (squared == 0.0)))
    new = {
        "cost": o.cost,
        "radius": _radius(o, accepted, ratio, lane.sqrt(squared)),
        "gain_ratio": ratio,
        "relative_reduction": lane.div(lane.max(predicted, abs(actual)), cost),
        "relative_step": lane.full(float("inf")),
    }
    if lane.any(o.active & accepted):
        taken = {"x": x, "cost": trial.cost, **_model(p, o, x, trial.cost, p.linearize_residuals(x, trial))}
        taken["relative_step"] = distance_to_go(lane, taken["step_ahead"], o.step_ahead)
        new |= {name: lane.pick(accepted, t, new.get(name, getattr(o, name))) for name, t in taken.items()}
    commit(o, **new)


def _radius(o: DoglegOptions, accepted: Any, ratio: Any, length: Any) -> Any:
    """Return the radius of the next step."""
    lane = o.lane
    grown = lane.min(lane.max(o.radius, _GROWTH * length), o.max_radius)
    # a step may have been shorter than the radius, so the radius is taken from it
    shrunk = _SHRINKAGE * lane.min(o.radius, length)
    radius = lane.where(ratio > _GOOD, grown, lane.where(ratio >= _BAD, o.radius, shrunk))
    return lane.where(accepted, radius, shrunk)


def _model(p: Any, o: DoglegOptions, x: Any, cost: torch.Tensor, at: Linearization) -> dict[str, Any]:
    """Return gradient and Gauss-Newton step at a point, and the curvature of the model along the gradient."""
    lane, M, solver = o.lane, p.M, cast(LinearSolver, o.linear_solver)
    normal = solver.normal(at)
    g = normal.gradient
    h, ok = solver.solve(p, x, normal.system, g, None)
    steepest = g / o.scaling
    ahead = (at.jacobian @ steepest.unsqueeze(-1)).squeeze(-1)
    curvature = _dot(lane, ahead, ahead)
    down = lane.scalar(torch.where(ok, (g * h).sum(-1), torch.inf)) < 0.0
    # where the solver found no way down the dogleg ends at its bend
    t = lane.where(curvature > 0.0, lane.div(_dot(lane, g, steepest), curvature), 0.0 * curvature)
    h = lane.pick(down, h, lane.scale(-t, steepest))
    return {
        "gradient": M.from_coordinates(x, g),
        "coordinates": g,
        "newton": h,
        "curvature": curvature,
        "cosine": lane.scalar(largest_cosine(g, normal.diagonal, cost)),
        "step_ahead": lane.scalar(relative_length(h, squared_sizes(M, x).sqrt(), normal.diagonal)),
    }


def _scaling(
    diagonal: torch.Tensor,  # shape: (*batch, n), squared lengths of the columns of J
    cost: torch.Tensor,  # shape: (*batch,)
    size: torch.Tensor,  # shape: (*batch, n), of the parameters at the start
) -> torch.Tensor:
    """Return the diagonal D of the norm: parameters count in units of their size at the start.

    One that starts near zero counts as a share of the change in it that alone would explain the residuals.
    """
    tiny = torch.finfo(diagonal.dtype).tiny
    natural = torch.sqrt(2 * cost.unsqueeze(-1) / diagonal.clamp(min=tiny))
    size = torch.maximum(size, torch.where(diagonal > 0, _LEAST_SHARE * natural, torch.zeros_like(size)))
    return torch.where(size > 0, size, torch.ones_like(size)) ** -2


def _dot(lane: Any, u: torch.Tensor, v: torch.Tensor) -> Any:
    return lane.scalar((u * v).sum(-1))


@strict_keywords
def dogleg(
    M: Manifold,
    residuals: Callable[..., Any],
    x: Any,
    *,
    jacobian: Callable[..., Any] | str | None = None,
    weights: torch.Tensor | None = None,
    loss: Any = None,
    data: tuple[Any, ...] = (),
    vectorized: bool = True,
    initial_radius: float = 1.0,
    max_radius: float = float("inf"),
    acceptance: float = 1e-4,
    linear_solver: LinearSolver | None = None,
    stop: StoppingCriterion | None = None,
    retraction_method: str | None = None,
    check_every: int = 1,
    compact: bool = True,
    debug: Any = None,
    record: Any = None,
    return_options: bool = False,
) -> Any:
    r"""Minimise half a sum of squares by Powell's dogleg, each problem of the batch with a radius of its own.

    One linear solve for each step taken, none for a step refused: cheaper than Levenberg-Marquardt where many are.
    Lengths are measured in the sizes of the parameters at the start, so that their units do not matter.

    Args:
        M: the manifold.
        residuals: `residuals(x, *data)`, returns shape `(*batch, m)`.
        x: the start, shape `(*batch, *point_shape)`.
        jacobian: the ambient differential `jacobian(x, *data)`, shape `(*batch, m, *point_shape)`; None is autograd.
        weights: weights of the squares, shape `(m,)` or `(*batch, m)`.
        loss: a robust loss such as `HuberLoss()`.
        data: tensors with the batch axes in front, handed to the callables after the point.
        vectorized: False if the callables are written for one point.
        initial_radius: see `DoglegOptions`, as for the following.
        max_radius: the radius never exceeds this.
        acceptance: least gain ratio of a step taken.
        linear_solver: how the Gauss-Newton step is computed.
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
        [Powell:1970]; [MadsenNielsenTingleff:2004], section 3.3.

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, dogleg
        >>> def rosenbrock(x):
        ...     return torch.stack([10 * (x[..., 1] - x[..., 0] ** 2), 1 - x[..., 0]], -1)
        >>> x = dogleg(Euclidean(2), rosenbrock, torch.tensor([-1.2, 1.0], dtype=torch.float64))
        >>> x.round(decimals=6)
        tensor([1., 1.], dtype=torch.float64)
    """
    problem = LeastSquaresProblem(M, residuals, jacobian, weights=weights, loss=loss, data=data, vectorized=vectorized)
    options = DoglegOptions(
        x,
        initial_radius=initial_radius,
        max_radius=max_radius,
        acceptance=acceptance,
        linear_solver=linear_solver,
        stop=stop,
        retraction_method=retraction_method,
        check_every=check_every,
        compact=compact,
    )
    solve(problem, options, debug=debug, record=record)
    return options if return_options else get_solver_result(options)
