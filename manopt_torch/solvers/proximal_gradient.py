r"""The proximal gradient method.

For $f = g + h$ with a smooth $g$ and a proximal map of $h$, a gradient step for the one and a proximal one for the
other,

$$x_{i+1} = \operatorname{prox}_{s_i h}\bigl(\exp_{a_i}(-s_i \operatorname{grad} g(a_i))\bigr),$$

at $a_i = x_i$ or, accelerated, at a point beyond $x_i$ as seen from $x_{i-1}$. References: [BeckTeboulle:2009];
[BergmannJasaJohnPfeffer:2025].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from manopt_torch.functional.linesearch import Found, Trial
from manopt_torch.functional.proximal_search import ProximalProbe, proximal_search
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.geodesics import move, towards
from manopt_torch.manifolds.points import first_leaf, map_leaves
from manopt_torch.plans.begin import begin, mark_broken_start
from manopt_torch.plans.commit import commit
from manopt_torch.plans.dispatch import get_solver_result, initialize_solver, step_solver
from manopt_torch.plans.options import Options, check_count, check_range, state, strict_keywords
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import (
    StopAfterIteration,
    StoppingCriterion,
    StopWhenChangeLess,
    StopWhenGradientMappingNormLess,
)
from manopt_torch.problems.composite import CompositeProblem


@dataclass(eq=False, kw_only=True)
class ProximalGradientOptions(Options):
    r"""Options of the proximal gradient method.

    Args:
        x: the start, shape `(*batch, *point_shape)`; $h$ must be finite there.
        acceleration: whether steps start beyond the iterate (Nesterov's rule); a problem whose cost grows starts anew
            at its iterate.
        initial_stepsize: first step that backtracking tries in a run.
        contraction_factor: ratio of two trials, in $(0, 1)$.
        growth_factor: ratio of the first trial of a search and the step before, where that was accepted at once.
        max_decreases: bound on the shrinking rounds of one search.
        stop: the stopping criterion; None is `StopAfterIteration(5000) | StopWhenGradientMappingNormLess(1e-7) |
            StopWhenChangeLess(1e-9)`, as in Manopt.jl.
        retraction_method: name of the manifold's retraction; None is the exponential map where there is one, since
            with another a fixed point of the step need not be a minimiser.
        check_every: how often (in iterations) the host asks whether any problem of a batch still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter is out of its range.

    Examples:
        >>> import torch
        >>> from manopt_torch import ProximalGradientOptions
        >>> ProximalGradientOptions(torch.zeros(2)).acceleration
        False
    """

    needs: ClassVar[tuple[str, ...]] = ("cost", "smooth_gradient", "proximal_map")

    acceleration: bool = False
    initial_stepsize: float = 1.0
    contraction_factor: float = 0.5
    growth_factor: float = 1.2  # a search in four then tries a second step
    max_decreases: int = 100

    # updated every step: where the next one starts, with value and gradient of the smooth part there
    base: Any = state()
    base_value: Any = state()
    base_gradient: Any = state()
    last_stepsize: Any = state()
    next_stepsize: Any = state()
    gradient_mapping: Any = state()  # the length of the last step over its size
    momentum: Any = state()

    def __post_init__(self) -> None:
        """Fill in the defaults and check the ranges."""
        Options.__post_init__(self)
        check_range(self, "initial_stepsize", 0.0, float("inf"))
        check_range(self, "contraction_factor", 0.0, 1.0)
        check_range(self, "growth_factor", 1.0, float("inf"), open_low=False)
        check_count(self, "max_decreases", 1)
        if self.stop is None:
            self.stop = StopAfterIteration(5000) | StopWhenGradientMappingNormLess(1e-7) | StopWhenChangeLess(1e-9)


@initialize_solver.register(ProximalGradientOptions)
def _initialize(p: Any, o: ProximalGradientOptions) -> None:
    begin(p, o)
    lane = o.lane
    o.cost, context = p.trial(o.x)
    p.check_cost(o.cost, lane.shape)
    gradient = p.gradient_from(o.x, context)
    p.check_tangent("gradient", gradient, lane.shape)
    ok = lane.finite(o.cost) & lane.finite(gradient)
    o.base, o.base_value = o.x, lane.scalar(p.smooth_value(context))
    o.base_gradient = lane.pick(ok, gradient, map_leaves(torch.zeros_like, gradient))
    o.gradient, o.last_stepsize, o.gradient_mapping = None, None, None
    o.next_stepsize, o.momentum = lane.full(float(o.initial_stepsize)), lane.full(1.0)
    mark_broken_start(o, ok)


@step_solver.register(ProximalGradientOptions)
def _step(p: Any, o: ProximalGradientOptions, i: int) -> None:
    lane, s = o.lane, o.next_stepsize
    found, length = _search(p, o)
    step, trial = found.step, found.trial
    o.stagnated = o.stagnated | found.failed
    momentum = o.momentum
    base, value, gradient = trial.x, p.smooth_value(trial.context), None
    if o.acceleration:
        base, value, gradient, momentum = _beyond(p, o, trial)
    commit(
        o,
        x=trial.x,
        cost=trial.cost,
        base=base,
        base_value=lane.scalar(value),
        base_gradient=p.gradient_from(trial.x, trial.context) if gradient is None else gradient,
        last_stepsize=step,
        next_stepsize=lane.where(step < s, step, o.growth_factor * s),
        gradient_mapping=lane.div(length, step),
        momentum=momentum,
    )


def _search(p: Any, o: ProximalGradientOptions) -> tuple[Found, Any]:
    """Backtrack from the base point."""
    M, lane, a, gradient = p.M, o.lane, o.base, o.base_gradient
    ref = first_leaf(o.x)
    eps = torch.finfo(ref.dtype).eps

    def probe(s: Any) -> ProximalProbe:
        # along the geodesic where there is one: another retraction would move the fixed points of a step
        q = move(M, a, gradient, -s, o.retraction_method)
        y = p.get_proximal_map(s if lane.lone else s.to(ref.real.dtype), q, 0)
        trial = Trial(y, *p.trial(y))
        v = towards(M, a, y)
        slope, squared = lane.scalar(M.inner(a, gradient, v)), lane.scalar(M.inner(a, v, v))
        model = o.base_value + slope + lane.div(squared, 2.0 * s)
        return ProximalProbe(trial, lane.scalar(p.smooth_value(trial.context)) - model, lane.sqrt(squared))

    def smallest() -> Any:
        return lane.div(eps * lane.size(o.x), lane.size(gradient))

    slack = 4 * eps * abs(o.base_value)
    return proximal_search(
        lane, probe, o.next_stepsize, o.active, o.contraction_factor, o.max_decreases, slack, smallest
    )


def _beyond(p: Any, o: ProximalGradientOptions, new: Trial) -> tuple[Any, Any, Any, Any]:
    """Return the point beyond the new one, value and gradient of the smooth part there, and the momentum."""
    M, lane = p.M, o.lane
    grows = lane.not_(lane.scalar(new.cost) <= lane.scalar(o.cost))
    t = o.momentum
    following = 0.5 * (1.0 + lane.sqrt(1.0 + 4.0 * t * t))
    following = lane.where(grows, lane.full(1.0), following)
    share = lane.where(grows, lane.full(0.0), lane.div(t - 1.0, following))
    a = move(M, new.x, towards(M, new.x, o.x), -share, o.retraction_method)
    _, context = p.trial(a)
    bad = lane.not_(lane.finite(a) & lane.finite(p.smooth_value(context)))
    if lane.any(o.active & bad):  # beyond the domain of the smooth part: those start at the new point
        a = lane.pick(bad, new.x, a)
        _, context = p.trial(a)
    return a, p.smooth_value(context), p.gradient_from(a, context), following


@strict_keywords
def proximal_gradient(
    M: Manifold,
    smooth: Callable[..., Any],
    x: Any,
    *,
    prox: Callable[..., Any],
    nonsmooth: Callable[..., Any] | None = None,
    gradient: Callable[..., Any] | None = None,
    euclidean_gradient: Callable[..., Any] | None = None,
    data: tuple[Any, ...] = (),
    vectorized: bool = True,
    acceleration: bool = False,
    initial_stepsize: float = 1.0,
    stop: StoppingCriterion | None = None,
    retraction_method: str | None = None,
    check_every: int = 1,
    compact: bool = True,
    debug: Any = None,
    record: Any = None,
    return_options: bool = False,
) -> Any:
    r"""Minimise the sum of a smooth cost and one with a proximal map, each problem of the batch with its own step.

    For sparsity, distances, constraints: what is smooth goes into $g$ and the rest, if its proximal map is known, into
    $h$. Further parameters of the backtracking are those of `ProximalGradientOptions`.

    Args:
        M: the manifold.
        smooth: $g$, `smooth(x, *data)`, returns shape `(*batch,)`.
        x: the start, shape `(*batch, *point_shape)`.
        prox: `prox(lam, x, *data) -> y`, the proximal map of $h$, see `CompositeProblem`.
        nonsmooth: $h$, `nonsmooth(x, *data)`; None is zero, for a `prox` that projects onto a set.
        gradient: the Riemannian gradient of $g$; None is autograd.
        euclidean_gradient: the Euclidean gradient of $g$ instead.
        data: tensors with the batch axes in front, handed to the callables last.
        vectorized: False if the callables are written for one point.
        acceleration: see `ProximalGradientOptions`, as for the following.
        initial_stepsize: first step that backtracking tries.
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
        [BeckTeboulle:2009]; [BergmannJasaJohnPfeffer:2025].

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, proximal_gradient
        >>> b = torch.tensor([3.0, 0.5, 1.5])
        >>> shrink = lambda lam, x: x.sign() * (x.abs() - lam).clamp(min=0)
        >>> smooth, nonsmooth = lambda x: 0.5 * (x - b).square().sum(-1), lambda x: x.abs().sum(-1)
        >>> proximal_gradient(Euclidean(3), smooth, torch.zeros(3), prox=shrink, nonsmooth=nonsmooth)
        tensor([2.0000, 0.0000, 0.5000])
    """
    problem = CompositeProblem(
        M,
        smooth,
        prox,
        nonsmooth=nonsmooth,
        gradient=gradient,
        euclidean_gradient=euclidean_gradient,
        data=data,
        vectorized=vectorized,
    )
    options = ProximalGradientOptions(
        x,
        acceleration=acceleration,
        initial_stepsize=initial_stepsize,
        stop=stop,
        retraction_method=retraction_method,
        check_every=check_every,
        compact=compact,
    )
    solve(problem, options, debug=debug, record=record)
    return options if return_options else get_solver_result(options)
