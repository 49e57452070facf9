r"""The nonlinear conjugate gradient method.

$$x_{i+1} = \operatorname{retr}_{x_i}(s_i \delta_i), \qquad
\delta_{i+1} = -P \operatorname{grad} f(x_{i+1}) + \beta_{i+1}\,\mathcal T_{x_i \to x_{i+1}} \delta_i$$

with the step size $s_i$ of a line search, a preconditioner $P$, the coefficient $\beta$ of a rule, and a transport
$\mathcal T$. References: [HagerZhang:2006]; [AbsilMahonySepulchre:2008], section 8.3; [Sato:2022].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from manopt_torch._keywords import what_came
from manopt_torch.conjugacy import (
    ConjugateCoefficient,
    ConjugateDescentCoefficient,
    HagerZhangCoefficient,
    Proposal,
    RestartCondition,
)
from manopt_torch.conjugacy.combined import check_coefficient
from manopt_torch.conjugacy.restart import RestartOnNonDescent
from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.base import Manifold
from manopt_torch.plans.begin import begin, first_evaluation
from manopt_torch.plans.commit import commit
from manopt_torch.plans.dispatch import get_solver_result, initialize_solver, step_solver
from manopt_torch.plans.gradient_norm import gradient_norm, norm_at
from manopt_torch.plans.options import Options, state, strict_keywords
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration, StoppingCriterion, StopWhenGradientNormLess
from manopt_torch.problems.gradient import GradientProblem
from manopt_torch.stepsizes.armijo import ArmijoLinesearch
from manopt_torch.stepsizes.base import Stepsize, take_step, trial_gradient
from manopt_torch.stepsizes.hager_zhang import HagerZhangLinesearch
from manopt_torch.stepsizes.renew import renew


@dataclass(eq=False, kw_only=True)
class ConjugateGradientOptions(Options):
    r"""Options of the conjugate gradient method.

    A problem whose line search is in vain goes on along minus its gradient, and ends as stagnated only if that is in
    vain too. If the problem has a preconditioner, it is used.

    Args:
        x: the start, shape `(*batch, *point_shape)`.
        coefficient: the rule for $\beta$; None is `ConjugateDescentCoefficient()`, as in Manopt.jl, but with a
            `HagerZhangLinesearch()` it is `HagerZhangCoefficient()`, which that search has been made for: its loose
            steps make the other converge slowly.
        restart: when to start over along minus the gradient; None is `RestartOnNonDescent()`.
        stepsize: the stepsize $s_i$; None is `ArmijoLinesearch(contraction_factor=0.6, sufficient_decrease=0.45)`:
            the longer steps of its defaults pass the minimum along the direction, and spoil the next one.
        stop: the stopping criterion; None is `StopAfterIteration(500) | StopWhenGradientNormLess(1e-8)`, as in
            Manopt.jl.
        retraction_method: name of the manifold's retraction; None is its default.
        check_every: how often (in iterations) the host asks whether any problem of a batch still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter has the wrong kind or is out of its range.

    Examples:
        >>> import torch
        >>> from manopt_torch import ConjugateGradientOptions, HestenesStiefelCoefficient
        >>> ConjugateGradientOptions(torch.zeros(2), coefficient=HestenesStiefelCoefficient()).coefficient
        HestenesStiefelCoefficient()
    """

    needs: ClassVar[tuple[str, ...]] = ("cost", "gradient")

    coefficient: ConjugateCoefficient | None = None
    restart: RestartCondition | None = None
    stepsize: Stepsize | None = None

    # updated every step
    direction: Any = state()  # the next one, at x
    slope: Any = state()  # <gradient, direction>
    square: Any = state()  # <gradient, preconditioned gradient>
    beta: Any = state()  # share of the former direction in it
    preconditioned: Any = state()  # the preconditioner applied to the gradient; None without
    last_stepsize: Any = state()
    proposal: Any = state(per_problem=False)  # what the rules look at during a step

    def __post_init__(self) -> None:
        """Fill in the defaults and check the kinds."""
        Options.__post_init__(self)
        self.restart = RestartOnNonDescent() if self.restart is None else self.restart
        self.stepsize = conjugate_armijo() if self.stepsize is None else self.stepsize
        if self.coefficient is None:
            loose = isinstance(self.stepsize, HagerZhangLinesearch)
            self.coefficient = HagerZhangCoefficient() if loose else ConjugateDescentCoefficient()
        check_coefficient(self, "coefficient", self.coefficient)
        for name, such_as in (("restart", "NeverRestart()"), ("stepsize", "ConstantStepsize(0.1)")):
            value = getattr(self, name)
            if not callable(value) or isinstance(value, type):
                came = what_came(value)
                raise OptionsError(f"ConjugateGradientOptions: {name} must be one such as {such_as}, got {came}")
        if self.stop is None:
            self.stop = StopAfterIteration(500) | StopWhenGradientNormLess(1e-8)

    @property
    def directions_are_conjugate(self) -> bool:
        """Whether a search may count on successive directions being nearly conjugate."""
        return getattr(self.coefficient, "makes_conjugate", True)


def conjugate_armijo() -> ArmijoLinesearch:
    """Return the default line search: on a parabola, a decrease below 1/2 ends at most a tenth behind the minimum."""
    return ArmijoLinesearch(contraction_factor=0.6, sufficient_decrease=0.45)


@initialize_solver.register(ConjugateGradientOptions)
def _initialize(p: Any, o: ConjugateGradientOptions) -> None:
    begin(p, o)
    first_evaluation(p, o)
    o.preconditioned = None if p.preconditioner is None else p.get_preconditioner(o.x, o.gradient)
    if o.preconditioned is None:
        descent, norm = o.gradient, gradient_norm(p, o)
        o.square = norm * norm
    else:
        descent = o.preconditioned
        o.square = o.lane.scalar(p.M.inner(o.x, o.gradient, descent))
    o.direction = o.lane.scale(-1.0, descent)
    o.slope, o.beta = -o.square, o.lane.full(0.0)
    o.last_stepsize = o.proposal = None


@step_solver.register(ConjugateGradientOptions)
def _step(p: Any, o: ConjugateGradientOptions, i: int) -> None:
    ended = o.stagnated
    s, trial = take_step(p, o, i, o.direction, o.slope)
    o.proposal = q = _propose(p, o, trial.x, trial_gradient(p, trial))
    beta = _coefficient(p, o, i)
    o.proposal = None
    commit(
        o,
        x=q.x,
        cost=trial.cost,
        gradient=q.gradient,
        direction=o.lane.scaled_minus(beta, q.carried, q.preconditioned),
        slope=beta * q.along - q.square,
        square=q.square,
        beta=beta,
        last_stepsize=s,
        preconditioned=None if o.preconditioned is None else q.preconditioned,
    )
    if o.stagnated is not ended:
        _start_over(p, o, o.stagnated & o.lane.not_(ended))


def _propose(p: Any, o: Any, x: Any, gradient: Any) -> Proposal:
    """Gather what the rules look at."""
    M, scalar, inner = p.M, o.lane.scalar, p.M.inner_at(x)
    if o.preconditioned is None:
        preconditioned, norm = gradient, norm_at(M, o, x, gradient, inner)
        square = norm * norm
    else:
        preconditioned = p.get_preconditioner(x, gradient)
        square = scalar(inner(gradient, preconditioned))
    carried = M.transport(o.x, x, o.direction)
    return Proposal(x, gradient, preconditioned, carried, square, scalar(inner(gradient, carried)), inner)


def _coefficient(p: Any, o: Any, i: int) -> Any:
    """Ask the rule for beta, and the restart condition whether to keep it."""
    lane, q = o.lane, o.proposal
    beta = lane.answer(o.coefficient(p, o, i))
    beta = lane.where(lane.isfinite(beta), beta, 0.0)
    q.slope = beta * q.along - q.square
    return lane.where(o.restart(p, o, i), 0.0, beta)


def _start_over(p: Any, o: Any, failed: Any) -> None:
    """Let problems whose search was in vain go on along minus the gradient, unless they went there already."""
    lane = o.lane
    again = failed & (o.beta != 0.0)
    if not lane.any(again):
        return
    o.stagnated = o.stagnated & lane.not_(again)
    descent = o.gradient if o.preconditioned is None else o.preconditioned
    o.direction = lane.pick(again, lane.scale(-1.0, descent), o.direction)
    o.slope, o.beta = lane.where(again, -o.square, o.slope), lane.where(again, 0.0, o.beta)
    renew(o.stepsize, p, o, again)


@strict_keywords
def conjugate_gradient(
    M: Manifold,
    cost: Callable[..., Any],
    x: Any,
    *,
    gradient: Callable[..., Any] | None = None,
    euclidean_gradient: Callable[..., Any] | None = None,
    preconditioner: Callable[..., Any] | None = None,
    data: tuple[Any, ...] = (),
    vectorized: bool = True,
    coefficient: ConjugateCoefficient | None = None,
    restart: RestartCondition | None = None,
    stepsize: Stepsize | None = None,
    stop: StoppingCriterion | None = None,
    retraction_method: str | None = None,
    check_every: int = 1,
    compact: bool = True,
    debug: Any = None,
    record: Any = None,
    return_options: bool = False,
) -> Any:
    r"""Minimise a differentiable cost by the nonlinear conjugate gradient method.

    Nearly as cheap an iteration as steepest descent, but far fewer of them where the Hessian is ill-conditioned; no
    matrix and no memory of many vectors. The choice for large smooth problems of moderate accuracy. Fewer evaluations
    than by the defaults are mostly taken with `coefficient=HestenesStiefelCoefficient(),
    stepsize=ParabolicLinesearch()`.

    Args:
        M: the manifold.
        cost: `cost(x, *data)`, returns shape `(*batch,)`.
        x: the start, shape `(*batch, *point_shape)`.
        gradient: the Riemannian gradient `gradient(x, *data)`; None is autograd.
        euclidean_gradient: the Euclidean gradient instead, converted by the manifold.
        preconditioner: `preconditioner(x, u, *data)`, an approximate inverse Hessian, symmetric and positive.
        data: tensors with the batch axes in front, handed to the callables after the point.
        vectorized: False if the callables are written for one point.
        coefficient: see `ConjugateGradientOptions`, as for the following.
        restart: when to start over.
        stepsize: the step size.
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
        [HagerZhang:2006]; [AbsilMahonySepulchre:2008], section 8.3; [Sato:2022].

    Examples:
        >>> import torch
        >>> from manopt_torch import Sphere, conjugate_gradient
        >>> x = torch.tensor([0.6, 0.8, 0.0], dtype=torch.float64)
        >>> x = conjugate_gradient(Sphere(3), lambda x: x[..., 2], x)
        >>> round(float(x[2]), 6)
        -1.0
    """
    problem = GradientProblem(
        M,
        cost,
        gradient,
        euclidean_gradient=euclidean_gradient,
        preconditioner=preconditioner,
        data=data,
        vectorized=vectorized,
    )
    options = ConjugateGradientOptions(
        x,
        coefficient=coefficient,
        restart=restart,
        stepsize=stepsize,
        stop=stop,
        retraction_method=retraction_method,
        check_every=check_every,
        compact=compact,
    )
    solve(problem, options, debug=debug, record=record)
    return options if return_options else get_solver_result(options)
