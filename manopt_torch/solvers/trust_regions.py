r"""Riemannian trust regions.

$$x_{i+1} = \operatorname{retr}_{x_i}(\eta_i), \qquad
\eta_i \approx \operatorname*{arg\,min}_{\lVert\eta\rVert \le \Delta_i} f(x_i)
+ \langle\operatorname{grad} f(x_i), \eta\rangle + \tfrac12\langle\eta, \operatorname{Hess} f(x_i)[\eta]\rangle$$

where the radius $\Delta_i$ follows the quality of the model. References: [AbsilBakerGallivan:2007];
[AbsilMahonySepulchre:2008], chapter 7; [Boumal:2023], section 6.4.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, ClassVar

import torch

from manopt_torch.directions.draws import draw_seed, generator_for
from manopt_torch.errors import OptionsError
from manopt_torch.functional.truncated_cg import CGRule, CGState, QuadraticModel, cauchy_point, rewind, truncated_cg
from manopt_torch.functional.trust_region import RadiusRule, model_quality, next_radius, random_start, unsolved
from manopt_torch.hessians.base import HessianApproximation, check_hessian_option, split_hessian
from manopt_torch.manifolds.base import Manifold
from manopt_torch.plans.begin import begin
from manopt_torch.plans.dispatch import get_solver_result, initialize_solver, step_solver, stop_solver
from manopt_torch.plans.linearization import (
    Linearization,
    commit_accepted,
    first_linearization,
    halt_and_forget,
    linearization_at,
    preconditioner_at,
    products_at,
)
from manopt_torch.plans.options import Options, check_count, check_range, state, strict_keywords
from manopt_torch.plans.rounding import resolved_size, tangent_gradient, watch_rounding
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration, StoppingCriterion, StopWhenGradientNormLess
from manopt_torch.problems.hessian import HessianProblem

_LONG = 16  # a step of more inner iterations may be off the tangent space by their rounding


@dataclass(eq=False, kw_only=True)
class TrustRegionsOptions(Options):
    r"""Options of trust regions.

    Args:
        x: the start, shape `(*batch, *point_shape)`.
        max_trust_region_radius: largest radius; None is $\sqrt{\dim\mathcal M}$, as in Manopt.jl.
        trust_region_radius: first radius; None is an eighth of the largest.
        acceptance_rate: least $\rho = \frac{f(x) - f(y)}{m(0) - m(\eta)}$ of an accepted step, below 1/4.
        rho_regularization: how many roundings of the cost are added to numerator and denominator of $\rho$, so that
            noise rejects no step near the minimum.
        theta: the inner iteration ends at a residual of $\lVert r_0\rVert \min(\lVert r_0\rVert^\theta, \kappa)$; the
            method converges with order $1 + \theta$, 2 at most.
        kappa: see `theta`.
        max_inner_iterations: most products with the Hessian a step; None is the dimension.
        reduction_threshold: the radius shrinks where $\rho$ is less.
        reduction_factor: to which fraction; after a rejection, of the length of the step.
        augmentation_threshold: the radius grows where $\rho$ is larger and the step ends on the boundary.
        augmentation_factor: by how much.
        randomize: whether inner iterations start at a small random vector, to leave saddles; without preconditioner.
        sigma: length of the random vector; None is 1e-3.
        generator: where the seed of the random starts comes from; None is torch's own.
        hessian: None for the problem's Hessian, else an approximation such as `ApproxHessianFiniteDifference()`.
        stop: the stopping criterion; None is `StopAfterIteration(1000) | StopWhenGradientNormLess(1e-6)`, as in
            Manopt.jl.
        retraction_method: name of the manifold's retraction; None is its default.
        check_every: how often (in iterations) the host asks whether any problem of a batch still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter has the wrong kind or is out of its range.

    Examples:
        >>> import torch
        >>> from manopt_torch import TrustRegionsOptions
        >>> TrustRegionsOptions(torch.zeros(2)).acceptance_rate
        0.1
    """

    needs: ClassVar[tuple[str, ...]] = ("cost", "gradient", "hessian")

    max_trust_region_radius: float | None = None
    trust_region_radius: float | None = None
    acceptance_rate: float = 0.1
    rho_regularization: float = 1e3
    theta: float = 1.0
    kappa: float = 0.1
    max_inner_iterations: int | None = None
    reduction_threshold: float = 0.1
    reduction_factor: float = 0.25
    augmentation_threshold: float = 0.75
    augmentation_factor: float = 2.0
    randomize: bool = False
    sigma: float | None = None
    generator: torch.Generator | None = None
    hessian: HessianApproximation | None = None

    # updated every step
    radius: Any = state()  # for the next one
    rho: Any = state()
    inner_iterations: Any = state()
    inner_reason: Any = state()  # a code, see `INNER_REASONS`
    squared_length: Any = state()  # of the last step tried
    least_fall: Any = state()  # decrease promised by a step below the rounding of the cost
    least_norm: Any = state()  # of the gradients between which such steps went
    cost_size: Any = state()  # a cost nearer to zero is not known better
    seed: int = state(0, per_problem=False)  # of random starts
    linearization: Any = state(per_problem=False)  # the gradient's graph
    # set at the start of a run
    precision: Any = state(per_problem=False, saved=False)
    rules: Any = state(per_problem=False, saved=False)  # with the parameters they were made of
    zero: Any = state(per_problem=False, saved=False)  # where all inner iterations of a lone problem start

    def __post_init__(self) -> None:
        """Fill in the defaults and check the ranges."""
        Options.__post_init__(self)
        inf = float("inf")
        for name in ("max_trust_region_radius", "trust_region_radius", "sigma"):
            if getattr(self, name) is not None:
                check_range(self, name, 0.0, inf)
        check_radius(self, self.max_trust_region_radius)
        check_range(self, "acceptance_rate", 0.0, 0.25, open_low=False)
        check_range(self, "rho_regularization", 0.0, inf, open_low=False)
        check_range(self, "theta", 0.0, inf, open_low=False)
        check_range(self, "kappa", 0.0, 1.0, open_high=False)
        for name in ("reduction_threshold", "reduction_factor", "augmentation_threshold"):
            check_range(self, name, 0.0, 1.0)
        check_range(self, "augmentation_factor", 1.0, inf)
        if self.max_inner_iterations is not None:
            check_count(self, "max_inner_iterations", 1)
        check_hessian_option(self)
        if self.stop is None:
            self.stop = StopAfterIteration(1000) | StopWhenGradientNormLess(1e-6)

    @property
    def last_stepsize(self) -> Any:
        """The length of the last step tried, in the norm of the preconditioner; None before the first."""
        return None if self.squared_length is None else self.lane.sqrt(self.squared_length)


def check_radius(o: TrustRegionsOptions, largest: float | None) -> None:
    """Raise an OptionsError if the first radius exceeds the largest one."""
    if largest is not None and o.trust_region_radius is not None and o.trust_region_radius > largest:
        raise OptionsError(
            f"TrustRegionsOptions: trust_region_radius must be at most max_trust_region_radius ({largest:g}), got "
            f"{o.trust_region_radius!r}"
        )


def rules_of(p: Any, o: TrustRegionsOptions) -> tuple[RadiusRule, CGRule, float]:
    """Return how the radius changes, when inner iterations end, and how much of the cost is rounding."""
    factors = o.reduction_threshold, o.reduction_factor, o.augmentation_threshold, o.augmentation_factor
    told = (o.max_trust_region_radius, o.max_inner_iterations, o.theta, o.kappa, o.rho_regularization, factors)
    if o.rules is None or o.rules[0] != told:  # a hook may set parameters between two steps
        dim = max(p.M.dim, 1)
        radius = RadiusRule(float(o.max_trust_region_radius or dim**0.5), *factors)
        inner = CGRule(o.theta, o.kappa, o.max_inner_iterations or dim)
        o.rules = told, (radius, inner, o.rho_regularization * torch.finfo(o.cost.dtype).eps)
    return o.rules[1]


@initialize_solver.register(TrustRegionsOptions)
def _initialize(p: Any, o: TrustRegionsOptions) -> None:
    begin(p, o)
    first_linearization(p, o)
    watch_rounding(o)
    o.rho, o.squared_length, o.rules = o.lane.full(float("nan")), None, None
    o.zero = p.M.zero_tangent(o.x) if o.lane.lone else None
    largest = rules_of(p, o)[0].largest
    check_radius(o, largest)
    o.seed = draw_seed(o.generator) if o.randomize else 0
    o.radius = o.lane.full(largest / 8 if o.trust_region_radius is None else float(o.trust_region_radius))
    o.inner_iterations, o.inner_reason = o.lane.full(0), o.lane.full(0)


stop_solver.register(TrustRegionsOptions)(halt_and_forget)


@step_solver.register(TrustRegionsOptions)
def _step(p: Any, o: TrustRegionsOptions, i: int) -> None:
    lane, M, (radius_rule, cg_rule, rounding), size = o.lane, p.M, rules_of(p, o), resolved_size(p, o)
    inner = _minimize_model(p, o, linearization_at(p, o), cg_rule, size)
    eta, long = inner.eta, inner.count > _LONG
    if not lane.lone or long:
        eta = lane.pick(long, M.project_tangent(o.x, eta), eta)
    y = M.retract(o.x, eta, None, o.retraction_method)
    cost, context = p.trial(y)
    rho, falls = model_quality(lane, lane.scalar(o.cost), lane.trial_cost(cost), inner.fall, rounding, size)
    accepted = falls & (rho > o.acceptance_rate)
    commit_accepted(
        *(p, o, accepted, inner.fall, size, eta, y, cost, context, partial(unsolved, inner)),
        radius=next_radius(lane, radius_rule, o.radius, inner, rho, accepted),
        rho=rho,
        inner_iterations=inner.count,
        inner_reason=inner.reason,
        squared_length=inner.ee,
    )


def _minimize_model(p: Any, o: TrustRegionsOptions, held: Linearization, rule: CGRule, size: Any) -> CGState:
    """Minimise the model; a lone problem that was rejected goes back along the path of its last inner iteration."""
    lane, radius = o.lane, o.radius
    precondition = None if o.randomize else preconditioner_at(p, o.x)
    exact, (gradient, norm) = o.hessian is None, tangent_gradient(p, o, size)
    model = QuadraticModel(p.M, o.x, gradient, products_at(p, o, held.at), precondition, exact, norm, o.zero)
    if o.randomize:
        start = random_start(lane, model, radius, o.sigma or 1e-3, generator_for(o.seed, o.iteration))
        return cauchy_point(lane, model, radius, truncated_cg(lane, model, radius, o.active, rule, eta=start))
    if not lane.lone:
        return truncated_cg(lane, model, radius, o.active, rule)
    if held.found is not None and (known := rewind(lane, model, radius, held.found)) is not None:
        return known
    held.found = []
    return truncated_cg(lane, model, radius, o.active, rule, path=held.found, remember=o.reduction_factor * radius)


@strict_keywords
def trust_regions(
    M: Manifold,
    cost: Callable[..., Any],
    x: Any,
    *,
    gradient: Callable[..., Any] | None = None,
    hessian: Callable[..., Any] | HessianApproximation | None = None,
    preconditioner: Callable[..., Any] | None = None,
    euclidean_gradient: Callable[..., Any] | None = None,
    euclidean_hessian: Callable[..., Any] | None = None,
    data: tuple[Any, ...] = (),
    vectorized: bool = True,
    stop: StoppingCriterion | None = None,
    retraction_method: str | None = None,
    check_every: int = 1,
    compact: bool = True,
    debug: Any = None,
    record: Any = None,
    return_options: bool = False,
    max_trust_region_radius: float | None = None,
    trust_region_radius: float | None = None,
    acceptance_rate: float = 0.1,
    rho_regularization: float = 1e3,
    theta: float = 1.0,
    kappa: float = 0.1,
    max_inner_iterations: int | None = None,
    reduction_threshold: float = 0.1,
    reduction_factor: float = 0.25,
    augmentation_threshold: float = 0.75,
    augmentation_factor: float = 2.0,
    randomize: bool = False,
    sigma: float | None = None,
    generator: torch.Generator | None = None,
) -> Any:
    r"""Minimise a twice differentiable cost by trust regions, each problem of the batch with its own radius.

    The method of choice for smooth costs and high accuracy: it converges from any start, at the end quadratically, and
    needs Hessian-vector products only, one an inner iteration.

    Args:
        M: the manifold.
        cost: `cost(x, *data)`, returns shape `(*batch,)`.
        x: the start, shape `(*batch, *point_shape)`.
        gradient: the Riemannian gradient `gradient(x, *data)`; None is autograd.
        hessian: the Riemannian Hessian `hessian(x, u, *data)` applied to a tangent vector; None is autograd; or an
            approximation such as `ApproxHessianFiniteDifference()`.
        preconditioner: an approximate inverse Hessian `preconditioner(x, u, *data)`; None is the identity.
        euclidean_gradient: the Euclidean gradient instead, converted by the manifold.
        euclidean_hessian: the Euclidean Hessian `euclidean_hessian(x, u, *data)` instead, likewise.
        data: tensors with the batch axes in front, handed to the callables last.
        vectorized: False if the callables are written for one point.
        stop: see `TrustRegionsOptions`, as for what is not described here.
        debug: what to print, see `solve`.
        record: what to record, see `solve`.
        return_options: whether to return the options (with reasons, iterations, records) instead of the result.

    Returns:
        The minimiser, shape `(*batch, *point_shape)`, or the options.

    Raises:
        ManoptError: for bad input, before the first iteration; see `solve`.

    References:
        [AbsilBakerGallivan:2007]; [AbsilMahonySepulchre:2008], chapter 7; [Boumal:2023], section 6.4.

    Examples:
        >>> import torch
        >>> from manopt_torch import Sphere, trust_regions
        >>> a = torch.diag(torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64))
        >>> x = torch.tensor([0.6, 0.48, 0.64], dtype=torch.float64)
        >>> trust_regions(Sphere(3), lambda x: (x * (x @ a)).sum(-1), x).abs().round(decimals=6)
        tensor([0., 0., 1.], dtype=torch.float64)
    """
    told = dict(locals())
    exact, told["hessian"] = split_hessian(hessian)
    forms = ("preconditioner", "euclidean_gradient", "euclidean_hessian", "data", "vectorized")
    problem = HessianProblem(M, cost, gradient, exact, **{name: told[name] for name in forms})
    options = TrustRegionsOptions(**{f.name: told[f.name] for f in fields(TrustRegionsOptions) if f.init})
    solve(problem, options, debug=debug, record=record)
    return options if return_options else get_solver_result(options)
