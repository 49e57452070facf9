r"""Distances in the Poincaré ball, with derivatives in closed form.

With $\alpha_x = 1 - c\lVert x\rVert^2$ and $r = 2c\lVert x - y\rVert^2 / (\alpha_x \alpha_y)$ the distance is
$d = \log\bigl(1 + r + \sqrt{r(r + 2)}\bigr) / \sqrt c$, and

$$\nabla_x d = k \Bigl(\frac{2}{\alpha_x \alpha_y} (x - y) + \frac{r}{\alpha_x} x\Bigr), \quad
k = \frac{2\sqrt c}{\sqrt{r(r + 2)}}.$$

Where the points coincide the distance has no derivative; zero, the subgradient of least length, is taken. Autograd
would pass over the entries three times as often.
"""

import math
from typing import Any, NamedTuple

import torch

from manopt_torch.linalg.function import Function
from manopt_torch.linalg.scalar import safe_sqrt
from manopt_torch.linalg.spectral import tracks_derivatives


def ball_distance(
    x: torch.Tensor,  # shape: (*batch, n)
    y: torch.Tensor,  # shape: (*batch, n)
    c: float,
) -> torch.Tensor:
    """Return the distance in the ball of curvature `-c`, shape `(*batch,)`.

    Examples:
        >>> ball_distance(torch.tensor([0.5, 0.0]), torch.tensor([-0.5, 0.0]), 1.0)  # twice log(3)
        tensor(2.1972)
    """
    if not _by_hand():
        return _distance(_pairs(x, y, c).r, c)
    with torch.no_grad():
        pairs = _pairs(x, y, c)
    return _Distance.apply(x, y, *pairs, c)


def ball_edge_distance(
    x: torch.Tensor,  # shape: (nodes, n)
    i: torch.Tensor,  # shape: (edges,), numbers of nodes
    j: torch.Tensor,  # shape: (edges,)
    c: float,
) -> torch.Tensor:
    r"""Return the distances between `x[i]` and `x[j]`, shape `(edges,)`.

    Quicker than those of the pairs: $\alpha$ is taken once a node, and derivatives are summed at the nodes.

    Examples:
        >>> x = torch.tensor([[0.5, 0.0], [-0.5, 0.0], [0.0, 0.0]])
        >>> ball_edge_distance(x, torch.tensor([0, 0]), torch.tensor([1, 2]), 1.0)
        tensor([2.1972, 1.0986])
    """
    if not _by_hand():
        return _distance(_edges(x, i, j, c).r, c)
    with torch.no_grad():
        edges = _edges(x, i, j, c)
    return _EdgeDistance.apply(x, i, j, *edges, c)


def _by_hand() -> bool:
    """Tell whether to take derivatives in closed form, if any: the compiler makes as good ones itself."""
    return tracks_derivatives() and not torch.compiler.is_compiling()


class _Pairs(NamedTuple):
    """What values and gradients of pairs are made of."""

    difference: torch.Tensor  # shape: (*batch, n)
    alpha_x: torch.Tensor  # shape: that of `x` without its last axis
    alpha_y: torch.Tensor
    area: torch.Tensor  # shape: (*batch,), the product of both
    r: torch.Tensor  # shape: (*batch,)


class _Edges(NamedTuple):
    """What values and gradients of edges are made of."""

    difference: torch.Tensor  # shape: (edges, n)
    alpha: torch.Tensor  # shape: (nodes,)
    area: torch.Tensor  # shape: (edges,)
    r: torch.Tensor  # shape: (edges,)


def _alpha(x: torch.Tensor, c: float) -> torch.Tensor:
    return 1 - c * (x * x).sum(-1)


def _pairs(x: torch.Tensor, y: torch.Tensor, c: float) -> _Pairs:
    difference, alpha_x, alpha_y = x - y, _alpha(x, c), _alpha(y, c)
    area = alpha_x * alpha_y
    return _Pairs(difference, alpha_x, alpha_y, area, (2 * c) * (difference * difference).sum(-1) / area)


def _edges(x: torch.Tensor, i: torch.Tensor, j: torch.Tensor, c: float) -> _Edges:
    alpha = _alpha(x, c)
    # in place: to find room for a large array takes as long as to fill it
    difference = x.index_select(0, i).sub_(x.index_select(0, j))
    # by a product with ones: torch is slow at sums over short rows
    squared = (difference * difference) @ torch.full_like(x[0], 2 * c)
    area = alpha.index_select(0, i) * alpha.index_select(0, j)
    return _Edges(difference, alpha, area, squared / area)


def _distance(r: torch.Tensor, c: float) -> torch.Tensor:
    root = safe_sqrt if tracks_derivatives() else torch.sqrt
    return torch.log1p(r + root(r * (r + 2))) / math.sqrt(c)


def _factors(r: torch.Tensor, area: torch.Tensor, weight: Any, c: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what multiplies the difference, and what, over alpha, the points."""
    apart = r != 0  # NaN is no zero, and stays
    s = torch.where(apart, r, 1.0)  # whose root has a derivative
    k = torch.where(apart, (2 * math.sqrt(c)) * weight / torch.sqrt(s * (s + 2)), 0.0)
    return 2 * k / area, k * r


class _Distance(Function):
    """The distance from its parts; the points are arguments only to receive the derivative."""

    generate_vmap_rule = True

    @staticmethod
    def forward(  # by name and not by `*rest`, which torch.compile mistakes
        x: Any, y: Any, difference: Any, alpha_x: Any, alpha_y: Any, area: Any, r: Any, c: float
    ) -> torch.Tensor:
        return _distance(r, c)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        *tensors, ctx.c = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors[:2])

    @staticmethod
    def backward(ctx: Any, weight: torch.Tensor) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, y, *parts = ctx.saved_tensors
        # a second derivative may follow: then the parts have to depend on the points
        pairs = _pairs(x, y, ctx.c) if torch.is_grad_enabled() else _Pairs(*parts)
        of_difference, of_points = _factors(pairs.r, pairs.area, weight, ctx.c)
        along = of_difference.unsqueeze(-1) * pairs.difference
        needs_x, needs_y, *_ = ctx.needs_input_grad
        by_x = by_y = None
        if needs_x:
            by_x = torch.addcmul(along, (of_points / pairs.alpha_x).unsqueeze(-1), x).sum_to_size(x.shape)
        if needs_y:
            by_y = ((of_points / pairs.alpha_y).unsqueeze(-1) * y - along).sum_to_size(y.shape)
        return by_x, by_y, *[None] * 6

    @staticmethod
    def jvp(ctx: Any, dx: Any, dy: Any, *rest: Any) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, y = ctx.saved_tensors
        pairs = _pairs(x, y, ctx.c)
        of_difference, of_points = _factors(pairs.r, pairs.area, 1.0, ctx.c)
        outwards = (x * dx).sum(-1) / pairs.alpha_x + (y * dy).sum(-1) / pairs.alpha_y
        return of_difference * (pairs.difference * (dx - dy)).sum(-1) + of_points * outwards


class _EdgeDistance(Function):
    """The distances along edges from their parts; the derivative is summed at the nodes."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Any, i: Any, j: Any, difference: Any, alpha: Any, area: Any, r: Any, c: float) -> torch.Tensor:
        return _distance(r, c)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        *tensors, ctx.c = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors[:3])

    @staticmethod
    def backward(ctx: Any, weight: torch.Tensor) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, i, j, *parts = ctx.saved_tensors
        edges = _edges(x, i, j, ctx.c) if torch.is_grad_enabled() else _Edges(*parts)
        of_difference, of_points = _factors(edges.r, edges.area, weight, ctx.c)
        along = of_difference.unsqueeze(-1) * edges.difference
        nothing = torch.zeros_like(x)
        across = nothing.index_put((i,), along, accumulate=True) - nothing.index_put((j,), along, accumulate=True)
        outwards = nothing[:, 0].scatter_add(0, i, of_points).scatter_add(0, j, of_points) / edges.alpha
        return torch.addcmul(across, outwards.unsqueeze(-1), x), *[None] * 7

    @staticmethod
    def jvp(ctx: Any, dx: Any, *rest: Any) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, i, j = ctx.saved_tensors
        edges = _edges(x, i, j, ctx.c)
        of_difference, of_points = _factors(edges.r, edges.area, 1.0, ctx.c)
        across = (edges.difference * (dx.index_select(0, i) - dx.index_select(0, j))).sum(-1)
        outwards = (x * dx).sum(-1) / edges.alpha
        return of_difference * across + of_points * (outwards.index_select(0, i) + outwards.index_select(0, j))
