r"""Quasi-Newton methods.

$$x_{i+1} = \operatorname{retr}_{x_i}(-s_i H_i \operatorname{grad} f(x_i))$$

with an operator $H_i$ that learns the inverse Hessian from the steps: after each, with $s = \mathcal T(-s_i H_i
\operatorname{grad} f(x_i))$ and $y = \operatorname{grad} f(x_{i+1}) - \mathcal T \operatorname{grad} f(x_i)$, it is
changed such that $H_{i+1} y = s$. References: [HuangGallivanAbsil:2015]; [NocedalWright:2006], chapters 6 and 7.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from manopt_torch._keywords import what_came
from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.base import Manifold
from manopt_torch.plans.begin import begin, first_evaluation
from manopt_torch.plans.commit import commit
from manopt_torch.plans.dispatch import get_solver_result, initialize_solver, step_solver
from manopt_torch.plans.options import Options, check_range, state, strict_keywords
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration, StoppingCriterion, StopWhenGradientNormLess
from manopt_torch.problems.gradient import GradientProblem
from manopt_torch.secant import InverseBFGS, SecantUpdate
from manopt_torch.secant.limited_memory import LimitedMemory
from manopt_torch.secant.matrix import FullMatrix
from manopt_torch.secant.operator import Operator, Secant, secant_products, transport_of, without_pairs
from manopt_torch.stepsizes import WolfeLinesearch
from manopt_torch.stepsizes.base import Stepsize, take_step, trial_gradient
from manopt_torch.stepsizes.renew import renew

_MEMORY = 20
_NONDESCENT = ("reinitialize", "step_to_gradient", "ignore")
_TRANSPORTS = (None, "parallel")


@dataclass(eq=False, kw_only=True)
class QuasiNewtonOptions(Options):
    r"""Options of quasi-Newton methods.

    If the problem has a preconditioner, the operator starts from it. A problem whose line search is in vain forgets
    what it has learned and goes on along minus its gradient; it ends as stagnated only if that is in vain too.

    Args:
        x: the start, shape `(*batch, *point_shape)`.
        direction_update: how the operator learns; None is `InverseBFGS()`.
        memory_size: number of pairs $(s, y)$ kept; a negative one keeps a full matrix instead. None is the dimension
            of the manifold but at most 20 for `InverseBFGS()`, and a full matrix for the others, which need one.
        cautious_update: whether to learn only where $\langle s, y\rangle \ge \theta(\lVert\operatorname{grad}
            f(x)\rVert)\,\lVert s\rVert^2$, which makes the method converge for costs that are not convex.
        cautious_function: $\theta$, of a number or a `(*batch,)` tensor; None is $t \mapsto 10^{-4} t$.
        initial_scale: factor of the operator before any pair, whose scale the newest pair gives.
        nondescent_direction: what to do about a direction along which the cost increases: "reinitialize" the
            operator, "step_to_gradient" for this step only, or "ignore" it.
        transport_method: "parallel" carries vectors along geodesics, which keeps lengths and angles; None is the
            manifold's cheaper transport.
        stepsize: the stepsize $s_i$; None is `WolfeLinesearch(cost_resolution=4.0)`, which takes the step 1 of fast
            convergence also where rounding hides the decrease of the cost.
        stop: the stopping criterion; None is `StopAfterIteration(1000) | StopWhenGradientNormLess(1e-6)`, as in
            Manopt.jl.
        retraction_method: name of the manifold's retraction; None is its default.
        check_every: how often (in iterations) the host asks whether any problem of a batch still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter has the wrong kind or is out of its range.

    Examples:
        >>> import torch
        >>> from manopt_torch import DFP, QuasiNewtonOptions
        >>> QuasiNewtonOptions(torch.zeros(2), direction_update=DFP()).direction_update
        DFP()
    """

    needs: ClassVar[tuple[str, ...]] = ("cost", "gradient")

    direction_update: SecantUpdate | None = None
    memory_size: int | None = None
    cautious_update: bool = False
    cautious_function: Callable[[Any], Any] | None = None
    initial_scale: float = 1.0
    nondescent_direction: str = "reinitialize"
    transport_method: str | None = None
    stepsize: Stepsize | None = None

    # updated every step; tangent vectors at x
    pairs: Any = state()  # how many the operator has learned from since it was last forgotten
    steps: Any = state()  # limited memory: s, newest last, shape (*batch, m, *point_shape)
    changes: Any = state()  # limited memory: y
    matrix: Any = state()  # full matrix: of the Hessian or its inverse, shape (*batch, dim, dim)
    last_stepsize: Any = state()

    def __post_init__(self) -> None:
        """Fill in the defaults and check the ranges."""
        Options.__post_init__(self)
        self.direction_update = InverseBFGS() if self.direction_update is None else self.direction_update
        self.stepsize = WolfeLinesearch(cost_resolution=4.0) if self.stepsize is None else self.stepsize
        check_range(self, "initial_scale", 0.0, float("inf"))
        if not isinstance(self.direction_update, SecantUpdate):
            got = what_came(self.direction_update)
            raise OptionsError(f"QuasiNewtonOptions: direction_update must be one such as InverseBFGS(), got {got}")
        if not callable(self.stepsize) or isinstance(self.stepsize, type):
            got = what_came(self.stepsize)
            raise OptionsError(f"QuasiNewtonOptions: stepsize must be one such as WolfeLinesearch(), got {got}")
        for name, known in (("nondescent_direction", _NONDESCENT), ("transport_method", _TRANSPORTS)):
            if getattr(self, name) not in known:
                wanted = " or ".join(map(repr, known))
                raise OptionsError(f"QuasiNewtonOptions: {name} must be {wanted}, got {getattr(self, name)!r}")
        self._check_memory()
        if self.stop is None:
            self.stop = StopAfterIteration(max(1000, self.memory_size or 0)) | StopWhenGradientNormLess(1e-6)

    def _check_memory(self) -> None:
        size, update = self.memory_size, self.direction_update
        if size is not None and (not isinstance(size, int) or isinstance(size, bool)):
            raise OptionsError(f"QuasiNewtonOptions: memory_size must be an int (negative: a matrix), got {size!r}")
        if size is not None and size >= 0 and update is not None and not update.limited_memory:
            raise OptionsError(
                f"QuasiNewtonOptions: {update!r} needs a full matrix, got memory_size={size}: leave it out, or use "
                "InverseBFGS()"
            )


@initialize_solver.register(QuasiNewtonOptions)
def _initialize(p: Any, o: QuasiNewtonOptions) -> None:
    begin(p, o)
    first_evaluation(p, o)
    o.pairs = o.lane.full(0)
    o.last_stepsize = o.steps = o.changes = o.matrix = None
    _write(o, operator_of(p, o).start(p, o))


@step_solver.register(QuasiNewtonOptions)
def _step(p: Any, o: QuasiNewtonOptions, i: int) -> None:
    operator, ended = operator_of(p, o), o.stagnated
    direction = _direction(p, o, i, operator)
    s, trial = take_step(p, o, i, direction)
    gradient = trial_gradient(p, trial)
    learned = operator.learned(p, o, _secant(p, o, trial.x, gradient, o.lane.scale(s, direction)))
    commit(o, x=trial.x, cost=trial.cost, gradient=gradient, last_stepsize=s, **learned)
    if o.stagnated is not ended:
        # a search in vain ends only the problems that went along minus the gradient already
        again = o.stagnated & o.lane.not_(ended) & (o.pairs > 0)
        if o.lane.any(again):
            o.stagnated = o.stagnated & o.lane.not_(again)
            _forget(p, o, operator, again)
            renew(o.stepsize, p, o, again)


def operator_of(p: Any, o: QuasiNewtonOptions) -> Operator:
    """Return the kind of operator that the options ask for; what it has learned stands in the options."""
    update: Any = o.direction_update
    size = o.memory_size
    if size is None:
        size = min(p.M.dim, _MEMORY) if update.limited_memory else -1
    return LimitedMemory(size) if size >= 0 else FullMatrix(update)


def _direction(p: Any, o: QuasiNewtonOptions, i: int, operator: Operator) -> Any:
    """Return minus the operator applied to the gradient, or what stands in where that is no descent."""
    lane = o.lane
    direction = lane.scale(-1.0, operator.applied(p, o, i))
    if o.nondescent_direction == "ignore":
        return direction
    slope = lane.scalar(p.M.inner(o.x, o.gradient, direction))
    ascent = o.active & lane.not_(slope < 0.0)
    if not lane.any(ascent):
        return direction
    if o.nondescent_direction == "reinitialize":
        _forget(p, o, operator, ascent)
    return lane.pick(ascent, lane.scale(-1.0, without_pairs(p, o)), direction)


def _secant(p: Any, o: QuasiNewtonOptions, x: Any, gradient: Any, step: Any) -> Secant:
    """Return what the step tells of the Hessian, and for which problems it is to be believed."""
    M, lane, update = p.M, o.lane, o.direction_update
    carry = transport_of(M, o.transport_method)
    s, y = carry(o.x, x, step), lane.axpy(gradient, -1.0, carry(o.x, x, o.gradient))
    positive, sy, ss = secant_products(lane, M, x, s, y)
    keep = positive if update is None or update.needs_curvature else lane.isfinite(sy)
    if o.cautious_update:
        theta = (lambda t: 1e-4 * t) if o.cautious_function is None else o.cautious_function
        length = lane.sqrt(lane.scalar(M.inner(o.x, o.gradient, o.gradient)))
        keep = keep & (sy >= theta(length) * ss)
    return Secant(x, s, y, keep)


def _forget(p: Any, o: QuasiNewtonOptions, operator: Operator, mask: Any) -> None:
    """Let the masked problems forget what they have learned."""
    _write(o, operator.forgotten(p, o, mask))
    o.pairs = o.lane.where(mask, o.lane.full(0), o.pairs)


def _write(o: QuasiNewtonOptions, new: dict[str, Any]) -> None:
    for name, value in new.items():
        setattr(o, name, value)


@strict_keywords
def quasi_newton(
    M: Manifold,
    cost: Callable[..., Any],
    x: Any,
    *,
    gradient: Callable[..., Any] | None = None,
    euclidean_gradient: Callable[..., Any] | None = None,
    preconditioner: Callable[..., Any] | None = None,
    data: tuple[Any, ...] = (),
    vectorized: bool = True,
    direction_update: SecantUpdate | None = None,
    memory_size: int | None = None,
    cautious_update: bool = False,
    cautious_function: Callable[[Any], Any] | None = None,
    initial_scale: float = 1.0,
    nondescent_direction: str = "reinitialize",
    transport_method: str | None = None,
    stepsize: Stepsize | None = None,
    stop: StoppingCriterion | None = None,
    retraction_method: str | None = None,
    check_every: int = 1,
    compact: bool = True,
    debug: Any = None,
    record: Any = None,
    return_options: bool = False,
) -> Any:
    r"""Minimise a differentiable cost by a quasi-Newton method, by default BFGS with limited memory.

    The usual choice for smooth costs: from gradients alone it converges superlinearly where it keeps a full matrix,
    and nearly so with limited memory.

    Args:
        M: the manifold.
        cost: `cost(x, *data)`, returns shape `(*batch,)`.
        x: the start, shape `(*batch, *point_shape)`.
        gradient: the Riemannian gradient `gradient(x, *data)`; None is autograd.
        euclidean_gradient: the Euclidean gradient instead, converted by the manifold.
        preconditioner: `preconditioner(x, u, *data)`, an approximate inverse Hessian, symmetric and positive.
        data: tensors with the batch axes in front, handed to the callables after the point.
        vectorized: False if the callables are written for one point.
        direction_update: see `QuasiNewtonOptions`, as for the following.
        memory_size: number of pairs kept; negative for a full matrix.
        cautious_update: whether to learn only where the curvature is clearly positive.
        cautious_function: what clearly means.
        initial_scale: factor of the first operator.
        nondescent_direction: "reinitialize", "step_to_gradient" or "ignore".
        transport_method: "parallel", or None for the manifold's cheaper transport.
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
        [HuangGallivanAbsil:2015]; [NocedalWright:2006], chapters 6 and 7.

    Examples:
        >>> import torch
        >>> from manopt_torch import Sphere, quasi_newton
        >>> x = torch.tensor([0.6, 0.8, 0.0], dtype=torch.float64)
        >>> x = quasi_newton(Sphere(3), lambda x: x[..., 2], x)
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
    options = QuasiNewtonOptions(
        x,
        direction_update=direction_update,
        memory_size=memory_size,
        cautious_update=cautious_update,
        cautious_function=cautious_function,
        initial_scale=initial_scale,
        nondescent_direction=nondescent_direction,
        transport_method=transport_method,
        stepsize=stepsize,
        stop=stop,
        retraction_method=retraction_method,
        check_every=check_every,
        compact=compact,
    )
    solve(problem, options, debug=debug, record=record)
    return options if return_options else get_solver_result(options)
