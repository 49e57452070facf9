"""Neighbours in signals and images, which are points of `Power` manifolds: by direction, all entries at once."""

from collections.abc import Sequence
from typing import Any

import torch

from manopt_torch._host import uploaded
from manopt_torch.errors import OptionsError, ShapeError
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import expand_right, first_leaf, is_nested, map_shaped
from manopt_torch.manifolds.power import Power


def is_point(M: Manifold, x: Any) -> bool:
    """Tell whether `x` has the tuple structure of one point, so that it is no pair and no triple of points.

    Examples:
        >>> from manopt_torch.manifolds import Sphere
        >>> is_point(Sphere(3), torch.ones(3)), is_point(Sphere(3), (torch.ones(3), torch.ones(3)))
        (True, False)
    """
    return _fits(M.point_shape, x)


def _fits(shape: tuple[Any, ...], x: Any) -> bool:
    if not is_nested(shape):
        return not isinstance(x, (tuple, list))
    return (
        isinstance(x, tuple) and len(x) == len(shape) and all(_fits(part, y) for part, y in zip(shape, x, strict=True))
    )


def as_grid(name: str, M: Manifold, x: Any, count: int) -> Power | None:
    """Return the power manifold of which `x` is a point, or None if `x` is a tuple of `count` points of `M`.

    Raises:
        ShapeError: if `x` is neither.
    """
    if is_point(M, x):
        if isinstance(M, Power):
            M.batch_shape(x)
            return M
    elif isinstance(x, Sequence) and len(x) == count and all(is_point(M, y) for y in x):
        return None
    raise ShapeError(
        f"{name}: x must be a tuple of {count} points of {M!r}, or a point of a Power manifold such as "
        f"Power({M!r}, n) for a signal, got {type(x).__name__}"
    )


def check_power(name: str, M: Manifold) -> None:
    """Raise unless the manifold is that of signals or images.

    Raises:
        OptionsError: naming it.
    """
    if not isinstance(M, Power):
        raise OptionsError(f"{name}: M must be a Power manifold such as Power({M!r}, n) for a signal, got {M!r}")


def part(M: Power, x: Any, k: int, start: int, stop: int, step: int = 1) -> Any:
    """Return the entries `start:stop:step` along direction `k` of a point or tangent of the power manifold."""

    def cut(ndim: int, leaf: torch.Tensor) -> torch.Tensor:
        index = (slice(None),) * (leaf.dim() - ndim + k)
        return leaf[(*index, slice(start, stop, step))]

    return map_shaped(cut, M.point_shape, x)


def neighbours(M: Power, x: Any, k: int) -> tuple[Any, Any]:
    """Return the entries that have a next one in direction `k`, and those next ones."""
    n = M.shape[k]
    return part(M, x, k, 0, n - 1), part(M, x, k, 1, n)


def triples(M: Power, x: Any, k: int) -> tuple[Any, Any, Any]:
    """Return the entries with two next ones in direction `k`, and those."""
    n = M.shape[k]
    return part(M, x, k, 0, n - 2), part(M, x, k, 1, n - 1), part(M, x, k, 2, n)


def placed(M: Power, u: Any, k: int, before: int, after: int) -> Any:
    """Lengthen entries along direction `k` by zeros, so that tangent vectors of neighbours can be added up."""

    def pad(ndim: int, leaf: torch.Tensor) -> torch.Tensor:
        return _pad(leaf, leaf.dim() - ndim + k, before, after)

    return map_shaped(pad, M.point_shape, u)


def placed_scalars(M: Power, s: torch.Tensor, k: int, before: int, after: int) -> torch.Tensor:
    """Lengthen scalars, one for each entry, along direction `k` by zeros."""
    return _pad(s, s.dim() - len(M.shape) + k, before, after)


def _pad(leaf: torch.Tensor, axis: int, before: int, after: int) -> torch.Tensor:
    def zeros(n: int) -> list[torch.Tensor]:
        shape = (*leaf.shape[:axis], n, *leaf.shape[axis + 1 :])
        return [torch.zeros(shape, dtype=leaf.dtype, device=leaf.device)] if n else []

    return torch.cat([*zeros(before), leaf, *zeros(after)], axis) if before or after else leaf


def spliced(M: Power, x: Any, middle: Any, k: int, start: int, stop: int) -> Any:
    """Return `x` with the entries `start:stop` along direction `k` replaced."""

    def join(ndim: int, leaf: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
        axis = leaf.dim() - ndim + k
        return torch.cat([leaf.narrow(axis, 0, start), new, leaf.narrow(axis, stop, leaf.shape[axis] - stop)], axis)

    return map_shaped(join, M.point_shape, x, middle)


def interleaved(M: Power, parts: Sequence[Any], k: int) -> Any:
    """Return the entries of several points of equal size in turn along direction `k`."""

    def mix(ndim: int, *leaves: torch.Tensor) -> torch.Tensor:
        axis = leaves[0].dim() - ndim + k
        return torch.stack(leaves, axis + 1).flatten(axis, axis + 1)

    return map_shaped(mix, M.point_shape, *parts)


def by_direction(M: Power, parts: Sequence[Any]) -> Any:
    """Lay one tangent vector for each direction side by side, leaves of shape `(*batch, *M.shape, d, *own)`."""
    d = len(M.shape)

    def lay(ndim: int, *leaves: torch.Tensor) -> torch.Tensor:
        return torch.stack(leaves, leaves[0].dim() - ndim + d)

    return map_shaped(lay, M.point_shape, *parts)


def in_direction(M: Power, u: Any, k: int) -> Any:
    """Return the tangent vectors of direction `k`, undoing `by_direction`."""
    d = len(M.shape)
    return map_shaped(lambda ndim, leaf: leaf.select(leaf.dim() - ndim + d - 1, k), M.point_shape, u)


def with_directions(M: Power, x: Any) -> Any:
    """Give a point an axis of length one where `by_direction` has the directions."""
    d = len(M.shape)
    return map_shaped(lambda ndim, leaf: leaf.unsqueeze(leaf.dim() - ndim + d), M.point_shape, x)


def scaled(M: Manifold, s: float | torch.Tensor, u: Any) -> Any:
    """Return `s * u` for tangent vectors of `M`, `s` being a float or of shape `(*batch,)`."""

    def times(ndim: int, leaf: torch.Tensor) -> torch.Tensor:
        return leaf * (expand_right(s.to(leaf.dtype), ndim) if isinstance(s, torch.Tensor) else s)

    return map_shaped(times, M.point_shape, u)


def per_entry(M: Power, s: Any) -> Any:
    """Give a number of each problem the axes of the entries."""
    return expand_right(s, len(M.shape)) if isinstance(s, torch.Tensor) else s


def per_problem(M: Manifold, s: Any, x: Any) -> torch.Tensor:
    """Return a float or `(*batch,)` tensor as a tensor in the precision of the point."""
    ref = first_leaf(x)
    return uploaded(s, ref, ref.real.dtype)
