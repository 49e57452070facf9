r"""Minimal residuals: solve a symmetric equation by products alone, each problem of a batch to its own end.

For symmetric $A$, definite or not, the $j$-th iterate is the vector of $\operatorname{span}(b, Ab, \dots, A^{j-1} b)$
with the smallest $\lVert b - A x\rVert$; with a preconditioner $T$, an approximate inverse of $\lvert A\rvert$, that of
$\operatorname{span}(Tb, TATb, \dots)$ with the smallest $\langle r, T r\rangle$ of the residual. Vectors are trees of
tensors with the batch axes in front, with an inner product of the caller's; where $A$ is singular, the iterates
approach a vector of least residual.

References: [PaigeSaunders:1975]; [ElmanSilvesterWathen:2014], section 2.4 and algorithm 4.1.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from manopt_torch._typing import Mask, Scalar
from manopt_torch.manifolds.points import first_leaf, map_leaves


class SymmetricEquation(NamedTuple):
    """The equation `A x = b`."""

    multiply: Callable[[Any], Any]  # u -> A u, without a change of u
    inner: Callable[[Any, Any], torch.Tensor]  # for which A is symmetric, shape (*batch,)
    right_side: Any
    precondition: Callable[[Any], Any] | None = None  # u -> T u, symmetric and positive definite


class Found(NamedTuple):
    """Where the iteration ended."""

    x: Any
    residual: Scalar  # its norm, as the recurrences tell it
    count: Scalar  # int, iterations made


class _Lanczos(NamedTuple):
    """What the next iteration needs of the former two."""

    v: Any  # the newest vector of the basis
    z: Any  # T v, with <z, v> = 1
    gamma: Scalar  # <z, A z_before>
    v_before: Any
    w: Any  # the last direction
    w_before: Any
    c: Scalar  # cosine and sine of the last rotation
    s: Scalar
    c_before: Scalar
    s_before: Scalar
    eta: Scalar  # what is left of the right-hand side
    largest: Scalar  # entry of the tridiagonal matrix so far
    r: Any  # residual


def minimal_residual(lane: Any, equation: SymmetricEquation, target: Scalar, bound: int, active: Mask) -> Found:
    """Solve a symmetric equation from zero.

    A problem ends when the norm of its residual is at most `target`, when its Krylov space is exhausted, or with a
    product that is not finite; it keeps its vector from then on. One question to the host an iteration.

    Args:
        lane: the lane of the run.
        equation: what to solve.
        target: norm of the residual at which a problem is done.
        bound: most iterations.
        active: the problems that iterate.
    """
    b = equation.right_side
    x, count, one, none = map_leaves(torch.zeros_like, b), lane.full(0), lane.full(1.0), lane.full(0.0)
    tiny = 8 * torch.finfo(first_leaf(b).dtype).eps
    v, z, eta = _normalised(lane, equation, b)
    now = _Lanczos(v, z, none, x, x, x, one, none, one, none, eta, none, b)
    size = _norm(lane, equation, b)
    run = active & (size > target) & lane.isfinite(eta)
    for _ in range(bound):
        if not lane.any(run):
            break
        new, step, diagonal = _advance(lane, equation, now)
        # a zero on the diagonal: the matrix is singular, and the rest of the residual stays
        ok = run & (diagonal > tiny * new.largest) & lane.isfinite(diagonal)
        x = lane.pick(ok, lane.axpy(x, step, new.w), x)
        now = _Lanczos(*[lane.pick(ok, *pair) for pair in zip(new, now, strict=True)])
        count, size = lane.where(ok, count + 1, count), lane.where(ok, _norm(lane, equation, now.r), size)
        # without a next vector the Krylov space is exhausted
        run = ok & (size > target) & (now.gamma > tiny * now.largest)
    return Found(x, size, count)


def _advance(lane: Any, equation: SymmetricEquation, now: _Lanczos) -> tuple[_Lanczos, Scalar, Scalar]:
    """Return the state after an iteration, how far to go along its direction, and the new entry of the diagonal."""
    gamma, c, s = now.gamma, now.c, now.s
    p = equation.multiply(now.z)
    alpha = lane.scalar(equation.inner(now.z, p))
    p = lane.axpy(lane.axpy(p, -alpha, now.v), -gamma, now.v_before)
    v, z, following = _normalised(lane, equation, p)
    # the new column of the tridiagonal matrix, rotated to triangular form
    delta = c * alpha - now.c_before * s * gamma
    diagonal = lane.sqrt(delta * delta + following * following)
    above, further = s * alpha + now.c_before * c * gamma, now.s_before * gamma
    w = lane.axpy(lane.axpy(now.z, -further, now.w_before), -above, now.w)
    w = lane.scale(lane.div(lane.full(1.0), diagonal), w)
    cosine, sine = lane.div(delta, diagonal), lane.div(following, diagonal)
    eta = -sine * now.eta
    r = lane.axpy(lane.scale(sine * sine, now.r), eta * cosine, v)
    largest = lane.max(now.largest, lane.max(lane.max(alpha, -alpha), following))
    new = _Lanczos(v, z, following, now.v, w, now.w, cosine, sine, c, s, eta, largest, r)
    return new, cosine * now.eta, diagonal


def _normalised(lane: Any, equation: SymmetricEquation, u: Any) -> tuple[Any, Any, Scalar]:
    """Return `u / a` and `T u / a` and `a`, the root of `<u, T u>`; zeros if that is zero."""
    z = u if equation.precondition is None else equation.precondition(u)
    # rounding may take what is left of a small vector below zero
    a = lane.sqrt(lane.max(lane.scalar(equation.inner(u, z)), 0.0))
    factor = lane.where(a > 0.0, lane.div(lane.full(1.0), a), 0.0)
    v = lane.scale(factor, u)
    return v, v if z is u else lane.scale(factor, z), a


def _norm(lane: Any, equation: SymmetricEquation, u: Any) -> Scalar:
    return lane.sqrt(lane.scalar(equation.inner(u, u)))
