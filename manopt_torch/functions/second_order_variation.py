r"""Second order total variation of signals and images, and the models that use it.

The second order difference of three points is how far the middle one is from the mid point of the others,

$$d_2(x_1, x_2, x_3) = \min_c d(c, x_2), \quad c \text{ a mid point of } x_1 \text{ and } x_3,$$

which is $\tfrac12 \lVert x_1 - 2 x_2 + x_3\rVert$ in Euclidean space. On spaces of angles the difference is wrapped,
which takes the nearer one of the two mid points; elsewhere the mid point of the shortest geodesic is taken.
References: [BergmannLausSteidlWeinmann:2014]; [BacakEtAl:2016].
"""

from typing import Any

import torch

from manopt_torch.functions.differentials import (
    adjoint_differential_geodesic_endpoint,
    adjoint_differential_geodesic_startpoint,
)
from manopt_torch.functions.distances import check_exponent, distance_power, grad_distance, inverse_power, safe_power
from manopt_torch.functions.grid import as_grid, placed, placed_scalars, scaled, triples
from manopt_torch.functions.total_variation import cost_l2_tv, cost_tv, grad_tv, over_directions, over_entries
from manopt_torch.linalg.scalar import safe_sqrt
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.flat_space import Angles, FlatSpace
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.manifolds.power import Power


def second_difference(M: FlatSpace, x1: torch.Tensor, x2: torch.Tensor, x3: torch.Tensor) -> torch.Tensor:
    """Return `x1 - 2 x2 + x3`, wrapped if the entries are angles.

    Examples:
        >>> from manopt_torch.manifolds import Circle
        >>> second_difference(Circle(), *torch.tensor([3.0, -3.0, -2.5]))
        tensor(0.2168)
    """
    total = torch.add(x1 + x3, x2, alpha=-2)
    return M.project_point(total) if isinstance(M, Angles) else total


def cost_tv2(M: Manifold, x: Any, p: float = 1, q: float = 1) -> torch.Tensor:
    r"""Return the second order total variation of three points, or of a signal or image.

    Of a triple it is $\tfrac1p d_2(x_1, x_2, x_3)^p$, of a point of a power manifold the sum of second order
    differences $\bigl(\sum_i \bigl(\sum_k d_2(x_{i - e_k}, x_i, x_{i + e_k})^p\bigr)^{q/p}\bigr)^{1/q}$.

    Args:
        M: a manifold, for a triple; a `Power` manifold for a signal or image.
        x: a tuple of three points, or a point of the power manifold, shape `(*batch, *M.shape, *base_shape)`.
        p: exponent within the directions of an entry, finite and at least 1.
        q: exponent over the entries, from 1 to infinity; 0 leaves the entries as they are.

    Shapes:
        result: `(*batch,)`, for $q = 0$ `(*batch, *M.shape)`.

    Raises:
        OptionsError: if an exponent is out of its range.
        ShapeError: if `x` is neither a triple nor a point of a power manifold.

    References:
        [BacakEtAl:2016].

    Examples:
        >>> from manopt_torch import Euclidean, Power, cost_tv2
        >>> cost_tv2(Power(Euclidean(), 4), torch.tensor([0.0, 1.0, 2.0, 1.0]))
        tensor(1.)
    """
    check_exponent("cost_tv2", p)
    check_exponent("cost_tv2", q, finite=False, also=(0,))
    grid = as_grid("cost_tv2", M, x, 3)
    if grid is None:
        return _difference_power(M, x[0], x[1], x[2], p) / p
    found = [
        placed_scalars(grid, _difference_power(grid.M, *triples(grid, x, k), p), k, 1, 1)
        for k, n in enumerate(grid.shape)
        if n > 2
    ]
    if not found:
        found = [torch.zeros_like(distance_power(grid.M, x, x, 2))]
    return over_entries(grid, over_directions(torch.stack(found, -1), p), q)


def _difference_power(M: Manifold, x1: Any, x2: Any, x3: Any, p: float) -> torch.Tensor:
    if not isinstance(M, FlatSpace):
        return distance_power(M, M.mid_point(x1, x3), x2, p)
    u = second_difference(M, x1, x2, x3)
    squared = 0.25 * M.inner(x2, u, u)
    return squared if p == 2 else safe_sqrt(squared) if p == 1 else safe_power(squared, 0.5 * p)


def grad_tv2(M: Manifold, x: Any, p: float = 1) -> Any:
    r"""Return a subgradient of the second order total variation, with $q = 1$.

    Where a difference is zero and `p` is 1, zero is taken, which is a subgradient.

    Args:
        M: a manifold, for a triple; a `Power` manifold for a signal or image.
        x: a tuple of three points, or a point of the power manifold.
        p: the exponent, finite and at least 1.

    Returns:
        For a triple three tangent vectors, the gradient of $\tfrac1p d_2^p$; else a tangent vector of the power
        manifold, the gradient of `cost_tv2(M, x, p)`.

    Raises:
        OptionsError: if `p` is out of its range.
        ShapeError: if `x` is neither a triple nor a point of a power manifold.

    References:
        [BacakEtAl:2016].

    Examples:
        >>> from manopt_torch import Euclidean, Power, grad_tv2
        >>> grad_tv2(Power(Euclidean(), 4), torch.tensor([0.0, 1.0, 2.0, 1.0]))
        tensor([ 0.0000, -0.5000,  1.0000, -0.5000])
    """
    check_exponent("grad_tv2", p)
    grid = as_grid("grad_tv2", M, x, 3)
    if grid is None:
        return _grad_triple(M, x[0], x[1], x[2], p)
    weight = None if p == 1 else inverse_power(cost_tv2(grid, x, p, 0), p - 1)
    total = grid.zero_tangent(x)
    for k, n in enumerate(grid.shape):
        if n < 3:
            continue
        found = _grad_triple(grid.M, *triples(grid, x, k), p)
        if weight is not None:
            w = weight.narrow(weight.dim() - len(grid.shape) + k, 1, n - 2)
            found = tuple(scaled(grid.M, w, u) for u in found)
        for offset, u in enumerate(found):
            total = map_leaves(torch.add, total, placed(grid, u, k, offset, 2 - offset))
    return total


def _grad_triple(M: Manifold, x1: Any, x2: Any, x3: Any, p: float) -> tuple[Any, Any, Any]:
    if isinstance(M, FlatSpace):
        u = second_difference(M, x1, x2, x3)
        side = scaled(M, 0.25 * inverse_power(0.5 * M.norm(x2, u), 2 - p), u)
        return side, -2 * side, side
    c = M.mid_point(x1, x3)
    at_middle = grad_distance(M, x2, c, p)
    return (
        adjoint_differential_geodesic_startpoint(M, x1, x3, 0.5, at_middle),
        grad_distance(M, c, x2, p),
        adjoint_differential_geodesic_endpoint(M, x1, x3, 0.5, at_middle),
    )


def cost_l2_tv2(M: Power, f: Any, beta: Any, x: Any) -> torch.Tensor:
    r"""Return $\tfrac12 d(f, x)^2 + \beta \operatorname{TV}_2(x)$, for data that are piecewise geodesic.

    Args:
        M: a power manifold.
        f: the data, a point of it.
        beta: the weight, a number or a tensor of shape `(*batch,)`.
        x: a point.

    Shapes:
        result: `(*batch,)`.

    References:
        [BacakEtAl:2016].

    Examples:
        >>> from manopt_torch import Euclidean, Power, cost_l2_tv2
        >>> x = torch.tensor([0.0, 1.0, 0.0])
        >>> cost_l2_tv2(Power(Euclidean(), 3), x, 2.0, x)
        tensor(2.)
    """
    return 0.5 * M.squared_dist(f, x) + beta * cost_tv2(M, x)


def cost_l2_tv_tv2(M: Power, f: Any, alpha: Any, beta: Any, x: Any) -> torch.Tensor:
    r"""Return $\tfrac12 d(f, x)^2 + \alpha \operatorname{TV}(x) + \beta \operatorname{TV}_2(x)$.

    Args:
        M: a power manifold.
        f: the data, a point of it.
        alpha: the weight of the first order, a number or a tensor of shape `(*batch,)`.
        beta: the weight of the second order, likewise.
        x: a point.

    Shapes:
        result: `(*batch,)`.

    References:
        [BacakEtAl:2016].

    Examples:
        >>> from manopt_torch import Euclidean, Power, cost_l2_tv_tv2
        >>> x = torch.tensor([0.0, 1.0, 0.0])
        >>> cost_l2_tv_tv2(Power(Euclidean(), 3), x, 1.0, 2.0, x)
        tensor(4.)
    """
    return cost_l2_tv(M, f, alpha, x) + beta * cost_tv2(M, x)


def cost_intrinsic_infimal_convolution_tv12(M: Power, f: Any, u: Any, v: Any, alpha: Any, beta: Any) -> torch.Tensor:
    r"""Return the cost of splitting data into a part with jumps and a part that bends little.

    $\tfrac12 d(f, \gamma_{u,v}(\tfrac12))^2 + \alpha(\beta \operatorname{TV}(u) + (1-\beta)\operatorname{TV}_2(v))$:
    the data are near the mid point of the parts.

    Args:
        M: a power manifold.
        f: the data, a point of it.
        u: the point with small first order variation.
        v: the point with small second order variation.
        alpha: the weight of both, a number or a tensor of shape `(*batch,)`.
        beta: the share of the first order in [0, 1].

    Shapes:
        result: `(*batch,)`.

    References:
        [BergmannFitschenEtAl:2018].

    Examples:
        >>> from manopt_torch import Euclidean, Power, cost_intrinsic_infimal_convolution_tv12
        >>> x = torch.tensor([0.0, 1.0, 0.0])
        >>> cost_intrinsic_infimal_convolution_tv12(Power(Euclidean(), 3), x, x, x, 2.0, 0.5)
        tensor(3.)
    """
    data = 0.5 * M.squared_dist(M.mid_point(u, v), f)
    return data + alpha * (beta * cost_tv(M, u) + (1 - beta) * cost_tv2(M, v))


def grad_intrinsic_infimal_convolution_tv12(M: Power, f: Any, u: Any, v: Any, alpha: Any, beta: Any) -> tuple[Any, Any]:
    r"""Return a subgradient of `cost_intrinsic_infimal_convolution_tv12` in `u` and in `v`.

    Args:
        M: a power manifold.
        f: the data, a point of it.
        u: the first part.
        v: the second part.
        alpha: the weight of both variations.
        beta: the share of the first order.

    Returns:
        Two tangent vectors, at `u` and at `v`.

    References:
        [BergmannFitschenEtAl:2018].

    Examples:
        >>> from manopt_torch import Euclidean, Power, grad_intrinsic_infimal_convolution_tv12
        >>> x = torch.tensor([0.0, 1.0, 0.0])
        >>> grad_intrinsic_infimal_convolution_tv12(Power(Euclidean(), 3), x, x, x, 2.0, 1.0)
        (tensor([-2.,  4., -2.]), tensor([-0., 0., -0.]))
    """
    at_middle = grad_distance(M, f, M.mid_point(u, v))
    at_u = adjoint_differential_geodesic_startpoint(M, u, v, 0.5, at_middle)
    at_v = adjoint_differential_geodesic_endpoint(M, u, v, 0.5, at_middle)
    first, second = scaled(M, alpha * beta, grad_tv(M, u)), scaled(M, alpha * (1 - beta), grad_tv2(M, v))
    return map_leaves(torch.add, at_u, first), map_leaves(torch.add, at_v, second)
