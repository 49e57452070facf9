r"""The Nelder-Mead method.

A simplex of $d + 1$ points, $d = \dim \mathcal M$, moves by reflecting its worst point at the centroid of the others.
On a manifold the moves are made in the tangent space at the best point $b$: with $u_j = \log_b x_j$ sorted by cost, the
worst last, and $c$ the mean of all but the worst,

$$r = c + \alpha (c - u_w), \quad e = c + \gamma (r - c), \quad
o = c + \rho (r - c), \quad i = c + \rho (u_w - c),$$

are the reflected, expanded, and outer and inner contracted points; where none is good, all points shrink towards the
best, $u_j \leftarrow \sigma u_j$. References: [NelderMead:1965]; [LagariasReedsWrightWright:1998].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from manopt_torch.errors import OptionsError, ShapeError
from manopt_torch.functional.masked import Batch, any_active
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import expand_right, first_leaf, map_leaves
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

    # updated every step: the points sorted by cost, shape (*batch, d + 1, *point_shape), and their costs
    points: Any = state()
    costs: Any = state()

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
    first = p.get_cost(_vertex(points, o, 0))
    p.check_cost(first, o.lane.shape)
    rest = [p.get_cost(_vertex(points, o, j)) for j in range(1, p.M.dim + 1)]
    o.gradient = None
    _sorted(o, points, torch.stack([first, *rest], -1))
    mark_broken_start(o, o.lane.finite(o.cost))


@step_solver.register(NelderMeadOptions)
def _step(p: Any, o: NelderMeadOptions, i: int) -> None:
    lane = Batch(o.lane.shape, first_leaf(o.x))  # a few scalars of a simplex are a tensor, also in a lone run
    costs = lane.scalar(o.costs)
    best, second, worst = costs[..., 0], costs[..., -2], costs[..., -1]
    vectors, centroid = _tangents(p.M, o)
    away = map_leaves(torch.sub, centroid, _vertex(vectors, o, -1))

    def at(t: Any) -> tuple[Any, torch.Tensor]:
        """Evaluate the point `c + t (c - u_w)`."""
        x = _move(p.M, o.x, lane.axpy(centroid, t, away))
        return x, p.get_cost(x)

    x, cost = at(lane.full(o.reflection))
    reflected = lane.trial_cost(cost)
    low, high = reflected < best, reflected >= second
    outside = high & (reflected < worst)
    if any_active((low | high) & torch.as_tensor(o.active)):
        t = torch.where(outside, o.contraction * o.reflection, -o.contraction)
        t = torch.where(low, o.expansion * o.reflection, t)
        other, other_cost = at(torch.where(low | high, t, lane.full(o.reflection)))
        value = lane.trial_cost(other_cost)
        better = (low & (value < reflected)) | (high & (value < torch.minimum(reflected, worst)))
        x, cost = lane.pick(better, other, x), torch.where(better, other_cost, cost)
        shrinks = high & ~better
    else:
        shrinks = high
    _replace(p, o, x, cost, vectors, shrinks)


def _replace(p: Any, o: NelderMeadOptions, x: Any, cost: Any, vectors: Any, shrinks: Any) -> None:
    """Put the new point in the place of the worst one; shrink the simplices that found none."""
    axis = len(o.lane.shape)

    def without_worst(leaf: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
        return torch.cat((leaf.narrow(axis, 0, leaf.shape[axis] - 1), new.unsqueeze(axis)), axis)

    points = map_leaves(without_worst, o.points, x)
    costs = torch.cat((o.costs[..., :-1], cost.unsqueeze(-1)), -1)
    if any_active(shrinks & torch.as_tensor(o.active)):
        closer = [map_leaves(lambda v: o.shrinking * v, _vertex(vectors, o, j)) for j in range(1, p.M.dim + 1)]
        moved = [o.x, *(_move(p.M, o.x, u) for u in closer)]
        shrunk = map_leaves(lambda *parts: torch.stack(parts, axis), *moved)
        new = torch.stack([o.costs[..., 0], *(p.get_cost(y) for y in moved[1:])], -1)
        points = map_leaves(lambda a, b: torch.where(expand_right(shrinks, a.dim() - axis), a, b), shrunk, points)
        costs = torch.where(shrinks.unsqueeze(-1), new, costs)
    points, costs = _in_order(points, costs, axis)
    commit(o, x=map_leaves(lambda leaf: leaf.select(axis, 0), points), cost=costs[..., 0], points=points, costs=costs)


def _sorted(o: NelderMeadOptions, points: Any, costs: Any) -> None:
    axis = len(o.lane.shape)
    o.points, o.costs = _in_order(points, costs, axis)
    o.x, o.cost = _vertex(o.points, o, 0), o.costs[..., 0]


def _in_order(points: Any, costs: Any, axis: int) -> tuple[Any, Any]:
    """Sort the points of each problem by cost; costs that are not numbers come last."""
    costs, order = torch.sort(costs, dim=-1, stable=True)

    def arrange(leaf: torch.Tensor) -> torch.Tensor:
        return leaf.gather(axis, expand_right(order, leaf.dim() - axis - 1).expand_as(leaf))

    return map_leaves(arrange, points), costs


def _vertex(points: Any, o: NelderMeadOptions, j: int) -> Any:
    axis = len(o.lane.shape)
    return map_leaves(lambda leaf: leaf.select(axis, j), points)


def _tangents(M: Manifold, o: NelderMeadOptions) -> tuple[Any, Any]:
    """Return the simplex in the tangent space at its best point, and there the centroid without the worst one."""
    axis = len(o.lane.shape)
    best = map_leaves(lambda leaf, at: leaf.unsqueeze(axis).expand_as(at), o.x, o.points)
    vectors = M.log(best, o.points) if M.has_exp and M.has_log else M.inverse_retract(best, o.points)
    # the best point is the origin, whatever rounding says
    count = M.dim
    centroid = map_leaves(lambda v: v.narrow(axis, 1, count - 1).sum(axis) / count, vectors)
    return vectors, centroid


def _move(M: Manifold, x: Any, u: Any) -> Any:
    return M.exp(x, u) if M.has_exp and M.has_log else M.retract(x, u)


def _first_simplex(M: Manifold, o: NelderMeadOptions) -> Any:
    axis = len(o.lane.shape)
    basis = map_leaves(lambda leaf: o.size * leaf, M.basis(o.x))
    others = [_move(M, o.x, map_leaves(lambda leaf, j=j: leaf.select(axis, j), basis)) for j in range(M.dim)]
    return map_leaves(lambda *parts: torch.stack(parts, axis), o.x, *others)


def _checked(M: Manifold, o: NelderMeadOptions) -> Any:
    """Return the given simplex if it has the right shape and lies on the manifold."""
    wanted = (*o.lane.shape, M.dim + 1)
    got = M.batch_shape(o.population)
    if tuple(got) != wanted:
        raise ShapeError(
            f"the population must hold {M.dim + 1} points for each problem, batch axes {wanted}, got {tuple(got)}"
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
    data: tuple = (),
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
        axis = len(M.batch_shape(population)) - 1
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
