r"""Particle swarm optimization.

Particles $x_k$ with velocities $v_k \in T_{x_k}\mathcal M$ are drawn to the best point $p_k$ that each has met and to
the best one $g$ of the whole swarm,

$$v_k \leftarrow \omega\, v_k + \varphi\, r_k \log_{x_k} p_k + \psi\, s_k \log_{x_k} g, \qquad
x_k \leftarrow \operatorname{retr}_{x_k} v_k,$$

with $r_k, s_k$ uniform in $[0, 1]$; velocities are transported along. References: [KennedyEberhart:1995];
[BorckmansIshtevaAbsil:2010].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from manopt_torch._host import uploaded
from manopt_torch.directions.draws import draw_seed, generator_for
from manopt_torch.errors import OptionsError, ShapeError
from manopt_torch.functional.swarm import drawn, has_chords, landed, spread_out
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import expand_right, first_leaf, map_leaves, take_one
from manopt_torch.plans.begin import begin, mark_broken_start
from manopt_torch.plans.commit import commit
from manopt_torch.plans.dispatch import get_solver_result, initialize_solver, step_solver
from manopt_torch.plans.options import Options, check_count, check_range, state, strict_keywords
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration, StoppingCriterion, StopWhenSwarmVelocityLess
from manopt_torch.problems.cost import CostProblem

# iterations whose random numbers are drawn together: a generator costs as much as many numbers
_AT_ONCE = 32


@dataclass(eq=False, kw_only=True)
class ParticleSwarmOptions(Options):
    r"""Options of particle swarm optimization.

    All problems of a batch see the same random numbers, so that none depends on its neighbours.

    Args:
        x: the start, shape `(*batch, *point_shape)`: the first particle of each swarm.
        swarm: the particles, shape `(*batch, k, *point_shape)`; None is `x` and random points of the manifold.
        swarm_size: number of particles where no swarm is given.
        inertia: $\omega \ge 0$.
        cognitive_weight: $\varphi \ge 0$, the pull of a particle's own best point.
        social_weight: $\psi \ge 0$, the pull of the swarm's best point.
        generator: where the run's seed comes from; None is torch's own.
        stop: the stopping criterion; None is `StopAfterIteration(500) | StopWhenSwarmVelocityLess(1e-4)`.
        retraction_method: name of the manifold's retraction; None is its default.
        check_every: how often (in iterations) the host asks whether any problem of a batch still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter is out of its range.

    Examples:
        >>> import torch
        >>> from manopt_torch import ParticleSwarmOptions
        >>> ParticleSwarmOptions(torch.zeros(2)).inertia
        0.65
    """

    needs: ClassVar[tuple[str, ...]] = ("cost",)

    swarm: Any = None
    swarm_size: int = 100
    inertia: float = 0.65
    cognitive_weight: float = 1.4
    social_weight: float = 1.4
    generator: torch.Generator | None = None

    # updated every step, with an axis of particles after the batch axes
    points: Any = state()
    velocities: Any = state()
    best_points: Any = state()  # of each particle
    best_costs: Any = state()
    seed: int = state(0, per_problem=False)
    chords: Any = state(per_problem=False, saved=False)  # whether they stand for logarithms
    weights: Any = state(per_problem=False, saved=False)  # random ones of some iterations, with what they were made for

    def __post_init__(self) -> None:
        """Fill in the defaults and check the ranges."""
        Options.__post_init__(self)
        check_count(self, "swarm_size", 1)
        for name in ("inertia", "cognitive_weight", "social_weight"):
            check_range(self, name, 0.0, float("inf"), open_low=False)
        if self.stop is None:
            self.stop = StopAfterIteration(500) | StopWhenSwarmVelocityLess(1e-4)


@initialize_solver.register(ParticleSwarmOptions)
def _initialize(p: Any, o: ParticleSwarmOptions) -> None:
    begin(p, o)
    o.seed, o.weights, o.chords = draw_seed(o.generator), None, has_chords(p.M)
    o.points = _first_swarm(p.M, o) if o.swarm is None else _checked(p.M, o)
    o.velocities = p.M.zero_tangent(o.points)
    costs = _costs(p, o, o.points)
    p.check_cost(costs, p.M.batch_shape(o.points))
    o.best_points, o.best_costs = o.points, _comparable(costs)
    o.x, o.cost = _best(o, o.best_points, o.best_costs)
    o.gradient = None
    mark_broken_start(o, o.lane.finite(o.cost))


@step_solver.register(ParticleSwarmOptions)
def _step(p: Any, o: ParticleSwarmOptions, i: int) -> None:
    M = p.M
    v = drawn(M, o.points, o.velocities, *_targets(o), o.inertia, *_weights(o, i), chords=o.chords)
    points = M.retract(o.points, v, None, o.retraction_method)
    points, v = landed(o.lane, len(o.lane.shape) + 1, o.points, points, v)
    costs = _comparable(_costs(p, o, points))
    better = costs < o.best_costs
    axes = better.dim()
    best_points = map_leaves(
        lambda new, old: torch.where(expand_right(better, new.dim() - axes), new, old), points, o.best_points
    )
    best_costs = torch.minimum(costs, o.best_costs)
    x, cost = _best(o, best_points, best_costs)
    commit(
        o,
        x=x,
        cost=cost,
        points=points,
        velocities=M.transport(o.points, points, v),
        best_points=best_points,
        best_costs=best_costs,
    )


def _targets(o: ParticleSwarmOptions) -> tuple[Any, Any]:
    """Return the best point of each particle, and that of its swarm."""
    axis = len(o.lane.shape)
    return o.best_points, map_leaves(lambda x: x.unsqueeze(axis), o.x) if axis else o.x


def _weights(o: ParticleSwarmOptions, i: int) -> tuple[Any, Any]:
    """Return the random weights of the two pulls, the same ones for all problems."""
    axis, block = len(o.lane.shape), i // _AT_ONCE
    made_for = o.seed, block, axis
    if o.weights is None or o.weights[0] != made_for:
        shape = 2, _AT_ONCE, o.best_costs.shape[-1]
        draws = torch.rand(shape, generator=generator_for(o.seed, block), dtype=torch.float64, device="cpu")
        own, best = uploaded(draws, first_leaf(o.x).real)
        tables = o.cognitive_weight * own, o.social_weight * best
        o.weights = made_for, *(spread_out(table, axis, o.velocities) for table in tables)
    _, own, best = o.weights
    return own[i % _AT_ONCE], best[i % _AT_ONCE]


def _costs(p: Any, o: ParticleSwarmOptions, points: Any) -> torch.Tensor:
    axis = len(o.lane.shape)
    return (p.spread(first_leaf(points).shape[axis], axis) if p.data else p).get_cost(points)


def _comparable(costs: torch.Tensor) -> torch.Tensor:
    """Return the costs, infinity for those that are not finite."""
    return torch.nan_to_num(costs, nan=torch.inf, posinf=torch.inf, neginf=torch.inf)


def _best(o: ParticleSwarmOptions, points: Any, costs: torch.Tensor) -> tuple[Any, torch.Tensor]:
    """Return the cheapest particle of each problem and its cost."""
    if o.lane.lone:
        cost, least = costs.min(0)
        place = o.lane.scalar(least)
        return map_leaves(lambda leaf: leaf[place].clone(), points), cost
    cost, least = costs.min(-1, keepdim=True)
    return take_one(points, least), cost.squeeze(-1)


def _first_swarm(M: Manifold, o: ParticleSwarmOptions) -> Any:
    """Return the start and random points, the same ones for all problems."""
    axis, ref = len(o.lane.shape), first_leaf(o.x)
    g = generator_for(o.seed, 0)
    others = M.random_point(o.swarm_size - 1, generator=g, dtype=ref.dtype, device=ref.device)

    def join(first: torch.Tensor, rest: torch.Tensor) -> torch.Tensor:
        return torch.cat((first.unsqueeze(axis), rest.expand(*first.shape[:axis], *rest.shape)), axis)

    return map_leaves(join, o.x, others)


def _checked(M: Manifold, o: ParticleSwarmOptions) -> Any:
    """Return the given swarm if it has the right shape and lies on the manifold."""
    got = tuple(M.batch_shape(o.swarm))
    if got[:-1] != tuple(o.lane.shape) or not got or not got[-1]:
        raise ShapeError(
            f"the swarm must hold particles for each problem, batch axes {(*o.lane.shape, 'k')}, got {got}"
        )
    M.check_point(o.swarm)
    return o.swarm


@strict_keywords
def particle_swarm(
    M: Manifold,
    cost: Callable[..., Any],
    x: Any = None,
    *,
    swarm: Any = None,
    data: tuple[Any, ...] = (),
    vectorized: bool = True,
    swarm_size: int = 100,
    inertia: float = 0.65,
    cognitive_weight: float = 1.4,
    social_weight: float = 1.4,
    generator: torch.Generator | None = None,
    stop: StoppingCriterion | None = None,
    retraction_method: str | None = None,
    check_every: int = 1,
    compact: bool = True,
    debug: Any = None,
    record: Any = None,
    return_options: bool = False,
) -> Any:
    r"""Minimise a cost without derivatives by a swarm of particles, each problem of the batch by its own.

    For costs with many local minima. The cost is evaluated for all particles of all problems in one call, so it must
    take batch axes also where there is one problem only (or pass `vectorized=False`).

    Args:
        M: the manifold.
        cost: `cost(x, *data)`, returns shape `(*batch, k)` for points with an axis of particles.
        x: the start, shape `(*batch, *point_shape)`; may be left out where a swarm is given.
        swarm: the particles, see `ParticleSwarmOptions`, as for the following.
        data: tensors with the batch axes in front, handed to the cost after the point.
        vectorized: False if the cost is written for one point.
        swarm_size: number of particles where no swarm is given.
        inertia: $\omega$.
        cognitive_weight: $\varphi$.
        social_weight: $\psi$.
        generator: where the run's seed comes from.
        stop: the stopping criterion.
        retraction_method: name of the manifold's retraction.
        check_every: how often the host asks whether any problem still runs.
        compact: whether finished problems leave the working set.
        debug: what to print, see `solve`.
        record: what to record, see `solve`.
        return_options: whether to return the options (with reasons, iterations, records) instead of the result.

    Returns:
        The best point of each problem, shape `(*batch, *point_shape)`, or the options.

    Raises:
        OptionsError: if neither start nor swarm is given.
        ManoptError: for other bad input, before the first iteration; see `solve`.

    References:
        [KennedyEberhart:1995]; [BorckmansIshtevaAbsil:2010].

    Examples:
        >>> import torch
        >>> from manopt_torch import Sphere, particle_swarm
        >>> A = torch.diag(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
        >>> start = torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64)
        >>> g = torch.Generator().manual_seed(0)
        >>> x = particle_swarm(Sphere(3), lambda x: (x * (x @ A)).sum(-1), start, generator=g)
        >>> bool(abs(x[0].abs() - 1) < 1e-6)
        True
    """
    if x is None:
        if swarm is None:
            raise OptionsError("particle_swarm needs a start x or a swarm")
        shape = M.batch_shape(swarm)
        if not shape or not shape[-1]:
            raise ShapeError(f"the swarm must hold particles, batch axes (*batch, k) with k >= 1, got {tuple(shape)}")
        axis = len(shape) - 1
        x = map_leaves(lambda leaf: leaf.select(axis, 0), swarm)
    problem = CostProblem(M, cost, data=data, vectorized=vectorized)
    options = ParticleSwarmOptions(
        x,
        swarm=swarm,
        swarm_size=swarm_size,
        inertia=inertia,
        cognitive_weight=cognitive_weight,
        social_weight=social_weight,
        generator=generator,
        stop=stop,
        retraction_method=retraction_method,
        check_every=check_every,
        compact=compact,
    )
    solve(problem, options, debug=debug, record=record)
    return options if return_options else get_solver_result(options)
