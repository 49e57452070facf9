r"""The interior point Newton method.

With slacks $s$ for the inequalities, Newton's method for the conditions of Karush, Kuhn and Tucker

$$\operatorname{grad}_x \mathcal L(x, \mu, \lambda) = 0, \quad h(x) = 0, \quad g(x) + s = 0, \quad \mu \circ s = \beta,
\quad \mu, s > 0,$$

while $\beta$ falls to zero; the steps are such that the squared norm of the residual decreases and that no product
$\mu_j s_j$ falls far behind the others. References: [LaiYoshise:2024].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from manopt_torch.functional.interior_point import (
    KKTStep,
    KKTSystem,
    centring,
    expanded,
    longest_step,
    reduced_matrix,
    reduced_right_side,
    shortest_solution,
    solve_or_nan,
)
from manopt_torch.manifolds.base import Manifold
from manopt_torch.plans.begin import begin
from manopt_torch.plans.commit import commit
from manopt_torch.plans.constrained import (
    ConstrainedOptions,
    check_multipliers,
    evaluate_start,
    initial_multipliers,
    measured,
    multipliers,
    per_problem,
)
from manopt_torch.plans.dispatch import get_solver_result, initialize_solver, step_solver
from manopt_torch.plans.options import Options, check_count, check_range, state, strict_keywords
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration, StoppingCriterion, StopWhenKKTResidualLess
from manopt_torch.problems.constrained import ConstrainedProblem, second_order

# how much of the way to the edge of the positive numbers a step may go, far from the solution and close to it
_FAR, _CLOSE = 0.995, 1.0 - 1e-6
_REPLACED = (
    *("x", "cost", "gradient", "inequality_multipliers", "equality_multipliers", "slacks"),
    *("lagrangian_gradient", "violation", "kkt_residual"),
)


@dataclass(eq=False, kw_only=True)
class InteriorPointNewtonOptions(ConstrainedOptions):
    r"""Options of the interior point Newton method.

    Args:
        x: the start, feasible or not, shape `(*batch, *point_shape)`.
        initial_inequality_multiplier: $\mu$ at the start, positive, a number or a tensor in the shape of $g$.
        initial_equality_multiplier: $\lambda$ at the start, likewise.
        initial_slack: $s$ at the start, as for $\mu$.
        sufficient_decrease: share of the decrease of the squared residual predicted by its slope that a step must
            bring about.
        contraction_factor: ratio of two trials of a step.
        max_decreases: bound on the trials.
        initial_centrality: $\gamma$ at the start, which falls to 1/2: no product $\mu_j s_j$ may fall below $\gamma$
            times the share of their mean that the smallest had at the start.
        stop: the stopping criterion; None is `StopAfterIteration(800) | StopWhenKKTResidualLess(1e-8)`.
        retraction_method: name of the manifold's retraction; None is its default.
        check_every: how often (in iterations) the host asks whether any problem of a batch still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter has the wrong kind or is out of its range.

    Examples:
        >>> InteriorPointNewtonOptions(torch.zeros(2)).stop
        StopAfterIteration(800) | StopWhenKKTResidualLess(1e-08)
    """

    initial_inequality_multiplier: float | torch.Tensor = 1.0
    initial_equality_multiplier: float | torch.Tensor = 0.0
    initial_slack: float | torch.Tensor = 1.0
    sufficient_decrease: float = 1e-4
    contraction_factor: float = 0.5
    max_decreases: int = 40
    initial_centrality: float = 0.9

    # updated every step
    slacks: Any = state()
    last_stepsize: Any = state()
    centrality: Any = state()
    # set at the start: least product and sum of products, relative to their mean and to the residual
    least_share: Any = state()
    sum_share: Any = state()

    def __post_init__(self) -> None:
        """Fill in the defaults and check the ranges."""
        Options.__post_init__(self)
        for name in ("sufficient_decrease", "contraction_factor"):
            check_range(self, name, 0.0, 1.0)
        check_range(self, "initial_centrality", 0.5, 1.0)
        check_count(self, "max_decreases", 1)
        check_multipliers(self, "initial_inequality_multiplier", "initial_equality_multiplier", "initial_slack")
        if self.stop is None:
            self.stop = StopAfterIteration(800) | StopWhenKKTResidualLess(1e-8)


class _Iterate(NamedTuple):
    """A point with its multipliers and slacks, and what decides on it."""

    known: dict[str, Any]  # by the names of the state fields
    residual: Any  # squared norm of F
    least: Any  # the smallest product of multiplier and slack
    total: Any  # the sum of all


@initialize_solver.register(InteriorPointNewtonOptions)
def _initialize(p: Any, o: InteriorPointNewtonOptions) -> None:
    begin(p, o)
    lane = o.lane
    at = evaluate_start(p, o, lambda at: initial_multipliers(o, at, positive=True))
    o.slacks = multipliers(o, "initial_slack", at.inequality, positive=True)
    o.centrality, o.last_stepsize = lane.full(o.initial_centrality), None
    here = _weighed(p, o, _known(o), at.inequality, at.equality)
    o.least_share = lane.div(here.least, here.total / max(o.slacks.shape[-1], 1))
    o.sum_share = lane.div(here.total, lane.sqrt(here.residual))


@step_solver.register(InteriorPointNewtonOptions)
def _step(p: Any, o: InteriorPointNewtonOptions, i: int) -> None:
    lane = o.lane
    derivatives = second_order(p, o.x, o.inequality_multipliers, o.equality_multipliers)
    system = KKTSystem(*derivatives, o.inequality_multipliers, o.slacks)
    here = _weighed(p, o, _known(o), system.g, system.h)
    beta = centring(lane, here.residual, o.last_stepsize) * here.total / max(o.slacks.shape[-1], 1)
    step = _newton(o, system, per_problem(o, beta))
    slope = -2.0 * (here.residual - beta * here.total)
    s, known = _backtrack(p, o, here, step, slope)
    commit(o, **known, last_stepsize=s, centrality=0.5 * (o.centrality + 0.5))


def _newton(o: InteriorPointNewtonOptions, at: KKTSystem, beta: torch.Tensor) -> KKTStep:
    """Solve Newton's equation; where its matrix is singular, as well as possible."""
    lane, A, b = o.lane, reduced_matrix(at), reduced_right_side(at, beta)
    solution = solve_or_nan(A, b)
    singular = lane.not_(lane.finite(solution)) & o.active
    if lane.any(singular):
        solution = lane.pick(singular, shortest_solution(A, b), solution)
    return expanded(at, beta, solution)


def _backtrack(
    p: Any, o: InteriorPointNewtonOptions, here: _Iterate, step: KKTStep, slope: Any
) -> tuple[Any, dict[str, Any]]:
    """Shorten the step until it is accepted; mark the problems where none is."""
    lane = o.lane
    eta = p.M.from_coordinates(o.x, step.xi)
    mu, slacks = o.inequality_multipliers, o.slacks
    edge = torch.minimum(longest_step(mu, step.mu), longest_step(slacks, step.s))
    share = lane.min(lane.max(1.0 - lane.sqrt(here.residual), _FAR), _CLOSE)
    s = lane.min(share * lane.scalar(edge), 1.0)
    taken, known, searching = lane.full(0.0), here.known, o.active
    for _ in range(o.max_decreases):
        x = p.M.retract(o.x, eta, s, o.retraction_method)
        each = per_problem(o, s).unsqueeze(-1)
        at = p.evaluate(x)
        new = measured(p, x, at, mu + each * step.mu, o.equality_multipliers + each * step.lam)
        new["slacks"] = slacks + each * step.s
        trial = _weighed(p, o, new, at.inequality, at.equality)
        passed = searching & (trial.residual <= here.residual + o.sufficient_decrease * s * slope) & _central(o, trial)
        known = {name: lane.pick(passed, new[name], known[name]) for name in known}
        taken, searching = lane.where(passed, s, taken), searching & lane.not_(passed)
        if not lane.any(searching):
            break
        s = lane.where(searching, o.contraction_factor * s, s)
    o.stagnated = o.stagnated | searching
    return taken, known


def _known(o: InteriorPointNewtonOptions) -> dict[str, Any]:
    """Return the state that a step replaces."""
    return {name: getattr(o, name) for name in _REPLACED}


def _weighed(p: Any, o: InteriorPointNewtonOptions, known: dict[str, Any], g: Any, h: Any) -> _Iterate:
    """Add the squared norm of F and the products of multipliers and slacks to what is known of a point."""
    scalar, u, s = o.lane.scalar, known["lagrangian_gradient"], known["slacks"]
    products = known["inequality_multipliers"] * s
    squares = h.square().sum(-1) + (g + s).square().sum(-1) + products.square().sum(-1)
    least = torch.nn.functional.pad(products, (0, 1), value=torch.inf).amin(-1)
    residual = scalar(p.M.inner(known["x"], u, u) + squares)
    return _Iterate(known, residual, scalar(least), scalar(products.sum(-1)))


def _central(o: InteriorPointNewtonOptions, trial: _Iterate) -> Any:
    """Tell where no product of multiplier and slack falls behind, and their sum not faster than the residual."""
    if not o.slacks.shape[-1]:
        return o.lane.full(True)
    even = trial.least >= o.centrality * o.least_share * trial.total / max(o.slacks.shape[-1], 1)
    return even & (trial.total >= o.centrality * o.sum_share * o.lane.sqrt(trial.residual))


@strict_keywords
def interior_point_newton(
    M: Manifold,
    cost: Callable[..., Any],
    x: Any,
    *,
    inequality: Callable[..., Any] | None = None,
    equality: Callable[..., Any] | None = None,
    data: tuple = (),
    vectorized: bool = True,
    initial_inequality_multiplier: float | torch.Tensor = 1.0,
    initial_equality_multiplier: float | torch.Tensor = 0.0,
    initial_slack: float | torch.Tensor = 1.0,
    sufficient_decrease: float = 1e-4,
    contraction_factor: float = 0.5,
    max_decreases: int = 40,
    initial_centrality: float = 0.9,
    stop: StoppingCriterion | None = None,
    retraction_method: str | None = None,
    check_every: int = 1,
    compact: bool = True,
    debug: Any = None,
    record: Any = None,
    return_options: bool = False,
) -> Any:
    r"""Find a Karush-Kuhn-Tucker point of a smooth cost under $g(x) \le 0$, $h(x) = 0$ by Newton's method.

    Superlinear convergence to all digits, for problems of few dimensions: each iteration takes as many products with
    the Hessian as there are. Newton's method does not tell minima from maxima; start it close, or from a point that
    `augmented_lagrangian_method` has found.

    Args:
        M: the manifold.
        cost: `cost(x, *data)`, returns shape `(*batch,)`.
        x: the start, feasible or not, shape `(*batch, *point_shape)`.
        inequality: `inequality(x, *data)`, the values $g(x)$, shape `(*batch, m)`.
        equality: `equality(x, *data)`, the values $h(x)$, shape `(*batch, k)`.
        data: tensors with the batch axes in front, handed to the callables after the point.
        vectorized: False if the callables are written for one point.
        initial_inequality_multiplier: see `InteriorPointNewtonOptions`, as for the following.
        initial_equality_multiplier: $\lambda$ at the start.
        initial_slack: $s$ at the start.
        sufficient_decrease: share of the predicted decrease of the squared residual.
        contraction_factor: ratio of two trials.
        max_decreases: bound on the trials.
        initial_centrality: $\gamma$.
        stop: the stopping criterion.
        retraction_method: name of the manifold's retraction.
        check_every: how often the host asks whether any problem still runs.
        compact: whether finished problems leave the working set.
        debug: what to print, see `solve`.
        record: what to record, see `solve`.
        return_options: whether to return the options (with reasons, multipliers, records) instead of the result.

    Returns:
        The point, shape `(*batch, *point_shape)`, or the options.

    Raises:
        ManoptError: for bad input, before the first iteration; see `solve`.

    References:
        [LaiYoshise:2024].

    Examples:
        >>> import torch
        >>> from manopt_torch import Sphere, interior_point_newton
        >>> x = torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64)
        >>> x = interior_point_newton(Sphere(3), lambda x: x[..., 2], x, inequality=lambda x: -x[..., 2:])
        >>> bool(x[2].abs() < 1e-7)
        True
    """
    problem = ConstrainedProblem(M, cost, inequality, equality, data=data, vectorized=vectorized)
    options = InteriorPointNewtonOptions(
        x,
        initial_inequality_multiplier=initial_inequality_multiplier,
        initial_equality_multiplier=initial_equality_multiplier,
        initial_slack=initial_slack,
        sufficient_decrease=sufficient_decrease,
        contraction_factor=contraction_factor,
        max_decreases=max_decreases,
        initial_centrality=initial_centrality,
        stop=stop,
        retraction_method=retraction_method,
        check_every=check_every,
        compact=compact,
    )
    solve(problem, options, debug=debug, record=record)
    return options if return_options else get_solver_result(options)
