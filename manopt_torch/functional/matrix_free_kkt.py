r"""One Newton step of an interior point method without matrices: by products with the derivatives alone.

The reduced equation

$$\begin{pmatrix} \operatorname{Hess}_x \mathcal L + G'\Theta G & H' \\ H & 0 \end{pmatrix}
\begin{pmatrix} \xi \\ \Delta\lambda \end{pmatrix} = b, \qquad \Theta = \operatorname{diag}(\mu / s),$$

is symmetric and indefinite. Minimal residuals solve it on the tangent space itself, without a basis. References:
[LaiYoshise:2024], section 5; [PaigeSaunders:1975].
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from manopt_torch.functional.interior_point import KKTStep, completed
from manopt_torch.functional.minimal_residual import Found, SymmetricEquation, minimal_residual
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import map_leaves


class KKTProducts(NamedTuple):
    """Derivatives at a point by what they do to vectors."""

    hessian: Callable[[Any], Any]  # of the Lagrangian, takes and returns tangent vectors
    gradient: Any  # of the Lagrangian
    jacobian: Callable[[Any], tuple[torch.Tensor, torch.Tensor]]  # takes a tangent vector u, returns G u and H u
    adjoint: Callable[[torch.Tensor, torch.Tensor], Any]  # takes a and b, returns the array G' a + H' b
    tangent: Callable[[Any], Any]  # projects such arrays
    g: torch.Tensor  # shape (*batch, m)
    h: torch.Tensor  # shape (*batch, k)
    mu: torch.Tensor  # shape (*batch, m), positive
    s: torch.Tensor  # shape (*batch, m), positive


def krylov_step(
    lane: Any,
    M: Manifold,
    x: Any,
    at: KKTProducts,
    beta: torch.Tensor,  # shape: (*batch,)
    target: Any,
    bound: int,
    active: Any,
) -> tuple[KKTStep, Found]:
    """Return the steps of all unknowns, and how the reduced equation has been solved: by minimal residuals.

    Args:
        lane: the lane of the run.
        M: the manifold.
        x: the point.
        at: the derivatives there.
        beta: what the products of multiplier and slack are to be.
        target: norm of the residual of the reduced equation at which a problem is done.
        bound: most iterations.
        active: the problems that iterate.
    """
    stiffness, pull = at.mu / at.s, (beta.unsqueeze(-1) + at.mu * at.g) / at.s

    def multiply(u: tuple[Any, torch.Tensor]) -> tuple[Any, torch.Tensor]:
        xi, lam = u
        inner, equal = at.jacobian(xi)
        return map_leaves(torch.add, at.hessian(xi), at.tangent(at.adjoint(stiffness * inner, lam))), equal

    def inner(u: tuple[Any, torch.Tensor], v: tuple[Any, torch.Tensor]) -> torch.Tensor:
        return M.inner(x, u[0], v[0]) + (u[1] * v[1]).sum(-1)

    forced = map_leaves(torch.add, at.gradient, at.tangent(at.adjoint(pull, torch.zeros_like(at.h))))
    right = map_leaves(torch.neg, forced), -at.h
    equation = SymmetricEquation(multiply, inner, right, _preconditioner(lane, M, x, at, right[0]))
    found = minimal_residual(lane, equation, target, bound, active)
    xi, lam = found.x
    along, _ = at.jacobian(xi)
    return completed(at, beta, xi, lam, along), found


def _preconditioner(lane: Any, M: Manifold, x: Any, at: KKTProducts, b: Any) -> Callable[[Any], Any] | None:
    r"""Return a preconditioner for bounds on entries, without which the equation gets ever worse; else None.

    Where $G'\Theta G$ is diagonal in the entries of arrays, it is made of that diagonal and the size $c$ of the Hessian
    along the right-hand side: $P_x (c I + \operatorname{diag})^{-1} P_x$. That is positive definite on tangent vectors
    whatever the diagonal: where two probes take another matrix for a diagonal one, only iterations are lost.
    """
    if not M.is_embedded or M.field != "real" or not at.g.shape[-1]:
        return None
    stiffness, none = at.mu / at.s, torch.zeros_like(at.h)

    def probed(z: Any) -> Any:
        return map_leaves(torch.mul, z, at.adjoint(stiffness * at.jacobian(z)[0], none))

    own = len(lane.shape)
    ones = map_leaves(torch.ones_like, x)
    first, second = probed(ones), probed(map_leaves(lambda leaf: _alternating(leaf, own), x))
    off = lane.size(map_leaves(torch.sub, first, second)) > 1e-6 * lane.size(first)
    lengths = lane.scalar(M.inner(x, b, b))
    turned = at.hessian(b)
    c = lane.sqrt(lane.div(lane.scalar(M.inner(x, turned, turned)), lengths))
    c = lane.where((c > 0.0) & lane.isfinite(c), c, 1.0)
    whole = lane.pick(off, ones, lane.axpy(map_leaves(torch.abs, first), c, ones))

    def precondition(u: tuple[Any, torch.Tensor]) -> tuple[Any, torch.Tensor]:
        return M.project_tangent(x, map_leaves(torch.div, u[0], whole)), u[1]

    return precondition


def _alternating(leaf: torch.Tensor, batch: int) -> torch.Tensor:
    """Return signs that change with each entry of a point, and later in another way; the same for all problems."""
    own = leaf.shape[batch:]
    place = torch.arange(math.prod(own), device=leaf.device)
    signs = 1.0 - 2.0 * ((place + place // 2 + place // 5) % 2)
    return signs.to(leaf.dtype).view(own).expand(leaf.shape)
