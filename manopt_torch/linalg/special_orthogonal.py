r"""Rotations of any dimension: exponential, logarithm and nearest rotation, differentiable twice.

A skew matrix is $V \operatorname{diag}(i\theta) V^*$ with unitary $V$, and so is the logarithm of a rotation; torch has
no real Schur form, but Hermitian eigenproblems find $V$ without loss of accuracy.

References:
    [Higham:2008], chapters 8, 10 and 11; [IserlesMuntheKaasNorsettZanna:2000] for the derivative of the exponential.
"""

import math

import torch

from manopt_torch.linalg.orthogonal import polar_from_svd, svd_or_nan
from manopt_torch.linalg.scalar import arctan2
from manopt_torch.linalg.spectral import spectral_function, sym_eigh, tracks_derivatives


def skew_part(
    X: torch.Tensor,  # shape: (*batch, n, n)
) -> torch.Tensor:
    """Return half the difference of a real matrix and its transpose."""
    return (X - X.mT) * 0.5


def nearest_rotation(
    Z: torch.Tensor,  # shape: (*batch, n, n)
) -> torch.Tensor:
    """Return the rotation nearest to a matrix, with derivatives where it is unique; NaN where Z is not finite.

    It is the polar factor, with the direction of the least singular value reversed where that is a reflection.

    Examples:
        >>> nearest_rotation(torch.diag(torch.tensor([3.0, 2.0, -1.0]))).diagonal()
        tensor([1., 1., 1.])
    """
    U, _, Vh = svd_or_nan(Z)
    last = torch.where(torch.linalg.det(U @ Vh) < 0, -1.0, 1.0).to(U.dtype)[..., None, None]
    return polar_from_svd(Z, torch.cat([U[..., :-1], U[..., -1:] * last], -1), Vh)


def rotation_expm1(
    A: torch.Tensor,  # shape: (*batch, n, n), skew
) -> torch.Tensor:
    r"""Return $e^A - I$ for a skew matrix, with full relative accuracy also for a tiny one.

    Examples:
        >>> rotation_expm1(torch.tensor([[0.0, -math.pi / 2], [math.pi / 2, 0.0]])).round()
        tensor([[-1., -1.],
                [ 1., -1.]])
    """
    K = -1j * A
    angles, V = _unit_eigh(K)
    angles = 0.5 * (angles - angles.flip(-1))  # they come in pairs; where one angle is huge, its rounding is too
    half_sine = torch.sin(0.5 * angles)
    cosine = spectral_function(K, angles, V, -2 * half_sine * half_sine, "cos")  # less one
    return cosine.real - spectral_function(K, angles, V, torch.sin(angles), "sin").imag


def rotation_log(
    E: torch.Tensor,  # shape: (*batch, n, n)
) -> torch.Tensor:
    r"""Return the skew matrix A of angles at most $\pi$ with $e^A = I + E$, for a rotation I + E.

    Given the difference to the identity, a tiny logarithm has full relative accuracy. It is right up to rounding, with
    its derivatives, also where angles repeat and next to $\pi$. Where two planes turn by $\pi$, the plane of neither is
    unique: one choice is made, and derivatives leave out what turns one plane into the other.

    Examples:
        >>> rotation_log(torch.diag(torch.tensor([-2.0, -2.0, 0.0, 0.0])))[:2, :2].abs()
        tensor([[0.0000, 3.1416],
                [3.1416, 0.0000]])
    """
    angles, V = _angles(E.detach())
    A = skew_part(-((V * angles[..., None, :]) @ V.mH).imag)
    if not tracks_derivatives():
        return A
    # Two Newton steps for exp(A) = I + E, which is solved already: each makes one more derivative exact, though both
    # use the inverse of one constant derivative.
    inverse = _inverse_derivative(angles)
    L = A
    for _ in range(2):
        turned = rotation_expm1(L)
        gap = skew_part(E + turned.mT + turned.mT @ E)  # of exp(-L) (I + E) to the identity
        step = (V @ (inverse * (V.mH @ gap.to(V.dtype) @ V)) @ V.mH).real
        L = A + skew_part(_change(L) + _change(step))
    return L


def _change(X: torch.Tensor) -> torch.Tensor:
    """Return zeros with the derivative of X."""
    return X - X.detach()


def _angles(E: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Return the angles, in $[-\pi, \pi]$, and the unitary eigenvectors of the rotation I + E.

    Neither the symmetric nor the skew part of a rotation tells all its eigenvalues apart. The tangents of a quarter of
    the angles do, $T = (R + I)^{-1} E (R + I)^{-1}$ with the principal root R: they are almost in proportion.
    """
    eye = torch.eye(E.shape[-1], dtype=E.dtype, device=E.device)
    for _ in range(2):
        # Newton steps for the polar factor of I + E: next to pi, what is not orthonormal would pass for a reflection
        E = torch.sub(E, (E + eye) @ (E + E.mT + E.mT @ E), alpha=0.5)
    inverse = torch.linalg.inv_ex(_root(E + 2 * eye) + eye).inverse
    tangents, V = _unit_eigh(-1j * skew_part(inverse @ E @ inverse))
    # eigenvectors of T are good also where rounding has spoilt R; the Rayleigh quotients have the accurate angles
    quotients = (V.conj() * (E.to(V.dtype) @ V)).sum(-2)
    return torch.copysign(arctan2(quotients.imag.abs(), 1 + quotients.real), tangents), V


def _unit_eigh(K: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return eigenvalues and eigenvectors; those of LAPACK are off unit length by several roundings."""
    values, V = sym_eigh(K)
    return values, V / torch.linalg.vector_norm(V, dim=-2, keepdim=True)


def _root(Z: torch.Tensor) -> torch.Tensor:
    """Return the principal square root of the rotation Z - I, which is the polar factor of Z.

    On planes that turn by pi, Z is zero up to rounding and the factor anything. There the root turns by a right angle,
    within pairs of singular vectors from the last on.
    """
    U, s, Vh = svd_or_nan(Z)
    n = Z.shape[-1]
    odd = n % 2
    V = Vh.mT
    opposite = s[..., odd::2] < 8 * n * torch.finfo(Z.dtype).eps  # the larger of each pair
    turned = torch.stack([V[..., odd + 1 :: 2], -V[..., odd::2]], -1)
    paired = torch.stack([U[..., odd::2], U[..., odd + 1 :: 2]], -1)
    paired = torch.where(opposite[..., None, :, None], turned, paired)
    return torch.cat([U[..., :odd], paired.flatten(-2)], -1) @ Vh


def _inverse_derivative(angles: torch.Tensor) -> torch.Tensor:
    r"""Return the factors, in the eigenbasis, of the inverse derivative of the exponential.

    With $\varphi = \theta_i - \theta_j$ it is $\frac{i\varphi}{1 - e^{-i\varphi}} = \frac\varphi2 \cot\frac\varphi2 +
    i \frac\varphi2$. Next to $2\pi$, where both vectors belong to planes that turn by $\pi$, the infinite cotangent is
    left out: within one plane it meets a zero, between two it has no limit.
    """
    half = 0.5 * (angles[..., :, None] - angles[..., None, :])
    singular = half.abs() > math.pi - math.sqrt(torch.finfo(angles.dtype).eps)
    cotangent = torch.cos(half) / torch.sinc(torch.where(singular, 0.0, half) / math.pi)
    return torch.complex(torch.where(singular, 0.0, cotangent), half)
