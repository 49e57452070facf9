r"""Truncated conjugate gradients on a tangent space.

$$\operatorname*{arg\,min}_{\eta \in T_x\mathcal M,\ \lVert\eta\rVert \le \Delta}
f(x) + \langle\operatorname{grad} f(x), \eta\rangle + \tfrac12\langle\eta, \operatorname{Hess} f(x)[\eta]\rangle$$

approximately, by the method of Steihaug and Toint. References: [Steihaug:1983]; [Toint:1981];
[AbsilBakerGallivan:2007]; [ConnGouldToint:2000], section 7.5.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from manopt_torch._typing import Scalar
from manopt_torch.errors import OptionsError
from manopt_torch.functional.cg_iteration import QuadraticModel, advance, multiply, start_cg
from manopt_torch.hessians.base import HessianApproximation, check_hessian_option, split_hessian
from manopt_torch.manifolds.base import Manifold
from manopt_torch.plans.begin import begin
from manopt_torch.plans.commit import commit
from manopt_torch.plans.dispatch import get_solver_result, initialize_solver, step_solver, stop_solver
from manopt_torch.plans.linearization import (
    first_linearization,
    halt_and_forget,
    linearization_at,
    preconditioner_at,
    products_at,
)
from manopt_torch.plans.options import Options, check_range, state, strict_keywords
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import (
    StopAfterIteration,
    StoppingCriterion,
    StopWhenCurvatureIsNegative,
    StopWhenModelIncreased,
    StopWhenResidualIsReducedByFactorOrPower,
    StopWhenTrustRegionIsExceeded,
)
from manopt_torch.problems.hessian import HessianProblem


@dataclass(eq=False, kw_only=True)
class TruncatedConjugateGradientOptions(Options):
    r"""Options of truncated conjugate gradients on the tangent space at `x`; the point does not move.

    Args:
        x: the point, shape `(*batch, *point_shape)`.
        start: the first tangent vector, of length at most the radius; None is zero. With a start the preconditioner is
            not used.
        trust_region_radius: $\Delta$; None is a quarter of the injectivity radius at `x`, or the root of the dimension
            where that is infinite.
        theta: power of the residual to reach, for the default criterion.
        kappa: factor of the residual to reach, likewise.
        hessian: None for the problem's Hessian, else an approximation such as `ApproxHessianFiniteDifference()`.
        stop: the stopping criterion; None is `StopWhenResidualIsReducedByFactorOrPower(kappa, theta) |
            StopWhenTrustRegionIsExceeded() | StopWhenCurvatureIsNegative() | StopWhenModelIncreased() |
            StopAfterIteration(M.dim)`, as in Manopt.jl.
        retraction_method: for a Hessian by finite differences.
        check_every: how often (in iterations) the host asks whether any problem of a batch still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter has the wrong kind or is out of its range.

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, HessianProblem, TruncatedConjugateGradientOptions, solve
        >>> problem = HessianProblem(Euclidean(2), lambda x: (x * x).sum(-1) - x[..., 0])
        >>> o = solve(problem, TruncatedConjugateGradientOptions(torch.zeros(2).double(), trust_region_radius=3.0))
        >>> o.eta, o.inner_reason
        (tensor([0.5000, 0.0000], dtype=torch.float64), 3)
    """

    needs: ClassVar[tuple[str, ...]] = ("cost", "gradient", "hessian")

    start: Any = None
    trust_region_radius: float | None = None
    theta: float = 1.0
    kappa: float = 0.1
    hessian: HessianApproximation | None = None

    # updated every step
    inner: Any = state()  # a CGState
    # set at the start
    radius: Any = state()
    first_squared_residual: Any = state()
    linearization: Any = state(per_problem=False)

    def __post_init__(self) -> None:
        """Check the ranges."""
        Options.__post_init__(self)
        if self.trust_region_radius is not None:
            check_range(self, "trust_region_radius", 0.0, math.inf)
        check_range(self, "theta", 0.0, math.inf, open_low=False)
        check_range(self, "kappa", 0.0, 1.0, open_high=False)
        check_hessian_option(self)

    @property
    def eta(self) -> Any:
        """The tangent vector; None before the run."""
        return None if self.inner is None else self.inner.eta

    @property
    def model(self) -> Any:
        """The value of the model there; None before the run."""
        return None if self.inner is None else self.lane.scalar(self.cost) - self.inner.fall

    @property
    def inner_reason(self) -> Any:
        """Why a problem cannot go on, an index into `INNER_REASONS`; 0 where it can."""
        return None if self.inner is None else self.inner.reason

    @property
    def squared_residual(self) -> Any:
        """The squared norm of the model's gradient; None before the run."""
        return None if self.inner is None else self.inner.rr


@initialize_solver.register(TruncatedConjugateGradientOptions)
def _initialize(p: Any, o: TruncatedConjugateGradientOptions) -> None:
    if o.stop is None:
        small = StopWhenResidualIsReducedByFactorOrPower(o.kappa, o.theta)
        ends = StopWhenTrustRegionIsExceeded() | StopWhenCurvatureIsNegative() | StopWhenModelIncreased()
        o.stop = small | ends | StopAfterIteration(max(p.M.dim, 1))
    begin(p, o)
    first_linearization(p, o)
    o.radius = _radius(p, o)
    if o.start is not None:
        p.check_tangent("start", o.start, o.lane.shape)
        length = o.lane.scalar(p.M.norm(o.x, o.start))
        if o.lane.any(o.lane.not_(length <= o.radius * (1 + 1e-6))):
            raise OptionsError("TruncatedConjugateGradientOptions: start must lie inside the trust region")
    o.inner = start_cg(o.lane, _model(p, o), o.active, o.start)
    o.first_squared_residual = o.inner.rr


def _radius(p: Any, o: TruncatedConjugateGradientOptions) -> Scalar:
    lane = o.lane
    if o.trust_region_radius is not None:
        return lane.full(float(o.trust_region_radius))
    reach = lane.full(p.M.injectivity_radius(o.x))
    reach = lane.scalar(reach) * 0.25
    return lane.where(reach < math.inf, reach, max(p.M.dim, 1) ** 0.5)


def _model(p: Any, o: TruncatedConjugateGradientOptions) -> QuadraticModel:
    products = products_at(p, o, linearization_at(p, o).at)
    return QuadraticModel(p.M, o.x, o.gradient, products, preconditioner_at(p, o.x) if o.start is None else None)


stop_solver.register(TruncatedConjugateGradientOptions)(halt_and_forget)


@step_solver.register(TruncatedConjugateGradientOptions)
def _step(p: Any, o: TruncatedConjugateGradientOptions, i: int) -> None:
    lane = o.lane
    if lane.lone and not o.inner.run:  # there is no direction to begin with
        o.stagnated = True
        return
    model = _model(p, o)
    inner = advance(lane, model, o.radius, 0.0, multiply(lane, model, o.inner, i == 1))
    commit(o, cost=o.cost, inner=inner)
    # where no criterion asks for the reason it ends so
    o.stagnated = o.stagnated | (o.active & lane.not_(o.inner.run))


@get_solver_result.register(TruncatedConjugateGradientOptions)
def _result(o: TruncatedConjugateGradientOptions) -> Any:
    return o.eta


@strict_keywords
def truncated_conjugate_gradient(
    M: Manifold,
    cost: Callable[..., Any],
    x: Any,
    eta: Any = None,
    *,
    gradient: Callable[..., Any] | None = None,
    hessian: Callable[..., Any] | HessianApproximation | None = None,
    preconditioner: Callable[..., Any] | None = None,
    euclidean_gradient: Callable[..., Any] | None = None,
    euclidean_hessian: Callable[..., Any] | None = None,
    data: tuple[Any, ...] = (),
    vectorized: bool = True,
    trust_region_radius: float | None = None,
    theta: float = 1.0,
    kappa: float = 0.1,
    stop: StoppingCriterion | None = None,
    retraction_method: str | None = None,
    check_every: int = 1,
    compact: bool = True,
    debug: Any = None,
    record: Any = None,
    return_options: bool = False,
) -> Any:
    r"""Minimise the quadratic model of a cost at `x` in a ball of the tangent space.

    The inner solver of trust regions, on its own: for a step of a method of one's own, or to look at a model.

    Args:
        M: the manifold.
        cost: `cost(x, *data)`, returns shape `(*batch,)`.
        x: the point, shape `(*batch, *point_shape)`.
        eta: the first tangent vector; None is zero.
        gradient: the Riemannian gradient `gradient(x, *data)`; None is autograd.
        hessian: the Riemannian Hessian `hessian(x, u, *data)`; None is autograd; or an approximation.
        preconditioner: an approximate inverse Hessian `preconditioner(x, u, *data)`; None is the identity.
        euclidean_gradient: the Euclidean gradient instead, converted by the manifold.
        euclidean_hessian: the Euclidean Hessian instead, likewise.
        data: tensors with the batch axes in front, handed to the callables last.
        vectorized: False if the callables are written for one point.
        trust_region_radius: see `TruncatedConjugateGradientOptions`, as for what is not described here.
        debug: what to print, see `solve`.
        record: what to record, see `solve`.
        return_options: whether to return the options (with reasons, iterations, records) instead of the result.

    Returns:
        The tangent vector at `x`, shape `(*batch, *point_shape)`, or the options.

    Raises:
        ManoptError: for bad input, before the first iteration; see `solve`.

    References:
        [Steihaug:1983]; [Toint:1981]; [AbsilBakerGallivan:2007].

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, truncated_conjugate_gradient
        >>> a, x = torch.tensor([2.0, 4.0]).double(), torch.tensor([1.0, 1.0]).double()
        >>> f = lambda x: 0.5 * (a * x * x).sum(-1)
        >>> truncated_conjugate_gradient(Euclidean(2), f, x, trust_region_radius=5.0, kappa=1e-9).round(decimals=9)
        tensor([-1., -1.], dtype=torch.float64)
        >>> truncated_conjugate_gradient(Euclidean(2), f, x, trust_region_radius=0.5).norm()
        tensor(0.5000, dtype=torch.float64)
    """
    told = {**locals(), "start": eta}
    exact, approximation = split_hessian(hessian)
    forms = ("preconditioner", "euclidean_gradient", "euclidean_hessian", "data", "vectorized")
    given = {name: told[name] for name in forms}
    problem = HessianProblem(M, cost, gradient, exact, **given)
    parameters = {f.name: told[f.name] for f in fields(TruncatedConjugateGradientOptions) if f.init}
    options = TruncatedConjugateGradientOptions(**{**parameters, "hessian": approximation})
    solve(problem, options, debug=debug, record=record)
    return options if return_options else get_solver_result(options)
