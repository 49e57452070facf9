r"""Logarithms of orthonormal frames on Stiefel manifolds, by shooting.

No closed form is known. The geodesic from X to Y stays in the span of both frames, so its direction solves a small
nonlinear least-squares problem, whose Jacobian follows from one eigendecomposition of a skew matrix.

References:
    [EdelmanAriasSmith:1998], section 2.4; [ZimmermannHueper:2022] for other iterations.
"""

import math
from typing import NamedTuple

import torch

from manopt_torch.linalg.cholesky import cholesky_or_nan
from manopt_torch.linalg.frames import LOG_DOUBLINGS, frame_step, frame_tangent
from manopt_torch.linalg.skew import (
    skew_dim,
    skew_eigh,
    skew_exp_derivative,
    skew_exp_integral,
    skew_expm1,
    skew_from_vector,
)

# Rounds of the iteration: points 2 apart need five, those next to the injectivity radius about twelve; single
# precision saves the last, quadratic ones. The damping starts low and falls by four, as distances are moderate.
_ROUNDS = {4: 12, 8: 14}
_DAMPING, _DAMPING_FALLS, _DAMPING_RISES = 0.1, 0.25, 4.0


class _Solution(NamedTuple):
    """What the iteration found, as constants, and what the derivative of the logarithm needs."""

    U: torch.Tensor  # shape: (*batch, n, p)
    residual: torch.Tensor  # shape: (*batch,)
    frame: torch.Tensor  # shape: (*batch, n, q), orthonormal, X first
    basis: torch.Tensor  # shape: (dim, q, p), of the tangent space in that frame
    jacobian: torch.Tensor  # shape: (*batch, dim, q, p)
    factor: torch.Tensor  # shape: (*batch, dim, dim), of the normal equations
    outside: torch.Tensor  # shape: (*batch, p, p), inverse derivative for directions off the frame


def frame_log(
    X: torch.Tensor,  # shape: (*batch, n, p)
    Y: torch.Tensor,  # shape: (*batch, n, p)
    kappa: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Return the tangent vector at X whose geodesic reaches Y, and how far from Y it ends, shape `(*batch,)`.

    A fixed number of Levenberg-Marquardt rounds in the at most $2p$ dimensions that hold both frames finds the value.
    Where it converged, two Newton steps with frozen Jacobian follow, on the arguments themselves: each makes one more
    derivative exact, so two are. Where it did not, the result is the best vector found and its derivative is that of
    the projection.
    """
    X, Y = torch.broadcast_tensors(X, Y)
    found = _solve(X.detach(), Y.detach(), kappa)
    n, p = X.shape[-2:]
    converged = (found.residual <= 100 * torch.finfo(X.dtype).eps * math.sqrt(n * p))[..., None, None]
    U = frame_tangent(X, found.U)
    for _ in range(2):
        gap = frame_step(X, U, kappa, LOG_DOUBLINGS) - (Y - X)
        U = frame_tangent(X, U - torch.where(converged, _newton_step(found, gap), 0.0))
    return U, found.residual


def _newton_step(found: _Solution, gap: torch.Tensor) -> torch.Tensor:
    inside = found.frame.mH @ gap
    c = _normal_solve(found.factor, _pair(found.jacobian, inside))
    step = found.frame @ _combine(c, found.basis)
    n, q = found.frame.shape[-2:]
    return step if n == q else step + (gap - found.frame @ inside) @ found.outside


def _solve(X: torch.Tensor, Y: torch.Tensor, kappa: int) -> _Solution:
    n, p = X.shape[-2:]
    rest = torch.linalg.qr(torch.cat([X, Y], -1))[0][..., p:]
    frame = torch.cat([X, rest], -1)
    target = frame.mH @ (Y - X)
    basis = _basis(X, rest.shape[-1])
    generators = _generators(basis, kappa)
    # the basis is orthogonal; its skew part has entries in pairs
    c = _pair(basis, target) / basis.abs().square().sum((-2, -1))
    gap, jacobian, outside = _shoot(c, target, basis, generators, kappa)
    square = _square(gap)
    damping = torch.full_like(square, _DAMPING)
    floor = 4 * torch.finfo(X.dtype).eps
    eye = torch.eye(c.shape[-1], dtype=c.dtype, device=c.device)
    for _ in range(_ROUNDS[torch.finfo(X.dtype).bits // 8]):
        ridge = (damping * square).clamp(min=floor)[..., None, None]
        factor = cholesky_or_nan(_gram(jacobian) + ridge * eye)
        trial = c - _normal_solve(factor, _pair(jacobian, gap))
        new_gap, new_jacobian, new_outside = _shoot(trial, target, basis, generators, kappa)
        better = _square(new_gap) < square
        pick = better[..., None]
        c = torch.where(pick, trial, c)
        gap = torch.where(pick[..., None], new_gap, gap)
        jacobian = torch.where(pick[..., None, None], new_jacobian, jacobian)
        outside = torch.where(pick[..., None], new_outside, outside)
        square = _square(gap)
        damping = damping * torch.where(better, _DAMPING_FALLS, _DAMPING_RISES)
    factor = cholesky_or_nan(_gram(jacobian) + floor * eye)
    U = frame @ _combine(c, basis)
    return _Solution(U, torch.sqrt(square), frame, basis, jacobian, factor, _safe_inverse(outside, floor))


def _shoot(
    c: torch.Tensor,  # shape: (*batch, dim)
    target: torch.Tensor,  # shape: (*batch, q, p)
    basis: torch.Tensor,
    generators: torch.Tensor,  # shape: (dim, q, q)
    kappa: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the gap at the end of the geodesic, its Jacobian, and the p x p derivative for directions off the frame.

    A direction W C with W off the frame moves the end by W C times that matrix.
    """
    q, p = target.shape[-2:]
    eigen = skew_eigh(_combine(c, generators))
    step, jacobian = skew_expm1(eigen, p, target), skew_exp_derivative(eigen, generators, p)
    outside = skew_exp_integral(eigen, p, target)
    if kappa == 1:
        return step - target, jacobian, outside
    skews = skew_dim(p, target.is_complex())  # the basis starts with them
    turns = -basis[:skews, :p]
    eigen = skew_eigh(_combine(c[..., :skews], turns))
    back = skew_expm1(eigen, p, target)
    end = step + torch.eye(q, p, dtype=target.dtype, device=target.device)
    jacobian = jacobian + jacobian @ back[..., None, :, :]
    turned = end[..., None, :, :] @ skew_exp_derivative(eigen, turns, p)
    jacobian = torch.cat([jacobian[..., :skews, :, :] + turned, jacobian[..., skews:, :, :]], -3)
    return step + end @ back - target, jacobian, outside + outside @ back


def _basis(X: torch.Tensor, rest: int) -> torch.Tensor:
    """Return a basis of the tangent space at [I; 0]: the skew ones first, then those below."""
    p, is_complex = X.shape[-1], X.is_complex()
    kind = X.real.dtype
    skews = skew_from_vector(torch.eye(skew_dim(p, is_complex), dtype=kind, device=X.device), p, is_complex)
    below = torch.eye(rest * p, dtype=X.dtype, device=X.device).reshape(rest * p, rest, p)
    below = torch.cat([below, 1j * below]) if is_complex else below
    pad = torch.nn.functional.pad
    return torch.cat([pad(skews, (0, 0, 0, rest)), pad(below, (0, 0, p, 0))])


def _generators(basis: torch.Tensor, kappa: int) -> torch.Tensor:
    q, p = basis.shape[-2:]
    half = torch.cat([basis[:, :p] * (0.5 * kappa), basis[:, p:]], 1)
    half = torch.nn.functional.pad(half, (0, q - p))
    return half - half.mH


def _combine(
    c: torch.Tensor,  # shape: (*batch, k)
    matrices: torch.Tensor,  # shape: (k, m, n)
) -> torch.Tensor:
    return (c.to(matrices.dtype)[..., None, :] @ matrices.flatten(-2))[..., 0, :].unflatten(-1, matrices.shape[-2:])


def _pair(
    many: torch.Tensor,  # shape: (*batch, k, m, n) or (k, m, n)
    one: torch.Tensor,  # shape: (*batch, m, n)
) -> torch.Tensor:
    """Return the real inner products with k matrices, shape `(*batch, k)`."""
    return (many.flatten(-2).conj() @ one.flatten(-2)[..., None])[..., 0].real


def _gram(jacobian: torch.Tensor) -> torch.Tensor:
    rows = jacobian.flatten(-2)
    return (rows.conj() @ rows.mT).real


def _square(gap: torch.Tensor) -> torch.Tensor:
    return gap.abs().square().sum((-2, -1))


def _normal_solve(
    factor: torch.Tensor,  # shape: (*batch, k, k), lower triangular
    b: torch.Tensor,  # shape: (*batch, k)
) -> torch.Tensor:
    half = torch.linalg.solve_triangular(factor, b[..., None], upper=False)
    return torch.linalg.solve_triangular(factor.mT, half, upper=True)[..., 0]


def _safe_inverse(M: torch.Tensor, floor: float) -> torch.Tensor:
    """Return the inverse, or nearly so for a singular matrix: conjugate points lie where it has none."""
    eye = torch.eye(M.shape[-1], dtype=M.dtype, device=M.device)
    return torch.linalg.solve_ex(M.mH @ M + floor * eye, M.mH)[0]
