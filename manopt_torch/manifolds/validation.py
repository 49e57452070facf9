"""Shape and membership checks shared by all manifolds, with the messages users read."""

from collections.abc import Mapping
from numbers import Integral
from typing import TYPE_CHECKING, Any

import torch

from manopt_torch import _host
from manopt_torch.errors import NotOnManifoldError, OptionsError, ShapeError
from manopt_torch.manifolds.points import is_nested, leaf_shapes, leaves

if TYPE_CHECKING:
    from manopt_torch.manifolds.base import Manifold


def batch_shape(M: "Manifold", x: Any) -> tuple[int, ...]:
    """Return the leading axes of a point of `M`.

    Raises:
        ShapeError: if the shape or the tuple structure is not that of a point.
    """
    if isinstance(x, torch.Tensor):
        got, own = tuple(x.shape), M.point_shape
        split = len(got) - len(own)
        if split >= 0 and got[split:] == own:  # so for all points but tuples
            return got[:split]
    tensors, shapes, nested = leaves(x), leaf_shapes(M.point_shape), is_nested(M.point_shape)
    if len(tensors) != len(shapes):
        if isinstance(x, list) and nested:
            raise ShapeError(f"a point of {M!r} must be {tuple_wanted(M, x)}")
        raise ShapeError(
            f"a point of {M!r} has {len(shapes)} tensor{'s' * nested}, got {len(tensors)}: pass "
            + (_parts(M) if nested else f"one of shape {_with_batch(shapes[0])}")
        )
    if isinstance(x, tuple) != nested or not all(isinstance(leaf, torch.Tensor) for leaf in tensors):
        if nested:
            raise ShapeError(f"a point of {M!r} must be {tuple_wanted(M, x)}")
        got = ", ".join(type(leaf).__name__ for leaf in tensors)
        raise ShapeError(f"a point of {M!r} is a tensor, got {f'({got},)' if isinstance(x, tuple) else got}")
    batches = []
    for tensor, shape in zip(tensors, shapes, strict=True):
        got = tuple(tensor.shape)
        split = len(got) - len(shape)
        if split < 0 or got[split:] != shape:
            part = f"part {len(batches)} of " if nested else ""
            wanted = _with_batch(shape)
            raise ShapeError(f"{part}a point of {M!r} has shape {wanted}, got {got}: the point's own axes come last")
        batches.append(got[:split])
    if any(batch != batches[0] for batch in batches):
        raise ShapeError(f"the parts of a point of {M!r} need the same batch axes, got {batches}")
    return batches[0]


def tuple_wanted(M: "Manifold", x: Any) -> str:
    """Say what a point made of parts is, what `x` is instead, and how to make a point of it."""
    if not isinstance(x, (list, tuple)):
        return f"{_parts(M)}, got {type(x).__name__}"
    names = ", ".join(type(part).__name__ for part in x)
    got = f"a {type(x).__name__} of {names or 'nothing'}"
    if len(x) != len(M.point_shape) or any(map(is_nested, M.point_shape)):  # parts are missing, or have parts
        return f"{_parts(M)}, got {got}"
    if all(isinstance(part, torch.Tensor) for part in x):
        return f"{_parts(M)}, got {got}: write tuple(x)"
    # integers would not do, and where some factors are complex no dtype is right for all
    dtype = ", dtype=torch.float64" if M.field == "real" else ""
    return f"{_parts(M)}, got {got}: write tuple(torch.as_tensor(part{dtype}) for part in x)"


def _parts(M: "Manifold") -> str:
    """Say what a point made of parts is: `a tuple of tensors of shapes ((*batch, 3), (*batch, 2))`."""
    return f"a tuple of tensors of shapes {_nested_shapes(M.point_shape)}"


def _nested_shapes(point_shape: tuple[Any, ...]) -> str:
    if not is_nested(point_shape):
        return _with_batch(point_shape)
    return "(" + ", ".join(map(_nested_shapes, point_shape)) + ("," * (len(point_shape) == 1)) + ")"


def _with_batch(shape: tuple[int, ...]) -> str:
    return "(" + ", ".join(["*batch", *map(str, shape)]) + ")"


def method_named(M: "Manifold", table: Mapping[str, str], method: str | None, what: str) -> str:
    """Return the attribute of `M` that carries out the named method; None is the first one of the table.

    Raises:
        OptionsError: if there is no method of that name, or none at all.
    """
    if not table and what == "retraction":  # of a product: a manifold always has one
        raise OptionsError(f"{M!r} has no retraction {method!r} that all factors share: leave it out, each has its own")
    if not table:
        other = "its logarithm, M.log(x, y)" if M.has_log else "M.project_tangent(x, y - x) next to x"
        raise OptionsError(f"{M!r} has no {what}: use {other}")
    if method is None:
        return next(iter(table.values()))
    if method not in table:
        raise OptionsError(f"{M!r} has no {what} {method!r}; it has {', '.join(map(repr, table))}")
    return table[method]


def positive_sizes(name: str, sizes: tuple[int, ...], least: int = 1) -> None:
    """Raise unless each size is an integer of at least `least`.

    Raises:
        OptionsError: with the call that was made and the least size allowed.
    """
    if any(not isinstance(n, Integral) or n < least for n in sizes):
        raise OptionsError(f"{name}({', '.join(map(repr, sizes))}): sizes are integers of at least {least}")


def raise_if_off(
    M: "Manifold",
    residual: torch.Tensor,  # shape: (*batch,)
    limit: float,
    what: str,
    cure: str,
) -> None:
    """Raise where a residual exceeds the limit or is NaN.

    Raises:
        NotOnManifoldError: naming the batch indices, the worst residual of the first of them, and the cure.
    """
    if not (residual.dim() or residual.is_meta):  # two numbers are compared in less time than two tensors
        with _host.host_read():
            failures = [] if residual.item() <= limit else [()]
    else:
        failures = _host.first_failures(residual <= limit)
    if failures:
        with _host.host_read():
            worst = residual[failures[0]].item()
        where = "" if failures == [()] else f" at batch indices {failures}"
        raise NotOnManifoldError(
            f"the {what}{where} is off {M!r}: residual {worst:.3g}, allowed {limit:.3g}; make one with {cure}"
        )
