r"""Minimise a cubic model in growing Krylov spaces, each problem of a batch to its own end.

$$m(u) = \langle g, u\rangle + \tfrac12\langle u, H u\rangle + \tfrac\sigma3\lVert u\rVert^3$$

Lanczos' method turns $H$ into a tridiagonal matrix, one product with $H$ a vector; the small problem that is left is
solved exactly. References: [CartisGouldToint:2011], section 6.2; [AgarwalBoumalBullinsCartis:2021], section 6.
"""

from typing import Any, NamedTuple

import torch

from manopt_torch._typing import Mask, Scalar, Tangent
from manopt_torch.functional.cg_iteration import QuadraticModel
from manopt_torch.functional.tridiagonal_cubic import minimize_tridiagonal_cubic
from manopt_torch.manifolds.bases import combine, coordinates_in
from manopt_torch.manifolds.points import map_leaves


class Krylov:
    """Orthonormal vectors of a Krylov space and the tridiagonal matrix of the Hessian in it, grown on demand.

    It does not depend on the weight of the cubic term, so it serves again for the same point with another weight.

    Args:
        lane: the lane of the run.
        model: the quadratic part; its first vector is the gradient's direction.
    """

    def __init__(self, lane: Any, model: QuadraticModel) -> None:
        self._lane, self._model = lane, model
        g = model.gradient
        # length of the gradient
        self.gamma = lane.scalar(model.M.norm(model.x, g)) if model.norm is None else model.norm
        self.vectors: list[Tangent] = []
        self.diagonal: list[Scalar] = []
        self.beside: list[Scalar] = []  # the last one is the length of what is left over
        self._rest, self._length = g, self.gamma

    def grow(self, run: Mask) -> None:
        """Add a vector: one product with the Hessian. Problems that do not run keep to a finite vector."""
        lane, model = self._lane, self._model
        M, x, hessian = model.M, model.x, model.hessian
        inverse = lane.div(1.0, lane.where(self._length > 0, self._length, 1.0))
        q = lane.pick(run & (self._length > 0), lane.scale(inverse, self._rest), self._fallback())
        v = hessian(q)
        a = lane.scalar(M.inner(x, q, v))
        a = lane.where(lane.isfinite(a), a, 0.0)  # no curvature
        rest = lane.axpy(v, -a, q)
        if self.vectors:
            rest = lane.axpy(rest, -self.beside[-1], self.vectors[-1])
        self.vectors.append(q)
        self.diagonal.append(a)
        if len(self.vectors) > 1:  # rounding lets the recurrence of three terms drift
            axis = len(lane.shape)
            basis = map_leaves(lambda *parts: torch.stack(parts, axis), *self.vectors)
            rest = map_leaves(torch.sub, rest, combine(M, basis, coordinates_in(M, x, rest, basis)))
        length = lane.sqrt(lane.scalar(M.inner(x, rest, rest)))
        self._rest, self._length = rest, lane.where(lane.isfinite(length), length, 0.0)
        self.beside.append(self._length)

    def _fallback(self) -> Tangent:
        return self.vectors[-1] if self.vectors else map_leaves(torch.zeros_like, self._rest)


class CubicStep(NamedTuple):
    """The minimiser of the cubic model, as far as the inner iteration got."""

    u: Tangent
    length: Scalar
    fall: Scalar  # of the quadratic part of the model
    count: Scalar  # int, Lanczos vectors used
    unsolved: Mask  # the vectors did not suffice


def minimize_cubic(
    lane: Any,
    model: QuadraticModel,
    sigma: Scalar,
    active: Mask,
    theta: float,
    most: int,
    krylov: Krylov | None = None,
) -> CubicStep:
    r"""Grow the Krylov space until $\lVert\nabla m(u)\rVert \le \theta\min(\lVert u\rVert^2, \lVert g\rVert)$ for all.

    A cost with small derivatives takes long steps: there the square alone would end each iteration with one vector.

    Args:
        lane: the lane of the run.
        model: the quadratic part of the model.
        sigma: weight of the cubic term, positive.
        active: the problems that iterate; the step of others is zero.
        theta: how far to solve the model.
        most: most Lanczos vectors.
        krylov: a space grown earlier for this quadratic part, of a lone problem.
    """
    krylov = Krylov(lane, model) if krylov is None else krylov
    gamma = krylov.gamma
    run = active & (gamma > 0)
    zero = lane.full(0.0)
    squared = fall = zero
    count, lam, kept, k = lane.full(0), None, [], 0
    # in a batch somebody is active, and a round for nobody would change nothing: the first is not asked for
    while k < most and ((not k and not lane.lone) or lane.any(run)):
        if len(krylov.diagonal) == k:
            krylov.grow(run)
        k += 1
        diagonal, beside = krylov.diagonal[:k], krylov.beside[: k - 1]
        lam, y, now = minimize_tridiagonal_cubic(lane, diagonal, beside, gamma, sigma, run, lam)
        squared = lane.where(run, now, squared)
        # the quadratic part is half of gamma y_1 - lambda |y|^2, as (T + lambda) y = -gamma e_1
        fall = lane.where(run, 0.5 * (lam * now - gamma * y[0]), fall)
        kept.append(zero)
        kept = [lane.where(run, new, old) for new, old in zip(y, kept, strict=True)]
        count = count + run
        run = run & lane.not_(krylov.beside[k - 1] * abs(y[-1]) <= theta * lane.min(squared, gamma))
    u = map_leaves(torch.zeros_like, model.gradient)
    for c, q in zip(kept, krylov.vectors, strict=False):
        u = lane.axpy(u, c, q)
    return CubicStep(u, lane.sqrt(squared), fall, count, run)
