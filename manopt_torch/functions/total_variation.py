r"""Total variation of signals and images: costs and gradients.

With the forward neighbours $\mathcal I_i$ of an entry $i$, one in each direction,

$$\operatorname{TV}_{p,q}(x) = \Bigl(\sum_i \Bigl(\sum_{j \in \mathcal I_i} d(x_i, x_j)^p\Bigr)^{q/p}\Bigr)^{1/q}.$$

$p = q = 1$ is the anisotropic total variation, $p = 2$, $q = 1$ the isotropic one. References:
[WeinmannDemaretStorath:2014]; [DuranMoellerSbertCremers:2016].
"""

import math
from typing import Any

import torch

from manopt_torch.functions.distances import check_exponent, distance_power, grad_distance, inverse_power, safe_power
from manopt_torch.functions.grid import (
    as_grid,
    check_power,
    neighbours,
    placed,
    placed_scalars,
    scaled,
    with_directions,
)
from manopt_torch.linalg.scalar import safe_sqrt
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.manifolds.power import Power


def cost_tv(M: Manifold, x: Any, p: float = 1, q: float = 1) -> torch.Tensor:
    r"""Return the total variation of a pair of points, or of a signal or image.

    Of a pair $(x_1, x_2)$ it is $\tfrac1p d(x_1, x_2)^p$, of a point of a power manifold $\operatorname{TV}_{p,q}(x)$.

    Args:
        M: a manifold, for a pair; a `Power` manifold for a signal or image.
        x: a tuple of two points, or a point of the power manifold, shape `(*batch, *M.shape, *base_shape)`.
        p: exponent within the neighbours of an entry, from 1 to infinity.
        q: exponent over the entries, from 1 to infinity; 0 leaves the entries as they are.

    Shapes:
        result: `(*batch,)`, for $q = 0$ `(*batch, *M.shape)`.

    Raises:
        OptionsError: if an exponent is out of its range.
        ShapeError: if `x` is neither a pair nor a point of a power manifold.

    References:
        [WeinmannDemaretStorath:2014].

    Examples:
        >>> from manopt_torch import Euclidean, Power, cost_tv
        >>> cost_tv(Power(Euclidean(), 4), torch.tensor([0.0, 1.0, 1.0, 3.0]))
        tensor(3.)
    """
    check_exponent("cost_tv", p, finite=False)
    check_exponent("cost_tv", q, finite=False, also=(0,))
    grid = as_grid("cost_tv", M, x, 2)
    if grid is None:
        return distance_power(M, x[0], x[1], p) / p
    pieces = over_directions(_forward(grid, x, 1 if math.isinf(p) else p), p)
    return over_entries(grid, pieces, q)


def over_directions(powers: torch.Tensor, p: float) -> torch.Tensor:
    """Return the p-norm over the last axis from p-th powers (from the numbers themselves for infinite `p`)."""
    if p == 1:
        return powers.sum(-1)
    if math.isinf(p):
        return powers.amax(-1)
    return safe_sqrt(powers.sum(-1)) if p == 2 else safe_power(powers.sum(-1), 1 / p)


def over_entries(M: Power, pieces: torch.Tensor, q: float) -> torch.Tensor:
    """Return the q-norm of one number an entry; the numbers themselves for `q` zero."""
    axes = tuple(range(-len(M.shape), 0))
    if q == 0:
        return pieces
    if q == 1:
        return pieces.sum(axes)
    if math.isinf(q):
        return pieces.amax(axes)
    return safe_power(pieces.square().sum(axes) if q == 2 else safe_power(pieces, q).sum(axes), 1 / q)


def _forward(M: Power, x: Any, p: float) -> torch.Tensor:
    """Return powers of the distances to the next entries, shape `(*batch, *M.shape, d)`, zero where there is none."""
    found = [placed_scalars(M, distance_power(M.M, *neighbours(M, x, k), p), k, 0, 1) for k in range(len(M.shape))]
    return torch.stack(found, -1)


def grad_tv(M: Manifold, x: Any, p: float = 1) -> Any:
    r"""Return a subgradient of the total variation, with $q = 1$.

    Where points coincide and `p` is 1, or all neighbours do, zero is taken, which is a subgradient.

    Args:
        M: a manifold, for a pair; a `Power` manifold for a signal or image.
        x: a tuple of two points, or a point of the power manifold.
        p: the exponent, finite and at least 1.

    Returns:
        For a pair two tangent vectors, the gradient of $\tfrac1p d(x_1, x_2)^p$; else a tangent vector of the power
        manifold, the gradient of $\operatorname{TV}_{p,1}$.

    Raises:
        OptionsError: if `p` is out of its range.
        ShapeError: if `x` is neither a pair nor a point of a power manifold.

    Examples:
        >>> from manopt_torch import Euclidean, Power, grad_tv
        >>> grad_tv(Power(Euclidean(), 4), torch.tensor([0.0, 1.0, 1.0, 3.0]))
        tensor([-1.,  1., -1.,  1.])
    """
    check_exponent("grad_tv", p)
    grid = as_grid("grad_tv", M, x, 2)
    if grid is None:
        return grad_distance(M, x[1], x[0], p), grad_distance(M, x[0], x[1], p)
    weight = None if p == 1 else inverse_power(cost_tv(grid, x, p, 0), p - 1)
    total: Any = None
    for k, n in enumerate(grid.shape):
        left, right = neighbours(grid, x, k)
        at_left, at_right = grad_distance(grid.M, right, left, p), grad_distance(grid.M, left, right, p)
        if weight is not None:
            w = weight.narrow(weight.dim() - len(grid.shape) + k, 0, n - 1)
            at_left, at_right = scaled(grid.M, w, at_left), scaled(grid.M, w, at_right)
        parts = placed(grid, at_left, k, 0, 1), placed(grid, at_right, k, 1, 0)
        both = map_leaves(torch.add, *parts)
        total = both if total is None else map_leaves(torch.add, total, both)
    return total


def cost_l2_tv(M: Power, f: Any, alpha: Any, x: Any) -> torch.Tensor:
    r"""Return $\tfrac12 d(f, x)^2 + \alpha \operatorname{TV}(x)$, the model behind denoising that keeps edges.

    Args:
        M: a power manifold.
        f: the data, a point of it.
        alpha: the weight, a number or a tensor of shape `(*batch,)`.
        x: a point.

    Shapes:
        result: `(*batch,)`.

    References:
        [WeinmannDemaretStorath:2014].

    Examples:
        >>> from manopt_torch import Euclidean, Power, cost_l2_tv
        >>> cost_l2_tv(Power(Euclidean(), 2), torch.tensor([0.0, 2.0]), 1.0, torch.tensor([0.5, 1.5]))
        tensor(1.2500)
    """
    return 0.5 * M.squared_dist(f, x) + alpha * cost_tv(M, x)


def cost_collaborative_tv(M: Power, x: Any, X: Any, p: float = 2, q: float = 1) -> torch.Tensor:
    r"""Return the collaborative norm of tangent vectors.

    $\bigl(\sum_i (\sum_k \lVert X_{ik}\rVert^p)^{q/p}\bigr)^{1/q}$ over entries $i$ and directions $k$.

    With $X$ the forward logarithms of $x$ it is $\operatorname{TV}_{p,q}(x)$.

    Args:
        M: a power manifold.
        x: a point of it.
        X: a tangent vector for each entry and direction, as `forward_logs` returns them.
        p: exponent over the directions, from 1 to infinity.
        q: exponent over the entries, from 1 to infinity.

    Shapes:
        result: `(*batch,)`.

    Raises:
        OptionsError: if an exponent is out of its range.

    References:
        [DuranMoellerSbertCremers:2016].

    Examples:
        >>> from manopt_torch import Euclidean, Power, cost_collaborative_tv, forward_logs
        >>> M, x = Power(Euclidean(), 3), torch.tensor([0.0, 1.0, 3.0])
        >>> cost_collaborative_tv(M, x, forward_logs(M, x))
        tensor(3.)
    """
    check_power("cost_collaborative_tv", M)
    check_exponent("cost_collaborative_tv", p, finite=False)
    check_exponent("cost_collaborative_tv", q, finite=False)
    lengths = M.M.norm(with_directions(M, x), X)
    powers = lengths if p == 1 or math.isinf(p) else lengths.square() if p == 2 else safe_power(lengths, p)
    return over_entries(M, over_directions(powers, p), q)
