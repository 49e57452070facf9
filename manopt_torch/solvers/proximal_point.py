r"""The proximal point algorithm.

$$x_{i+1} = \operatorname{prox}_{\lambda_i f}(x_i) = \arg\min_y f(y) + \tfrac{1}{2\lambda_i} d(x_i, y)^2.$$

References: [FerreiraOliveira:2002].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import leaves, map_leaves
from manopt_torch.plans.begin import begin, cost_at_start
from manopt_torch.plans.commit import commit
from manopt_torch.plans.dispatch import get_solver_result, initialize_solver, step_solver
from manopt_torch.plans.options import Options, strict_keywords
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import (
    StopAfterIteration,
    StoppingCriterion,
    StopWhenChangeLess,
    StopWhenGradientNormLess,
)
from manopt_torch.problems.base import map_over_batch
from manopt_torch.problems.gradient import GradientProblem
from manopt_torch.problems.proximal import ProximalProblem
from manopt_torch.solvers.steepest_descent import GradientDescentOptions
from manopt_torch.stepsizes.armijo import ArmijoLinesearch


@dataclass(eq=False, kw_only=True)
class ProximalPointOptions(Options):
    r"""Options of the proximal point algorithm.

    Args:
        x: the start, shape `(*batch, *point_shape)`.
        proximal_parameter: $\lambda$, a positive number or a function of the iteration $i \ge 1$.
        stop: the stopping criterion; None is `StopAfterIteration(1000) | StopWhenChangeLess(1e-12)`.
        check_every: how often (in iterations) the host asks whether any problem of a batch still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter has the wrong kind or is out of its range.

    Examples:
        >>> import torch
        >>> from manopt_torch import ProximalPointOptions
        >>> ProximalPointOptions(torch.zeros(2)).proximal_parameter
        1.0
    """

    needs: ClassVar[tuple[str, ...]] = ("cost", "proximal_map")

    proximal_parameter: float | Callable[[int], Any] = 1.0

    def __post_init__(self) -> None:
        """Fill in the defaults and check the parameter."""
        Options.__post_init__(self)
        lam = self.proximal_parameter
        if not (callable(lam) or (isinstance(lam, (int, float)) and 0 < lam < float("inf"))):
            raise OptionsError(
                "ProximalPointOptions: proximal_parameter must be a positive number or a function of the iteration, "
                f"got {lam!r}"
            )
        if self.stop is None:
            self.stop = StopAfterIteration(1000) | StopWhenChangeLess(1e-12)


@initialize_solver.register(ProximalPointOptions)
def _initialize(p: Any, o: ProximalPointOptions) -> None:
    begin(p, o)
    cost_at_start(p, o)


@step_solver.register(ProximalPointOptions)
def _step(p: Any, o: ProximalPointOptions, i: int) -> None:
    lam = o.proximal_parameter(i) if callable(o.proximal_parameter) else o.proximal_parameter
    x = p.get_proximal_map(lam, o.x, 0)
    commit(o, x=x, cost=p.get_cost(x))


def proximal_map_by_descent(M: Manifold, cost: Callable[..., Any]) -> Callable[..., Any]:
    r"""Return the proximal map of a smooth cost, found by steepest descent from the point itself.

    Args:
        M: the manifold.
        cost: `cost(x, *data)` for batches, differentiable by autograd.
    """

    def prox(lam: Any, x: Any, *data: Any) -> Any:
        # the centre travels with its problem as the data do
        def regularised(y: Any, *both: Any) -> Any:
            given = iter(both)
            centre = map_leaves(lambda _: next(given), x)
            return cost(y, *both[len(parts) :]) + M.squared_dist(centre, y) / (2 * lam)

        parts = leaves(x)
        problem = GradientProblem(M, regularised, data=(*parts, *data))
        stop = StopAfterIteration(200) | StopWhenGradientNormLess(1e-8)
        search = ArmijoLinesearch(contraction_factor=0.5, sufficient_decrease=0.3)
        return get_solver_result(solve(problem, GradientDescentOptions(x, stepsize=search, stop=stop)))

    return prox


@strict_keywords
def proximal_point(
    M: Manifold,
    cost: Callable[..., Any],
    x: Any,
    *,
    prox: Callable[..., Any] | None = None,
    data: tuple[Any, ...] = (),
    vectorized: bool = True,
    proximal_parameter: float | Callable[[int], Any] = 1.0,
    stop: StoppingCriterion | None = None,
    check_every: int = 1,
    compact: bool = True,
    debug: Any = None,
    record: Any = None,
    return_options: bool = False,
) -> Any:
    r"""Minimise a cost by its proximal map, given or found by an inner descent.

    Useful where the proximal map has a closed form, and where a badly conditioned cost becomes easy with the distance
    term added; costs with kinks need their map given.

    Args:
        M: the manifold.
        cost: `cost(x, *data)`, returns shape `(*batch,)`.
        x: the start, shape `(*batch, *point_shape)`.
        prox: `prox(lam, x, *data) -> y`; None minimises $f + d(x, \cdot)^2 / 2\lambda$ by steepest descent.
        data: tensors with the batch axes in front, handed to the callables last.
        vectorized: False if the callables are written for one point.
        proximal_parameter: see `ProximalPointOptions`, as for the following.
        stop: the stopping criterion.
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
        [FerreiraOliveira:2002].

    Examples:
        >>> import torch
        >>> from manopt_torch import Sphere, proximal_point
        >>> M, q = Sphere(3), torch.eye(3, dtype=torch.float64)
        >>> towards = lambda lam, x: M.geodesic(x, q[0], lam / (1 + lam))
        >>> x = proximal_point(M, lambda x: 0.5 * M.squared_dist(x, q[0]), q[2], prox=towards)
        >>> bool(M.dist(x, q[0]) < 1e-10)
        True
    """
    if prox is None:
        cost = cost if vectorized else map_over_batch(cost, M)
        prox, vectorized = proximal_map_by_descent(M, cost), True
    problem = ProximalProblem(M, cost, [prox], data=data, vectorized=vectorized)
    options = ProximalPointOptions(
        x, proximal_parameter=proximal_parameter, stop=stop, check_every=check_every, compact=compact
    )
    solve(problem, options, debug=debug, record=record)
    return options if return_options else get_solver_result(options)
