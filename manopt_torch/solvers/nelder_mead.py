r"""The Nelder-Mead method.

A simplex of $d + 1$ points, $d = \dim \mathcal M$, moves by reflecting its worst point at the centroid of the others.
On a manifold the moves are made in the tangent space at the best point $b$: with $u_j = \log_b x_j$ sorted by cost, the
worst last, and $c$ the mean of all but the worst,

$$r = c + \alpha (c - u_w), \quad e = c + \gamma (r - c), \quad
o = c + \rho (r - c), \quad i = c + \rho (u_w - c),$$

are the reflected, expanded, and outer and inner contracted points; where none is good, all points shrink towards the
best, $u_j \leftarrow \sigma u_j$. References: [NelderMead:1965]; [LagariasReedsWrightWright:1998].
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from manopt_torch._host import uploaded
from manopt_torch.errors import OptionsError, ShapeError
from manopt_torch.functional.simplex import cheapest, grown, vertex
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import axpy, first_leaf, map_leaves
from manopt_torch.plans.begin import begin, mark_broken_start
from manopt_torch.plans.commit import commit
from manopt_torch.plans.dispatch import get_solver_result, initialize_solver, step_solver
from manopt_torch.plans.options import Options, check_range, state, strict_keywords
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration, StoppingCriterion, StopWhenPopulationConcentrated
from manopt_torch.problems.cost import CostProblem


@dataclass(eq=False, kw_only=True)
class NelderMeadOptions(Options):
    r"""Options of the Nelder-Mead method.

    Args:
        x: the start, shape `(*batch, *point_shape)`.
        population: the first simplex, shape `(*batch, d + 1, *point_shape)`; None is `x` and its neighbours at the
            distance `size` along an orthonormal basis.
        size: edge length of the first simplex.
        reflection: $\alpha > 0$.
        expansion: $\gamma > 1$.
        contraction: $\rho \in (0, 1)$.
        shrinking: $\sigma \in (0, 1)$.
        stop: the stopping criterion; None is `StopAfterIteration(2000) | StopWhenPopulationConcentrated()`.
        check_every: how often (in iterations) the host asks whether any problem of a batch still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter is out of its range.

    Examples:
        >>> import torch
        >>> from manopt_torch import NelderMeadOptions
        >>> NelderMeadOptions(torch.zeros(2)).expansion
        2.0
    """

    needs: ClassVar[tuple[str, ...]] = ("cost",)

    population: Any = None
    size: float = 0.1
    reflection: float = 1.0
    expansion: float = 2.0
    contraction: float = 0.5
    shrinking: float = 0.5

    # updated every step: the points sorted by cost, shape (*batch, d + 1, *point_shape)
    points: Any = state()
    costs: Any = state()
    vectors: Any = state()  # of a lone run: those that lead to them from the best one
    # set at the start: where the candidates lie on the line from the worst point through the centroid
    steps: Any = state(per_problem=False, saved=False)

    def __post_init__(self) -> None:
        """Fill in the defaults and check the ranges."""
        Options.__post_init__(self)
        check_range(self, "size", 0.0, float("inf"))
        check_range(self, "reflection", 0.0, float("inf"))
        check_range(self, "expansion", 1.0, float("inf"))
        check_range(self, "contraction", 0.0, 1.0)
        check_range(self, "shrinking", 0.0, 1.0)
        if self.stop is None:
            self.stop = StopAfterIteration(2000) | StopWhenPopulationConcentrated()


@initialize_solver.register(NelderMeadOptions)
def _initialize(p: Any, o: NelderMeadOptions) -> None:
    begin(p, o)
    points = _first_simplex(p.M, o) if o.population is None else _checked(p.M, o)
    axis = len(o.lane.shape)
    first = p.get_cost(vertex(points, axis, 0))
    p.check_cost(first, o.lane.shape)
    rest = [p.get_cost(vertex(points, axis, j)) for j in range(1, p.M.dim + 1)]
    o.gradient = None
    (o.costs, o.points), _ = cheapest(p.M.dim + 1, _side_by_side([first, *rest]), points)
    o.x, o.cost = vertex(o.points, axis, 0), o.costs[..., 0]
    o.vectors = _seen_from(p.M, o, o.x, o.points) if o.lane.lone else None
    steps = (o.reflection, o.expansion * o.reflection, o.contraction * o.reflection, -o.contraction)
    o.steps = uploaded(steps, first_leaf(o.x).real)
    if not o.lane.lone:
        o.steps = o.steps.unbind(0)
    mark_broken_start(o, o.lane.finite(o.cost))


@step_solver.register(NelderMeadOptions)
def _step(p: Any, o: NelderMeadOptions, i: int) -> None:
    lane = o.lane
    best, second, worst = map(lane.scalar, (o.cost, o.costs.select(-1, -2), o.costs.select(-1, -1)))
    # of a batch, some best point changes nearly always: only a lone run keeps the tangent vectors
    vectors = o.vectors if lane.lone else _seen_from(p.M, o, o.x, o.points)
    evaluate, (at_reflected, at_expanded, outside, inside) = _candidates(p, o, vectors)
    new = evaluate(at_reflected)
    reflected = lane.trial_cost(new[0])
    low, high = reflected < best, reflected >= second
    again, shrinks = low | high, high
    if lane.any(again & o.active):
        other = evaluate(lane.where(low, at_expanded, lane.where(reflected < worst, outside, inside)))
        better = again & (lane.trial_cost(other[0]) < lane.min(reflected, worst))
        new = lane.pick(better, other, new)
        shrinks = high & lane.not_(better)
    _replace(p, o, vectors, new, shrinks)


def _candidates(p: Any, o: NelderMeadOptions, vectors: Any) -> tuple[Callable[[Any], tuple[Any, ...]], Any]:
    """Return what evaluates a candidate of each problem, and what stands for each of the four kinds of them.

    An evaluation gives cost and point, and in a lone run the tangent vector that leads there.
    """
    M, lane, axis = p.M, o.lane, len(o.lane.shape)
    centroid = map_leaves(lambda v: v.narrow(axis, 0, M.dim).mean(axis), vectors)
    away = map_leaves(torch.sub, centroid, vertex(vectors, axis, -1))
    if not lane.lone:

        def at(step: torch.Tensor) -> tuple[torch.Tensor, Any]:
            x = _move(M, o.x, lane.axpy(centroid, step, away))
            return p.get_cost(x), x

        return at, o.steps
    # a lone problem makes all four together: a call takes longer than its points
    four = map_leaves(lambda c, v: axpy(c, v, o.steps, c.dim()), centroid, away)
    points = _move(M, map_leaves(lambda leaf: leaf.unsqueeze(0), o.x), four)

    def one(j: int) -> tuple[torch.Tensor, Any, Any]:
        x = vertex(points, 0, j)
        return p.get_cost(x), x, vertex(four, 0, j)

    return one, range(4)


def _replace(p: Any, o: NelderMeadOptions, vectors: Any, new: tuple[Any, ...], shrinks: Any) -> None:
    """Put the new point in the place of the worst one; shrink the simplices that found none."""
    lane, axis, k = o.lane, len(o.lane.shape), p.M.dim + 1
    # one that is accepted costs less than the worst
    simplex, order = cheapest(k, *grown((o.costs, o.points, vectors)[: len(new)], axis, new))
    if lane.any(shrinks & o.active):
        simplex, order = cheapest(k, *lane.pick(shrinks, _shrunk(p, o, vectors)[: len(new)], simplex))
    costs, points, *vectors = simplex
    x = vertex(points, axis, 0)
    state = {"x": x, "cost": costs.select(-1, 0), "points": points, "costs": costs}
    if lane.lone:
        state["vectors"] = _seen_from(p.M, o, x, points) if lane.scalar(order.select(-1, 0)) else vectors[0]
    commit(o, **state)


def _shrunk(p: Any, o: NelderMeadOptions, vectors: Any) -> tuple[torch.Tensor, Any, Any]:
    """Return the simplex drawn towards its best point: costs, points and vectors."""
    axis = len(o.lane.shape)
    vectors = map_leaves(lambda v: o.shrinking * v, vectors)
    best = map_leaves(lambda leaf: leaf.unsqueeze(axis), o.x)
    others = _move(p.M, best, map_leaves(lambda v: v.narrow(axis, 1, p.M.dim), vectors))
    costs = [p.get_cost(vertex(others, axis, j)) for j in range(p.M.dim)]
    points = map_leaves(lambda x, rest: torch.cat((x, rest), axis), best, others)
    return _side_by_side([o.costs[..., 0], *costs]), points, vectors


def _side_by_side(costs: list[torch.Tensor]) -> torch.Tensor:
    """Return costs on an axis of their own; what is no number is larger than all others."""
    return torch.nan_to_num(torch.stack(costs, -1), nan=math.inf, posinf=math.inf, neginf=-math.inf)


def _seen_from(M: Manifold, o: NelderMeadOptions, best: Any, points: Any) -> Any:
    """Return the points of a simplex in the tangent space at its best one."""
    axis = len(o.lane.shape)
    best = map_leaves(lambda leaf: leaf.unsqueeze(axis), best)
    return M.log(best, points) if M.has_exp and M.has_log else M.inverse_retract(best, points)


def _move(M: Manifold, x: Any, u: Any) -> Any:
    return M.exp(x, u) if M.has_exp and M.has_log else M.retract(x, u)


def _first_simplex(M: Manifold, o: NelderMeadOptions) -> Any:
    axis = len(o.lane.shape)
    basis = map_leaves(lambda leaf: o.size * leaf, M.basis(o.x))
    others = [_move(M, o.x, map_leaves(lambda leaf, j=j: leaf.select(axis, j), basis)) for j in range(M.dim)]
    return map_leaves(lambda *parts: torch.stack(parts, axis), o.x, *others)


def _checked(M: Manifold, o: NelderMeadOptions) -> Any:
    """Return the given simplex if it has the right shape and lies on the manifold."""
    wanted, got = (*o.lane.shape, M.dim + 1), tuple(M.batch_shape(o.population))
    if got != wanted:
        raise ShapeError(
            f"the population must hold {M.dim + 1} points for each problem, batch axes {wanted}, got {got}"
        )
    M.check_point(o.population)
    return o.population


@strict_keywords
def nelder_mead(
    M: Manifold,
    cost: Callable[..., Any],
    x: Any = None,
    *,
    population: Any = None,
    data: tuple[Any, ...] = (),
    vectorized: bool = True,
    size: float = 0.1,
    reflection: float = 1.0,
    expansion: float = 2.0,
    contraction: float = 0.5,
    shrinking: float = 0.5,
    stop: StoppingCriterion | None = None,
    check_every: int = 1,
    compact: bool = True,
    debug: Any = None,
    record: Any = None,
    return_options: bool = False,
) -> Any:
    r"""Minimise a cost without derivatives by a moving simplex, each problem of the batch with its own.

    For costs of a few variables that cannot be differentiated or are noisy; with a gradient any other method is
    faster. There are functions on which it stops short of a minimiser.

    Args:
        M: the manifold; its dimension should be small, up to ten or so.
        cost: `cost(x, *data)`, returns shape `(*batch,)`.
        x: the start, shape `(*batch, *point_shape)`; may be left out where a population is given.
        population: the first simplex, see `NelderMeadOptions`, as for the following.
        data: tensors with the batch axes in front, handed to the cost after the point.
        vectorized: False if the cost is written for one point.
        size: edge length of the first simplex.
        reflection: $\alpha$.
        expansion: $\gamma$.
        contraction: $\rho$.
        shrinking: $\sigma$.
        stop: the stopping criterion.
        check_every: how often the host asks whether any problem still runs.
        compact: whether finished problems leave the working set.
        debug: what to print, see `solve`.
        record: what to record, see `solve`.
        return_options: whether to return the options (with reasons, iterations, records) instead of the result.

    Returns:
        The best point of each problem, shape `(*batch, *point_shape)`, or the options.

    Raises:
        OptionsError: if neither start nor population is given.
        ManoptError: for other bad input, before the first iteration; see `solve`.

    References:
        [NelderMead:1965].

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, nelder_mead
        >>> cost = lambda x: (1 - x[..., 0]) ** 2 + 100 * (x[..., 1] - x[..., 0] ** 2) ** 2
        >>> x = nelder_mead(Euclidean(2), cost, torch.tensor([-1.0, 1.0], dtype=torch.float64))
        >>> bool((x - 1).abs().max() < 1e-6)
        True
    """
    if x is None:
        if population is None:
            raise OptionsError("nelder_mead needs a start x or a population")
        shape = M.batch_shape(population)
        if not shape or not shape[-1]:
            raise ShapeError(f"the population must hold points, batch axes (*batch, {M.dim + 1}), got {tuple(shape)}")
        axis = len(shape) - 1
        x = map_leaves(lambda leaf: leaf.select(axis, 0), population)
    problem = CostProblem(M, cost, data=data, vectorized=vectorized)
    options = NelderMeadOptions(
        x,
        population=population,
        size=size,
        reflection=reflection,
        expansion=expansion,
        contraction=contraction,
        shrinking=shrinking,
        stop=stop,
        check_every=check_every,
        compact=compact,
    )
    solve(problem, options, debug=debug, record=record)
    return options if return_options else get_solver_result(options)
