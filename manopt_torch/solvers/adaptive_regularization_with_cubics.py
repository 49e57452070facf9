r"""Adaptive regularisation with cubics.

$$x_{i+1} = \operatorname{retr}_{x_i}(u_i), \qquad
u_i \approx \operatorname*{arg\,min}_u f(x_i) + \langle\operatorname{grad} f(x_i), u\rangle
+ \tfrac12\langle u, \operatorname{Hess} f(x_i)[u]\rangle + \tfrac{\sigma_i}3\lVert u\rVert^3$$

where the weight $\sigma_i$ follows the quality of the model. References: [AgarwalBoumalBullinsCartis:2021];
[CartisGouldToint:2011].
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from manopt_torch._typing import Mask, Scalar
from manopt_torch.errors import OptionsError
from manopt_torch.functional.cg_iteration import QuadraticModel
from manopt_torch.functional.lanczos import Krylov, minimize_cubic
from manopt_torch.functional.trust_region import model_quality
from manopt_torch.hessians.base import HessianApproximation, check_hessian_option, split_hessian
from manopt_torch.manifolds.base import Manifold
from manopt_torch.plans.begin import begin
from manopt_torch.plans.dispatch import get_solver_result, initialize_solver, step_solver, stop_solver
from manopt_torch.plans.linearization import (
    commit_accepted,
    first_linearization,
    halt_and_forget,
    linearization_at,
    products_at,
)
from manopt_torch.plans.options import Options, check_count, check_range, state, strict_keywords
from manopt_torch.plans.rounding import resolved_size, tangent_gradient, watch_rounding
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import (
    StopAfterIteration,
    StoppingCriterion,
    StopWhenAllLanczosVectorsUsed,
    StopWhenGradientNormLess,
)
from manopt_torch.problems.hessian import HessianProblem


@dataclass(eq=False, kw_only=True)
class AdaptiveRegularizationOptions(Options):
    r"""Options of adaptive regularisation with cubics.

    Args:
        x: the start, shape `(*batch, *point_shape)`.
        sigma: first weight of the cubic term; None is $100 / \sqrt{\dim\mathcal M}$, as in Manopt.jl. It has the unit
            of the cost over that of a length cubed: for a tiny cost give a tiny one, and a smaller `sigma_min`.
        sigma_min: least weight.
        eta1: least quality $\rho$ of an accepted step, the decrease of the cost over that of the model without its
            cubic term.
        eta2: the weight shrinks where $\rho$ is at least this.
        gamma1: factor by which it shrinks.
        gamma2: factor by which it grows after a rejection.
        theta: the inner iteration ends where the model's gradient is at most
            $\theta\min(\lVert u\rVert^2, \lVert\operatorname{grad} f\rVert)$.
        max_lanczos_vectors: most products with the Hessian a step; None is the dimension, at most 300.
        rho_regularization: how many roundings of the cost are added to numerator and denominator of $\rho$.
        hessian: None for the problem's Hessian, else an approximation such as `ApproxHessianFiniteDifference()`.
        stop: the stopping criterion; None is `StopAfterIteration(40) | StopWhenGradientNormLess(1e-9) |
            StopWhenAllLanczosVectorsUsed()`, as in Manopt.jl.
        retraction_method: name of the manifold's retraction; None is its default.
        check_every: how often (in iterations) the host asks whether any problem of a batch still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter has the wrong kind or is out of its range.

    Examples:
        >>> import torch
        >>> from manopt_torch import AdaptiveRegularizationOptions
        >>> AdaptiveRegularizationOptions(torch.zeros(2)).eta2
        0.9
    """

    needs: ClassVar[tuple[str, ...]] = ("cost", "gradient", "hessian")

    sigma: float | None = None
    sigma_min: float = 1e-10
    eta1: float = 0.1
    eta2: float = 0.9
    gamma1: float = 0.1
    gamma2: float = 2.0
    theta: float = 0.5
    max_lanczos_vectors: int | None = None
    rho_regularization: float = 1e3
    hessian: HessianApproximation | None = None

    # updated every step
    weight: Any = state()  # of the next cubic term
    rho: Any = state()
    inner_iterations: Any = state()
    lanczos_unsolved: Any = state()  # whether all vectors were used and did not suffice
    last_stepsize: Any = state()  # length of the last step tried
    least_fall: Any = state()  # decrease promised by a step below the rounding of the cost
    least_norm: Any = state()  # of the gradients between which such steps went
    cost_size: Any = state()  # a cost nearer to zero is not known better
    # the gradient's graph
    linearization: Any = state(per_problem=False)
    # set at the start of a run
    precision: Any = state(per_problem=False, saved=False)

    def __post_init__(self) -> None:
        """Fill in the defaults and check the ranges."""
        Options.__post_init__(self)
        inf = float("inf")
        if self.sigma is not None:
            check_range(self, "sigma", 0.0, inf)
        check_range(self, "sigma_min", 0.0, inf)
        check_range(self, "eta1", 0.0, 1.0)
        check_range(self, "eta2", self.eta1, 1.0, open_low=False, open_high=False)
        check_range(self, "gamma1", 0.0, 1.0)
        check_range(self, "gamma2", 1.0, inf)
        check_range(self, "theta", 0.0, inf)
        check_range(self, "rho_regularization", 0.0, inf, open_low=False)
        if self.sigma is not None and self.sigma < self.sigma_min:
            raise OptionsError(
                f"AdaptiveRegularizationOptions: sigma must be at least sigma_min ({self.sigma_min:g}), got "
                f"{self.sigma!r}"
            )
        if self.max_lanczos_vectors is not None:
            check_count(self, "max_lanczos_vectors", 1)
        check_hessian_option(self)
        if self.stop is None:
            solved = StopWhenGradientNormLess(1e-9)
            self.stop = StopAfterIteration(40) | solved | StopWhenAllLanczosVectorsUsed()


@initialize_solver.register(AdaptiveRegularizationOptions)
def _initialize(p: Any, o: AdaptiveRegularizationOptions) -> None:
    begin(p, o)
    first_linearization(p, o)
    o.weight = o.lane.full(100.0 / max(p.M.dim, 1) ** 0.5 if o.sigma is None else float(o.sigma))
    o.rho, o.last_stepsize = o.lane.full(float("nan")), None
    watch_rounding(o)
    o.inner_iterations, o.lanczos_unsolved = o.lane.full(0), o.lane.full(False)


stop_solver.register(AdaptiveRegularizationOptions)(halt_and_forget)


@step_solver.register(AdaptiveRegularizationOptions)
def _step(p: Any, o: AdaptiveRegularizationOptions, i: int) -> None:
    lane, M = o.lane, p.M
    held, size = linearization_at(p, o), resolved_size(p, o)
    gradient, norm = tangent_gradient(p, o, size)
    model = QuadraticModel(M, o.x, gradient, products_at(p, o, held.at), norm=norm)
    if lane.lone and held.found is None:
        held.found = Krylov(lane, model)  # a rejected step changes the weight only
    most = min(300, max(M.dim, 1)) if o.max_lanczos_vectors is None else o.max_lanczos_vectors
    inner = minimize_cubic(lane, model, o.weight, o.active, o.theta, most, held.found)
    y = M.retract(o.x, inner.u, None, o.retraction_method)
    cost, context = p.trial(y)
    former, rounding = lane.scalar(o.cost), o.rho_regularization * o.precision.cost
    rho, falls = model_quality(lane, former, lane.trial_cost(cost), inner.fall, rounding, size)
    accepted = falls & (rho >= o.eta1)
    commit_accepted(
        *(p, o, accepted, inner.fall, size, inner.u, y, cost, context),
        weight=_next_weight(o, rho, accepted),
        rho=rho,
        inner_iterations=inner.count,
        lanczos_unsolved=inner.unsolved,
        last_stepsize=inner.length,
    )


def _next_weight(o: AdaptiveRegularizationOptions, rho: Scalar, accepted: Mask) -> Scalar:
    """Shrink the weight after a very good step, grow it after a rejection."""
    lane = o.lane
    shrunk = lane.where(rho >= o.eta2, lane.max(o.gamma1 * o.weight, o.sigma_min), o.weight)
    return lane.where(accepted, shrunk, o.gamma2 * o.weight)


@strict_keywords
def adaptive_regularization_with_cubics(
    M: Manifold,
    cost: Callable[..., Any],
    x: Any,
    *,
    gradient: Callable[..., Any] | None = None,
    hessian: Callable[..., Any] | HessianApproximation | None = None,
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
    sigma: float | None = None,
    sigma_min: float = 1e-10,
    eta1: float = 0.1,
    eta2: float = 0.9,
    gamma1: float = 0.1,
    gamma2: float = 2.0,
    theta: float = 0.5,
    max_lanczos_vectors: int | None = None,
    rho_regularization: float = 1e3,
) -> Any:
    r"""Minimise a twice differentiable cost by models with a cubic term, each problem of the batch with its own weight.

    As accurate and as fast at the end as trust regions, with the best known bound on the number of iterations; saddles
    are left faster. Each step costs a few more operations than one of trust regions.

    Args:
        M: the manifold.
        cost: `cost(x, *data)`, returns shape `(*batch,)`.
        x: the start, shape `(*batch, *point_shape)`.
        gradient: the Riemannian gradient `gradient(x, *data)`; None is autograd.
        hessian: the Riemannian Hessian `hessian(x, u, *data)` applied to a tangent vector; None is autograd; or an
            approximation such as `ApproxHessianFiniteDifference()`.
        euclidean_gradient: the Euclidean gradient instead, converted by the manifold.
        euclidean_hessian: the Euclidean Hessian `euclidean_hessian(x, u, *data)` instead, likewise.
        data: tensors with the batch axes in front, handed to the callables last.
        vectorized: False if the callables are written for one point.
        stop: see `AdaptiveRegularizationOptions`, as for what is not described here.
        debug: what to print, see `solve`.
        record: what to record, see `solve`.
        return_options: whether to return the options (with reasons, iterations, records) instead of the result.

    Returns:
        The minimiser, shape `(*batch, *point_shape)`, or the options.

    Raises:
        ManoptError: for bad input, before the first iteration; see `solve`.

    References:
        [AgarwalBoumalBullinsCartis:2021]; [CartisGouldToint:2011].

    Examples:
        >>> import torch
        >>> from manopt_torch import Sphere, adaptive_regularization_with_cubics
        >>> a = torch.diag(torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64))
        >>> x = torch.tensor([0.6, 0.48, 0.64], dtype=torch.float64)
        >>> adaptive_regularization_with_cubics(Sphere(3), lambda x: (x * (x @ a)).sum(-1), x).abs().round(decimals=9)
        tensor([0., 0., 1.], dtype=torch.float64)
    """
    told = dict(locals())
    exact, approximation = split_hessian(hessian)
    given = {name: told[name] for name in ("euclidean_gradient", "euclidean_hessian", "data", "vectorized")}
    problem = HessianProblem(M, cost, gradient, exact, **given)
    parameters = {f.name: told[f.name] for f in fields(AdaptiveRegularizationOptions) if f.init}
    options = AdaptiveRegularizationOptions(**{**parameters, "hessian": approximation})
    solve(problem, options, debug=debug, record=record)
    return options if return_options else get_solver_result(options)
