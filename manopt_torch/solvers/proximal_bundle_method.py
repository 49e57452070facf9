r"""The proximal bundle method.

$$x_{i+1} = \operatorname{retr}_{x_i}(t_i d_i), \qquad d_i = \arg\min_d \max_j \bigl(\langle s_j, d\rangle - c_j\bigr)
+ \tfrac{\mu_i}2 \lVert d\rVert^2$$

with $s_j = \operatorname{P}_{x_i \leftarrow q_j} X_j + \eta_i \log_{x_i} q_j$ for subgradients $X_j$ at the points
$q_j$ tried so far, and $c_j = e_j + \tfrac{\eta_i}2 \lVert\log_{x_i} q_j\rVert^2$ for their linearisation errors $e_j$
at $x_i$. The terms with $\eta_i$ make up for what the cost lacks in convexity: $\eta_i$ is so large that no $c_j$ is
negative. A trial that lowers the cost enough is the next iterate (a serious step); another one adds its subgradient to
the bundle (a null step). References: [HoseiniMonjeziNobakhtianPouryayevali:2021].
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from manopt_torch._typing import Mask, Scalar
from manopt_torch.functional.bundle import (
    Combination,
    column,
    combined,
    errors_at,
    first_step,
    subgradients_at,
)
from manopt_torch.functional.linesearch import Trial
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.geodesics import carry, move, towards
from manopt_torch.manifolds.points import expand_right, map_shaped, new_axis
from manopt_torch.plans.bundle import BundleOptions, begin_bundle, check_bundle, commit_bundle, tried
from manopt_torch.plans.dispatch import get_solver_result, initialize_solver, step_solver
from manopt_torch.plans.options import Options, check_range, state, strict_keywords
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration, StoppingCriterion, StopWhenLagrangeMultiplierLess
from manopt_torch.problems.subgradient import SubGradientProblem


@dataclass(eq=False, kw_only=True)
class ProximalBundleMethodOptions(BundleOptions):
    r"""Options of the proximal bundle method.

    Args:
        x: the start, shape `(*batch, *point_shape)`.
        bundle_size: places in the bundle, at least 2. A full bundle merges its members of least weight into their
            combination.
        sufficient_decrease: share of the predicted decrease that makes a step a serious one, in $(0, 1)$.
        initial_parameter: $\mu_1$, positive. The larger, the shorter the steps.
        parameter_growth: $\delta \ge 0$, by which a serious step makes the parameter grow, $\mu_{i+1} = (1 + \delta)
            \mu_i$; None is $\mu_{i+1} = \log(i + 1)$.
        convexification: $\alpha_0 \ge 0$, by how much $\eta$ exceeds what the bundle asks for, $\eta_i = \alpha_0 +
            \max(\alpha_0, \alpha_i, \max_j -2 e_j / \lVert\log_{x_i} q_j\rVert^2)$. For costs known to be geodesically
            convex 0 is faster.
        max_stepsize: longest step; None is half the injectivity radius. After a shorter null step $t d$, $\alpha_i =
            -\langle d, \operatorname{P} X\rangle / (t \lVert d\rVert^2)$, else 0.
        contraction_factor: ratio of two trials, in $(0, 1)$. A second one is made where the cost of the first is not
            finite.
        max_decreases: bound on the number of further trials.
        stop: the stopping criterion; None is `StopAfterIteration(5000) | StopWhenLagrangeMultiplierLess(1e-8)`, as in
            Manopt.jl.
        retraction_method: name of the manifold's retraction; None is the exponential map where there is one. With one
            that is far from it at the length of a step, null steps may teach the model nothing.
        check_every: how often (in iterations) the host asks whether any problem of a batch still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter is out of its range.

    Examples:
        >>> import torch
        >>> from manopt_torch import ProximalBundleMethodOptions
        >>> ProximalBundleMethodOptions(torch.zeros(2)).bundle_size
        50
    """

    bundle_size: int = 50
    sufficient_decrease: float = 0.0125
    initial_parameter: float = 0.5
    parameter_growth: float | None = None
    convexification: float = 1.2
    max_stepsize: float | None = None
    contraction_factor: float = 0.5
    max_decreases: int = 60

    # updated every step
    proximal_parameter: Any = state()  # mu
    eta: Any = state()
    alpha: Any = state()

    def __post_init__(self) -> None:
        """Fill in the defaults and check the ranges."""
        Options.__post_init__(self)
        check_bundle(self)
        check_range(self, "sufficient_decrease", 0.0, 1.0)
        check_range(self, "initial_parameter", 0.0, math.inf)
        check_range(self, "convexification", 0.0, math.inf, open_low=False)
        if self.parameter_growth is not None:
            check_range(self, "parameter_growth", 0.0, math.inf, open_low=False)
        if self.stop is None:
            self.stop = StopAfterIteration(5000) | StopWhenLagrangeMultiplierLess(1e-8)


@initialize_solver.register(ProximalBundleMethodOptions)
def _initialize(p: Any, o: ProximalBundleMethodOptions) -> None:
    begin_bundle(p, o)
    lane = o.lane
    o.proximal_parameter = lane.full(float(o.initial_parameter))
    o.eta, o.alpha = lane.full(0.0), lane.full(0.0)


@step_solver.register(ProximalBundleMethodOptions)
def _step(p: Any, o: ProximalBundleMethodOptions, i: int) -> None:
    lane, cost, mu = o.lane, o.lane.scalar(o.cost), o.proximal_parameter
    eta, g = _model(p, o)
    decrease = lane.div(g.squared_norm, mu) + g.error
    length = lane.div(lane.sqrt(g.squared_norm), mu)
    t, trial, ok = _search(p, o, g, length)
    reached = lane.trial_cost(trial.cost)
    # lower in any case: the bound may round to the cost itself
    serious = ok & (reached < cost) & (reached <= cost - o.sufficient_decrease * t * decrease)
    grown = lane.full(math.log(i + 1)) if o.parameter_growth is None else (1.0 + o.parameter_growth) * mu
    commit_bundle(
        *(p, o, i, g, trial, serious, ok),
        proximal_parameter=lane.where(serious, grown, mu),
        eta=eta,
        alpha=lane.where(ok & lane.not_(serious) & (t < 1.0), _lacking_ahead(p, o, g, t, trial), lane.full(0.0)),
        direction_norm=length,
        multiplier=decrease,
        last_stepsize=t,
    )
    # after the commit: a small multiplier is the better reason
    eps = torch.finfo(o.cost.dtype).eps
    progress = ok & (decrease > eps * abs(cost)) & (t * length > eps * lane.size(o.x))
    o.stagnated = o.stagnated | (o.active & lane.not_(progress))


def _model(p: Any, o: ProximalBundleMethodOptions) -> tuple[Scalar, Combination]:
    r"""Return eta, and the combination of the convexified bundle: its subgradient is $-\mu d$."""
    M, lane, x, cost = p.M, o.lane, o.x, o.lane.scalar(o.cost)
    errors = errors_at(M, lane, o.bundle, x, cost)
    at = new_axis(x, M.point_shape)
    away = towards(M, at, o.bundle.points)
    squared = M.inner(at, away, away).to(errors.dtype)
    # what rounding of the costs leaves in an error says nothing about convexity
    below = -errors - 8 * torch.finfo(o.cost.dtype).eps * column(lane, abs(cost), x)
    asking = (o.bundle.born >= 0) & (below > 0) & (squared > 0)
    needed = lane.scalar(torch.where(asking, 2 * below / torch.where(asking, squared, 1.0), 0.0).amax(-1))
    eta = o.convexification + lane.max(lane.max(needed, o.alpha), o.convexification)
    share = column(lane, eta, x)

    def bent(ndim: int, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return torch.addcmul(u, expand_right(share.to(u.real.dtype), ndim), v)

    subgradients = map_shaped(bent, M.point_shape, subgradients_at(M, o.bundle, x), away)
    errors = (errors + 0.5 * share * squared).clamp(min=0.0)
    return eta, combined(M, lane, o.bundle, x, subgradients, errors, o.active, o.proximal_parameter)


def _search(p: Any, o: ProximalBundleMethodOptions, g: Combination, length: Scalar) -> tuple[Scalar, Trial, Mask]:
    """Take the step that the model asks for, shortened until cost and subgradient are finite."""
    M, lane, x, mu = p.M, o.lane, o.x, o.proximal_parameter
    t = first_step(M, lane, x, 1.0, length, o.max_stepsize)
    rounds = 0
    while True:
        # along the geodesic where there is one: of a point elsewhere the model at the step asked for may learn nothing
        q = move(M, x, g.subgradient, lane.div(-1.0 * t, mu), o.retraction_method)
        trial = tried(p, q)
        ok = lane.finite(trial.cost) & lane.finite(trial.gradient)
        searching = o.active & lane.not_(ok)
        rounds += 1
        if rounds > o.max_decreases or not lane.any(searching):
            return t, trial, ok
        t = lane.where(searching, o.contraction_factor * t, t)


def _lacking_ahead(p: Any, o: ProximalBundleMethodOptions, g: Combination, t: Scalar, trial: Trial) -> Scalar:
    r"""Return the eta with which the subgradient of a shortened step does not point further on.

    Without it a null step that ends before $d$ might leave the model at $d$ as it is.
    """
    M, lane = p.M, o.lane
    back = lane.scalar(M.inner(o.x, carry(M, trial.x, o.x, trial.gradient), g.subgradient))
    return lane.div(o.proximal_parameter * back, t * g.squared_norm)


@strict_keywords
def proximal_bundle_method(
    M: Manifold,
    cost: Callable[..., Any],
    x: Any,
    *,
    subgradient: Callable[..., Any] | None = None,
    data: tuple[Any, ...] = (),
    vectorized: bool = True,
    bundle_size: int = 50,
    initial_parameter: float = 0.5,
    convexification: float = 1.2,
    max_stepsize: float | None = None,
    stop: StoppingCriterion | None = None,
    retraction_method: str | None = None,
    check_every: int = 1,
    compact: bool = True,
    debug: Any = None,
    record: Any = None,
    return_options: bool = False,
) -> Any:
    r"""Minimise a cost with kinks, convex or not, by its subgradients, remembering the last ones.

    The cost falls with each serious step, and the combination of subgradients tells how far from stationary a run is.
    For geodesically convex costs `convex_bundle_method` needs fewer steps. Further parameters of the steps are those of
    `ProximalBundleMethodOptions`.

    Args:
        M: the manifold.
        cost: `cost(x, *data)`, returns shape `(*batch,)`.
        x: the start, shape `(*batch, *point_shape)`.
        subgradient: `subgradient(x, *data)`, a tangent vector; None is what autograd returns.
        data: tensors with the batch axes in front, handed to the callables after the point.
        vectorized: False if the callables are written for one point.
        bundle_size: see `ProximalBundleMethodOptions`, as for the following.
        initial_parameter: the first proximal parameter.
        convexification: by how much the model is more convex than its members ask for.
        max_stepsize: longest step.
        stop: the stopping criterion.
        retraction_method: name of the manifold's retraction.
        check_every: how often the host asks whether any problem still runs.
        compact: whether finished problems leave the working set.
        debug: what to print, see `solve`.
        record: what to record, see `solve`.
        return_options: whether to return the options (with reasons, iterations, records) instead of the result.

    Returns:
        The point with the least cost met, shape `(*batch, *point_shape)`, or the options.

    Raises:
        ManoptError: for bad input, before the first iteration; see `solve`.

    References:
        [HoseiniMonjeziNobakhtianPouryayevali:2021].

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, proximal_bundle_method
        >>> cost = lambda x: (x - torch.tensor([1.0, 2.0], dtype=torch.float64)).abs().sum(-1)
        >>> x = proximal_bundle_method(Euclidean(2), cost, torch.zeros(2, dtype=torch.float64))
        >>> bool(cost(x) < 1e-7)
        True
    """
    problem = SubGradientProblem(M, cost, subgradient, data=data, vectorized=vectorized)
    options = ProximalBundleMethodOptions(
        x,
        bundle_size=bundle_size,
        initial_parameter=initial_parameter,
        convexification=convexification,
        max_stepsize=max_stepsize,
        stop=stop,
        retraction_method=retraction_method,
        check_every=check_every,
        compact=compact,
    )
    solve(problem, options, debug=debug, record=record)
    return options if return_options else get_solver_result(options)
