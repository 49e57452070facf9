r"""Proximal maps of the first order total variation.

$\operatorname{prox}_{\lambda \varphi}(x) = \arg\min_y \tfrac12 d(x, y)^2 + \lambda \varphi(y)$. A signal or image is
handled by pairs of neighbours that have no entry in common, first those that start at the second, fourth, ... entry,
then the others, in one direction after the other; the pairs of one such sweep are one batch. References:
[WeinmannDemaretStorath:2014].
"""

from collections.abc import Sequence
from typing import Any

import torch

from manopt_torch.errors import ShapeError
from manopt_torch.functions.distances import check_one_or_two, check_parameter
from manopt_torch.functions.grid import as_grid, check_power, part, per_entry, per_problem, spliced
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import map_shaped
from manopt_torch.manifolds.power import Power


def prox_tv(M: Manifold, lam: Any, x: Any, p: int = 1) -> Any:
    r"""Return the proximal map of $\tfrac1p d(\cdot, \cdot)^p$ at a pair, or of all neighbours of a signal or image.

    The two points of a pair move towards each other, each by the share $t = \min\{\tfrac12, \lambda / d(x_1, x_2)\}$
    of their distance for $p = 1$, $t = \lambda / (1 + 2\lambda)$ for $p = 2$.

    For a point of a power manifold the maps of the pairs are carried out in sweeps: the pairs that start at even
    entries (counted from one), then those at odd ones, direction by direction. That is no proximal map of the sum, but
    what `cyclic_proximal_point` asks for; count it as `2 * len(M.shape)` maps.

    Args:
        M: a manifold with exponential map and logarithm, for a pair; a `Power` of one for a signal or image.
        lam: $\lambda \ge 0$, a number or a tensor of shape `(*batch,)`.
        x: a tuple of two points, or a point of the power manifold, shape `(*batch, *M.shape, *base_shape)`.
        p: 1 or 2.

    Returns:
        A tuple of two points, or a point.

    Raises:
        OptionsError: if `p` is another, or `lam` a negative number.
        ShapeError: if `x` is neither a pair nor a point of a power manifold.

    References:
        [WeinmannDemaretStorath:2014].

    Examples:
        >>> from manopt_torch import Euclidean, Power, prox_tv
        >>> prox_tv(Euclidean(), 0.5, (torch.tensor(0.0), torch.tensor(2.0)))
        (tensor(0.5000), tensor(1.5000))
        >>> prox_tv(Power(Euclidean(), 4), 0.5, torch.tensor([0.0, 0.0, 4.0, 4.0]))
        tensor([0.2500, 0.2500, 3.7500, 3.7500])
    """
    check_one_or_two("prox_tv", p)
    check_parameter("prox_tv", lam)
    grid = as_grid("prox_tv", M, x, 2)
    if grid is None:
        both = _pairs(M, lam, x[0], x[1], p)
        return tuple(map_shaped(lambda ndim, y, j=j: y.select(-1 - ndim, j), M.point_shape, both) for j in range(2))
    for k in range(len(grid.shape)):
        for start in (1, 0):
            x = _sweep(grid, lam, x, p, k, start)
    return x


def prox_parallel_tv(M: Power, lam: Any, x: Sequence[Any], p: int = 1) -> tuple[Any, ...]:
    r"""Return the sweeps of `prox_tv`, each carried out on a copy of its own.

    For the product space form of `douglas_rachford`, where each group of disjoint pairs is one part of the cost.

    Args:
        M: a power manifold.
        lam: $\lambda \ge 0$, a number or a tensor of shape `(*batch,)`.
        x: `2 * len(M.shape)` points: for the even pairs of each direction, then for the odd ones.
        p: 1 or 2.

    Returns:
        As many points.

    Raises:
        OptionsError: if `p` is another, or `lam` a negative number.
        ShapeError: if the number of points is wrong.

    References:
        [BergmannPerschSteidl:2016].

    Examples:
        >>> from manopt_torch import Euclidean, Power, prox_parallel_tv
        >>> x = torch.tensor([0.0, 0.0, 4.0, 8.0])
        >>> prox_parallel_tv(Power(Euclidean(), 4), 0.5, (x, x))
        (tensor([0.0000, 0.5000, 3.5000, 8.0000]), tensor([0.0000, 0.0000, 4.5000, 7.5000]))
    """
    check_one_or_two("prox_parallel_tv", p)
    check_parameter("prox_parallel_tv", lam)
    check_power("prox_parallel_tv", M)
    directions = len(M.shape)
    if len(x) != 2 * directions:
        raise ShapeError(f"prox_parallel_tv: {M!r} needs {2 * directions} copies, 2 for each direction, got {len(x)}")
    return tuple(_sweep(M, lam, copy, p, j % directions, 1 - j // directions) for j, copy in enumerate(x))


def _sweep(M: Power, lam: Any, x: Any, p: int, k: int, start: int) -> Any:
    """Carry out the map of the disjoint pairs in direction `k` that begin with entry `start`."""
    stop = start + 2 * ((M.shape[k] - start) // 2)
    if stop == start:
        return x
    left, right = part(M, x, k, start, stop, 2), part(M, x, k, start + 1, stop, 2)
    moved = _pairs(M.M, per_entry(M, lam), left, right, p)
    directions = len(M.shape)

    def in_turn(ndim: int, both: torch.Tensor) -> torch.Tensor:
        # the two of a pair lie on an axis behind those of the entries: bring it next to that of the direction
        axis = both.dim() - 1 - ndim + k
        return both.movedim(both.dim() - 1 - ndim + directions, axis + 1).flatten(axis, axis + 1)

    return spliced(M, x, map_shaped(in_turn, M.point_shape, moved), k, start, stop)


def _pairs(M: Manifold, lam: Any, x1: Any, x2: Any, p: int) -> Any:
    """Return both points of each pair on an axis after the batch axes: one logarithm, and both exponentials at once."""
    u = M.log(x1, x2)
    if p == 1:
        d = M.norm(x1, u)
        t = (per_problem(M, lam, x1) / torch.where(d > 0, d, 1.0)).clamp(max=0.5)
    else:
        t = per_problem(M, lam, x1)
        t = (t / (1 + 2 * t)).expand(M.batch_shape(u))
    times = torch.stack([t, 1 - t], -1)
    apart = map_shaped(lambda ndim, leaf: leaf.unsqueeze(leaf.dim() - ndim), M.point_shape, x1)
    along = map_shaped(lambda ndim, leaf: leaf.unsqueeze(leaf.dim() - ndim), M.point_shape, u)
    return M.exp(apart, along, times)
