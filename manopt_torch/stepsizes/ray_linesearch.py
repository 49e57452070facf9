"""What line searches with derivatives share: both faces, the first trial, and what they leave in the options."""

from abc import abstractmethod
from typing import Any

import torch

from manopt_torch._keywords import what_came
from manopt_torch.errors import OptionsError
from manopt_torch.functional.linesearch import Found, Trial
from manopt_torch.functional.masked import lane_for
from manopt_torch.functional.ray import Ray, Sample
from manopt_torch.manifolds.base import Manifold
from manopt_torch.plans.options import check_range, lane_of, memory_of
from manopt_torch.problems.base import check_cost
from manopt_torch.problems.gradient import GradientProblem
from manopt_torch.stepsizes.base import told
from manopt_torch.stepsizes.two_faced import TwoFacedLinesearch, note_stagnation, smallest_step

# a search whose step has grown by so much has found no end: on a cost that falls for ever the next goes on from there
_FAR = 2.0**20


class RayLinesearch(TwoFacedLinesearch):
    """Base of the line searches that look at costs and slopes along the direction.

    A subclass is a dataclass with the fields below and `search`. The gradient at the accepted point is left in
    `o.trial`, so that the solver need not ask for it again.
    """

    initial_stepsize: float
    initial_guess: Any
    max_stepsize: float | None
    cost_resolution: float
    retraction_method: str | None

    def check_shared(self) -> None:
        """Check the parameters that all these searches have."""
        check_range(self, "initial_stepsize", 0.0, float("inf"))
        if self.max_stepsize is not None:
            check_range(self, "max_stepsize", 0.0, float("inf"), open_high=False)
        check_range(self, "cost_resolution", 0.0, float("inf"), open_low=False)
        check_guess(self)

    @abstractmethod
    def search(self, ray: Ray, step: Any, active: Any) -> Found:
        """Search along a ray from the first trial `step`; problems that are not active stay at the start."""

    def init(self, p: Any, o: Any) -> Any:
        """Start from the initial step size."""
        lane = lane_of(p, o)
        return {"last": lane.full(float(self.initial_stepsize)), "reached": lane.full(0.0)}

    def _search_in_run(self, p: Any, o: Any, i: int, eta: Any = None) -> Any:
        lane, memory = lane_of(p, o), memory_of(self, p, o)
        cost, gradient = o.cost, o.gradient
        if cost is None or gradient is None:  # called by hand before the run was initialised
            cost, gradient = p.get_cost_and_gradient(o.x)
        active = lane.full(True) if o.active is None else o.active
        ray = ray_from(lane, p, o.x, cost, gradient, eta, o.retraction_method, self.max_stepsize, self.cost_resolution)
        ray = ray._replace(reached=memory["reached"])
        first = first_trial(ray, self.initial_guess, i, memory["last"])
        found = self.search(ray, first, active)
        moved = active & lane.not_(found.failed)
        memory["last"], o.trial = lane.where(moved, found.step, memory["last"]), found.trial
        endless = moved & (found.step >= _FAR * first)
        memory["reached"] = lane.where(endless, found.step, lane.full(0.0))
        note_stagnation(o, i, ray.direction, found)
        return found.step

    def _search_alone(self, M: Manifold, x: Any, F: Any, gradient: Any, eta: Any = None) -> Any:
        lane, p = lane_for(M, x), GradientProblem(M, F, gradient if callable(gradient) else None)
        cost = F(x)
        check_cost(cost, lane.shape)
        here = gradient(x) if callable(gradient) else gradient
        ray = ray_from(
            lane, p, x, cost.detach(), here, eta, self.retraction_method, self.max_stepsize, self.cost_resolution
        )
        first = first_trial(ray, self.initial_guess, 1, lane.full(float(self.initial_stepsize)))
        return self.search(ray, first, lane.full(True)).step

    def __repr__(self) -> str:
        return told(self)


def check_guess(search: Any) -> None:
    """Raise an OptionsError unless the initial guess is one."""
    guess = search.initial_guess
    if not callable(guess) or isinstance(guess, type):
        raise OptionsError(
            f"{type(search).__name__}: initial_guess must be one such as ArmijoInitialGuess(), got {what_came(guess)}"
        )


def ray_from(
    lane: Any,
    p: Any,
    x: Any,
    cost: torch.Tensor,
    gradient: Any,
    eta: Any,
    method: str | None,
    max_stepsize: float | None,
    resolution: float,
) -> Ray:
    """Return the ray from `x` along `eta`, or along minus the gradient if that is None."""
    M, sign = p.M, -1.0 if eta is None else 1.0
    direction = gradient if eta is None else eta
    slope = sign * lane.scalar(M.inner(x, gradient, direction))

    def probe(s: Any) -> Trial:
        y = M.retract(x, direction, sign * s, method)
        return Trial(y, *p.trial(y))

    def differentiate(trial: Trial) -> tuple[Any, Any]:
        g = p.gradient_from(trial.x, trial.context)
        along = M.transport(x, trial.x, direction)
        return g, sign * lane.scalar(M.inner(trial.x, g, along))

    def squared_length() -> Any:
        return -slope if eta is None else lane.scalar(M.inner(x, eta, eta))

    value = lane.scalar(cost)
    # along a direction of ascent only an equal or a lower cost will do
    start = Sample(lane.full(0.0), value, lane.min(slope, 0.0), Trial(x, cost, None, gradient))
    slack = resolution * torch.finfo(cost.dtype).eps * abs(value)

    def smallest() -> Any:
        return smallest_step(lane, x, direction)

    ray = Ray(lane, M, direction, start, float("inf"), slack, probe, differentiate, smallest, squared_length)
    radius = M.injectivity_radius(x) if max_stepsize is None else max_stepsize
    if isinstance(radius, torch.Tensor) or radius != float("inf"):
        ray = ray._replace(longest=lane.div(lane.scalar(radius), ray.length()))
    return ray


def first_trial(ray: Ray, guess: Any, i: int, last: Any) -> Any:
    """Return the first step to try, not longer than the longest."""
    return ray.lane.min(guess(ray, i, last), ray.longest)
