r"""Cost, gradient and $J'J$ of a batch by one compiled function, in which the Jacobian is never stored.

Every entry of $J'J$ is a sum over the residuals of a product of two columns; the compiler fuses these sums with the
residuals and their derivatives. The function is compiled once for pieces of a fixed size, which the last piece is
filled up to.
"""

import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

import torch

from manopt_torch.linear_solvers.base import Normal
from manopt_torch.linear_solvers.cholesky import CholeskySolver
from manopt_torch.manifolds.euclidean import Euclidean
from manopt_torch.problems.counted import bare_problem
from manopt_torch.problems.residual_jacobian import restricted
from manopt_torch.problems.weighting import corrected, total

# large enough that calling a compiled function does not matter, small enough that a filled-up piece does not either
LARGEST_PIECE = 1024

# by residual function: compiling takes seconds, and a run is often followed by another with other data
_compiled: WeakKeyDictionary[Any, dict[Any, Any]] = WeakKeyDictionary()


def evaluate_compiled(
    solver: Any,
    p: Any,
    x: torch.Tensor,  # shape: (*batch, *point_shape)
    batch: tuple[int, ...],
    size: int,
) -> tuple[torch.Tensor, Normal] | None:
    """Return cost and normal equations at `x` by the compiled function; None, with a warning, if that cannot be."""
    kernel = _kernel_of(solver, bare_problem(p))
    if kernel is None:
        return None
    axes = len(batch)
    weights = p.weights if p.weights is not None and p.weights.dim() > 1 else None
    shared = None if weights is not None else p.weights
    rows = [t.flatten(0, axes - 1) for t in (x, *p.data)]
    own = None if weights is None else weights.flatten(0, axes - 1)
    found = []
    try:
        for start in range(0, rows[0].shape[0], size):
            part = [_filled(t, start, size) for t in rows]
            part[0] = part[0].clone()  # forward derivatives inside compiled functions want no views
            w = shared if own is None else _filled(own, start, size)
            found.append(kernel(part[0], w, *part[1:]))
    except Exception as error:  # whatever the compiler may raise: it is an accelerator, no part of the method
        _warn(f"the compiler failed ({type(error).__name__})")
        _remember(solver, bare_problem(p), None)
        return None
    _count(p)
    whole = [torch.cat(column)[: rows[0].shape[0]].unflatten(0, batch) for column in zip(*found, strict=True)]
    cost, gradient, system = whole
    return cost, Normal(gradient, system.diagonal(dim1=-2, dim2=-1), (system,))


def _kernel_of(solver: Any, p: Any) -> Any:
    """Return the compiled function of a problem; None where there can be none."""
    key = _key(p)
    try:
        known = _compiled.get(p.residuals, {})
    except TypeError:
        known = {}
    if key not in known:
        if not isinstance(solver, CholeskySolver) or not isinstance(p.M, Euclidean) or p.way == "finite":
            _warn("it covers Cholesky's solver, Euclidean space and derivatives that are given or by autograd only")
            kernel = None
        else:
            kernel = torch.compile(normal_equations(p), dynamic=False)
        return _remember(solver, p, kernel)
    return known[key]


def _remember(solver: Any, p: Any, kernel: Any) -> Any:
    with suppress(TypeError):  # a callable without weak references is compiled anew each time
        _compiled.setdefault(p.residuals, {})[_key(p)] = kernel
    return kernel


def _key(p: Any) -> Any:
    return (id(p.jacobian), p.way, id(p.loss), p.M.point_shape)


def normal_equations(p: Any) -> Callable[..., tuple[torch.Tensor, ...]]:
    """Return `f(x, weights, *data)`: cost, $J' r$ and $J' J$ as sums over residuals, weights and loss worked in."""
    residuals, jacobian, loss, M = p.residuals, p.jacobian, p.loss, p.M

    def columns(x: torch.Tensor, data: tuple, r: torch.Tensor) -> list[torch.Tensor]:
        if jacobian is not None:
            return list(restricted(M, x, jacobian(x, *data), r).unbind(-1))
        basis = M.basis(x)
        own = len(M.point_shape)
        tangents = [basis.select(-1 - own, j).clone() for j in range(M.dim)]
        return [torch.func.jvp(lambda y: residuals(y, *data), (x,), (u,))[1] for u in tangents]

    def function(x: torch.Tensor, weights: Any, *data: torch.Tensor) -> tuple[torch.Tensor, ...]:
        r = residuals(x, *data)
        cost = total(r, weights, loss)
        found = columns(x, data, r)
        if weights is not None or loss is not None:
            r, J = corrected(r, torch.stack(found, -1), weights, loss)
            found = list(J.unbind(-1))
        n = len(found)
        entries = {(i, j): (found[i] * found[j]).sum(-1) for i in range(n) for j in range(i + 1)}
        system = torch.stack([entries[max(i, j), min(i, j)] for i in range(n) for j in range(n)], -1)
        return cost, torch.stack([(c * r).sum(-1) for c in found], -1), system.unflatten(-1, (n, n))

    return function


def _filled(t: torch.Tensor, start: int, size: int) -> torch.Tensor:
    """Return `size` rows from `start` on; the last one is repeated where there are fewer."""
    rows = t[start : start + size]
    missing = size - rows.shape[0]
    return rows.contiguous() if not missing else torch.cat([rows, rows[-1:].expand(missing, *rows.shape[1:])])


def _count(p: Any) -> None:
    for kind in ("cost", "residuals", "gradient", "jacobian"):
        setattr(p.counts, kind, getattr(p.counts, kind) + 1)


def _warn(why: str) -> None:
    warnings.warn(f"compile=True has no effect: {why}", RuntimeWarning, stacklevel=2)
