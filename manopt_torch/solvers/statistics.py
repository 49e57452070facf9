r"""Riemannian mean, median and variance of points with weights.

$$\operatorname{mean} = \arg\min_x \tfrac12 \sum_j w_j\, d(x, x_j)^2, \qquad
\operatorname{median} = \arg\min_x \sum_j w_j\, d(x, x_j), \qquad
\operatorname{var} = \tfrac{1}{(N-1)\dim \mathcal M} \sum_j d(\operatorname{mean}, x_j)^2.$$

References: [Karcher:1977]; [Afsari:2011]; [FletcherVenkatasubramanianJoshi:2009].
"""

from collections.abc import Callable
from typing import Any

import torch

from manopt_torch._keywords import strict_keywords
from manopt_torch.errors import ShapeError
from manopt_torch.functional.weighted_points import check_one_each, unit_weights
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import expand_right, first_leaf, leaves, map_leaves, map_shaped, take_one
from manopt_torch.plans.options import lane_of, memory_of
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration, StoppingCriterion, StopWhenGradientNormLess
from manopt_torch.problems.gradient import GradientProblem
from manopt_torch.solvers.steepest_descent import GradientDescentOptions
from manopt_torch.stepsizes.armijo import ArmijoLinesearch
from manopt_torch.stepsizes.base import Linesearch, Stepsize

# gradients of the mean are lengths: this many roundings of the dtype is as far as they go down
_GRADIENT_ROUNDINGS = 64


@strict_keywords
def mean(
    M: Manifold,
    x: Any,
    *,
    weights: torch.Tensor | None = None,
    start: Any = None,
    stop: StoppingCriterion | None = None,
    return_options: bool = False,
) -> Any:
    r"""Return the Riemannian mean (Frechet, Karcher mean) of points, one for each problem of the batch.

    Steepest descent along geodesics with first step 1, which for nonnegative curvature always decreases the cost; the
    step is halved where curvature asks for it. The mean is unique if the points lie in a ball of radius
    $\tfrac12\min\{\operatorname{inj}, \pi/\sqrt{K}\}$; else a local minimiser near `start` is found.

    Args:
        M: the manifold.
        x: the points, shape `(*batch, N, *point_shape)`.
        weights: nonnegative weights, shape `(*batch, N)` or `(N,)`; None is equal ones. They are scaled to sum one.
        start: first guess, shape `(*batch, *point_shape)`; None is the first point.
        stop: stopping criterion; None is 200 iterations or a gradient at rounding level.
        return_options: whether to return the solver's options instead of the mean.

    Returns:
        The mean, shape `(*batch, *point_shape)`.

    Raises:
        ShapeError: if points, weights or start do not fit together.
        OptionsError: if weights are negative or sum to zero.

    References:
        [Karcher:1977]; [Afsari:2011]; [Pennec:2006].

    Examples:
        >>> import torch
        >>> from manopt_torch import Sphere, mean
        >>> mean(Sphere(2), torch.eye(2, dtype=torch.float64))
        tensor([0.7071, 0.7071], dtype=torch.float64)
    """

    def cost(y: Any, w: torch.Tensor, *points: torch.Tensor) -> torch.Tensor:
        return 0.5 * (w * M.squared_dist(_spread(y, w), _packed(x, points))).sum(-1)

    def gradient(y: Any, w: torch.Tensor, *points: torch.Tensor) -> Any:
        return _tangent_sum(M, y, -w, M.log(_spread(y, w), _packed(x, points)))

    return _minimise(M, x, weights, start, stop, cost, gradient, return_options)


@strict_keywords
def median(
    M: Manifold,
    x: Any,
    *,
    weights: torch.Tensor | None = None,
    start: Any = None,
    stop: StoppingCriterion | None = None,
    return_options: bool = False,
) -> Any:
    r"""Return the Riemannian (geometric) median of points, one for each problem of the batch.

    Less sensitive to outliers than the mean. Steepest descent along geodesics from the mean, with the step size of
    Weiszfeld's iteration $1 / \sum_j (w_j / d_j)$, which knows the scale of the data, halved where curvature or a kink
    of the cost asks for it: a point whose weight outbalances the others is reached as a limit. Where the iterate is one
    of the points, the shortest subgradient says whether that is the median, and else leads away from it; a run without
    `stop` ends at one of the points nearest to it where that costs less.

    Args:
        M: the manifold.
        x: the points, shape `(*batch, N, *point_shape)`.
        weights: nonnegative weights, shape `(*batch, N)` or `(N,)`; None is equal ones.
        start: first guess, shape `(*batch, *point_shape)`; None is the mean.
        stop: stopping criterion; None is 200 iterations or a gradient at rounding level.
        return_options: whether to return the solver's options instead of the median.

    Returns:
        The median, shape `(*batch, *point_shape)`.

    Raises:
        ShapeError: if points, weights or start do not fit together.
        OptionsError: if weights are negative or sum to zero.

    References:
        [FletcherVenkatasubramanianJoshi:2009]; [VardiZhang:2000] for iterates that are one of the points.

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, median
        >>> points = torch.tensor([[0.0], [1.0], [9.0]], dtype=torch.float64)
        >>> round(float(median(Euclidean(1), points)), 6)
        1.0
    """

    def lengths(y: Any, w: torch.Tensor, *points: torch.Tensor) -> torch.Tensor:
        return M.dist(_spread(y, w), _packed(x, points))

    def cost(y: Any, w: torch.Tensor, *points: torch.Tensor) -> torch.Tensor:
        return (w * lengths(y, w, *points)).sum(-1)

    def gradient(y: Any, w: torch.Tensor, *points: torch.Tensor) -> Any:
        at, others = _spread(y, w), _packed(x, points)
        u = M.log(at, others)
        length = M.norm(at, u)
        apart = _apart(length)
        pull = _tangent_sum(M, y, torch.where(apart, -w / torch.where(apart, length, 1.0), 0.0), u)
        return _least_subgradient(M, y, pull, torch.where(apart, 0.0, w).sum(-1))

    first = mean(M, x, weights=weights) if start is None else start
    o = _minimise(M, x, weights, first, stop, cost, gradient, True, _WeiszfeldSearch(lengths))
    if stop is None:
        _try_nearest(M, x, unit_weights(M, x, weights), o, cost, gradient)
    return o if return_options else o.x


@strict_keywords
def variance(
    M: Manifold,
    x: Any,
    center: Any = None,
    *,
    weights: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Return the variance of points, $\tfrac{1}{(N-1)\dim} \sum_j d(c, x_j)^2$, one number a problem.

    Args:
        M: the manifold.
        x: the points, shape `(*batch, N, *point_shape)`, $N \ge 2$.
        center: $c$, shape `(*batch, *point_shape)`; None is the mean.
        weights: weights as for `mean`; with them $\tfrac{N}{(N-1)\dim}\sum_j w_j d(c, x_j)^2$ for weights of sum one.

    Raises:
        ShapeError: if there is only one point, or shapes do not fit together.

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, variance
        >>> variance(Euclidean(1), torch.tensor([[1.0], [3.0]]))
        tensor(2.)
    """
    w = unit_weights(M, x, weights)
    n = w.shape[-1]
    if n < 2:
        raise ShapeError(f"variance needs at least two points, got {n} on the axis before the point's own")
    c = mean(M, x, weights=weights) if center is None else center
    check_one_each(M, "center", c, w)
    return (w * M.squared_dist(_spread(c, w), x)).sum(-1) * (n / ((n - 1) * M.dim))


def _apart(d: torch.Tensor) -> torch.Tensor:
    """Tell which points of each problem are farther away than rounding puts a point from itself."""
    return d > 64 * torch.finfo(d.dtype).eps * d.amax(-1, keepdim=True)


def _least_subgradient(M: Manifold, y: Any, g: Any, weight: torch.Tensor) -> Any:
    """Return the shortest subgradient of the median's cost where the points at `y` itself have this weight.

    Those points contribute every vector no longer than their weight, so that as much of the gradient of the others is
    made up for: all of it, where the median is one of the points.
    """
    length = M.norm(y, g)
    share = torch.where(weight < length, 1 - weight / torch.where(weight < length, length, 1.0), 0.0)
    # the others' gradient as it is, in its bits and where it is NaN, unless there is such a point
    share = torch.where(weight > 0, share, 1.0)
    return map_shaped(lambda ndim, leaf: expand_right(share, ndim) * leaf, M.point_shape, g)


# a slow run may still lie between some points when it ends
_NEAREST = 4


@torch.no_grad()
def _try_nearest(M: Manifold, x: Any, w: torch.Tensor, o: Any, cost: Any, gradient: Any) -> None:
    """End at one of the points nearest to the iterate where that costs less: Weiszfeld's steps hardly get there."""
    data = leaves(x)
    order = M.dist(_spread(o.x, w), x).argsort(dim=-1, stable=True)
    for index in order[..., :_NEAREST].split(1, -1):
        y = take_one(x, index)
        value = cost(y, w, *data)
        less = o.lane.scalar(value) < o.lane.scalar(o.cost)
        new, old = (y, gradient(y, w, *data), value), (o.x, o.gradient, o.cost)
        o.x, o.gradient, o.cost = o.lane.pick(less, new, old)


def _full_step_search() -> ArmijoLinesearch:
    """Halve the first step until it decreases the cost; near the optimum, where costs are flat, take it in full."""
    return ArmijoLinesearch(1.0, contraction_factor=0.5, max_increases=0, cost_resolution=8.0)


class _WeiszfeldSearch(Linesearch):
    """Search from the step size of Weiszfeld's iteration; `lengths(y, *data)` are the distances to the points."""

    def __init__(self, lengths: Callable[..., torch.Tensor]) -> None:
        self.lengths = lengths
        self.search = _full_step_search()

    def __call__(self, p: Any, o: Any, i: int, eta: Any = None) -> Any:
        lane, w = lane_of(p, o), p.data[0]
        d = self.lengths(o.x, *p.data)
        apart = _apart(d)
        pull = torch.where(apart, w / torch.where(apart, d, 1.0), 0.0).sum(-1)
        pull = torch.where(pull > 0, pull, 1.0)  # all points in one place
        memory_of(self.search, p, o)["last"] = lane.div(1.0, lane.scalar(pull))
        return self.search(p, o, i, eta)


def _minimise(
    M: Manifold,
    x: Any,
    weights: Any,
    start: Any,
    stop: Any,
    cost: Any,
    gradient: Any,
    return_options: bool,
    stepsize: Stepsize | None = None,
) -> Any:
    w = unit_weights(M, x, weights)
    if start is None:
        axis = w.dim() - 1
        start = map_leaves(lambda leaf: leaf.select(axis, 0), x)
    check_one_each(M, "start", start, w)
    tolerance = _GRADIENT_ROUNDINGS * torch.finfo(first_leaf(x).dtype).eps
    options = GradientDescentOptions(
        start,
        stepsize=_full_step_search() if stepsize is None else stepsize,
        stop=StopAfterIteration(200) | StopWhenGradientNormLess(tolerance) if stop is None else stop,
        retraction_method="exp" if M.has_exp else None,
    )
    solve(GradientProblem(M, cost, gradient, data=(w, *leaves(x))), options)
    return options if return_options else options.x


def _packed(like: Any, tensors: tuple[torch.Tensor, ...]) -> Any:
    """Give the tensors the tuple structure of the points again."""
    rest = iter(tensors)
    return map_leaves(lambda _: next(rest), like)


def _spread(y: Any, w: torch.Tensor) -> Any:
    """Give a point an axis of length one where the points have theirs."""
    return map_leaves(lambda leaf: leaf.unsqueeze(w.dim() - 1), y)


def _tangent_sum(M: Manifold, y: Any, w: torch.Tensor, u: Any) -> Any:
    """Sum tangent vectors at `y` over the axis of the points, with weights.

    At a point that is off the manifold by rounding a logarithm leaves the tangent space by as much, which geodesic
    steps would double again and again: the projection stops that.
    """
    axis = w.dim() - 1
    total = map_leaves(lambda leaf: (expand_right(w, leaf.dim() - w.dim()) * leaf).sum(axis), u)
    return M.project_tangent(y, total)
