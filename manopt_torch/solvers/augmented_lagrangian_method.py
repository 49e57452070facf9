r"""The augmented Lagrangian method.

$$x_{i+1} \approx \operatorname*{argmin}_{x \in \mathcal M}\; f(x) + \frac{\rho_i}{2} \Bigl(\sum_j \max\bigl(0,
\tfrac{\mu_j}{\rho_i} + g_j(x)\bigr)^2 + \sum_k \bigl(\tfrac{\lambda_k}{\rho_i} + h_k(x)\bigr)^2\Bigr),$$

after which the multipliers become $\max(0, \mu + \rho_i g(x_{i+1}))$ and $\lambda + \rho_i h(x_{i+1})$, within bounds.
References: [LiuBoumal:2020]; [BirginMartinez:2014].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from manopt_torch.manifolds.base import Manifold
from manopt_torch.plans.begin import begin
from manopt_torch.plans.commit import commit
from manopt_torch.plans.constrained import (
    ConstrainedOptions,
    check_multipliers,
    check_sub_solver,
    evaluate_start,
    initial_multipliers,
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
from manopt_torch.problems.constrained import ConstrainedProblem, largest
from manopt_torch.problems.gradient import GradientProblem
from manopt_torch.solvers.quasi_newton import QuasiNewtonOptions


@dataclass(eq=False, kw_only=True)
class AugmentedLagrangianOptions(ConstrainedOptions):
    r"""Options of the augmented Lagrangian method.

    Each problem of a batch has its own multipliers, penalty and tolerance.

    Args:
        x: the start, feasible or not, shape `(*batch, *point_shape)`.
        sub_solver: Options of the solver for the sub problems, whose `x` is replaced and whose `stop` bounds each run;
            None is `QuasiNewtonOptions(x, stop=StopAfterIteration(300))`.
        initial_inequality_multiplier: $\mu$ at the start, a number or a tensor in the shape of $g$.
        initial_equality_multiplier: $\lambda$ at the start, likewise.
        largest_multiplier: bound on $\mu$ and $\lambda$.
        least_multiplier: bound on $\lambda$ from below.
        initial_penalty: $\rho$ at the start.
        penalty_factor: $\rho$ is divided by it where the constraints have not come closer to being met.
        sufficient_progress: $\tau$: they have, where $\max(\lvert\max(-\mu/\rho, g)\rvert, \lvert h\rvert)$ is at most
            $\tau$ times what it was, or at most `least_tolerance`.
        initial_tolerance: gradient norm to which the first sub problem is solved.
        least_tolerance: that of the late ones.
        tolerance_exponent: the tolerance falls by the factor (`least_tolerance / initial_tolerance`) to this power
            a step: by default to the least one in 100 steps.
        stop: the stopping criterion; None is `StopAfterIteration(300) | StopWhenKKTResidualLess(1e-6)`, or a step below
            `least_tolerance` at that tolerance, which is convergence where the KKT residual is below 100 times it.
        check_every: how often (in iterations) the host asks whether any problem of a batch still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter has the wrong kind or is out of its range.

    Examples:
        >>> import torch
        >>> from manopt_torch import AugmentedLagrangianOptions
        >>> AugmentedLagrangianOptions(torch.zeros(2)).penalty_factor
        0.3
    """

    sub_solver: Options | None = None
    initial_inequality_multiplier: float | torch.Tensor = 1.0
    initial_equality_multiplier: float | torch.Tensor = 1.0
    largest_multiplier: float = 20.0
    least_multiplier: float = -20.0
    initial_penalty: float = 1.0
    penalty_factor: float = 0.3
    sufficient_progress: float = 0.8
    initial_tolerance: float = 1e-3
    least_tolerance: float = 1e-6
    tolerance_exponent: float = 0.01

    # updated every step, for the next sub problem
    penalty: Any = state()
    tolerance: Any = state()
    progress: Any = state()

    def __post_init__(self) -> None:
        """Fill in the defaults and check the ranges."""
        Options.__post_init__(self)
        if self.sub_solver is None:
            self.sub_solver = QuasiNewtonOptions(self.x, stop=StopAfterIteration(300))
        check_sub_solver(self)
        for name in ("largest_multiplier", "initial_penalty", "initial_tolerance", "tolerance_exponent"):
            check_range(self, name, 0.0, float("inf"))
        for name in ("penalty_factor", "sufficient_progress"):
            check_range(self, name, 0.0, 1.0)
        check_range(self, "least_multiplier", -float("inf"), 0.0, open_high=False)
        check_range(self, "least_tolerance", 0.0, self.initial_tolerance, open_high=False)
        check_multipliers(self, "initial_inequality_multiplier", "initial_equality_multiplier")
        if self.stop is None:
            self.stop = penalty_stop(self.least_tolerance)


@initialize_solver.register(AugmentedLagrangianOptions)
def _initialize(p: Any, o: AugmentedLagrangianOptions) -> None:
    begin(p, o)
    evaluate_start(p, o, lambda at: initial_multipliers(o, at))
    full = o.lane.full
    o.penalty, o.tolerance, o.progress = full(o.initial_penalty), full(o.initial_tolerance), full(float("inf"))


@step_solver.register(AugmentedLagrangianOptions)
def _step(p: Any, o: AugmentedLagrangianOptions, i: int) -> None:
    mu, lam = o.inequality_multipliers, o.equality_multipliers
    x, at, penalty = solve_penalised(p, o, lambda rho: augmented_lagrangian(p, mu, lam, rho))
    each = per_problem(o, penalty).unsqueeze(-1)
    progress = o.lane.scalar(largest(torch.maximum(-mu / each, at.inequality).abs(), at.equality.abs()))
    mu = (mu + each * at.inequality).clamp(0.0, o.largest_multiplier)
    lam = (lam + each * at.equality).clamp(o.least_multiplier, o.largest_multiplier)
    # raising the penalty where rounding is all that is left would make the sub problems worse for nothing
    vain = (progress > o.sufficient_progress * o.progress) & (progress > o.least_tolerance)
    commit(
        o,
        **measured(p, x, at, mu, lam),
        penalty=raised_penalty(o, penalty, vain),
        tolerance=lowered(o, "tolerance"),
        progress=progress,
    )


def augmented_lagrangian(
    p: Any,
    mu: torch.Tensor,  # shape: (*batch, m)
    lam: torch.Tensor,  # shape: (*batch, k)
    rho: torch.Tensor,  # shape: (*batch,)
) -> GradientProblem:
    """Return the sub problem for these multipliers and penalties.

    Args:
        p: the constrained problem.
        mu: the multipliers of the inequalities.
        lam: the multipliers of the equations.
        rho: the penalty parameters.
    """

    def cost(x: Any, *data: Any) -> torch.Tensor:
        own, (mu, lam, rho) = data[:-3], data[-3:]
        g, h = p.constraints(x, own)
        each = rho.unsqueeze(-1)
        squares = (mu / each + g).clamp(min=0).square().sum(-1) + (lam / each + h).square().sum(-1)
        return p.cost(x, *own) + 0.5 * rho * squares

    return GradientProblem(p.M, cost, data=(*p.data, mu, lam, rho))


@strict_keywords
def augmented_lagrangian_method(
    M: Manifold,
    cost: Callable[..., Any],
    x: Any,
    *,
    inequality: Callable[..., Any] | None = None,
    equality: Callable[..., Any] | None = None,
    data: tuple[Any, ...] = (),
    vectorized: bool = True,
    sub_solver: Options | None = None,
    initial_inequality_multiplier: float | torch.Tensor = 1.0,
    initial_equality_multiplier: float | torch.Tensor = 1.0,
    largest_multiplier: float = 20.0,
    least_multiplier: float = -20.0,
    initial_penalty: float = 1.0,
    penalty_factor: float = 0.3,
    sufficient_progress: float = 0.8,
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
    r"""Minimise a smooth cost under constraints $g(x) \le 0$, $h(x) = 0$ by the augmented Lagrangian method.

    The usual choice for constraints without structure: its sub problems stay well conditioned, since the multipliers
    and not the penalty make the constraints hold in the end.

    Args:
        M: the manifold.
        cost: `cost(x, *data)`, returns shape `(*batch,)`.
        x: the start, feasible or not, shape `(*batch, *point_shape)`.
        inequality: `inequality(x, *data)`, the values $g(x)$, shape `(*batch, m)`.
        equality: `equality(x, *data)`, the values $h(x)$, shape `(*batch, k)`.
        data: tensors with the batch axes in front, handed to the callables after the point.
        vectorized: False if the callables are written for one point.
        sub_solver: see `AugmentedLagrangianOptions`, as for the following.
        initial_inequality_multiplier: $\mu$ at the start.
        initial_equality_multiplier: $\lambda$ at the start.
        largest_multiplier: bound on the multipliers.
        least_multiplier: bound on $\lambda$ from below.
        initial_penalty: $\rho$ at the start.
        penalty_factor: $\rho$ is divided by it.
        sufficient_progress: $\tau$.
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
        [LiuBoumal:2020]; [BirginMartinez:2014].

    Examples:
        >>> import torch
        >>> from manopt_torch import Sphere, augmented_lagrangian_method
        >>> x = torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64)
        >>> x = augmented_lagrangian_method(Sphere(3), lambda x: x[..., 2], x, inequality=lambda x: -x)
        >>> bool((x > -1e-6).all() and x[2] < 1e-5)
        True
    """
    problem = ConstrainedProblem(M, cost, inequality, equality, data=data, vectorized=vectorized)
    options = AugmentedLagrangianOptions(
        x,
        sub_solver=sub_solver,
        initial_inequality_multiplier=initial_inequality_multiplier,
        initial_equality_multiplier=initial_equality_multiplier,
        largest_multiplier=largest_multiplier,
        least_multiplier=least_multiplier,
        initial_penalty=initial_penalty,
        penalty_factor=penalty_factor,
        sufficient_progress=sufficient_progress,
        initial_tolerance=initial_tolerance,
        least_tolerance=least_tolerance,
        tolerance_exponent=tolerance_exponent,
        stop=stop,
        check_every=check_every,
        compact=compact,
    )
    solve(problem, options, debug=debug, record=record)
    return options if return_options else get_solver_result(options)
