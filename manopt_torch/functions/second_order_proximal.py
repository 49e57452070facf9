r"""The proximal map of the second order total variation.

In Euclidean space and on angles it has a closed form: with $w = (1, -2, 1)$ and the difference $D = x_1 - 2x_2 + x_3$,

$$y_j = x_j - m\, w_j \tfrac{D}{\lVert D\rVert}, \qquad
m = \min\{\tfrac{\lambda}{2}, \tfrac{\lVert D\rVert}{6}\} \text{ for } p = 1, \qquad
m = \tfrac{\lambda \lVert D\rVert}{4 + 6\lambda} \text{ for } p = 2.$$

The halves are due to $d_2 = \tfrac12 \lVert D\rVert$. Elsewhere, with $e(y) = \log_c y_2$ at the mid point $c$ of $y_1$
and $y_3$, and $J$ its covariant derivative, $y$ is found together with a dual variable $v \in T_c\mathcal{M}$:

$$r = \log_y x, \qquad v \leftarrow \operatorname{proj}_{\lVert v\rVert \le \lambda}
\bigl(v + \tfrac1\sigma (e + J(r - J^* v))\bigr), \qquad y \leftarrow \exp_y(r - J^* v),$$

with $\sigma = \tfrac32$, the value of $J J^*$ in flat space, where the first step is exact. A fixed point satisfies
$\log_y x = \lambda \operatorname{grad} d_2(y)$, or $d_2(y) = 0$ with a subgradient. References:
[BergmannLausSteidlWeinmann:2014], theorem 3.5; [BacakEtAl:2016].
"""

from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.functions.differentials import (
    adjoint_differential_geodesic_endpoint,
    adjoint_differential_geodesic_startpoint,
    differential_geodesic_endpoint,
    differential_geodesic_startpoint,
)
from manopt_torch.functions.distances import check_one_or_two, check_parameter
from manopt_torch.functions.grid import as_grid, interleaved, part, per_entry, per_problem, scaled, spliced
from manopt_torch.functions.jacobi_fields import beta_geodesic_startpoint, curvature_is_known, weighted
from manopt_torch.functions.second_order_variation import second_difference
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.flat_space import FlatSpace
from manopt_torch.manifolds.geodesics import carry
from manopt_torch.manifolds.points import first_leaf, map_leaves

# J J* in flat space: 1/4 + 1 + 1/4; the iteration converges while the true one stays below twice this
_SIGMA = 1.5


def prox_tv2(M: Manifold, lam: Any, x: Any, p: int = 1, *, iterations: int = 8) -> Any:
    r"""Return the proximal map of $\tfrac1p d_2^p$ at a triple, or at all triples of a signal or image.

    It belongs to `cost_tv2`, in closed form on `Euclidean`, `Circle` and the like, and by a fixed number of steps of a
    primal-dual iteration elsewhere, whose error falls by a factor of the order of curvature times squared distances
    with each step.

    For a point of a power manifold the maps of the triples are carried out in sweeps, three in each direction: the
    triples whose middle is the third, sixth, ... entry, then the fourth, ..., then the second, ... ones.

    Args:
        M: a manifold with exponential map and logarithm, for a triple; a `Power` of one for a signal or image.
        lam: $\lambda \ge 0$, a number or a tensor of shape `(*batch,)`.
        x: a tuple of three points, or a point of the power manifold, shape `(*batch, *M.shape, *base_shape)`.
        p: 1 or 2.
        iterations: steps where there is no closed form.

    Returns:
        A tuple of three points, or a point.

    Raises:
        OptionsError: if `p` is another, `lam` a negative number, or `iterations` no positive integer.
        ShapeError: if `x` is neither a triple nor a point of a power manifold.

    References:
        [BergmannLausSteidlWeinmann:2014], theorem 3.5; [BacakEtAl:2016].

    Examples:
        >>> from manopt_torch import Euclidean, prox_tv2
        >>> prox_tv2(Euclidean(), 10.0, (torch.tensor(0.0), torch.tensor(6.0), torch.tensor(0.0)))
        (tensor(2.), tensor(2.), tensor(2.))
    """
    check_one_or_two("prox_tv2", p)
    check_parameter("prox_tv2", lam)
    if not isinstance(iterations, int) or iterations < 1:
        raise OptionsError(f"prox_tv2: iterations must be a positive integer, got {iterations!r}")
    grid = as_grid("prox_tv2", M, x, 3)
    if grid is None:
        return _triple(M, lam, tuple(x), p, iterations)
    for k, n in enumerate(grid.shape):
        for start in (1, 2, 0):
            stop = start + 3 * max((n - start) // 3, 0)
            if stop > start:
                three = tuple(part(grid, x, k, start + j, stop, 3) for j in range(3))
                moved = _triple(grid.M, per_entry(grid, lam), three, p, iterations)
                x = spliced(grid, x, interleaved(grid, moved, k), k, start, stop)
    return x


def _triple(M: Manifold, lam: Any, x: tuple[Any, Any, Any], p: int, iterations: int) -> tuple[Any, ...]:
    if not isinstance(M, FlatSpace):
        return _by_iteration(M, lam, x, p, iterations)
    u = second_difference(M, *x)
    lam = per_problem(M, lam, x[0])
    if p == 2:
        share = lam / (4 + 6 * lam)
    else:
        length = M.norm(x[1], u)
        share = (0.5 * lam / torch.where(length > 0, length, 1.0)).clamp(max=1 / 6)
    step = scaled(M, share.expand(M.batch_shape(u)), u)
    return M.exp(x[0], step, -1.0), M.exp(x[1], step, 2.0), M.exp(x[2], step, -1.0)


def _by_iteration(M: Manifold, lam: Any, x: tuple[Any, Any, Any], p: int, iterations: int) -> tuple[Any, ...]:
    lam = per_problem(M, lam, x[0])
    x = y = map_leaves(lambda *three: torch.stack(three), *x)  # the three points on an axis in front
    c = v = None
    for k in range(iterations):
        at = _Triple(M, y)
        # at the start log_y x and the dual variable are zero
        v = M.zero_tangent(at.c) if v is None else carry(M, c, at.c, v)
        r = M.log(y, x) if k else None
        ahead = at.difference if r is None else map_leaves(torch.add, at.difference, at.push(_minus(r, at.pull(v))))
        v = _bounded(M, at.c, map_leaves(lambda a, b: torch.add(a, b, alpha=1 / _SIGMA), v, ahead), lam, p)
        c, back = at.c, at.pull(v)
        y = M.exp(y, map_leaves(torch.neg, back) if r is None else _minus(r, back))
    return _entries(y)


def _minus(u: Any, v: Any) -> Any:
    return map_leaves(torch.sub, u, v)


def _entries(y: Any) -> tuple[Any, ...]:
    """Return the points of a stack."""
    return tuple(map_leaves(lambda leaf, j=j: leaf[j], y) for j in range(len(first_leaf(y))))


class _Triple:
    """The second order difference of three stacked points as a tangent vector, with its derivative and the adjoint.

    Both are exact where the difference is zero, and the adjoint for vectors along the difference, which is all that a
    fixed point of the iteration asks for.
    """

    def __init__(self, M: Manifold, y: Any) -> None:
        self.M = M
        self.ends = map_leaves(lambda leaf: leaf[::2], y)
        self.others = map_leaves(lambda leaf: leaf.flip(0), self.ends)
        self.middle = map_leaves(lambda leaf: leaf[1], y)
        self.along = M.log(self.ends, self.others)
        start, along = (map_leaves(lambda leaf: leaf[0], u) for u in (self.ends, self.along))
        self.c = M.exp(start, along, 0.5)
        self.difference = M.log(self.c, self.middle)

    def push(self, h: Any) -> Any:
        """Return how the difference changes with the points."""
        at_ends, at_middle = (map_leaves(lambda leaf, cut=cut: leaf[cut], h) for cut in (slice(0, 3, 2), 1))
        if curvature_is_known(self.M):  # both ends at once
            parts = _entries(weighted(self.M, self.ends, self.along, 0.5, at_ends, beta_geodesic_startpoint))
        else:
            (x1, x3), (at_x1, at_x3) = _entries(self.ends), _entries(at_ends)
            parts = (
                differential_geodesic_startpoint(self.M, x1, x3, 0.5, at_x1),
                differential_geodesic_endpoint(self.M, x1, x3, 0.5, at_x3),
            )
        moved = map_leaves(torch.add, *parts)
        return _minus(carry(self.M, self.middle, self.c, at_middle), moved)

    def pull(self, v: Any) -> Any:
        """Return the adjoint of `push`."""
        back = map_leaves(torch.neg, v)
        if curvature_is_known(self.M):
            twice = map_leaves(lambda leaf: leaf.expand(2, *leaf.shape), back)
            at_x1, at_x3 = _entries(
                weighted(self.M, self.ends, self.along, 0.5, twice, beta_geodesic_startpoint, adjoint=True)
            )
        else:
            x1, x3 = _entries(self.ends)
            at_x1 = adjoint_differential_geodesic_startpoint(self.M, x1, x3, 0.5, back)
            at_x3 = adjoint_differential_geodesic_endpoint(self.M, x1, x3, 0.5, back)
        at_middle = carry(self.M, self.c, self.middle, v)
        return map_leaves(lambda *three: torch.stack(three), at_x1, at_middle, at_x3)


def _bounded(M: Manifold, c: Any, w: Any, lam: torch.Tensor, p: int) -> Any:
    r"""Return the proximal map of the conjugate of $\tfrac{\lambda}{p} \lVert\cdot\rVert^p$ with parameter 1/sigma."""
    if p == 2:
        return scaled(M, (lam * _SIGMA / (1 + lam * _SIGMA)).expand(M.batch_shape(w)), w)
    length = M.norm(c, w)
    return scaled(M, torch.where(length > lam, lam / torch.where(length > 0, length, 1.0), 1.0), w)
