r"""Logarithms of orthonormal frames on Stiefel manifolds, by shooting.

No closed form is known. The geodesic from X to Y stays in the span of both frames, so its direction solves a small
nonlinear least-squares problem, whose Jacobian follows from one eigendecomposition of a skew matrix.

References:
    [TranstrumSethna:2012] for the iteration; [Bryner:2017], [ZimmermannHueper:2022] for others.
"""

import math
from typing import NamedTuple

import torch

from manopt_torch.linalg.cholesky import cholesky_or_nan
from manopt_torch.linalg.frames import LOG_DOUBLINGS, frame_step, frame_tangent
from manopt_torch.linalg.skew import (
    SkewEigen,
    skew_dim,
    skew_eigh,
    skew_exp_derivative,
    skew_exp_integral,
    skew_expm1,
    skew_from_vector,
)

# Rounds of the iteration: points 2 apart need four, all but few within the injectivity radius eight. The damping starts
# low and falls by four, as distances are moderate.
_ROUNDS = {4: 8, 8: 9}
_DAMPING, _DAMPING_FALLS, _DAMPING_RISES = 0.1, 0.25, 4.0
# Second derivatives along a step come from a difference over this share of it; a correction longer than 1.5 steps is
# not used ([TranstrumSethna:2012], sections 4 and 5), nor one near the end, which would be rounding.
_SHARE, _LONGEST_CORRECTION = 0.1, 1.5


def frame_log(
    X: torch.Tensor,  # shape: (*batch, n, p)
    Y: torch.Tensor,  # shape: (*batch, n, p)
    kappa: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Return the tangent vector at X whose geodesic reaches Y, and how far from Y it ends, shape `(*batch,)`.

    A fixed number of rounds in the at most $2p$ dimensions that hold both frames finds the value. Where it converged,
    two Newton steps with frozen Jacobian follow, on the arguments themselves: each makes one more derivative exact, so
    two are. Where it did not, the result is the best vector found and its derivative is that of the projection.
    """
    X, Y = torch.broadcast_tensors(X, Y)
    found = _solve(X.detach(), Y.detach(), kappa)
    converged = (found.residual <= frame_tolerance(X))[..., None, None]
    U = frame_tangent(X, found.U)
    for _ in range(2):
        gap = frame_step(X, U, kappa, LOG_DOUBLINGS) - (Y - X)
        U = frame_tangent(X, U - torch.where(converged, _newton_step(found, gap), 0.0))
    return U, found.residual


def frame_tolerance(X: torch.Tensor) -> float:
    """Return the residual that rounding alone may leave."""
    return 100 * torch.finfo(X.dtype).eps * math.sqrt(X.shape[-2] * X.shape[-1])


class _Solution(NamedTuple):
    """What the iteration found, and the inverse of the derivative there; all of it constant."""

    U: torch.Tensor  # shape: (*batch, n, p)
    residual: torch.Tensor  # shape: (*batch,)
    frame: torch.Tensor  # shape: (*batch, n, q), orthonormal, X first
    basis: torch.Tensor  # shape: (dim, q, p), of the tangent space in that frame
    jacobian: torch.Tensor  # shape: (*batch, dim, q, p)
    factor: torch.Tensor  # shape: (*batch, dim, dim), of the normal equations
    outside: torch.Tensor | None  # shape: (*batch, p, p), for directions off the frame; None if there are none


def _newton_step(found: _Solution, gap: torch.Tensor) -> torch.Tensor:
    inside = found.frame.mH @ gap
    step = found.frame @ _combine(_normal_solve(found.factor, _pair(found.jacobian, inside)), found.basis)
    return step if found.outside is None else step + (gap - found.frame @ inside) @ found.outside


def _solve(X: torch.Tensor, Y: torch.Tensor, kappa: int) -> _Solution:
    """Shoot by the Levenberg-Marquardt method with geodesic acceleration; a round that does not help is undone."""
    p = X.shape[-1]
    rest = torch.linalg.qr(torch.cat([X, Y], -1))[0][..., p:]
    frame = torch.cat([X, rest], -1)
    basis = _basis(X, rest.shape[-1])
    target = _Target(frame.mH @ (Y - X), basis, _generators(basis, kappa), kappa)
    # the basis is orthogonal; its skew part has entries in pairs
    c = _pair(basis, target.step) / basis.abs().square().sum((-2, -1))
    spectra = _spectra(target, c)
    gap, jacobian = _gap(target, spectra), _jacobian(target, spectra)
    square = _square(gap)
    damping = torch.full_like(square, _DAMPING)
    floor = 4 * torch.finfo(X.dtype).eps
    eye = torch.eye(c.shape[-1], dtype=c.dtype, device=c.device)
    for _ in range(_ROUNDS[torch.finfo(X.dtype).bits // 8]):
        ridge = (damping * square).clamp(min=floor)[..., None, None]
        trial = _accelerated(target, c, gap, jacobian, cholesky_or_nan(_gram(jacobian) + ridge * eye))
        spectra = _spectra(target, trial)
        trial_gap = _gap(target, spectra)
        trial_square = _square(trial_gap)
        better = trial_square < square
        pick = better[..., None, None]
        c = torch.where(better[..., None], trial, c)
        gap = torch.where(pick, trial_gap, gap)
        jacobian = torch.where(pick[..., None], _jacobian(target, spectra), jacobian)
        square = torch.where(better, trial_square, square)
        damping = damping * torch.where(better, _DAMPING_FALLS, _DAMPING_RISES)
    factor = cholesky_or_nan(_gram(jacobian) + floor * eye)
    outside = None if X.shape[-2] == frame.shape[-1] else _outside(target, c, floor)
    return _Solution(frame @ _combine(c, basis), torch.sqrt(square), frame, basis, jacobian, factor, outside)


def _accelerated(
    target: "_Target",
    c: torch.Tensor,  # shape: (*batch, dim)
    gap: torch.Tensor,  # shape: (*batch, q, p)
    jacobian: torch.Tensor,  # shape: (*batch, dim, q, p)
    factor: torch.Tensor,  # shape: (*batch, dim, dim)
) -> torch.Tensor:
    """Return the next trial: a damped Gauss-Newton step, corrected for the second derivative along it."""
    v = -_normal_solve(factor, _pair(jacobian, gap))
    slope = (v.to(jacobian.dtype)[..., None, :] @ jacobian.flatten(-2))[..., 0, :].unflatten(-1, gap.shape[-2:])
    change = (_gap(target, _spectra(target, c + _SHARE * v)) - gap) / _SHARE
    a = -_normal_solve(factor, _pair(jacobian, (change - slope) / _SHARE))  # half of the acceleration, twice halved
    norm = torch.linalg.vector_norm
    short = 2 * norm(a, dim=-1) <= _LONGEST_CORRECTION * norm(v, dim=-1)
    far = _square(gap) > torch.finfo(v.dtype).eps * _square(target.step)
    return c + v + torch.where((short & far)[..., None], a, 0.0)


class _Target(NamedTuple):
    """Where to shoot, and the matrices that stand for coordinates."""

    step: torch.Tensor  # shape: (*batch, q, p), end less start, in the frame
    basis: torch.Tensor  # shape: (dim, q, p), of the tangent space at [I; 0]: the skew ones first
    generators: torch.Tensor  # shape: (dim, q, q), of the geodesics
    kappa: int


def _spectra(target: _Target, c: torch.Tensor) -> tuple[SkewEigen, SkewEigen | None]:
    """Return the eigendecompositions of the two skew matrices whose exponentials make the geodesic."""
    eigen = skew_eigh(_combine(c, target.generators))
    if target.kappa == 1:
        return eigen, None
    turns = _turns(target)
    return eigen, skew_eigh(_combine(c[..., : turns.shape[0]], turns))


def _turns(target: _Target) -> torch.Tensor:
    """Return the matrices -A of the skew part of the basis."""
    p = target.step.shape[-1]
    return -target.basis[: skew_dim(p, target.step.is_complex()), :p]


def _gap(target: _Target, spectra: tuple[SkewEigen, SkewEigen | None]) -> torch.Tensor:
    eigen, turn = spectra
    p = target.step.shape[-1]
    step = skew_expm1(eigen, p, target.step)
    if turn is not None:
        step = step + (step + _start(target)) @ skew_expm1(turn, p, target.step)
    return step - target.step


def _start(target: _Target) -> torch.Tensor:
    return torch.eye(*target.step.shape[-2:], dtype=target.step.dtype, device=target.step.device)


def _jacobian(target: _Target, spectra: tuple[SkewEigen, SkewEigen | None]) -> torch.Tensor:
    eigen, turn = spectra
    p = target.step.shape[-1]
    jacobian = skew_exp_derivative(eigen, target.generators, p)
    if turn is None:
        return jacobian
    jacobian = jacobian + jacobian @ skew_expm1(turn, p, target.step)[..., None, :, :]
    turns = _turns(target)
    end = skew_expm1(eigen, p, target.step) + _start(target)
    turned = end[..., None, :, :] @ skew_exp_derivative(turn, turns, p)
    skews = turns.shape[0]
    return torch.cat([jacobian[..., :skews, :, :] + turned, jacobian[..., skews:, :, :]], -3)


def _outside(target: _Target, c: torch.Tensor, floor: float) -> torch.Tensor:
    """Return what undoes the derivative off the frame: there, a direction W C moves the end by W C times a matrix."""
    eigen, turn = _spectra(target, c)
    p = target.step.shape[-1]
    M = skew_exp_integral(eigen, p, target.step)
    M = M if turn is None else M + M @ skew_expm1(turn, p, target.step)
    eye = torch.eye(p, dtype=M.dtype, device=M.device)
    # nearly the inverse where there is none, at conjugate points
    return torch.linalg.solve_ex(M.mH @ M + floor * eye, M.mH)[0]


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
