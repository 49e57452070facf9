r"""Mesh adaptive direct search.

The cost is polled around the iterate, at the points $\operatorname{retr}_x(s\, \Delta_i\, b_j)$ for $2 d$ random
directions $\pm b_j$ that span the tangent space, and once farther along the last step that paid. Where one of them
costs less the best one is taken and the poll size $\Delta$ is doubled, else it is halved, and the mesh that the
directions lie on is refined by a factor 4. References: [AudetDennis:2006]; [Dreisigmeyer:2007].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from manopt_torch._host import uploaded
from manopt_torch.directions.draws import draw_seed, generator_for
from manopt_torch.functional.lower_triangular_poll import DEEPEST, triangular_poll
from manopt_torch.functional.masked import Batch
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import expand_right, first_leaf, map_leaves, new_axis, take_one
from manopt_torch.plans.begin import begin, cost_at_start
from manopt_torch.plans.commit import commit
from manopt_torch.plans.dispatch import get_solver_result, initialize_solver, step_solver
from manopt_torch.plans.options import Options, check_range, state, strict_keywords
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration, StoppingCriterion, StopWhenPollSizeLess
from manopt_torch.problems.cost import CostProblem

# how much farther than the last good step the search along it looks
_STRETCH = 4.0


@dataclass(eq=False, kw_only=True)
class MeshAdaptiveDirectSearchOptions(Options):
    r"""Options of mesh adaptive direct search.

    All problems of a batch see the same random numbers, so that none depends on its neighbours; poll and mesh size are
    each problem's own.

    Args:
        x: the start, shape `(*batch, *point_shape)`.
        scale: $s$, the length of the first and longest directions of a poll; None is a quarter of the injectivity
            radius of the manifold, or 1 where that is infinite.
        generator: where the run's seed comes from; None is torch's own.
        stop: the stopping criterion; None is `StopAfterIteration(500) | StopWhenPollSizeLess(1e-10)`.
        retraction_method: name of the manifold's retraction; None is its default.
        check_every: how often (in iterations) the host asks whether any problem of a batch still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter is out of its range.

    Examples:
        >>> import torch
        >>> from manopt_torch import MeshAdaptiveDirectSearchOptions
        >>> MeshAdaptiveDirectSearchOptions(torch.zeros(2)).stop
        StopAfterIteration(500) | StopWhenPollSizeLess(1e-10)
    """

    needs: ClassVar[tuple[str, ...]] = ("cost",)

    scale: float | None = None
    generator: torch.Generator | None = None

    # updated every step
    level: Any = state()  # the poll size is scale / 2^level, the mesh size scale / 4^level
    poll_size: Any = state()
    mesh_size: Any = state()
    last_move: Any = state()  # the step that led here, as a tangent vector; zero if the last one led nowhere
    seed: int = state(0, per_problem=False)

    def __post_init__(self) -> None:
        """Fill in the defaults and check the ranges."""
        Options.__post_init__(self)
        if self.scale is not None:
            check_range(self, "scale", 0.0, float("inf"))
        if self.stop is None:
            self.stop = StopAfterIteration(500) | StopWhenPollSizeLess(1e-10)


@initialize_solver.register(MeshAdaptiveDirectSearchOptions)
def _initialize(p: Any, o: MeshAdaptiveDirectSearchOptions) -> None:
    begin(p, o)
    o.seed = draw_seed(o.generator)
    cost_at_start(p, o)
    lane = Batch(o.lane.shape, first_leaf(o.x))
    o.level = lane.full(0)
    o.poll_size = o.mesh_size = _scale(p.M, o) * lane.full(1.0)
    o.last_move = p.M.zero_tangent(o.x)


@step_solver.register(MeshAdaptiveDirectSearchOptions)
def _step(p: Any, o: MeshAdaptiveDirectSearchOptions, i: int) -> None:
    M, axis = p.M, len(o.lane.shape)
    moves = _moves(M, o, i)
    centre = new_axis(o.x, M.point_shape)
    points = M.retract(centre, moves, None, o.retraction_method)
    count = 2 * M.dim + 1
    values = p.spread(count, axis).get_cost(points)
    many, lane = Batch((*o.lane.shape, count), first_leaf(o.x)), Batch(o.lane.shape, first_leaf(o.x))
    costs = torch.where(many.finite(points), many.trial_cost(values), torch.inf)
    # without a step that paid the last point is the iterate, and would pass for better by a rounding error
    idle = (lane.size(o.last_move) == 0).unsqueeze(-1) & (torch.arange(count, device=costs.device) == count - 1)
    costs = torch.where(idle, torch.inf, costs)
    least = costs.argmin(-1, keepdim=True)
    better = costs.gather(-1, least).squeeze(-1) < o.cost
    x = lane.pick(better, take_one(points, least), o.x)
    move = M.transport(o.x, x, take_one(moves, least))
    move = lane.pick(better & lane.finite(move), move, M.zero_tangent(x))
    level = torch.where(better, (o.level - 1).clamp(min=0), (o.level + 1).clamp(max=DEEPEST))
    poll_size = _scale(M, o) * torch.exp2(-level.to(o.poll_size.dtype))
    commit(
        o,
        x=x,
        cost=torch.where(better, values.gather(-1, least).squeeze(-1), o.cost),
        level=level,
        poll_size=poll_size,
        mesh_size=poll_size * torch.exp2(-level.to(poll_size.dtype)),
        last_move=move,
    )


def _moves(M: Manifold, o: MeshAdaptiveDirectSearchOptions, i: int) -> Any:
    """Return the tangent vectors to try: those of the poll and, last, one beyond the last step that paid."""
    axis, d = len(o.lane.shape), M.dim
    generators = ((n, m, generator_for(o.seed, j)) for n, m, j in _tables(d, i))
    draws = [torch.rand(n, m, generator=g, dtype=torch.float64, device="cpu") for n, m, g in generators]
    kept, fresh = (uploaded(t, o.poll_size) for t in draws)
    steps = expand_right(o.poll_size, 2) * triangular_poll(o.level, kept, fresh)
    poll = M.from_coordinates(new_axis(o.x, M.point_shape), steps.to(first_leaf(o.x).real.dtype))
    return map_leaves(lambda u, v: torch.cat((u, _STRETCH * v.unsqueeze(axis)), axis), poll, o.last_move)


def _tables(d: int, i: int) -> tuple[tuple[int, int, int], ...]:
    """Return sizes and counts of the draws: one that is the same in all iterations, one of this iteration."""
    return (DEEPEST + 1, d + 1, 0), (d, d, i)


def _scale(M: Manifold, o: MeshAdaptiveDirectSearchOptions) -> Any:
    if o.scale is not None:
        return o.scale
    radius = M.injectivity_radius()
    if isinstance(radius, torch.Tensor):
        return torch.where(torch.isfinite(radius), 0.25 * radius, 1.0)
    return 0.25 * radius if radius < float("inf") else 1.0


@strict_keywords
def mesh_adaptive_direct_search(
    M: Manifold,
    cost: Callable[..., Any],
    x: Any,
    *,
    data: tuple[Any, ...] = (),
    vectorized: bool = True,
    scale: float | None = None,
    generator: torch.Generator | None = None,
    stop: StoppingCriterion | None = None,
    retraction_method: str | None = None,
    check_every: int = 1,
    compact: bool = True,
    debug: Any = None,
    record: Any = None,
    return_options: bool = False,
) -> Any:
    r"""Minimise a cost without derivatives by polling around the iterate, each problem of the batch with its own mesh.

    For costs of a few variables, also with kinks (found to a few digits) and jumps; unlike a simplex the poll cannot
    collapse to fewer dimensions. The cost is evaluated for all points of all polls in one call, so it must take batch
    axes also where there is one problem only (or pass `vectorized=False`).

    Args:
        M: the manifold; its dimension should be small, up to ten or so.
        cost: `cost(x, *data)`, returns shape `(*batch, k)` for points with an axis of those of a poll.
        x: the start, shape `(*batch, *point_shape)`.
        data: tensors with the batch axes in front, handed to the cost after the point.
        vectorized: False if the cost is written for one point.
        scale: $s$, see `MeshAdaptiveDirectSearchOptions`, as for the following.
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
        ManoptError: for bad input, before the first iteration; see `solve`.

    References:
        [AudetDennis:2006]; [Dreisigmeyer:2007].

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, mesh_adaptive_direct_search
        >>> cost = lambda x: (x - 1).abs().sum(-1)
        >>> start, g = torch.zeros(2, dtype=torch.float64), torch.Generator().manual_seed(0)
        >>> x = mesh_adaptive_direct_search(Euclidean(2), cost, start, generator=g)
        >>> bool((x - 1).abs().max() < 1e-6)
        True
    """
    problem = CostProblem(M, cost, data=data, vectorized=vectorized)
    options = MeshAdaptiveDirectSearchOptions(
        x,
        scale=scale,
        generator=generator,
        stop=stop,
        retraction_method=retraction_method,
        check_every=check_every,
        compact=compact,
    )
    solve(problem, options, debug=debug, record=record)
    return options if return_options else get_solver_result(options)
