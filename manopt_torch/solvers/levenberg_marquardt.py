r"""Levenberg-Marquardt: damped Gauss-Newton steps for nonlinear least squares.

$$(J' J + \lambda D)\, s = -J' r, \qquad x_{i+1} = \operatorname{retr}_{x_i}(s)$$

with the residuals $r$ and their Jacobian $J$ at $x_i$ in an orthonormal basis of the tangent space, and damping
$\lambda$ and a diagonal matrix $D$ of a damping rule. A step that does not reduce the cost as predicted is rejected and
the damping raised. References: [Levenberg:1944], [Marquardt:1963], [More:1978], [MadsenNielsenTingleff:2004].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from manopt_torch._keywords import what_came
from manopt_torch.damping.base import Damping, Gauge
from manopt_torch.damping.nielsen import NielsenDamping
from manopt_torch.errors import OptionsError
from manopt_torch.functional.gauss_newton import largest_cosine, squared_sizes
from manopt_torch.functional.levenberg_marquardt import felt
from manopt_torch.linear_solvers.base import LinearSolver
from manopt_torch.linear_solvers.bounded import bounded_by
from manopt_torch.linear_solvers.cholesky import CholeskySolver
from manopt_torch.linear_solvers.compiled_step import program_for
from manopt_torch.linear_solvers.pieces import check_chunk_size, evaluate, first_evaluation
from manopt_torch.linear_solvers.precision import linearize
from manopt_torch.manifolds.base import Manifold
from manopt_torch.plans.begin import begin, mark_broken_start
from manopt_torch.plans.dispatch import get_solver_result, initialize_solver, step_solver
from manopt_torch.plans.options import Options, check_flag, check_range, state, strict_keywords
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import (
    StopAfterIteration,
    StoppingCriterion,
    StopWhenCosineLess,
    StopWhenReductionLess,
    StopWhenRelativeStepLess,
)
from manopt_torch.problems.least_squares import LeastSquaresProblem
from manopt_torch.solvers.levenberg_marquardt_step import conclude, conclude_rows, propose


@dataclass(eq=False, kw_only=True)
class LevenbergMarquardtOptions(Options):
    r"""Options of Levenberg-Marquardt.

    Args:
        x: the start, shape `(*batch, *point_shape)`.
        damping: the damping rule; None is `NielsenDamping()`.
        initial_damping: $\lambda_0$ instead of the rule's own.
        min_damping: least $\lambda$; `max_damping`: largest; a problem that would need more ends as stagnated.
        acceptance: least ratio of actual to predicted reduction of an accepted step; None is the rule's own.
        linear_solver: how a step is solved for; None is `CholeskySolver()`.
        bounds: a pair `(lower, upper)` of numbers or tensors of shape `(n,)` between which the parameters are to stay,
            short for `linear_solver=BoundedSolver(lower, upper)`; `inf` is none.
        chunk_size: how many problems of a batch with `data=` are evaluated at a time; `"auto"` is as many as fit the
            cache, None all at once. Results do not change.
        compile: whether batches are evaluated by a function compiled for the problem, in which the Jacobian is never
            stored; for Euclidean space and Cholesky's solver. Where it cannot be, a warning says so.
        geodesic_acceleration: whether steps are corrected to second order: fewer in bent valleys, at one more
            evaluation of residuals and Jacobian each. Not with a loss.
        jacobian_dtype: precision of the Jacobian, such as `torch.float32`; residuals, cost and solve keep theirs.
        stop: the stopping criterion; None is `StopAfterIteration(1000) | StopWhenCosineLess() |
            StopWhenReductionLess() | StopWhenRelativeStepLess()`: the tests of MINPACK at working precision.
        retraction_method: name of the manifold's retraction; None is its default.
        check_every: how often (in iterations) the host asks whether any problem still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter has the wrong kind or is out of its range.

    Examples:
        >>> LevenbergMarquardtOptions(torch.zeros(2)).damping
        NielsenDamping(0.1, shrink=0.1, scaling='relative')
    """

    needs: ClassVar[tuple[str, ...]] = ("residuals", "jacobian")

    damping: Damping | None = None
    initial_damping: float | None = None
    min_damping: float = 0.0
    max_damping: float = 1e40
    acceptance: float | None = None
    linear_solver: LinearSolver | None = None
    bounds: Any = None
    chunk_size: int | str | None = "auto"
    compile: bool = False
    geodesic_acceleration: bool = False
    jacobian_dtype: torch.dtype | None = None

    # updated every step
    damping_term: Any = state()
    growth: Any = state()
    gain_ratio: Any = state()
    relative_reduction: Any = state()
    relative_step: Any = state()
    step_length: Any = state()
    # updated when a step is accepted
    coordinates: Any = state()  # of the gradient, (*batch, n)
    system: Any = state()  # what the linear solver keeps of the Jacobian
    damping_matrix: Any = state()  # diagonal of D, (*batch, n)
    cosine: Any = state()
    extent: Any = state()  # x' D x
    damping_floor: Any = state()  # where damping begins to be felt
    # set at the start of a run
    damping_unit: Any = state()  # of the diagonal of D
    vanishing: Any = state()  # cost from which on the residuals are nothing
    piece: Any = state(per_problem=False)
    kernel: Any = state(per_problem=False, saved=False)  # compiled evaluation, and parts of the step
    programs: Any = state(per_problem=False, saved=False)

    def __post_init__(self) -> None:
        """Fill in the defaults and check the ranges."""
        Options.__post_init__(self)
        self.damping = NielsenDamping() if self.damping is None else self.damping
        if self.bounds is not None:
            self.linear_solver = bounded_by(self.bounds, self.linear_solver)
        self.linear_solver = CholeskySolver() if self.linear_solver is None else self.linear_solver
        for name, kind, such in (("damping", Damping, NielsenDamping), ("linear_solver", LinearSolver, CholeskySolver)):
            if not isinstance(value := getattr(self, name), kind):
                came = what_came(value)
                raise OptionsError(f"LevenbergMarquardtOptions: {name} must be one such as {such()!r}, got {came}")
        check_flag(self, "compile")
        check_range(self, "min_damping", 0.0, float("inf"), open_low=False)
        check_range(self, "max_damping", self.min_damping, float("inf"))
        if self.initial_damping is not None:
            check_range(self, "initial_damping", self.min_damping, self.max_damping, open_low=False, open_high=False)
        if self.acceptance is not None:
            check_range(self, "acceptance", 0.0, 1.0, open_low=False)
        dtype = self.jacobian_dtype
        if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
            raise OptionsError(
                f"LevenbergMarquardtOptions: jacobian_dtype must be one such as torch.float32, got {dtype!r}"
            )
        check_chunk_size(self)
        if self.stop is None:
            self.stop = (
                StopAfterIteration(1000) | StopWhenCosineLess() | StopWhenReductionLess() | StopWhenRelativeStepLess()
            )

    @property
    def residual_norm(self) -> Any:
        r"""The length of the (weighted) residuals, $\sqrt{2 f(x)}$."""
        return None if self.cost is None else self.lane.sqrt(2.0 * self.lane.scalar(self.cost))


@initialize_solver.register(LevenbergMarquardtOptions)
def _initialize(p: Any, o: Any) -> None:
    begin(p, o)
    lane, rule = o.lane, o.damping
    if o.geodesic_acceleration and p.loss is not None:
        raise OptionsError("geodesic_acceleration cannot be had with a loss: leave one of them out")
    how = {"compile": o.compile, "dtype": o.jacobian_dtype}
    o.cost, normal, o.piece, o.kernel = first_evaluation(o.linear_solver, p, o.x, lane, o.chunk_size, **how)
    o.programs = {}
    o.coordinates, o.system = normal.gradient, normal.system
    o.gradient = p.M.from_coordinates(o.x, normal.gradient)
    mark_broken_start(o, lane.finite(o.cost) & lane.finite(o.gradient))
    squares = squared_sizes(p.M, o.x)
    o.damping_matrix, o.damping_unit = rule.matrix(Gauge(normal.diagonal, o.cost, squares), None, None)
    o.extent = lane.scalar((o.damping_matrix * squares).sum(-1))
    o.damping_floor = lane.scalar(felt(normal.diagonal, o.damping_matrix))
    o.damping_term = lane.full(float(rule.initial if o.initial_damping is None else o.initial_damping))
    o.growth = lane.full(2.0)
    o.vanishing = torch.finfo(o.cost.dtype).eps ** 4 * lane.scalar(o.cost)
    o.cosine = lane.scalar(largest_cosine(normal.gradient, normal.diagonal, o.cost))
    o.step_length = lane.full(0.0)
    o.gain_ratio, o.relative_reduction, o.relative_step = (lane.full(float("nan")) for _ in range(3))


@step_solver.register(LevenbergMarquardtOptions)
def _step(p: Any, o: Any, i: int) -> None:
    o.system = o.linear_solver.kept(o.system, o.coordinates, o.kernel is not None)
    if o.kernel is not None and not o.geodesic_acceleration:
        step = _part(propose, p, o)
        if o.lane.any(o.active & ~step.ok):
            step = propose(p, o)  # some need another factorisation
        _part(conclude_rows, p, o, step, o.kernel(p, step.x, o.lane.shape))
        return
    step = propose(p, o)
    if o.lane.lone:
        trial = p.residual_trial(step.x)
        conclude(p, o, step, trial.cost, lambda: linearize(o.linear_solver, p, step.x, trial, o.jacobian_dtype))
        return
    value, normal = evaluate(o.linear_solver, p, step.x, o.lane.shape, o.piece, kernel=o.kernel, dtype=o.jacobian_dtype)
    conclude(p, o, step, value, lambda: normal)


def _part(part: Any, p: Any, o: Any, *extra: Any) -> Any:
    """Do a part of a step by a compiled function."""
    if part not in o.programs:
        o.programs[part] = program_for(part, p, o, *extra)
    return o.programs[part](p, o, *extra)


@strict_keywords
def levenberg_marquardt(
    M: Manifold,
    residuals: Callable[..., Any],
    x: Any,
    *,
    jacobian: Callable[..., Any] | str | None = None,
    weights: Any = None,
    loss: Any = None,
    data: tuple[Any, ...] = (),
    vectorized: bool = True,
    damping: Damping | None = None,
    initial_damping: float | None = None,
    min_damping: float = 0.0,
    max_damping: float = 1e40,
    acceptance: float | None = None,
    linear_solver: LinearSolver | None = None,
    bounds: Any = None,
    chunk_size: int | str | None = "auto",
    compile: bool = False,
    geodesic_acceleration: bool = False,
    jacobian_dtype: torch.dtype | None = None,
    stop: StoppingCriterion | None = None,
    retraction_method: str | None = None,
    check_every: int = 1,
    compact: bool = True,
    debug: Any = None,
    record: Any = None,
    return_options: bool = False,
) -> Any:
    r"""Minimise $\frac12 \sum_i w_i \rho(r_i(x)^2)$ by Levenberg-Marquardt, each problem of the batch on its own.

    The method of choice for curve fitting and all least squares whose Jacobian fits into memory.

    Args:
        M: the manifold; `Euclidean(n)` for a fit of n parameters.
        residuals: `residuals(x, *data)`, returns shape `(*batch, m)`.
        x: the start, shape `(*batch, *point_shape)`.
        jacobian: see `LeastSquaresProblem`, as for the following; None is autograd.
        weights: $w$, shape `(m,)` or `(*batch, m)`.
        loss: a robust loss $\rho$.
        data: tensors with the batch axes in front, handed to the callables after the point.
        vectorized: False if the callables are written for one point.
        damping: the damping rule; see `LevenbergMarquardtOptions` for it and all others up to `compact`.
        debug: what to print, see `solve`.
        record: what to record, see `solve`.
        return_options: whether to return the options instead of the result.

    Returns:
        The minimiser, shape `(*batch, *point_shape)`, or the options.

    Raises:
        ManoptError: for bad input, before the first iteration; see `solve`.

    Examples:
        >>> from manopt_torch import Euclidean
        >>> t = torch.linspace(0, 4, 20, dtype=torch.float64)
        >>> def residuals(x, y):
        ...     return x[..., :1] * torch.exp(-x[..., 1:] * t) - y
        >>> truth = torch.tensor([[2.0, 0.5], [1.0, 1.5], [3.0, 0.2]], dtype=torch.float64)
        >>> x = levenberg_marquardt(Euclidean(2), residuals, truth + 0.5, data=(residuals(truth, 0.0),))
        >>> bool((x - truth).abs().max() < 1e-9)
        True
    """
    problem = LeastSquaresProblem(M, residuals, jacobian, weights=weights, loss=loss, data=data, vectorized=vectorized)
    options = LevenbergMarquardtOptions(
        x,
        damping=damping,
        initial_damping=initial_damping,
        min_damping=min_damping,
        max_damping=max_damping,
        acceptance=acceptance,
        linear_solver=linear_solver,
        bounds=bounds,
        chunk_size=chunk_size,
        compile=compile,
        geodesic_acceleration=geodesic_acceleration,
        jacobian_dtype=jacobian_dtype,
        stop=stop,
        retraction_method=retraction_method,
        check_every=check_every,
        compact=compact,
    )
    solve(problem, options, debug=debug, record=record)
    return options if return_options else get_solver_result(options)
