r"""Bundles: affine minorants of a cost, collected along a run, of shape `(*batch, m, ...)`.

A member says $f(y) \ge v_j + \langle X_j, \log_{q_j} y\rangle$: that holds for geodesically convex costs with a
subgradient $X_j$ at $q_j$ and $v_j = f(q_j)$. Bundle methods look at all members from one point $x$: the subgradients
are carried there, and what a member lies below the cost at $x$ is its linearisation error.
"""

import math
from typing import Any, NamedTuple

import torch

from manopt_torch._typing import Mask, Scalar
from manopt_torch.functional.masked import Lane
from manopt_torch.functional.simplex_qp import simplex_qp
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.geodesics import carry, towards
from manopt_torch.manifolds.points import expand_right, first_leaf, map_leaves, map_shaped, new_axis


class Bundle(NamedTuple):
    """The members; those with `born` below zero are places not yet taken."""

    points: Any  # shape (*batch, m, *point_shape)
    subgradients: Any  # shape (*batch, m, *point_shape)
    values: torch.Tensor  # shape (*batch, m)
    weights: torch.Tensor  # shape (*batch, m), of the last combination
    born: torch.Tensor  # shape (*batch, m), the iteration that brought them


class Cut(NamedTuple):
    """One member for each problem."""

    point: Any
    subgradient: Any
    value: Scalar


class Combination(NamedTuple):
    """The solution of the quadratic program: weights, and what they make of subgradients and errors."""

    weights: torch.Tensor  # shape (*batch, m)
    subgradient: Any
    squared_norm: Scalar
    error: Scalar


def first_bundle(M: Manifold, lane: Lane, cut: Cut, size: int) -> Bundle:
    """Return a bundle with one member and places for `size - 1` more."""

    def repeat(ndim: int, leaf: torch.Tensor) -> torch.Tensor:
        axis = leaf.dim() - ndim
        return torch.stack([leaf] * size, axis)

    points, subgradients = (map_shaped(repeat, M.point_shape, tree) for tree in (cut.point, cut.subgradient))
    value = column(lane, cut.value, cut.point)
    values = torch.cat([value] * size, -1)
    taken = (torch.arange(size, device=values.device) == 0).expand(values.shape)
    return Bundle(points, subgradients, values, taken.to(values.dtype), torch.where(taken, 0, -1))


def first_step(M: Manifold, lane: Lane, x: Any, t: float, length: Scalar, longest: float | None) -> Scalar:
    """Return the first step along a direction of this length: `t`, or less if that is longer than allowed.

    Without a bound it is half the injectivity radius, within which the way back is the shortest, too.
    """
    step: Scalar = lane.full(float(t))
    bound = 0.5 * M.injectivity_radius(x) if longest is None else longest
    if not isinstance(bound, torch.Tensor) and bound == math.inf:
        return step
    most: Scalar = lane.full(lane.scalar(bound) if isinstance(bound, torch.Tensor) else float(bound))
    return lane.where(t * length > most, lane.div(most, length), step)


def rise(M: Manifold, q: Any, u: Any, x: Any, factor: float = 0.0) -> torch.Tensor:
    r"""Return $\langle u, \log_q x\rangle$, by how much a minorant rises from `q` to `x`, shape `(*batch,)`.

    With a `factor` above zero it is less by that share of the product of the lengths: what curvature may make of the
    subgradient on its way from `q` to `x`.
    """
    v = towards(M, q, x)
    slope = M.inner(q, u, v)
    return slope - factor * M.norm(q, u) * M.norm(q, v) if factor else slope


def errors_at(M: Manifold, lane: Lane, bundle: Bundle, x: Any, cost: Scalar, factor: float = 0.0) -> torch.Tensor:
    """Return by how much each member lies below the cost at `x`, shape `(*batch, m)`; less than zero if above."""
    rises = rise(M, bundle.points, bundle.subgradients, new_axis(x, M.point_shape), factor)
    return column(lane, cost, x) - bundle.values - rises.to(bundle.values.dtype)


def subgradients_at(M: Manifold, bundle: Bundle, x: Any) -> Any:
    """Return the subgradients of all members carried to `x`, shape `(*batch, m, *point_shape)`."""
    return carry(M, bundle.points, new_axis(x, M.point_shape), bundle.subgradients)


def combined(
    M: Manifold,
    lane: Lane,
    bundle: Bundle,
    x: Any,
    subgradients: Any,  # shape: (*batch, m, *point_shape)
    errors: torch.Tensor,  # shape: (*batch, m)
    active: Mask,
    parameter: Scalar = 1.0,
) -> Combination:
    r"""Return the weights that minimise $\tfrac{1}{2\mu}\lVert\sum_j \lambda_j s_j\rVert^2 + \sum_j \lambda_j e_j$.

    They are the multipliers of the step that minimises the greatest of the members plus $\tfrac\mu2$ times its squared
    length. Members that are not finite from `x` (across a cut locus, say) have no part in it.

    Args:
        M: the manifold.
        lane: the lane of the run.
        bundle: the members; their former weights are the start.
        x: the point.
        subgradients: $s_j$, tangent vectors at `x`.
        errors: $e_j$.
        active: the problems to solve.
        parameter: $\mu$.
    """
    G = _gram(M, x, subgradients, bundle.values.dtype)
    usable = (bundle.born >= 0) & torch.isfinite(errors) & torch.isfinite(G.diagonal(dim1=-2, dim2=-1))
    whole: Scalar = lane.full(parameter)
    share = column(lane, lane.div(1.0, whole), x).unsqueeze(-1)
    weights = simplex_qp(share * G, errors, usable=usable, start=bundle.weights, active=None if lane.lone else active)

    def sum_up(ndim: int, leaf: torch.Tensor) -> torch.Tensor:
        w = expand_right(weights.to(leaf.real.dtype), ndim)
        return torch.where(w > 0, w * leaf, 0.0).sum(-1 - ndim)

    g = map_shaped(sum_up, M.point_shape, subgradients)
    error = torch.where(weights > 0, weights * errors, 0.0).sum(-1)
    return Combination(weights, g, lane.scalar(M.inner(x, g, g)), lane.scalar(error))


def added(M: Manifold, lane: Lane, bundle: Bundle, new: Cut, aggregate: Cut, i: int, where: Mask) -> Bundle:
    """Return the bundle with a new member, for the problems in `where`.

    It takes an empty place, else that of the oldest member without weight. Where all have weight, the two with the
    least make room: for the new member, and for the aggregate of all, which stands for what is lost.
    """
    weights, born, size = bundle.weights, bundle.born, bundle.born.shape[-1]
    places = torch.arange(size, device=born.device)
    empty = born < 0
    idle = ~empty & (weights == 0)
    full = ~(empty | idle).any(-1, keepdim=True)
    least = places == weights.argmin(-1, keepdim=True)
    second = torch.where(least, torch.inf, weights).argmin(-1, keepdim=True)
    rank = torch.where(empty, places - size, torch.where(idle, born * size + places, torch.iinfo(born.dtype).max))
    taken = column(lane, where, new.point)
    merging = least & full & taken
    entering = (places == torch.where(full, second, rank.argmin(-1, keepdim=True))) & taken
    bundle = _put(M, lane, bundle, aggregate, i, merging)
    weights = torch.where(full & taken, least.to(weights.dtype), weights)
    bundle = _put(M, lane, bundle._replace(weights=weights), new, i, entering)
    return bundle._replace(weights=torch.where(entering, 0.0, bundle.weights))


def _put(M: Manifold, lane: Lane, bundle: Bundle, cut: Cut, i: int, place: torch.Tensor) -> Bundle:
    """Return the bundle with a member at the marked place of each problem."""

    def put(ndim: int, held: torch.Tensor, leaf: torch.Tensor) -> torch.Tensor:
        return torch.where(expand_right(place, ndim), leaf.unsqueeze(-1 - ndim), held)

    return Bundle(
        map_shaped(put, M.point_shape, bundle.points, cut.point),
        map_shaped(put, M.point_shape, bundle.subgradients, cut.subgradient),
        torch.where(place, column(lane, cut.value, cut.point), bundle.values),
        bundle.weights,
        torch.where(place, i, bundle.born),
    )


def _gram(M: Manifold, x: Any, u: Any, dtype: torch.dtype) -> torch.Tensor:
    """Return the inner products of several tangent vectors, in the precision of the lane, shape `(*batch, m, m)`."""

    def widened(leaf: torch.Tensor) -> torch.Tensor:
        return leaf.to(torch.promote_types(leaf.dtype, dtype))

    shape = M.point_shape
    u = map_leaves(widened, u)
    rows = map_shaped(lambda ndim, leaf: leaf.unsqueeze(-1 - ndim), shape, u)
    columns = map_shaped(lambda ndim, leaf: leaf.unsqueeze(-2 - ndim), shape, u)
    return M.inner(new_axis(new_axis(map_leaves(widened, x), shape), shape), rows, columns)


def column(lane: Lane, value: Any, point: Any) -> torch.Tensor:
    """Return a scalar or mask of the lane as a tensor with an axis for the members, shape `(*batch, 1)`."""
    if isinstance(value, torch.Tensor):
        return value.unsqueeze(-1)
    kind = torch.bool if isinstance(value, bool) else torch.float64
    return torch.full((*lane.shape, 1), value, dtype=kind, device=first_leaf(point).device)
