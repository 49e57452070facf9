"""Components of a tangent vector: the parts to which elementwise rules give a scale of their own.

On arrays with the Euclidean metric each entry is a component, on a curved manifold the vector as a whole, on products
and powers each factor has its own components. Values for components come as trees like the vector, each leaf
broadcastable to that of the vector, so that rules work on them leaf by leaf, whatever the manifold.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch

from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.flat_space import FlatSpace
from manopt_torch.manifolds.points import expand_right, map_leaves, map_shaped, rebuild
from manopt_torch.manifolds.power import Power
from manopt_torch.manifolds.product import Product
from manopt_torch.manifolds.scaled import Scaled


@cache
def _kind(cls: type) -> str:
    """Tell how a class of manifolds is made up; asked for in every step, and `isinstance` takes longer."""
    kinds = {FlatSpace: "flat", Product: "product", Power: "power", Scaled: "scaled"}
    return next((kind for base, kind in kinds.items() if issubclass(cls, base)), "curved")


def is_elementwise(M: Manifold) -> bool:
    """Tell whether every entry of a tangent vector is a component: numbers or angles, and products and powers of them.

    There elementwise changes of a tangent vector make sense, and transport does nothing.

    Examples:
        >>> from manopt_torch import Circle, Euclidean, Power, Product, Sphere
        >>> is_elementwise(Product(Euclidean(3), Power(Circle(), 2))), is_elementwise(Product(Euclidean(3), Sphere(3)))
        (True, False)
    """
    if isinstance(M, Product):
        return all(map(is_elementwise, M.manifolds))
    return is_elementwise(M.M) if isinstance(M, (Power, Scaled)) else isinstance(M, FlatSpace)


def component_inner(M: Any, x: Any, u: Any, v: Any) -> Any:
    r"""Return the inner product of two tangent vectors component by component.

    Args:
        M: the manifold.
        x: the point.
        u: a tangent vector at `x`.
        v: another.

    Shapes:
        Each leaf has the shape of the leaf of `u` on a flat factor, `(*batch, 1, ..., 1)` on a curved one, and an entry
        of its own for each entry of a power.

    References:
        [BecigneulGanea:2019].

    Examples:
        >>> from manopt_torch import Euclidean, Product, Sphere
        >>> M, u = Product(Euclidean(2), Sphere(3)), (torch.tensor([1.0, 2.0]), torch.tensor([0.0, 3.0, 4.0]))
        >>> component_inner(M, (torch.zeros(2), torch.tensor([1.0, 0.0, 0.0])), u, u)
        (tensor([1., 4.]), tensor([25.]))
    """
    kind = _kind(type(M))
    if kind == "flat":
        return u * v
    if kind == "product":
        return rebuild(u, [component_inner(*part) for part in zip(M.manifolds, x, u, v, strict=True)])
    if kind == "power":
        return component_inner(M.M, x, u, v)
    if kind == "scaled":
        return map_leaves(lambda leaf: leaf * M.factor**2, component_inner(M.M, x, u, v))
    if isinstance(u, torch.Tensor):
        s = M.inner_at(x)(u, v)  # a number where that takes less time
        return x.new_full((1,) * x.dim(), s) if type(s) is float else expand_right(s, len(M.point_shape))
    s = M.inner(x, u, v)
    return map_shaped(lambda ndim, leaf: expand_right(s, ndim), M.point_shape, u)


def zero_components(M: Manifold, x: Any) -> Any:
    """Return a zero for each component, laid out over the batch."""
    zero = M.zero_tangent(x)
    return map_leaves(torch.zeros_like, component_inner(M, x, zero, zero))


def draw_components(M: Any, u: Any, draw: Callable[[tuple[int, ...]], torch.Tensor]) -> Any:
    """Draw a number for each component, the same for all problems of the batch.

    Args:
        M: the manifold.
        u: a tangent vector, whose tuple types the result has.
        draw: returns numbers of the shape it is given.
    """
    kind = _kind(type(M))
    if kind == "flat":
        return draw(M.point_shape)
    if kind == "product":
        return rebuild(u, [draw_components(N, part, draw) for N, part in zip(M.manifolds, u, strict=True)])
    if kind == "power":
        return draw_components(M.M, u, lambda shape: draw((*M.shape, *shape)))
    if kind == "scaled":
        return draw_components(M.M, u, draw)
    s = draw(())
    return map_shaped(lambda ndim, leaf: expand_right(s, ndim), M.point_shape, u)


def map_factors(fn: Callable[..., Any], M: Manifold, *trees: Any) -> Any:
    """Apply `fn(factor, *parts)` to the factors of a product (of products), or to the manifold itself."""
    if isinstance(M, Product):
        return rebuild(trees[0], [map_factors(fn, *part) for part in zip(M.manifolds, *trees, strict=True)])
    return fn(M, *trees)
