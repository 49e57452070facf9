r"""Riemannian Newton-CG.

$$x_{i+1} = \operatorname{retr}_{x_i}(s_i \eta_i), \qquad
\operatorname{Hess} f(x_i)[\eta_i] \approx -\operatorname{grad} f(x_i)$$

where conjugate gradients solve Newton's equation as far as it pays, and $s_i$ comes from a line search. References:
[AbsilMahonySepulchre:2008], chapter 6; [NocedalWright:2006], section 7.1; [DemboEisenstatSteihaug:1982].
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import torch

from manopt_torch._keywords import what_came
from manopt_torch._typing import Mask, Scalar, Tangent
from manopt_torch.errors import OptionsError
from manopt_torch.functional.cg_iteration import QuadraticModel
from manopt_torch.functional.linesearch import ArmijoRule, Trial, armijo
from manopt_torch.functional.truncated_cg import CGRule, truncated_cg
from manopt_torch.hessians.base import HessianApproximation, check_hessian_option, split_hessian
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import first_leaf
from manopt_torch.plans.begin import begin
from manopt_torch.plans.commit import commit
from manopt_torch.plans.dispatch import get_solver_result, initialize_solver, step_solver, stop_solver
from manopt_torch.plans.gradient_norm import gradient_norm, norm_at
from manopt_torch.plans.linearization import (
    Linearization,
    first_linearization,
    halt_and_forget,
    linearization_at,
    linearize,
    preconditioner_at,
    products_at,
)
from manopt_torch.plans.options import Options, check_count, check_range, state, strict_keywords
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration, StoppingCriterion, StopWhenGradientNormLess
from manopt_torch.problems.hessian import GradientGraph, HessianProblem
from manopt_torch.stepsizes.base import Stepsize, probe, take_step

# halving sixty times leaves nothing of a step
_MOST_HALVINGS = 60


@dataclass(eq=False, kw_only=True)
class NewtonOptions(Options):
    r"""Options of Newton-CG.

    Args:
        x: the start, shape `(*batch, *point_shape)`.
        stepsize: a stepsize, which is called with Newton's direction; None halves steps from 1 until Armijo's rule
            holds, so that full steps are taken near the minimum.
        sufficient_decrease: of Armijo's rule.
        cost_resolution: how many roundings the cost may miss the rule. A step that lowers the cost by no more must
            shorten the gradient; else, in a run with a criterion of convergence, it is not taken: the problem has
            stagnated at its precision.
        theta: conjugate gradients end at a residual of $\lVert r_0\rVert \min(\lVert r_0\rVert^\theta, \kappa)$; the
            method converges with order $1 + \theta$, 2 at most.
        kappa: see `theta`.
        max_inner_iterations: most products with the Hessian a step; None is the dimension.
        hessian: None for the problem's Hessian, else an approximation such as `ApproxHessianFiniteDifference()`.
        stop: the stopping criterion; None is `StopAfterIteration(200) | StopWhenGradientNormLess(1e-8)`.
        retraction_method: name of the manifold's retraction; None is its default.
        check_every: how often (in iterations) the host asks whether any problem of a batch still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter has the wrong kind or is out of its range.

    Examples:
        >>> import torch
        >>> from manopt_torch import NewtonOptions
        >>> NewtonOptions(torch.zeros(2)).kappa
        0.1
    """

    needs: ClassVar[tuple[str, ...]] = ("cost", "gradient", "hessian")

    stepsize: Stepsize | None = None
    sufficient_decrease: float = 1e-4  # [NocedalWright:2006], chapter 3
    cost_resolution: float = 100.0
    theta: float = 1.0
    kappa: float = 0.1
    max_inner_iterations: int | None = None
    hessian: HessianApproximation | None = None

    # updated every step
    last_stepsize: Any = state()
    inner_iterations: Any = state()
    inner_reason: Any = state()  # a code, see `INNER_REASONS`
    # the gradient's graph
    linearization: Any = state(per_problem=False)
    # set at the start of a run: whether it ends where rounding lets no step gain anything
    ends_at_rounding: bool = state(False, per_problem=False, saved=False)

    def __post_init__(self) -> None:
        """Fill in the defaults and check the ranges."""
        Options.__post_init__(self)
        if self.stepsize is not None and (not callable(self.stepsize) or isinstance(self.stepsize, type)):
            got = what_came(self.stepsize)
            raise OptionsError(f"NewtonOptions: stepsize must be None or one such as ConstantStepsize(1.0), got {got}")
        check_range(self, "sufficient_decrease", 0.0, 0.5)
        check_range(self, "cost_resolution", 0.0, float("inf"), open_low=False)
        check_range(self, "theta", 0.0, float("inf"), open_low=False)
        check_range(self, "kappa", 0.0, 1.0, open_high=False)
        if self.max_inner_iterations is not None:
            check_count(self, "max_inner_iterations", 1)
        check_hessian_option(self)
        if self.stop is None:
            self.stop = StopAfterIteration(200) | StopWhenGradientNormLess(1e-8)


@initialize_solver.register(NewtonOptions)
def _initialize(p: Any, o: NewtonOptions) -> None:
    begin(p, o)
    first_linearization(p, o)
    o.last_stepsize = None
    # one that is bounded by its iterations alone is to make them
    o.ends_at_rounding = o.stepsize is None and any(criterion.indicates_convergence for criterion in o.stop.members)
    o.inner_iterations, o.inner_reason = o.lane.full(0), o.lane.full(0)


stop_solver.register(NewtonOptions)(halt_and_forget)


@step_solver.register(NewtonOptions)
def _step(p: Any, o: NewtonOptions, i: int) -> None:
    lane, M = o.lane, p.M
    products = products_at(p, o, linearization_at(p, o).at)
    # what rounding has left of the gradient off the tangent space no product would ever reduce
    g = M.project_tangent(o.x, o.gradient)
    model = QuadraticModel(M, o.x, g, products, preconditioner_at(p, o.x), symmetric=o.hessian is None)
    rule = CGRule(o.theta, o.kappa, o.max_inner_iterations or max(M.dim, 1))
    inner = truncated_cg(lane, model, None, o.active, rule)
    eta, slope = _downhill(p, o, inner.eta)
    s, trial = _backtrack(p, o, eta, slope) if o.stepsize is None else take_step(p, o, i, eta)
    at = _linearized(p, o, trial)
    if o.ends_at_rounding:
        o.stagnated = o.stagnated | (o.active & lane.not_(_gains(p, o, trial, at.gradient)))
    x, gradient = o.x, o.gradient
    commit(
        o,
        x=trial.x,
        cost=trial.cost,
        gradient=at.gradient,
        last_stepsize=s,
        inner_iterations=inner.count,
        inner_reason=inner.reason,
    )
    o.linearization = Linearization(trial.x if lane.lone else o.x, at)
    if o.hessian is not None:
        o.hessian.update(p, o, lane.full(True), x, gradient, lane.scale(s, eta))


def _linearized(p: Any, o: NewtonOptions, trial: Trial) -> GradientGraph:
    """Return the gradient at an accepted trial, with its graph where products with the Hessian come from that."""
    given = o.hessian is not None or getattr(p, "hessian", None) is not None
    if given and trial.gradient is not None:  # a search that looked at it has left it there, and used up its graph
        return GradientGraph(None, None, None, trial.gradient)
    return linearize(p, o, trial.x, trial.context)


def _downhill(p: Any, o: NewtonOptions, eta: Tangent) -> tuple[Tangent, Scalar]:
    """Return the direction and the slope of the cost along it; minus the gradient where it does not lead down."""
    lane, M, g = o.lane, p.M, o.gradient
    eta = M.project_tangent(o.x, eta)  # off by the rounding of all iterations
    slope = lane.scalar(M.inner(o.x, g, eta))
    down = slope < 0
    if lane.lone and down:
        return eta, slope
    steepest = -lane.scalar(M.inner(o.x, g, g))
    return lane.pick(down, eta, lane.scale(lane.full(-1.0), g)), lane.where(down, slope, steepest)


def _backtrack(p: Any, o: NewtonOptions, eta: Tangent, slope: Scalar) -> tuple[Scalar, Trial]:
    """Halve the step from 1 until Armijo's rule holds."""
    lane, eps = o.lane, torch.finfo(first_leaf(o.x).dtype).eps
    rule = ArmijoRule(0.5, o.sufficient_decrease, 0, _MOST_HALVINGS, o.cost_resolution * eps)
    found = armijo(
        lane,
        lambda s: probe(p, o, s, eta),
        lane.scalar(o.cost),
        slope,
        lane.full(1.0),
        o.active,
        rule,
        lambda: lane.div(eps * lane.size(o.x), lane.size(eta)),
    )
    o.stagnated = o.stagnated | found.failed
    return found.step, found.trial


def _gains(p: Any, o: NewtonOptions, trial: Trial, gradient: Tangent) -> Mask:
    """Tell whose step lowers the cost by more than its resolution, or else the length of the gradient."""
    lane, eps = o.lane, torch.finfo(trial.cost.dtype).eps
    former = lane.scalar(o.cost)
    falls = lane.scalar(trial.cost) < former - o.cost_resolution * eps * abs(former)
    norm = gradient_norm(p, o)
    return falls | (norm_at(p.M, o, trial.x, gradient) < norm)


@strict_keywords
def riemannian_newton(
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
    stepsize: Stepsize | None = None,
    sufficient_decrease: float = 1e-4,
    cost_resolution: float = 100.0,
    theta: float = 1.0,
    kappa: float = 0.1,
    max_inner_iterations: int | None = None,
    stop: StoppingCriterion | None = None,
    retraction_method: str | None = None,
    check_every: int = 1,
    compact: bool = True,
    debug: Any = None,
    record: Any = None,
    return_options: bool = False,
) -> Any:
    r"""Minimise a twice differentiable cost by Newton's method with conjugate gradients and a line search.

    Quadratic at the end and simple; from far away, and where the Hessian is indefinite, trust regions are the safer
    choice. A saddle at which the run starts is not left.

    Args:
        M: the manifold.
        cost: `cost(x, *data)`, returns shape `(*batch,)`.
        x: the start, shape `(*batch, *point_shape)`.
        gradient: the Riemannian gradient `gradient(x, *data)`; None is autograd.
        hessian: the Riemannian Hessian `hessian(x, u, *data)`; None is autograd; or an approximation.
        preconditioner: an approximate inverse Hessian `preconditioner(x, u, *data)`; None is the identity.
        euclidean_gradient: the Euclidean gradient instead, converted by the manifold.
        euclidean_hessian: the Euclidean Hessian instead, likewise.
        data: tensors with the batch axes in front, handed to the callables last.
        vectorized: False if the callables are written for one point.
        stepsize: see `NewtonOptions`, as for what is not described here.
        debug: what to print, see `solve`.
        record: what to record, see `solve`.
        return_options: whether to return the options (with reasons, iterations, records) instead of the result.

    Returns:
        The minimiser, shape `(*batch, *point_shape)`, or the options.

    Raises:
        ManoptError: for bad input, before the first iteration; see `solve`.

    References:
        [AbsilMahonySepulchre:2008], chapter 6; [NocedalWright:2006], section 7.1.

    Examples:
        >>> import torch
        >>> from manopt_torch import Sphere, riemannian_newton
        >>> a = torch.diag(torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64))
        >>> x = torch.tensor([0.6, 0.48, 0.64], dtype=torch.float64)
        >>> riemannian_newton(Sphere(3), lambda x: (x * (x @ a)).sum(-1), x).abs().round(decimals=9)
        tensor([0., 0., 1.], dtype=torch.float64)
    """
    told = dict(locals())
    exact, approximation = split_hessian(hessian)
    forms = ("preconditioner", "euclidean_gradient", "euclidean_hessian", "data", "vectorized")
    given = {name: told[name] for name in forms}
    problem = HessianProblem(M, cost, gradient, exact, **given)
    parameters = {f.name: told[f.name] for f in fields(NewtonOptions) if f.init}
    options = NewtonOptions(**{**parameters, "hessian": approximation})
    solve(problem, options, debug=debug, record=record)
    return options if return_options else get_solver_result(options)
