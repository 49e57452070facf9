r"""Exponential, square root and logarithm of unitary matrices, differentiable twice.

References:
    [Higham:2008], chapters 8 and 11.
"""

import torch

from manopt_torch.linalg.orthogonal import polar_from_svd, svd_or_nan
from manopt_torch.linalg.scalar import arctan2
from manopt_torch.linalg.spectral import spectral_function, sym_eigh, symmetric_part


def unitary_exp(
    K: torch.Tensor,  # shape: (*batch, n, n), Hermitian
) -> torch.Tensor:
    r"""Return $e^{iK}$ for a Hermitian matrix, unitary up to rounding.

    Examples:
        >>> unitary_exp(torch.tensor([[torch.pi / 2 + 0j]])).imag
        tensor([[1.]])
    """
    K = symmetric_part(K)
    angles, V = sym_eigh(K)
    cosine = spectral_function(K, angles, V, torch.cos(angles), "cos")
    return cosine + 1j * spectral_function(K, angles, V, torch.sin(angles), "sin")


def unitary_root(
    E: torch.Tensor,  # shape: (*batch, n, n)
) -> torch.Tensor:
    """Return the principal square root of the unitary matrix I + E, the one with eigenvalues in the right half plane.

    It is the polar factor of 2 I + E. Along an eigenvector to an eigenvalue next to -1 that is rounding error; there
    the root's eigenvalue is set to i.
    """
    n = E.shape[-1]
    Z = E + 2 * torch.eye(n, dtype=E.dtype, device=E.device)
    U, s, Vh = svd_or_nan(Z)
    at_minus_one = s < 8 * n * torch.finfo(E.dtype).eps
    U = torch.where(at_minus_one[..., None, :], 1j * Vh.mH, U)
    return polar_from_svd(Z, U, Vh)


def unitary_log(
    E: torch.Tensor,  # shape: (*batch, n, n)
) -> torch.Tensor:
    r"""Return the Hermitian K with eigenvalues in $[-\pi, \pi]$ and $e^{iK} = I + E$, for a unitary matrix I + E.

    Given the difference to the identity, the logarithm of a matrix next to it has full relative accuracy. Angles are
    right up to rounding everywhere, also where they repeat and next to $\pm\pi$.

    Examples:
        >>> unitary_log(torch.tensor([[1j - 1]])).real
        tensor([[1.5708]])
    """
    T, angles, V = _tangent_of_quarter(E)
    # the values are those of the accurate angles, the derivative comes through T
    return 4.0 * spectral_function(T, torch.tan(angles / 4), V, angles / 4, "atan")


def unitary_angles(
    E: torch.Tensor,  # shape: (*batch, n, n)
) -> torch.Tensor:
    r"""Return the angles in $[-\pi, \pi]$ of the eigenvalues of the unitary matrix I + E, as constants.

    Examples:
        >>> unitary_angles(torch.tensor([[1j - 1]]))
        tensor([1.5708])
    """
    return _tangent_of_quarter(E.detach())[1]


def _tangent_of_quarter(E: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    r"""Return $T = \tan(K / 4)$ for $e^{iK} = I + E$, the angles of that matrix and its eigenvectors.

    A unitary matrix is normal, but torch has no Schur form, and neither its Hermitian nor its skew-Hermitian part
    tells all eigenvalues apart. T does: with the principal root R it is $-i (R + I)^{-1} E (R + I)^{-1}$, whose
    eigenvalues in [-1, 1] are to those of K one to one and almost in proportion. Where rounding has spoilt R, next to
    -1, its eigenvectors are still good, and the angles are taken from their Rayleigh quotients.
    """
    inverse = torch.linalg.inv_ex(unitary_root(E) + torch.eye(E.shape[-1], dtype=E.dtype, device=E.device)).inverse
    T = symmetric_part(-1j * (inverse @ E @ inverse))
    _, V = sym_eigh(T)
    quotients = (V.conj() * (E.detach() @ V)).sum(-2)
    return T, arctan2(quotients.imag, 1 + quotients.real), V
