r"""What draws the particles of a swarm: the ways to their targets, and the velocities that follow.

On submanifolds of arrays the projected chord $P_x(y - x)$ stands for $\log_x y$: both agree up to third order
[AbsilMalick:2012], the chord leads to every point, and costs a fraction.
"""

from typing import Any

import torch

from manopt_torch.functional.masked import Batch
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.flat_space import Angles
from manopt_torch.manifolds.geodesics import towards
from manopt_torch.manifolds.points import expand_right, first_leaf, leaves, map_leaves
from manopt_torch.manifolds.power import Power
from manopt_torch.manifolds.product import Product
from manopt_torch.manifolds.stiefel import Stiefel


def has_chords(M: Manifold) -> bool:
    """Tell whether projected chords lead to a point: in arrays, but where angles are counted anew after a turn."""
    if isinstance(M, Product):
        return all(map(has_chords, M.manifolds))
    if isinstance(M, Power):
        return has_chords(M.M)
    return isinstance(M, Stiefel) or (M.is_embedded and not isinstance(M, Angles))


def drawn(
    M: Manifold,
    points: Any,  # shape: (*batch, k, *point_shape)
    v: Any,  # likewise
    own: Any,  # likewise
    best: Any,  # shape: (*batch, 1, *point_shape), or without axes before the point's own
    inertia: float,
    own_weights: Any,  # shape of each tensor: (*1s, k, *1s)
    best_weights: Any,  # likewise
    *,
    chords: bool,
) -> Any:
    r"""Return the new velocities $\omega v + r \log_x p + s \log_x g$.

    Args:
        M: the manifold.
        points: the particles $x$.
        v: their velocities.
        own: their own targets $p$.
        best: the target $g$ of all.
        inertia: $\omega$.
        own_weights: $r$, in the structure of a velocity.
        best_weights: $s$, likewise.
        chords: whether to take projected chords for logarithms.
    """

    def summed(v: Any, r: Any, to_own: Any, s: Any, to_best: Any) -> torch.Tensor:
        return torch.add(torch.addcmul(r * to_own, s, to_best), v, alpha=inertia)

    if chords:  # projected together, with the velocity, which that does not change
        to_own, to_best = map_leaves(torch.sub, own, points), map_leaves(torch.sub, best, points)
        return M.project_tangent(points, map_leaves(summed, v, own_weights, to_own, best_weights, to_best))
    both = map_leaves(lambda p, g: torch.stack((p, g.expand_as(p))), own, best)
    # there is no pull where no way is known
    ways = map_leaves(lambda u: torch.nan_to_num(u, 0.0, 0.0, 0.0), towards(M, points, both))
    to_own, to_best = (map_leaves(lambda u, n=n: u[n], ways) for n in (0, 1))
    return map_leaves(summed, v, own_weights, to_own, best_weights, to_best)


def landed(
    lane: Any,
    axes: int,
    former: Any,  # shape: (*batch, k, *point_shape)
    points: Any,  # likewise
    v: Any,  # likewise
) -> tuple[Any, Any]:
    """Return particles and velocities after a move; who left what numbers can hold is back where it was, at rest.

    Args:
        lane: the lane of the run.
        axes: how many there are before the point's own.
        former: where the particles were.
        points: where they are now.
        v: the velocities that took them there.
    """
    if lane.lone and all(lane.finite(leaf.sum()) for leaf in leaves(points)):
        return points, v
    ref = first_leaf(points)
    each = Batch(ref.shape[:axes], ref)
    ok = each.finite(points)
    return each.pick(ok, points, former), each.pick(ok, v, map_leaves(torch.zeros_like, v))


def spread_out(
    table: torch.Tensor,  # shape: (n, k)
    axis: int,
    v: Any,  # shape: (*batch, k, *point_shape)
) -> tuple[Any, ...]:
    """Return for each row of the table numbers in the structure of a velocity, to scale those of all problems by.

    Args:
        table: one number a particle in each row.
        axis: how many batch axes there are.
        v: the velocities.
    """
    rows = table.view(len(table), *(1,) * axis, table.shape[-1])

    def rows_for(leaf: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return expand_right(rows, leaf.dim() - axis - 1).unbind()

    if isinstance(v, torch.Tensor):
        return rows_for(v)
    parts = [spread_out(table, axis, part) for part in v]
    return tuple(zip(*parts, strict=True))
