r"""The exact penalty method.

$$x_{i+1} \approx \operatorname*{argmin}_{x \in \mathcal M}\; f(x) + \rho_i \Bigl(\sum_j P_{u_i}(g_j(x)) + \sum_k
Q_{u_i}(h_k(x))\Bigr)$$

with smooth $P_u(t) \to \max(0, t)$ and $Q_u(t) \to \lvert t\rvert$ as the width $u_i$ falls; the penalty $\rho_i$ is
raised where the constraints are violated by more than $u_i$. References: [LiuBoumal:2020].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from manopt_torch._keywords import what_came
from manopt_torch.errors import OptionsError
from manopt_torch.functional.smoothing import LogarithmicSumOfExponentials, Smoothing
from manopt_torch.manifolds.base import Manifold
from manopt_torch.plans.begin import begin
from manopt_torch.plans.commit import commit
from manopt_torch.plans.constrained import (
    ConstrainedOptions,
    check_sub_solver,
    evaluate_start,
    lowered,
    measured,
    penalty_stop,
    per_problem,
    raised_penalty,
    solve_penalised,
)
from manopt_torch.plans.dispatch import get_solver_result, initialize_solver, step_solver
from manopt_torch.plans.options import Options, check_range, state, strict_keywords
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration, StoppingCriterion
from manopt_torch.problems.constrained import ConstrainedProblem, ConstrainedValues
from manopt_torch.problems.gradient import GradientProblem
from manopt_torch.solvers.quasi_newton import QuasiNewtonOptions


@dataclass(eq=False, kw_only=True)
class ExactPenaltyOptions(ConstrainedOptions):
    r"""Options of the exact penalty method.

    Each problem of a batch has its own penalty, width and tolerance.

    Args:
        x: the start, feasible or not, shape `(*batch, *point_shape)`.
        smoothing: how the kinks of the penalty are rounded off; None is `LogarithmicSumOfExponentials()`.
        sub_solver: Options of the solver for the sub problems, whose `x` is replaced and whose `stop` bounds each run;
            None is `QuasiNewtonOptions(x, stop=StopAfterIteration(300))`.
        initial_penalty: $\rho$ at the start.
        penalty_factor: $\rho$ is divided by it where a constraint is violated by more than the width.
        initial_width: $u$ at the start.
        least_width: $u$ in the end.
        width_exponent: the width falls by the factor (`least_width / initial_width`) to this power a step: by default
            to the least one in 100 steps.
        initial_tolerance: gradient norm to which the first sub problem is solved.
        least_tolerance: that of the late ones.
        tolerance_exponent: how fast the tolerance falls, as for the width.
        stop: the stopping criterion; None is `StopAfterIteration(300) | StopWhenKKTResidualLess(1e-6)`, or a step below
            `least_tolerance` at that tolerance, which is convergence where the KKT residual is below 100 times it.
        check_every: how often (in iterations) the host asks whether any problem of a batch still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter has the wrong kind or is out of its range.

    Examples:
        >>> import torch
        >>> from manopt_torch import ExactPenaltyOptions
        >>> ExactPenaltyOptions(torch.zeros(2)).smoothing
        LogarithmicSumOfExponentials()
    """

    smoothing: Smoothing | None = None
    sub_solver: Options | None = None
    initial_penalty: float = 1.0
    penalty_factor: float = 0.3
    initial_width: float = 0.1
    least_width: float = 1e-6
    width_exponent: float = 0.01
    initial_tolerance: float = 1e-3
    least_tolerance: float = 1e-6
    tolerance_exponent: float = 0.01

    # updated every step, for the next sub problem
    penalty: Any = state()
    width: Any = state()
    tolerance: Any = state()

    def __post_init__(self) -> None:
        """Fill in the defaults and check the ranges."""
        Options.__post_init__(self)
        self.smoothing = LogarithmicSumOfExponentials() if self.smoothing is None else self.smoothing
        if not isinstance(self.smoothing, Smoothing):
            got = what_came(self.smoothing)
            raise OptionsError(f"ExactPenaltyOptions: smoothing must be one such as LinearQuadraticHuber(), got {got}")
        if self.sub_solver is None:
            self.sub_solver = QuasiNewtonOptions(self.x, stop=StopAfterIteration(300))
        check_sub_solver(self)
        for name in ("initial_penalty", "initial_width", "initial_tolerance", "width_exponent", "tolerance_exponent"):
            check_range(self, name, 0.0, float("inf"))
        check_range(self, "penalty_factor", 0.0, 1.0)
        check_range(self, "least_width", 0.0, self.initial_width, open_high=False)
        check_range(self, "least_tolerance", 0.0, self.initial_tolerance, open_high=False)
        if self.stop is None:
            self.stop = penalty_stop(self.least_tolerance)


@initialize_solver.register(ExactPenaltyOptions)
def _initialize(p: Any, o: ExactPenaltyOptions) -> None:
    begin(p, o)
    full = o.lane.full
    o.penalty, o.width, o.tolerance = full(o.initial_penalty), full(o.initial_width), full(o.initial_tolerance)
    evaluate_start(p, o, lambda at: _multipliers(o, at, o.penalty))


@step_solver.register(ExactPenaltyOptions)
def _step(p: Any, o: ExactPenaltyOptions, i: int) -> None:
    smoothing, u = o.smoothing, per_problem(o, o.width)
    assert smoothing is not None  # filled in at construction
    x, at, penalty = solve_penalised(p, o, lambda rho: penalised(p, smoothing, rho, u))
    new = measured(p, x, at, *_multipliers(o, at, penalty))
    commit(
        o,
        **new,
        penalty=raised_penalty(o, penalty, o.lane.scalar(new["violation"]) > o.width),
        width=lowered(o, "width"),
        tolerance=lowered(o, "tolerance"),
    )


def _multipliers(o: ExactPenaltyOptions, at: ConstrainedValues, penalty: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the weights with which the gradients of the constraints stand in that of the sub problem."""
    assert o.smoothing is not None
    rho, u = per_problem(o, penalty).unsqueeze(-1), per_problem(o, o.width).unsqueeze(-1)
    return rho * o.smoothing.inequality_slope(at.inequality, u), rho * o.smoothing.equality_slope(at.equality, u)


def penalised(
    p: Any,
    smoothing: Smoothing,
    rho: torch.Tensor,  # shape: (*batch,)
    u: torch.Tensor,  # shape: (*batch,)
) -> GradientProblem:
    """Return the sub problem for these penalties and widths.

    Args:
        p: the constrained problem.
        smoothing: how the kinks are rounded off.
        rho: the penalty parameters.
        u: the widths.
    """

    def cost(x: Any, *data: Any) -> torch.Tensor:
        own, rho, u = data[:-2], data[-2], data[-1].unsqueeze(-1)
        g, h = p.constraints(x, own)
        rounded = smoothing.inequality(g, u).sum(-1) + smoothing.equality(h, u).sum(-1)
        return p.cost(x, *own) + rho * rounded

    return GradientProblem(p.M, cost, data=(*p.data, rho, u))


@strict_keywords
def exact_penalty_method(
    M: Manifold,
    cost: Callable[..., Any],
    x: Any,
    *,
    inequality: Callable[..., Any] | None = None,
    equality: Callable[..., Any] | None = None,
    data: tuple[Any, ...] = (),
    vectorized: bool = True,
    smoothing: Smoothing | None = None,
    sub_solver: Options | None = None,
    initial_penalty: float = 1.0,
    penalty_factor: float = 0.3,
    initial_width: float = 0.1,
    least_width: float = 1e-6,
    width_exponent: float = 0.01,
    initial_tolerance: float = 1e-3,
    least_tolerance: float = 1e-6,
    tolerance_exponent: float = 0.01,
    stop: StoppingCriterion | None = None,
    check_every: int = 1,
    compact: bool = True,
    debug: Any = None,
    record: Any = None,
    return_options: bool = False,
) -> Any:
    r"""Minimise a smooth cost under constraints $g(x) \le 0$, $h(x) = 0$ by smoothed exact penalties.

    The penalty need not go to infinity, only the width of its rounded kink to zero. Robust far from the solution; the
    augmented Lagrangian method is more accurate for the same work.

    Args:
        M: the manifold.
        cost: `cost(x, *data)`, returns shape `(*batch,)`.
        x: the start, feasible or not, shape `(*batch, *point_shape)`.
        inequality: `inequality(x, *data)`, the values $g(x)$, shape `(*batch, m)`.
        equality: `equality(x, *data)`, the values $h(x)$, shape `(*batch, k)`.
        data: tensors with the batch axes in front, handed to the callables after the point.
        vectorized: False if the callables are written for one point.
        smoothing: see `ExactPenaltyOptions`, as for the following.
        sub_solver: Options of the solver for the sub problems.
        initial_penalty: $\rho$ at the start.
        penalty_factor: $\rho$ is divided by it.
        initial_width: $u$ at the start.
        least_width: $u$ in the end.
        width_exponent: how fast the width falls.
        initial_tolerance: gradient norm of the first sub problem.
        least_tolerance: that of the late ones.
        tolerance_exponent: how fast the tolerance falls.
        stop: the stopping criterion.
        check_every: how often the host asks whether any problem still runs.
        compact: whether finished problems leave the working set.
        debug: what to print, see `solve`.
        record: what to record, see `solve`.
        return_options: whether to return the options (with reasons, multipliers, records) instead of the result.

    Returns:
        The minimiser, shape `(*batch, *point_shape)`, or the options.

    Raises:
        ManoptError: for bad input, before the first iteration; see `solve`.

    References:
        [LiuBoumal:2020].

    Examples:
        >>> import torch
        >>> from manopt_torch import Sphere, exact_penalty_method
        >>> x = torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64)
        >>> x = exact_penalty_method(Sphere(3), lambda x: x[..., 2], x, inequality=lambda x: -x)
        >>> bool((x > -1e-4).all() and x[2] < 1e-4)
        True
    """
    problem = ConstrainedProblem(M, cost, inequality, equality, data=data, vectorized=vectorized)
    options = ExactPenaltyOptions(
        x,
        smoothing=smoothing,
        sub_solver=sub_solver,
        initial_penalty=initial_penalty,
        penalty_factor=penalty_factor,
        initial_width=initial_width,
        least_width=least_width,
        width_exponent=width_exponent,
        initial_tolerance=initial_tolerance,
        least_tolerance=least_tolerance,
        tolerance_exponent=tolerance_exponent,
        stop=stop,
        check_every=check_every,
        compact=compact,
    )
    solve(problem, options, debug=debug, record=record)
    return options if return_options else get_solver_result(options)
