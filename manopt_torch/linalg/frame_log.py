r"""Logarithms of orthonormal frames on Stiefel manifolds, by shooting.

No closed form is known. The geodesic from X to Y stays in the span of both frames, so its direction solves a small
nonlinear least-squares problem, whose Jacobian follows from one eigendecomposition of a skew matrix.

References:
    [TranstrumSethna:2012] for the iteration; [Bryner:2017], [ZimmermannHueper:2022] for others.
"""

import math
from typing import NamedTuple

import torch

from manopt_torch.linalg.frames import LOG_DOUBLINGS, frame_step, frame_tangent
from manopt_torch.linalg.skew import (
    SkewEigen,
    skew_dim,
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
    jacobian: torch.Tensor  # shape: (*batch, dim, entries)
    factor: torch.Tensor  # shape: (*batch, dim, dim), of the normal equations
    basis: torch.Tensor  # shape: (dim, entries), of the tangent space in that frame
    outside: torch.Tensor | None  # shape: (*batch, p, p), for directions off the frame; None if there are none


def _newton_step(found: _Solution, gap: torch.Tensor) -> torch.Tensor:
    inside = found.frame.mH @ gap
    c = torch.cholesky_solve(found.jacobian @ _entries(inside).mT, found.factor)
    step = found.frame @ _matrix(c.mT @ found.basis, inside)
    return step if found.outside is None else step + (gap - found.frame @ inside) @ found.outside


def _solve(X: torch.Tensor, Y: torch.Tensor, kappa: int) -> _Solution:
    """Shoot by the Levenberg-Marquardt method with geodesic acceleration; a round that does not help is undone."""
    rest = torch.linalg.qr(torch.cat([X, Y], -1))[0][..., X.shape[-1] :]
    frame = torch.cat([X, rest], -1)
    target = frame.mH @ (Y - X)
    basis = _basis(target)
    generators = _generators(basis, kappa)
    # coordinates in an orthogonal basis, whose skew part has entries in pairs
    rows = _entries(basis)[..., 0, :]
    c = torch.nan_to_num(_entries(target) @ (rows.mT / rows.square().sum(-1)))
    system = _shoot(c, generators, target)
    damping = torch.full_like(c[..., :1], _DAMPING)
    floor = 4 * torch.finfo(X.dtype).eps
    eye = torch.eye(c.shape[-1], dtype=c.dtype, device=c.device)
    for _ in range(_ROUNDS[torch.finfo(X.dtype).bits // 8]):
        gram = system @ system.mT
        square = gram[..., -1:, -1:]
        factor, _ = torch.linalg.cholesky_ex(gram[..., :-1, :-1] + (damping * square).clamp(min=floor) * eye)
        trial = torch.nan_to_num(c + _accelerated(c, system, gram, factor, generators, target))
        new = _shoot(trial, generators, target)
        better = new[..., -1:, :].square().sum(-1, True) < square
        c = torch.where(better, trial, c)
        system = torch.where(better, new, system)
        damping = damping * torch.where(better, _DAMPING_FALLS, _DAMPING_RISES)
    jacobian, gap = system[..., :-1, :], system[..., -1, :]
    factor, _ = torch.linalg.cholesky_ex(jacobian @ jacobian.mT + floor * eye)
    outside = None if X.shape[-2] == frame.shape[-1] else _outside(c, generators, target, floor)
    residual = torch.linalg.vector_norm(gap, dim=-1)
    # points that are not finite keep their NaN, which the iteration has put aside
    U = frame @ _matrix(c @ rows, target) + (residual * 0)[..., None, None]
    return _Solution(U, residual, frame, jacobian, factor, rows, outside)


def _accelerated(
    c: torch.Tensor,  # shape: (*batch, 1, dim)
    system: torch.Tensor,  # shape: (*batch, dim + 1, entries)
    gram: torch.Tensor,  # shape: (*batch, dim + 1, dim + 1)
    factor: torch.Tensor,  # shape: (*batch, dim, dim)
    generators: torch.Tensor,
    target: torch.Tensor,
) -> torch.Tensor:
    """Return a damped Gauss-Newton step, corrected for the second derivative along it."""
    jacobian, gap = system[..., :-1, :], system[..., -1:, :]
    v = -torch.cholesky_solve(gram[..., :-1, -1:], factor).mT
    ahead = _entries(_end(_eigen(c + _SHARE * v, generators), target) - target)
    bend = (ahead - gap) / _SHARE - v @ jacobian  # half the second derivative times the share
    a = -torch.cholesky_solve(jacobian @ bend.mT, factor).mT / _SHARE  # half the acceleration
    length = v.square().sum(-1, True)
    short = 4 * a.square().sum(-1, True) <= _LONGEST_CORRECTION**2 * length
    far = gram[..., -1:, -1:] > torch.finfo(c.dtype).eps * _entries(target).square().sum(-1, True)
    return v + torch.where(short & far, a, 0.0)


def _eigen(
    c: torch.Tensor,  # shape: (*batch, 1, dim)
    generators: torch.Tensor,  # shape: (dim, kappa, q, q)
) -> SkewEigen:
    """Return the eigendecompositions of the skew matrices that make the geodesic, batch axes `(*batch, kappa)`."""
    # what comes in is finite, so that LAPACK cannot refuse the batch
    hermitian = c.to(generators.dtype) @ (-1j * generators).flatten(1)
    return SkewEigen(*torch.linalg.eigh(hermitian.reshape(*c.shape[:-2], *generators.shape[1:])))


def _end(eigen: SkewEigen, target: torch.Tensor) -> torch.Tensor:
    """Return the end of the geodesic less its start, shape `(*batch, q, p)`."""
    p = target.shape[-1]
    factors = _as(target, skew_expm1(eigen, p))
    step = factors[..., 0, :, :]
    if factors.shape[-3] == 1:
        return step
    return step + (step + _start(target)) @ factors[..., 1, :p, :]


def _start(target: torch.Tensor) -> torch.Tensor:
    return torch.eye(*target.shape[-2:], dtype=target.dtype, device=target.device)


def _shoot(c: torch.Tensor, generators: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the real entries of the Jacobian with the gap as last row, shape `(*batch, dim + 1, entries)`."""
    p = target.shape[-1]
    eigen = _eigen(c, generators)
    slopes = _as(target, skew_exp_derivative(eigen, generators, p))
    jacobian = slopes[..., 0, :, :]
    if generators.shape[1] == 1:
        step = _as(target, skew_expm1(eigen, p))[..., 0, :, :]
    else:
        factors = _as(target, skew_expm1(eigen, p))
        end, back = factors[..., 0, :, :] + _start(target), factors[..., 1, :p, :]
        jacobian = jacobian + jacobian @ back[..., None, :, :] + end[..., None, :, :] @ slopes[..., 1, :p, :]
        step = factors[..., 0, :, :] + end @ back
    return _entries(torch.cat([jacobian, (step - target)[..., None, :, :]], -3))[..., 0, :]


def _outside(c: torch.Tensor, generators: torch.Tensor, target: torch.Tensor, floor: float) -> torch.Tensor:
    """Return what undoes the derivative off the frame: there, a direction W C moves the end by W C times a matrix."""
    p = target.shape[-1]
    eigen = _eigen(c, generators)
    first = SkewEigen(eigen.angles[..., 0, :], eigen.vectors[..., 0, :, :])
    M = _as(target, skew_exp_integral(first, p))
    if generators.shape[1] == 2:
        M = M + M @ _as(target, skew_expm1(eigen, p))[..., 1, :p, :]
    # nearly the inverse where there is none, at conjugate points
    eye = torch.eye(p, dtype=M.dtype, device=M.device)
    return torch.linalg.solve_ex(M.mH @ M + floor * eye, M.mH)[0]


def _basis(target: torch.Tensor) -> torch.Tensor:
    """Return a basis of the tangent space at [I; 0], shape `(dim, q, p)`: the skew ones first, then those below."""
    q, p = target.shape[-2:]
    is_complex = target.is_complex()
    kind = target.dtype.to_real()
    skews = skew_from_vector(torch.eye(skew_dim(p, is_complex), dtype=kind, device=target.device), p, is_complex)
    below = torch.eye((q - p) * p, dtype=target.dtype, device=target.device).reshape((q - p) * p, q - p, p)
    below = torch.cat([below, 1j * below]) if is_complex else below
    pad = torch.nn.functional.pad
    return torch.cat([pad(skews, (0, 0, 0, q - p)), pad(below, (0, 0, p, 0))])


def _generators(basis: torch.Tensor, kappa: int) -> torch.Tensor:
    """Return for each basis vector the matrix of Omega, and for the Euclidean metric that of -A with zeros around."""
    q, p = basis.shape[-2:]
    half = torch.cat([basis[:, :p] * (0.5 * kappa), basis[:, p:]], 1)
    half = torch.nn.functional.pad(half, (0, q - p))
    omega = half - half.mH
    turn = torch.nn.functional.pad(-basis[:, :p], (0, q - p, 0, q - p))
    return torch.stack([omega, turn][:kappa], 1).to(basis.dtype.to_complex())


def _entries(Z: torch.Tensor) -> torch.Tensor:
    """Lay out the real entries of a matrix in a row, shape `(*batch, 1, entries)`."""
    return (torch.view_as_real(Z.resolve_conj()).flatten(-3) if Z.is_complex() else Z.flatten(-2))[..., None, :]


def _matrix(row: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Undo `_entries`; the shape of the matrix and its field are those of `like`."""
    if like.is_complex():
        return torch.view_as_complex(row.reshape(*row.shape[:-2], *like.shape[-2:], 2))
    return row.reshape(*row.shape[:-2], *like.shape[-2:])


def _as(like: torch.Tensor, Z: torch.Tensor) -> torch.Tensor:
    return Z if like.is_complex() else Z.real
