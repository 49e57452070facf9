r"""The convex bundle method.

$$x_{i+1} = \exp_{x_i}(-t_i g_i), \qquad g_i = \sum_j \lambda_j \operatorname{P}_{x_i \leftarrow q_j} X_j$$

with subgradients $X_j$ at the points $q_j$ tried so far, carried to the iterate, and the weights $\lambda$ on the
simplex that minimise $\tfrac12 \lVert g\rVert^2 + \sum_j \lambda_j e_j$, where $e_j \ge 0$ is how far the affine
minorant of $q_j$ lies below the cost at $x_i$. A trial that lowers the cost enough is the next iterate (a serious
step); another one adds its subgradient to the bundle (a null step). References: [BergmannHerzogJasa:2024].
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from manopt_torch._typing import Mask, Scalar
from manopt_torch.errors import OptionsError
from manopt_torch.functional.bundle import (
    Combination,
    combined,
    errors_at,
    first_step,
    rise,
    subgradients_at,
)
from manopt_torch.functional.linesearch import Trial
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.geodesics import carry, move
from manopt_torch.plans.bundle import BundleOptions, begin_bundle, check_bundle, commit_bundle, tried
from manopt_torch.plans.dispatch import get_solver_result, initialize_solver, step_solver
from manopt_torch.plans.options import Options, check_range, strict_keywords
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration, StoppingCriterion, StopWhenLagrangeMultiplierLess
from manopt_torch.problems.subgradient import SubGradientProblem

# A null step has to correct the model at the trial by this share of the predicted decrease at least. For a geodesically
# convex cost on a flat space the trial that fails the test of a serious step always does, by all but a thousandth.
_CORRECTION = 0.5


@dataclass(eq=False, kw_only=True)
class ConvexBundleMethodOptions(BundleOptions):
    r"""Options of the convex bundle method.

    Args:
        x: the start, shape `(*batch, *point_shape)`.
        bundle_size: places in the bundle, at least 2. A full bundle merges its members of least weight into their
            combination, so that any size converges; more than the dimension of the manifold is fast.
        sufficient_decrease: share of the predicted decrease that makes a step a serious one, in $(0, 1/2)$.
        diameter: of a set that holds the iterates and the minimiser; it matters only with a curvature bound.
        k_min: lower bound of the sectional curvature, used if below zero.
        k_max: upper bound of the sectional curvature, used if above zero. With bounds the errors $e_j$ grow by
            $\varrho \lVert X_j\rVert d(q_j, x_i)$, which makes the model a true minorant of a geodesically convex cost
            in spite of the curvature; the default trusts that the bundle is near the iterate.
        initial_stepsize: $t_i$ of the first trial of each step.
        max_stepsize: longest step $t_i \lVert g_i\rVert$; None is half the injectivity radius.
        contraction_factor: ratio of two trials, in $(0, 1)$. A second one is made where the first is out of the domain
            of the cost (its value is not finite), or neither lowers the cost nor corrects the model.
        max_decreases: bound on the number of further trials.
        stop: the stopping criterion; None is `StopAfterIteration(5000) | StopWhenLagrangeMultiplierLess(1e-8)`, as in
            Manopt.jl.
        retraction_method: name of the manifold's retraction; None is the exponential map where there is one, since
            minorants are affine along geodesics.
        check_every: how often (in iterations) the host asks whether any problem of a batch still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter is out of its range.

    Examples:
        >>> import torch
        >>> from manopt_torch import ConvexBundleMethodOptions
        >>> ConvexBundleMethodOptions(torch.zeros(2)).bundle_size
        25
    """

    bundle_size: int = 25
    sufficient_decrease: float = 1e-3
    diameter: float = math.pi / 3
    k_min: float = 0.0
    k_max: float = 0.0
    initial_stepsize: float = 1.0
    max_stepsize: float | None = None
    contraction_factor: float = 0.5
    max_decreases: int = 60

    def __post_init__(self) -> None:
        """Fill in the defaults and check the ranges."""
        Options.__post_init__(self)
        check_bundle(self)
        check_range(self, "sufficient_decrease", 0.0, _CORRECTION)
        for name in ("diameter", "initial_stepsize"):
            check_range(self, name, 0.0, math.inf)
        check_range(self, "k_min", -math.inf, math.inf)
        check_range(self, "k_max", self.k_min, math.inf, open_low=False)
        if self.k_max > 0 and math.sqrt(self.k_max) * self.diameter >= math.pi:
            raise OptionsError(
                f"{type(self).__name__}: diameter must be below pi / sqrt(k_max) = {math.pi / math.sqrt(self.k_max):g},"
                f" got {self.diameter!r}: costs are not geodesically convex on larger sets"
            )
        if self.stop is None:
            self.stop = StopAfterIteration(5000) | StopWhenLagrangeMultiplierLess(1e-8)

    @property
    def curvature_factor(self) -> float:
        r"""The factor $\varrho$ by which curvature may turn a subgradient on its way to the iterate."""
        least, most = (math.sqrt(abs(k)) * self.diameter for k in (self.k_min, self.k_max))
        spread = least / math.tanh(least) - 1 if self.k_min < 0 else 0.0
        return max(spread, 1 - most / math.tan(most)) if self.k_max > 0 else spread


@initialize_solver.register(ConvexBundleMethodOptions)
def _initialize(p: Any, o: ConvexBundleMethodOptions) -> None:
    begin_bundle(p, o)


@step_solver.register(ConvexBundleMethodOptions)
def _step(p: Any, o: ConvexBundleMethodOptions, i: int) -> None:
    M, lane, cost = p.M, o.lane, o.lane.scalar(o.cost)
    # the absolute value is for costs that are not convex: their minorants may lie above them
    errors = errors_at(M, lane, o.bundle, o.x, cost, o.curvature_factor).abs()
    g = combined(M, lane, o.bundle, o.x, subgradients_at(M, o.bundle, o.x), errors, o.active)
    t, trial, serious, useful = _search(p, o, g)
    decrease = g.squared_norm + g.error
    resolved = decrease > torch.finfo(o.cost.dtype).eps * abs(cost)
    commit_bundle(
        *(p, o, i, g, trial, serious, serious | useful),
        direction_norm=lane.sqrt(g.squared_norm),
        multiplier=decrease,
        last_stepsize=t,
    )
    # after the commit: a small multiplier is the better reason
    o.stagnated = o.stagnated | (o.active & lane.not_((serious | useful) & resolved))


def _search(p: Any, o: ConvexBundleMethodOptions, g: Combination) -> tuple[Scalar, Trial, Mask, Mask]:
    """Shorten the step until the trial lowers the cost (serious) or its subgradient corrects the model (useful)."""
    M, lane, x, cost = p.M, o.lane, o.x, o.lane.scalar(o.cost)
    decrease = g.squared_norm + g.error
    t = first_step(M, lane, x, o.initial_stepsize, lane.sqrt(g.squared_norm), o.max_stepsize)
    rounds = 0
    while True:
        q = move(M, x, g.subgradient, -1.0 * t, o.retraction_method)
        trial = tried(p, q)
        reached = lane.trial_cost(trial.cost)
        ok = (reached < math.inf) & lane.finite(trial.gradient)
        # lower in any case: the bound may round to the cost itself
        serious = ok & (reached < cost) & (reached <= cost - o.sufficient_decrease * t * decrease)
        slope = lane.scalar(M.inner(x, carry(M, q, x, trial.gradient), g.subgradient))
        error = abs(cost - reached - lane.scalar(rise(M, q, trial.gradient, x, o.curvature_factor)))
        useful = ok & lane.not_(serious) & (slope + error <= _CORRECTION * decrease)
        searching = o.active & lane.not_(serious | useful)
        rounds += 1
        if rounds > o.max_decreases or not lane.any(searching):
            return t, trial, serious, useful
        t = lane.where(searching, o.contraction_factor * t, t)


@strict_keywords
def convex_bundle_method(
    M: Manifold,
    cost: Callable[..., Any],
    x: Any,
    *,
    subgradient: Callable[..., Any] | None = None,
    data: tuple[Any, ...] = (),
    vectorized: bool = True,
    bundle_size: int = 25,
    diameter: float = math.pi / 3,
    k_min: float = 0.0,
    k_max: float = 0.0,
    stop: StoppingCriterion | None = None,
    retraction_method: str | None = None,
    check_every: int = 1,
    compact: bool = True,
    debug: Any = None,
    record: Any = None,
    return_options: bool = False,
) -> Any:
    r"""Minimise a geodesically convex cost with kinks by its subgradients, remembering the last ones.

    The cost falls with each serious step, and the combination of subgradients tells how far from its minimum a run
    is, so that unlike the subgradient method it knows when to end. For costs that are not convex use
    `proximal_bundle_method`. Further parameters of the steps are those of `ConvexBundleMethodOptions`.

    Args:
        M: the manifold.
        cost: `cost(x, *data)`, returns shape `(*batch,)`.
        x: the start, shape `(*batch, *point_shape)`.
        subgradient: `subgradient(x, *data)`, a tangent vector; None is what autograd returns.
        data: tensors with the batch axes in front, handed to the callables after the point.
        vectorized: False if the callables are written for one point.
        bundle_size: see `ConvexBundleMethodOptions`, as for the following.
        diameter: of a set that holds the iterates and the minimiser.
        k_min: lower bound of the sectional curvature.
        k_max: upper bound of the sectional curvature.
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
        [BergmannHerzogJasa:2024].

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, convex_bundle_method
        >>> cost = lambda x: (x - torch.tensor([1.0, 2.0], dtype=torch.float64)).abs().sum(-1)
        >>> x = convex_bundle_method(Euclidean(2), cost, torch.zeros(2, dtype=torch.float64))
        >>> bool(cost(x) < 1e-8)
        True
    """
    problem = SubGradientProblem(M, cost, subgradient, data=data, vectorized=vectorized)
    options = ConvexBundleMethodOptions(
        x,
        bundle_size=bundle_size,
        diameter=diameter,
        k_min=k_min,
        k_max=k_max,
        stop=stop,
        retraction_method=retraction_method,
        check_every=check_every,
        compact=compact,
    )
    solve(problem, options, debug=debug, record=record)
    return options if return_options else get_solver_result(options)
