r"""How the arrays of tangent vectors change when they are carried along: the connection of a manifold.

A vector $u$ that is carried parallel along a curve with velocity $\dot x$ has the velocity $B_x(\dot x, u)$ as an
array. In a submanifold with the inner product of the surrounding space that is the second fundamental form, and the
Hessian of the linear function $\langle g, \cdot\rangle$ is its adjoint, $\langle\operatorname{Hess}[u], \dot x\rangle =
\langle g, B_x(\dot x, u)\rangle$: `ehess2rhess` knows it. On other manifolds it is the derivative of parallel transport
by its end, unless `M.connection` knows formulas (`bend`, `bent_gradient`, and `riemann` of the curvature): for positive
definite matrices two products take the place of two derivatives of a square root, a hundredth of the time.

References:
    [AbsilMahonyTrumpf:2013].
"""

from collections.abc import Callable
from functools import reduce
from typing import TYPE_CHECKING, Any

import torch

from manopt_torch.manifolds.points import leaves, map_leaves

if TYPE_CHECKING:
    from manopt_torch.manifolds.base import Manifold


def bend(
    M: "Manifold",
    x: Any,
    u: Any,
    dx: Any,
) -> Any:
    r"""Return $B_x(\dot x, u)$, the velocity of the array of `u` that is carried parallel along `dx`."""
    if known := getattr(M, "connection", None):
        return known.bend(x, u, dx)
    if M.is_embedded:
        # the adjoint of a linear map, so it does not matter at which g
        g = map_leaves(lambda *parts: torch.zeros_like(reduce(torch.add, parts)), x, u, dx)
        return _pullback(lambda g: M.inner(x, _linear_hessian(M, x, g, u), dx), g, None)
    x, u = _with_equal_axes(x, u)
    return directional(lambda y: M.parallel_transport(x, y, u), (x,), (dx,))


def bent_gradient(
    M: "Manifold",
    x: Any,
    u: Any,
    g: Any,
) -> Any:
    r"""Return the Euclidean gradient of $\langle g, u\rangle$ by the point that carries `u` along, at `x`.

    That is, an array $G$ with $\langle G, \dot x\rangle = \langle g, B_x(\dot x, u)\rangle$ for tangent $\dot x$.
    """
    if known := getattr(M, "connection", None):
        return known.bent_gradient(x, u, g)
    if M.is_embedded:  # where gradients of functions on M are such arrays
        return _linear_hessian(M, x, g, u)
    x, u, g = _with_equal_axes(x, u, g)
    return _pullback(lambda y: M.parallel_transport(x, y, u), x, g)


def knows_curvature(M: "Manifold") -> bool:
    """Tell whether `curved` has formulas for a manifold."""
    return M.is_embedded or getattr(M, "connection", None) is not None


def curved(
    M: "Manifold",
    x: Any,
    *triples: tuple[Any, Any, Any],
) -> Any:
    r"""Return the sum of the curvatures $R(u, v) w$ over triples of tangent vectors.

    On a submanifold by the equation of Gauss, with the shape operators $S_n$: $R(u, v) w = S_{B(v, w)} u - S_{B(u, w)}
    v$.
    """
    known, terms = getattr(M, "connection", None), []
    for u, v, w in triples:
        if known:
            terms.append(known.riemann(x, u, v, w))
            continue
        first, second = _linear_hessian(M, x, bend(M, x, v, w), u), _linear_hessian(M, x, bend(M, x, u, w), v)
        terms.append(map_leaves(torch.sub, first, second))
    return reduce(lambda a, b: map_leaves(torch.add, a, b), terms)


def directional(fn: Callable[..., Any], at: tuple[Any, ...], along: tuple[Any, ...]) -> Any:
    """Return the derivative of `fn(*at)` along a direction, by two backward passes.

    The derivative of a backward pass by what it is fed with: unlike forward mode, it asks of custom functions no more
    than their second derivatives by backward. All points and directions are of one manifold.
    """
    trees = _with_equal_axes(*at, *along)
    value, pullback, *_ = torch.func.vjp(fn, *trees[: len(at)])
    _, pushforward, *_ = torch.func.vjp(pullback, map_leaves(torch.zeros_like, value))
    return pushforward(tuple(trees[len(at) :]))[0]


def _linear_hessian(M: "Manifold", x: Any, g: Any, u: Any) -> Any:
    """Return the Hessian along `u` of the linear function with gradient `g`."""
    return M.ehess2rhess(x, g, map_leaves(torch.zeros_like, g), u)


def _pullback(fn: Callable[..., Any], at: Any, cotangent: Any) -> Any:
    value, pullback, *_ = torch.func.vjp(fn, at)
    return pullback(map_leaves(torch.ones_like, value) if cotangent is None else cotangent)[0]


def _with_equal_axes(*trees: Any) -> list[Any]:
    """Return the points and vectors with the batch axes that they have together."""
    columns = [torch.broadcast_tensors(*parts) for parts in zip(*map(leaves, trees), strict=True)]
    results = []
    for k, tree in enumerate(trees):
        parts = iter([column[k] for column in columns])
        results.append(map_leaves(lambda _, parts=parts: next(parts), tree))
    return results
