r"""Jacobians of residuals: for all problems of a batch at once, never across problems.

Problems of a batch do not mix, so one derivative of the whole batch in the directions $b_j(x)$, one for each problem,
is the $j$-th column of every Jacobian. By columns, $J b$ comes from two backward passes: $w \mapsto J' w$ is linear,
and its derivative is $J$. In eager torch that takes half the time of forward-mode derivatives.

A single problem has operations so small that most of the time goes into calling them: there `vmap` takes several passes
at once.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from manopt_torch.errors import ShapeError
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.euclidean import Euclidean
from manopt_torch.manifolds.points import leaf_shapes, leaves, map_shaped, to_vector
from manopt_torch.problems import autodiff
from manopt_torch.problems.autodiff import grad_mode

# a single problem makes up to so many passes at once, whose residuals are no more numbers than that; fewer than the
# least are made one by one
_PASSES, _NUMBERS, _LEAST_PASSES = 32, 1 << 15, 8


def attached_residuals(
    residuals: Callable[..., Any], x: Any, data: tuple[Any, ...], *, else_none: bool
) -> tuple[Any, torch.Tensor] | None:
    """Evaluate the residuals with their graph; return the tracked point and them.

    With `else_none`, None where they cannot be had so: NumPy is refused a tensor that requires derivatives.
    """
    with grad_mode(True):
        leaf = autodiff.tracked(x)
        try:
            return leaf, residuals(leaf, *data)
        except RuntimeError as error:
            if else_none and "requires grad" in str(error):
                return None
            raise


def columns(
    M: Manifold,
    x: Any,
    leaf: Any,
    attached: torch.Tensor,  # shape: (*batch, m), computed from the tracked point `leaf`
) -> torch.Tensor:
    """Return the Jacobian in the basis at `x`, column by column, shape `(*batch, m, n)`."""
    product = products(leaf, attached)
    basis = M.basis(x)
    found = _in_passes(product, lambda: basis, M.dim, attached)
    if found is None:
        found = torch.stack([product(_nth(M, basis, j)) for j in range(M.dim)], -2)
    return found.mT


def _in_passes(
    one: Callable[[Any], torch.Tensor], each: Callable[[], Any], count: int, attached: torch.Tensor
) -> torch.Tensor | None:
    """Call `one` on all `count` of `each()`, some at a time; None where they are to be taken one by one."""
    some = 0 if attached.dim() > 1 else min(_PASSES, count, _NUMBERS // attached.numel())
    if some < _LEAST_PASSES:
        return None
    try:
        return torch.func.vmap(one, chunk_size=some)(each())
    except RuntimeError:  # of an operation that vmap cannot take
        return None


def products(leaf: Any, attached: torch.Tensor) -> Callable[[Any], torch.Tensor]:
    """Return the map from a tangent vector `u` to `J u`, shape `(*batch, m)`; its graph is retained."""
    with grad_mode(True):
        w = torch.zeros_like(attached).requires_grad_()
        back = leaves(autodiff.backward(attached, leaf, w, create_graph=True))
    used = [n for n, part in enumerate(back) if part.requires_grad]
    transposed = tuple(back[n] for n in used)

    def product(u: Any) -> torch.Tensor:
        if not used:
            return torch.zeros_like(attached)
        directions = leaves(u)
        return autodiff.products(transposed, tuple(directions[n] for n in used), w)

    return product


def rows(
    M: Manifold,
    x: Any,
    leaf: Any,
    attached: torch.Tensor,  # shape: (*batch, m), computed from the tracked point `leaf`
) -> torch.Tensor:
    """Return the Jacobian in the basis at `x`, row by row, shape `(*batch, m, n)`."""
    m = attached.shape[-1]

    def row(w: torch.Tensor) -> torch.Tensor:
        return _as_vector(M, leaves(autodiff.products((attached,), (w,), leaf)))

    def units() -> torch.Tensor:
        return torch.eye(m, dtype=attached.dtype, device=attached.device)

    together = _in_passes(row, units, m, attached)
    if together is not None:
        return in_basis(M, x, together)
    found: list[torch.Tensor] = []
    for i in range(m):
        with grad_mode(True):
            one = attached[..., i]
        found.append(_as_vector(M, leaves(autodiff.backward(one, leaf, keep_graph=True))))
    return in_basis(M, x, torch.stack(found, -2))


class ColumnsApart(TorchFunctionMode):
    """Call a Jacobian such that `torch.stack` along the last axis lays its parts out one after the other.

    The values are the same. The columns of a Jacobian are mostly stacked like that, and to interleave so few of them
    takes as long as everything else about it; and longer again to multiply it with its transpose.

    Attributes:
        works: whether the callable lets its stacks be laid out so; one that looks into their memory does not.
    """

    # with fewer residuals, calling the operations takes longer than they do
    least = 1 << 14

    def __init__(self) -> None:
        super().__init__()
        self.works = True

    def call(self, jacobian: Callable[..., Any], arguments: tuple[Any, ...], r: torch.Tensor) -> Any:
        """Return `jacobian(*arguments)`, for residuals `r`."""
        if self.works and r.numel() >= self.least:
            try:
                with self:
                    return jacobian(*arguments)
            except RuntimeError:  # of `view`
                self.works: bool = False
        return jacobian(*arguments)

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        if func is torch.stack and (args[1:], kwargs or {}) in (((-1,), {}), ((), {"dim": -1})) and args[0][0].dim():
            return torch.stack(args[0], -2).mT
        return func(*args, **(kwargs or {}))


def by_columns(J: torch.Tensor) -> torch.Tensor:
    """Lay a Jacobian, shape `(*batch, m, n)`, out column by column: the bits of products depend on how it is."""
    return J.mT.contiguous().mT


def restricted(M: Manifold, x: Any, ambient: Any, r: torch.Tensor) -> torch.Tensor:
    """Return a given ambient Jacobian, shape `(*batch, m, *point_shape)`, in the basis at `x`, `(*batch, m, n)`."""
    check_jacobian(M, ambient, r)
    if isinstance(M, Euclidean):
        return ambient if len(M.point_shape) == 1 else ambient.reshape((*r.shape, M.dim))
    return in_basis(M, x, to_vector(ambient, M.point_shape))


def in_basis(
    M: Manifold,
    x: Any,
    rows: torch.Tensor,  # shape: (*batch, m, ambient size)
) -> torch.Tensor:
    """Apply differentials, laid out as rows of the ambient space, to the basis vectors at `x`."""
    if isinstance(M, Euclidean):
        return rows
    return rows @ to_vector(M.basis(x), M.point_shape).mT


def differences(M: Manifold, x: Any, residuals: Callable[[Any], torch.Tensor]) -> torch.Tensor:
    """Return the Jacobian by central differences along retractions, shape `(*batch, m, n)`.

    In a vector space each parameter is changed in proportion to its size.
    """
    basis = M.basis(x)
    ref = to_vector(x, M.point_shape)
    steps = torch.ones((*ref.shape[:-1], M.dim), dtype=ref.dtype, device=ref.device)
    if isinstance(M, Euclidean):
        steps = torch.where(ref != 0, ref.abs(), steps)
    found = []
    for j in range(M.dim):
        h = torch.finfo(ref.dtype).eps ** (1 / 3) * steps[..., j]
        ahead, behind = (residuals(M.retract(x, _nth(M, basis, j), t)) for t in (h, -h))
        found.append((ahead - behind) / (2 * h.unsqueeze(-1)))
    return torch.stack(found, -2).mT


def check_jacobian(M: Manifold, ambient: Any, r: torch.Tensor) -> None:
    """Raise a ShapeError unless a Jacobian has the shape `(*batch, m, *point_shape)`."""
    parts = leaves(ambient) if isinstance(ambient, tuple) else [ambient]
    wanted = [(*r.shape, *shape) for shape in leaf_shapes(M.point_shape)]
    got = [tuple(part.shape) if isinstance(part, torch.Tensor) else type(part).__name__ for part in parts]
    if got != wanted:
        only = wanted[0] if len(wanted) == 1 else tuple(wanted)
        raise ShapeError(
            f"the Jacobian must have shape (*batch, m, *point_shape), here {only}, got "
            f"{got[0] if len(got) == 1 else tuple(got)}: one ambient array of partial derivatives for each residual"
        )


def _nth(M: Manifold, basis: Any, j: int) -> Any:
    """Return the j-th vector of a basis, shape `(*batch, *point_shape)`."""
    return map_shaped(lambda ndim, b: b.select(-1 - ndim, j), M.point_shape, basis)


def _as_vector(M: Manifold, parts: list[torch.Tensor]) -> torch.Tensor:
    shapes = leaf_shapes(M.point_shape)
    flat = [
        part.reshape((*part.shape[: part.dim() - len(s)], math.prod(s))) for part, s in zip(parts, shapes, strict=True)
    ]
    flat = [torch.view_as_real(part).flatten(-2) if part.is_complex() else part for part in flat]
    return flat[0] if len(flat) == 1 else torch.cat(flat, -1)


def times(
    J: torch.Tensor,  # shape: (*batch, m, n)
    u: torch.Tensor,  # shape: (*batch, n)
) -> torch.Tensor:
    """Return `J u`, shape `(*batch, m)`."""
    return (J @ u.unsqueeze(-1)).squeeze(-1)
