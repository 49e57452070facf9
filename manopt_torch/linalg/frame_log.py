r"""Logarithms of orthonormal frames on Stiefel manifolds: of square ones in closed form, of tall ones by shooting.

Of tall frames no closed form is known. The geodesic from X to Y stays in the span of both frames, so its direction
solves a small nonlinear least-squares problem, whose Jacobian follows from one eigendecomposition of a skew matrix.

References:
    [TranstrumSethna:2012] for the iteration; [Bryner:2017], [ZimmermannHueper:2022] for others.
"""

import math
from typing import NamedTuple

import torch

from manopt_torch.linalg.frame_turn import turning_direction
from manopt_torch.linalg.frames import LOG_DOUBLINGS, frame_step, frame_tangent
from manopt_torch.linalg.rotations import hat, rotation_vector
from manopt_torch.linalg.skew import (
    SkewEigen,
    skew_dim,
    skew_exp_derivative,
    skew_exp_integral,
    skew_expm1,
    skew_from_vector,
)
from manopt_torch.linalg.special_orthogonal import rotation_log
from manopt_torch.linalg.unitary import unitary_log

# Rounds of the iteration: points 2 apart need four, all but a few in a hundred at the injectivity radius seven. The
# damping starts low and falls by four, as distances are moderate.
_ROUNDS = {4: 7, 8: 8}
_DAMPING, _DAMPING_FALLS, _DAMPING_RISES = 0.1, 0.25, 4.0
# Second derivatives along a step come from a difference over this share of it; a correction longer than 1.5 steps is
# not used ([TranstrumSethna:2012], sections 4 and 5), nor one near the end, which would be rounding.
_SHARE, _LONGEST_CORRECTION = 0.1, 1.5
_FAR = 100.0  # no coordinate of a logarithm is that large
# The iteration starts along the tangent part of the straight way. Near antipodes, where less than this share of its
# square is tangent, it would stay near zero, and starts by a turn, which elsewhere is the worse start.
_LEAST_SHARE = 0.03


def square_frame_log(
    X: torch.Tensor,  # shape: (*batch, n, n)
    Y: torch.Tensor,  # shape: (*batch, n, n)
) -> torch.Tensor:
    r"""Return $X \log(X^* Y)$, the shortest way from X to Y in both metrics, with two derivatives.

    No path leads from a real X to a Y that mirrors. The way then ends at a frame as near to Y as any that can be
    reached, which is Y with its last column reversed.

    Examples:
        >>> square_frame_log(torch.eye(2), torch.tensor([[0.0, -1.0], [1.0, 0.0]]))
        tensor([[ 0.0000, -1.5708],
                [ 1.5708,  0.0000]])
    """
    E = X.mH @ (Y - X)  # with full relative accuracy for nearby frames
    if E.is_complex():
        return 1j * (X @ unitary_log(E))
    eye = torch.eye(E.shape[-1], dtype=E.dtype, device=E.device)
    mirrors = (torch.linalg.det((E + eye).detach()) < 0)[..., None]
    last = torch.where(mirrors, torch.sub(-E[..., -1], eye[-1], alpha=2), E[..., -1])
    E = torch.cat([E[..., :-1], last[..., None]], -1)
    return X @ (hat(rotation_vector(E)) if E.shape[-1] <= 3 else rotation_log(E))


def frame_log(
    X: torch.Tensor,  # shape: (*batch, n, p)
    Y: torch.Tensor,  # shape: (*batch, n, p)
    kappa: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Return the tangent vector at X whose geodesic reaches Y, and how far from Y it ends, shape `(*batch,)`.

    A fixed number of rounds in the at most $2p$ dimensions that hold both frames finds the value. Two Newton steps with
    frozen Jacobian follow on the arguments themselves, where it converged: each makes one more derivative exact, so two
    are, and the logarithm of nearby frames has full relative accuracy. Where it did not, the result is the best vector
    found and its derivative is that of the projection.
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


class _Shots(NamedTuple):
    """What all shots share: where they go, and the matrices that stand for coordinates."""

    target: torch.Tensor  # shape: (*batch, q, p), end less start, in the frame
    start: torch.Tensor  # shape: (q, p)
    generators: torch.Tensor  # shape: (dim, kappa, q, q), complex and skew
    hermitian: torch.Tensor  # shape: (dim, kappa q^2), the same over i


def _solve(X: torch.Tensor, Y: torch.Tensor, kappa: int) -> _Solution:
    """Shoot by the Levenberg-Marquardt method with geodesic acceleration; a round that does not help is undone."""
    frame = torch.cat([X, torch.linalg.qr(torch.cat([X, Y], -1))[0][..., X.shape[-1] :]], -1)
    target = frame.mH @ (Y - X)
    basis = _basis(target)
    generators = _generators(basis, kappa)
    start = torch.eye(*target.shape[-2:], dtype=X.dtype, device=X.device)
    shots = _Shots(target, start, generators, (-1j * generators).flatten(1))
    # coordinates in an orthogonal basis, whose skew part has entries in pairs
    rows = _entries(basis)[..., 0, :]
    to_coordinates = rows.mT / rows.square().sum(-1)
    c = _bounded(_entries(target) @ to_coordinates)
    turn = _bounded(_entries(turning_direction(target)) @ to_coordinates)
    c = torch.where(_tangent_share(c, rows, target) < _LEAST_SHARE, turn, c)
    system = _shoot(c, shots)
    damping = torch.full_like(c[..., :1], _DAMPING)
    floor = 4 * torch.finfo(X.dtype).eps
    eye = torch.eye(c.shape[-1], dtype=c.dtype, device=c.device)
    for _ in range(_ROUNDS[torch.finfo(X.dtype).bits // 8]):
        gram = system @ system.mT
        square = gram[..., -1:, -1:]
        factor, _ = torch.linalg.cholesky_ex(gram[..., :-1, :-1] + (damping * square).clamp(min=floor) * eye)
        trial = _bounded(c + _accelerated(c, system, gram, factor, shots))
        new = _shoot(trial, shots)
        better = new[..., -1:, :].square().sum(-1, True) < square
        c = torch.where(better, trial, c)
        system = torch.where(better, new, system)
        damping = torch.where(better, _DAMPING_FALLS * damping, _DAMPING_RISES * damping)
    jacobian, gap = system[..., :-1, :], system[..., -1, :]
    factor, _ = torch.linalg.cholesky_ex(jacobian @ jacobian.mT + floor * eye)
    outside = None if X.shape[-2] == frame.shape[-1] else _outside(c, shots, floor)
    residual = torch.linalg.vector_norm(gap, dim=-1)
    # points that are not finite keep their NaN, which the iteration has put aside
    U = frame @ _matrix(c @ rows, target) + (residual * 0)[..., None, None]
    return _Solution(U, residual, frame, jacobian, factor, rows, outside)


def _tangent_share(c: torch.Tensor, rows: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return which part of the straight way is tangent, by squared lengths, shape `(*batch, 1, 1)`."""
    return (c @ rows).square().sum(-1, True) / _entries(target).square().sum(-1, True)


def _bounded(c: torch.Tensor) -> torch.Tensor:
    """Keep coordinates finite, so that LAPACK cannot refuse the batch."""
    return torch.nan_to_num(c).clamp(-_FAR, _FAR)


def _accelerated(
    c: torch.Tensor,  # shape: (*batch, 1, dim)
    system: torch.Tensor,  # shape: (*batch, dim + 1, entries)
    gram: torch.Tensor,  # shape: (*batch, dim + 1, dim + 1)
    factor: torch.Tensor,  # shape: (*batch, dim, dim)
    shots: _Shots,
) -> torch.Tensor:
    """Return a damped Gauss-Newton step, corrected for the second derivative along it."""
    jacobian, gap = system[..., :-1, :], system[..., -1:, :]
    back = torch.cholesky_solve(gram[..., :-1, -1:], factor).mT
    step, _ = _end(_eigen(_bounded(torch.add(c, back, alpha=-_SHARE)), shots), shots)
    # what the gap at a share of the step differs from its linear model by: half its second derivative, times share^2
    bend = torch.add(_entries(step - shots.target) - gap, back @ jacobian, alpha=_SHARE)
    correction = torch.cholesky_solve(jacobian @ bend.mT, factor).mT / _SHARE**2
    limit = (0.5 * _LONGEST_CORRECTION) ** 2 * back.square().sum(-1, True)
    short = correction.square().sum(-1, True) <= limit
    far = gram[..., -1:, -1:] > torch.finfo(c.dtype).eps * _entries(shots.target).square().sum(-1, True)
    return -torch.where(short & far, back + correction, back)


def _eigen(c: torch.Tensor, shots: _Shots) -> SkewEigen:
    """Return the eigendecompositions of the skew matrices that make the geodesic, batch axes `(*batch, kappa)`."""
    hermitian = c.to(shots.hermitian.dtype) @ shots.hermitian
    return SkewEigen(*torch.linalg.eigh(hermitian.reshape(*c.shape[:-2], *shots.generators.shape[1:])))


def _end(eigen: SkewEigen, shots: _Shots) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor] | None]:
    """Return the end of the geodesic less its start, and for the Euclidean metric the two factors it is made of.

    They are the columns of the exponential of Omega, and the exponential of -A less the identity.
    """
    p = shots.start.shape[-1]
    moved = _as(shots.target, skew_expm1(eigen, p))
    step = moved[..., 0, :, :]
    if moved.shape[-3] == 1:
        return step, None
    end, turn = step + shots.start, moved[..., 1, :p, :]
    return step + end @ turn, (end, turn)


def _shoot(c: torch.Tensor, shots: _Shots) -> torch.Tensor:
    """Return the real entries of the Jacobian with the gap as last row, shape `(*batch, dim + 1, entries)`."""
    p = shots.start.shape[-1]
    eigen = _eigen(c, shots)
    step, factors = _end(eigen, shots)
    slopes = _as(shots.target, skew_exp_derivative(eigen, shots.generators, p))
    jacobian = slopes[..., 0, :, :]
    if factors is not None:
        end, turn = (factor[..., None, :, :] for factor in factors)
        jacobian = jacobian + jacobian @ turn + end @ slopes[..., 1, :p, :]
    return _entries(torch.cat([jacobian, (step - shots.target)[..., None, :, :]], -3))[..., 0, :]


def _outside(c: torch.Tensor, shots: _Shots, floor: float) -> torch.Tensor:
    """Return what undoes the derivative off the frame: there, a direction W C moves the end by W C times a matrix."""
    p = shots.start.shape[-1]
    eigen = _eigen(c, shots)
    _, factors = _end(eigen, shots)
    M = _as(shots.target, skew_exp_integral(SkewEigen(eigen.angles[..., 0, :], eigen.vectors[..., 0, :, :]), p))
    M = M if factors is None else M + M @ factors[1]
    # nearly the inverse where there is none, at conjugate points
    eye = torch.eye(p, dtype=M.dtype, device=M.device)
    return torch.linalg.solve_ex(M.mH @ M + floor * eye, M.mH)[0]


def _basis(target: torch.Tensor) -> torch.Tensor:
    """Return a basis of the tangent space at [I; 0], shape `(dim, q, p)`: the skew ones first, then those below."""
    q, p = target.shape[-2:]
    is_complex = target.is_complex()
    kind = target.real.dtype
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
    return torch.stack([omega, turn][:kappa], 1) + 0j


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
