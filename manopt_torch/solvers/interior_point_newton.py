r"""The interior point Newton method.

With slacks $s$ for the inequalities, Newton's method for the conditions of Karush, Kuhn and Tucker

$$\operatorname{grad}_x \mathcal L(x, \mu, \lambda) = 0, \quad h(x) = 0, \quad g(x) + s = 0, \quad \mu \circ s = \beta,
\quad \mu, s > 0,$$

while $\beta$ falls to zero; the steps are such that the squared norm of the residual decreases and that no product
$\mu_j s_j$ falls far behind the others. References: [LaiYoshise:2024].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.functional.interior_point import (
    Iterate,
    KKTStep,
    KKTSystem,
    centring,
    dense_step,
    longest_step,
    weighed,
)
from manopt_torch.functional.matrix_free_kkt import KKTProducts, krylov_step
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
    stop_unsolved,
)
from manopt_torch.plans.dispatch import get_solver_result, initialize_solver, step_solver
from manopt_torch.plans.options import Options, check_count, check_range, state, strict_keywords
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration, StoppingCriterion, StopWhenKKTResidualLess
from manopt_torch.problems.constrained import ConstrainedProblem, second_order, second_order_products

# how much of the way to the edge of the positive numbers a step may go, far from the solution and close to it
_FAR, _CLOSE = 0.995, 1.0 - 1e-6
# up to so many unknowns a factorisation takes less time; residual of a Krylov step relative to F, and its iterations
_SMALL, _LOOSEST, _MOST_INNER = 100, 0.1, 2000
_REPLACED = (
    *("x", "cost", "gradient", "inequality_multipliers", "equality_multipliers", "slacks"),
    *("lagrangian_gradient", "violation", "kkt_residual"),
)


@dataclass(eq=False, kw_only=True)
class InteriorPointNewtonOptions(ConstrainedOptions):
    r"""Options of the interior point Newton method; a reason tells whether one that stagnates is infeasible.

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
        linear_solver: how Newton's equation is solved: `"dense"` by a factorisation, `"krylov"` by minimal residuals,
            which take products with the Hessian alone; None takes the first up to 100 unknowns.
        max_inner_iterations: most iterations of a Krylov step; None is four times the unknowns, at most 2,000.
        stop: the stopping criterion; None is `StopAfterIteration(800) | StopWhenKKTResidualLess(1e-8)`, see above.
        retraction_method: name of the manifold's retraction; None is its default.
        check_every: how often (in iterations) the host asks whether any problem of a batch still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter has the wrong kind or is out of its range.

    Examples:
        >>> InteriorPointNewtonOptions(torch.zeros(2)).stop.members[:2]
        (StopAfterIteration(800), StopWhenKKTResidualLess(1e-08))
    """

    initial_inequality_multiplier: float | torch.Tensor = 1.0
    initial_equality_multiplier: float | torch.Tensor = 0.0
    initial_slack: float | torch.Tensor = 1.0
    sufficient_decrease: float = 1e-4
    contraction_factor: float = 0.5
    max_decreases: int = 40
    initial_centrality: float = 0.9
    linear_solver: str | None = None
    max_inner_iterations: int | None = None

    # updated every step
    slacks: Any = state()
    inner_iterations: Any = state()
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
        if self.linear_solver not in (None, "dense", "krylov"):
            raise OptionsError(
                f"{type(self).__name__}: linear_solver must be 'dense', 'krylov' or None, got {self.linear_solver!r}"
            )
        if self.max_inner_iterations is not None:
            check_count(self, "max_inner_iterations", 1)
        if self.stop is None:
            self.stop = StopAfterIteration(800) | StopWhenKKTResidualLess(1e-8) | stop_unsolved()


@initialize_solver.register(InteriorPointNewtonOptions)
def _initialize(p: Any, o: InteriorPointNewtonOptions) -> None:
    begin(p, o)
    lane = o.lane
    at = evaluate_start(p, o, lambda at: initial_multipliers(o, at, positive=True))
    o.slacks = multipliers(o, "initial_slack", at.inequality, positive=True)
    o.centrality, o.last_stepsize, o.inner_iterations = lane.full(o.initial_centrality), None, lane.full(0)
    here = weighed(lane, p.M, _known(o), at.inequality, at.equality)
    o.least_share = lane.div(here.least, here.total / max(o.slacks.shape[-1], 1))
    o.sum_share = lane.div(here.total, lane.sqrt(here.residual))


@step_solver.register(InteriorPointNewtonOptions)
def _step(p: Any, o: InteriorPointNewtonOptions, i: int) -> None:
    here, beta, step, count = _newton(p, o)
    s, known = _backtrack(p, o, here, step, -2.0 * (here.residual - beta * here.total))
    commit(o, **known, last_stepsize=s, centrality=0.5 * (o.centrality + 0.5), inner_iterations=count)


def _newton(p: Any, o: InteriorPointNewtonOptions) -> tuple[Iterate, Any, KKTStep, Any]:
    """Solve Newton's equation at the point; return what is there, beta, the step, and the products it took."""
    lane, mu, lam, s = o.lane, o.inequality_multipliers, o.equality_multipliers, o.slacks
    unknowns = p.M.dim + lam.shape[-1]
    dense = o.linear_solver == "dense" or (o.linear_solver is None and unknowns <= _SMALL)
    if dense:
        at = KKTSystem(*second_order(p, o.x, mu, lam), mu=mu, s=s)
    else:
        at = KKTProducts(*second_order_products(p, o.x, mu, lam), mu=mu, s=s)
    here = weighed(lane, p.M, _known(o), at.g, at.h)
    beta = centring(lane, here.residual, o.last_stepsize) * here.total / max(s.shape[-1], 1)
    aim = per_problem(o, beta)
    if isinstance(at, KKTSystem):
        return here, beta, dense_step(lane, p.M, o.x, at, aim, o.active), lane.full(0)
    # a residual that keeps the order of convergence
    size = lane.sqrt(here.residual)
    target = lane.min(lane.sqrt(size), _LOOSEST) * size
    bound = o.max_inner_iterations or min(4 * unknowns, _MOST_INNER)
    step, found = krylov_step(lane, p.M, o.x, at, aim, target, bound, o.active)
    return here, beta, step, found.count


def _backtrack(
    p: Any, o: InteriorPointNewtonOptions, here: Iterate, step: KKTStep, slope: Any
) -> tuple[Any, dict[str, Any]]:
    """Shorten the step until it is accepted; mark the problems where none is."""
    lane = o.lane
    mu, slacks = o.inequality_multipliers, o.slacks
    edge = torch.minimum(longest_step(mu, step.mu), longest_step(slacks, step.s))
    share = lane.min(lane.max(1.0 - lane.sqrt(here.residual), _FAR), _CLOSE)
    s = lane.min(share * lane.scalar(edge), 1.0)
    taken, known, searching = lane.full(0.0), here.known, o.active
    for _ in range(o.max_decreases):
        x = p.M.retract(o.x, step.xi, s, o.retraction_method)
        each = per_problem(o, s).unsqueeze(-1)
        at = p.evaluate(x)
        new = measured(p, x, at, mu + each * step.mu, o.equality_multipliers + each * step.lam)
        new["slacks"] = slacks + each * step.s
        trial = weighed(lane, p.M, new, at.inequality, at.equality)
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


def _central(o: InteriorPointNewtonOptions, trial: Iterate) -> Any:
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
    data: tuple[Any, ...] = (),
    vectorized: bool = True,
    initial_inequality_multiplier: float | torch.Tensor = 1.0,
    initial_equality_multiplier: float | torch.Tensor = 0.0,
    initial_slack: float | torch.Tensor = 1.0,
    sufficient_decrease: float = 1e-4,
    contraction_factor: float = 0.5,
    max_decreases: int = 40,
    initial_centrality: float = 0.9,
    linear_solver: str | None = None,
    max_inner_iterations: int | None = None,
    stop: StoppingCriterion | None = None,
    retraction_method: str | None = None,
    check_every: int = 1,
    compact: bool = True,
    debug: Any = None,
    record: Any = None,
    return_options: bool = False,
) -> Any:
    r"""Find a Karush-Kuhn-Tucker point of a smooth cost under $g(x) \le 0$, $h(x) = 0$ by Newton's method.

    Superlinear convergence to all digits. In few dimensions each iteration takes as many products with the Hessian as
    there are, in many it solves Newton's equation by minimal residuals. Newton's method does not tell minima from
    maxima; start it close, or from a point that `augmented_lagrangian_method` has found.

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
        linear_solver: `"dense"` or `"krylov"`; None chooses by the number of unknowns.
        max_inner_iterations: most iterations of a Krylov step.
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
        linear_solver=linear_solver,
        max_inner_iterations=max_inner_iterations,
        stop=stop,
        retraction_method=retraction_method,
        check_every=check_every,
        compact=compact,
    )
    solve(problem, options, debug=debug, record=record)
    return options if return_options else get_solver_result(options)
