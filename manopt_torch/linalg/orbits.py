r"""Matrices $Y$ up to an orthogonal matrix from the right: the orbits $\{Y Q : Q \in O(k)\}$.

Directions $Y \Omega$ with a skew $\Omega$ stay in the orbit and are called vertical, those orthogonal to them, the $U$
with symmetric $Y^\top U$, horizontal. With a singular value decomposition $Y = A \operatorname{diag}(\sigma) B^\top$,
horizontal means $\sigma_i C_{ij} = \sigma_j C_{ji}$ for $C = A^\top U B$, which gives coordinates.

References:
    [MassartAbsil:2020]; [JourneeBachAbsilSepulchre:2010].
"""

import torch

from manopt_torch.linalg.orthogonal import from_complement, polar, svd_or_nan, to_complement
from manopt_torch.linalg.sylvester import lyapunov


def horizontal_part(
    Y: torch.Tensor,  # shape: (*batch, n, k)
    Z: torch.Tensor,  # shape: (*batch, n, k)
) -> torch.Tensor:
    r"""Return the horizontal matrix nearest to Z.

    It is $Z - Y \Omega$ with $(Y^\top Y) \Omega + \Omega (Y^\top Y) = Y^\top Z - Z^\top Y$.

    Examples:
        >>> Y = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
        >>> horizontal_part(Y, torch.tensor([[1.0, 5.0], [0.0, 1.0]]))
        tensor([[1.0000, 4.5000],
                [1.5000, 1.0000]])
    """
    inner = Y.mT @ Z
    return Z - Y @ lyapunov(Y.mT @ Y, inner - inner.mT)


def aligned(
    Y: torch.Tensor,  # shape: (*batch, n, k)
    Z: torch.Tensor,  # shape: (*batch, n, k)
) -> torch.Tensor:
    r"""Return the matrix of the orbit of Z nearest to Y: $Z Q$ with the polar factor $Q$ of $Z^\top Y$.

    Examples:
        >>> aligned(torch.tensor([[1.0], [1.0]]), torch.tensor([[-1.0], [-3.0]])).T
        tensor([[1., 3.]])
    """
    return Z @ polar(Z.mT @ Y)


def rank_deficiency(
    Y: torch.Tensor,  # shape: (*batch, n, k), n >= k
) -> torch.Tensor:
    """Return zero where the columns of Y are independent, one where they are not up to rounding, NaN where Y is."""
    s = svd_or_nan(Y)[1]
    spread = torch.finfo(s.dtype).eps * s[..., 0]
    return torch.where(s[..., -1] > spread, 0.0, 1.0) + 0 * spread


def orbit_coordinates(
    Y: torch.Tensor,  # shape: (*batch, n, k)
    U: torch.Tensor,  # shape: (*batch, n, k), horizontal
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the coordinates of U in an orthonormal basis of the horizontal space, and the singular values of Y.

    The first are `k` of stretches of singular values, the second the rest, shape `(*batch, size - k)`.
    """
    A, s, Bh = svd_or_nan(Y)
    turned = U @ Bh.mT
    C = A.mT @ turned
    weighted = C * _weights(s)
    rows, columns = torch.triu_indices(*C.shape[-2:], offset=1, device=Y.device)
    pairs = (weighted + weighted.mT)[..., rows, columns]
    outside = to_complement(A, turned).flatten(-2)
    return C.diagonal(dim1=-2, dim2=-1), torch.cat([pairs, outside], -1), s


def from_orbit_coordinates(
    Y: torch.Tensor,  # shape: (*batch, n, k)
    rest: torch.Tensor,  # shape: (*batch, n k - k (k + 1) / 2)
    stretches: torch.Tensor,  # shape: (*batch, k)
) -> torch.Tensor:
    """Return the horizontal vector with coordinates `stretches` and `rest`."""
    n, k = Y.shape[-2:]
    A, s, Bh = svd_or_nan(Y)
    count = k * (k - 1) // 2
    i = torch.arange(k, device=Y.device)
    low, high = torch.minimum(i[:, None], i), torch.maximum(i[:, None], i)
    position = low * (2 * k - low - 1) // 2 + high - low - 1  # of entry (low, high) above the diagonal, row by row
    C = torch.diag_embed(stretches)
    if count:
        pairs = rest[..., :count][..., position.clamp(min=0, max=count - 1)]
        C = C + torch.where(low == high, 0.0, pairs * _weights(s))
    return (A @ C + from_complement(A, rest[..., count:].unflatten(-1, (n - k, k)))) @ Bh


def _weights(
    s: torch.Tensor,  # shape: (*batch, k)
) -> torch.Tensor:
    """Return the entries (i, j) and (j, i) of the unit horizontal vectors that mix two columns."""
    length = torch.sqrt(s[..., :, None].square() + s[..., None, :].square())
    return s[..., None, :] / torch.where(length > 0, length, 1.0)
