r"""The pencil of two positive definite matrices: what lies between them, in coordinates where one is the identity.

With $x = L L^\top$ and $W = L^{-1}$, the eigenvalues $\lambda$ of $W y W^\top = V \operatorname{diag}(\lambda) V^\top$
are those of $y v = \lambda x v$. Their logarithms make the affine-invariant distance and logarithm,

$$d(x, y)^2 = \sum_i \log^2 \lambda_i, \qquad \log_x y = L V \operatorname{diag}(\log \lambda) V^\top L^\top .$$

Real matrices of up to three rows are treated entry by entry: every operation runs over the whole batch at once, on
vectors that stay in the cache, which takes a quarter of the time of products of many small matrices and LAPACK.

References:
    [GolubVanLoan:2013], section 8.7.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from manopt_torch.linalg.cholesky import congruence
from manopt_torch.linalg.cholesky_pair import cholesky_entries, cholesky_pair
from manopt_torch.linalg.small import eigen_entries
from manopt_torch.linalg.spectral import sym_eigh, symmetric_part

Rows = Sequence[Sequence[torch.Tensor]]

# squared distance from the identity below which the difference is decomposed, and not the whitened matrix: far from x
# the difference loses the small eigenvalues of y, near x the whitened y loses the difference
NEAR = 0.0625


class Pencil(NamedTuple):
    """Constants of a pair of matrices: no derivative passes."""

    squared_distance: torch.Tensor  # shape: (*batch,), the sum of the squared logarithms
    inverse: torch.Tensor  # shape: (*batch, n, n), of the Cholesky factor of x
    eigenvalues: torch.Tensor  # shape: (*batch, n)
    logarithms: torch.Tensor  # shape: (*batch, n), of the eigenvalues, exact also where these are next to one
    vectors: torch.Tensor  # shape: (*batch, n, n)


def definite_pencil(
    x: torch.Tensor,  # shape: (*batch, n, n)
    y: torch.Tensor,  # shape: (*batch, n, n)
) -> Pencil:
    """Return the eigenvalues and eigenvectors of `y` relative to `x`; NaN where one is not positive definite.

    Examples:
        >>> pencil = definite_pencil(2 * torch.eye(2), torch.diag(torch.tensor([2.0, 8.0])))
        >>> pencil.eigenvalues.round(decimals=4)
        tensor([1., 4.])
    """
    x, y = x.detach(), y.detach()
    if is_small(x, y):
        entries = _entries(x, y)
        inverse, vectors = (_assembled(rows) for rows in (entries.inverse, entries.vectors))
        squared = sum_of_squares(entries.logarithms)
        eigenvalues, logarithms = (torch.stack(values, -1) for values in (entries.eigenvalues, entries.logarithms))
        return Pencil(squared, inverse, eigenvalues, logarithms, vectors)
    inverse = cholesky_pair(x)[1]
    matrix, near = nearer(inverse, x, y)
    eigenvalues, vectors = sym_eigh(symmetric_part(matrix))
    eigenvalues, logarithms = _logarithms(eigenvalues, near[..., None])
    return Pencil(logarithms.square().sum(-1), inverse, eigenvalues, logarithms, vectors)


def log_distance_squared(
    x: torch.Tensor,  # shape: (*batch, n, n)
    y: torch.Tensor,  # shape: (*batch, n, n)
) -> torch.Tensor:
    """Return the sum of the squared logarithms of the relative eigenvalues, a constant."""
    if is_small(x, y):
        return sum_of_squares(_entries(x.detach(), y.detach()).logarithms)
    return definite_pencil(x, y).squared_distance


def log_between(
    x: torch.Tensor,  # shape: (*batch, n, n)
    y: torch.Tensor,  # shape: (*batch, n, n)
) -> torch.Tensor:
    """Return the affine-invariant logarithm of `y` at `x`, a constant."""
    if is_small(x, y):
        return _log_by_entries(_entries(x.detach(), y.detach()))
    factor, inverse = cholesky_pair(x.detach())
    matrix, near = nearer(inverse, x.detach(), y.detach())
    eigenvalues, vectors = sym_eigh(symmetric_part(matrix))
    carried = factor @ vectors
    _, logarithms = _logarithms(eigenvalues, near[..., None])
    return symmetric_part((carried * logarithms[..., None, :]) @ carried.mH)


def nearer(
    inverse: torch.Tensor,  # shape: (*batch, n, n), of the Cholesky factor of x
    x: torch.Tensor,  # shape: (*batch, n, n)
    y: torch.Tensor,  # shape: (*batch, n, n)
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the whitened `y`, and where it is next to the identity its difference from that; with the mask."""
    difference, whitened = congruence(inverse, y - x), congruence(inverse, y)
    near = difference.abs().square().sum((-2, -1)) < NEAR
    return torch.where(near[..., None, None], difference, whitened), near


def _logarithms(values: torch.Tensor, near: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return eigenvalues and their logarithms, from the eigenvalues less one where it is near."""
    eigenvalues = torch.where(near, values + 1, values)
    # a singular matrix counts as not positive definite: NaN, not infinity
    positive = torch.where(eigenvalues > 0, eigenvalues, math.nan)
    # log1p sees zeros where it is not selected, so that it makes no NaN there
    return eigenvalues, torch.where(near, torch.log1p(torch.where(near, values, 0.0)), torch.log(positive))


# ---- entry by entry -------------------------------------------------------------------------------------------------


class _Entries(NamedTuple):
    factor: Rows  # up to the diagonal
    inverse: Rows
    eigenvalues: tuple[torch.Tensor, ...]
    logarithms: tuple[torch.Tensor, ...]
    vectors: Rows


def is_small(x: torch.Tensor, y: torch.Tensor) -> bool:
    """Tell whether matrices are treated entry by entry; as in `sym_eigh`, the size of the batch does not decide."""
    return x.shape[-1] <= 3 and max(x.dim(), y.dim()) > 2 and not (x.is_complex() or y.is_complex())


def _entries(x: torch.Tensor, y: torch.Tensor) -> _Entries:
    n = x.shape[-1]
    at_x = [[x[..., i, j] for j in range(i + 1)] for i in range(n)]
    at_y, between = _lower(y), _lower(y - x)  # zero for equal matrices, also if their triangles differ by rounding
    factor, inverse = cholesky_entries(at_x)
    difference = _carried(inverse, between)
    whitened = _carried(inverse, at_y)
    diagonal = sum_of_squares([row[-1] for row in difference])
    below = [entry for row in difference for entry in row[:-1]]
    near = (torch.add(diagonal, sum_of_squares(below), alpha=2) if below else diagonal) < NEAR
    chosen = [
        torch.where(near, a, b) for rows in zip(difference, whitened, strict=True) for a, b in zip(*rows, strict=True)
    ]
    values, vectors = eigen_entries(chosen)
    eigenvalues, logarithms = zip(*[_logarithms(value, near) for value in values], strict=True)
    return _Entries(factor, inverse, eigenvalues, logarithms, vectors)


def _lower(X: torch.Tensor) -> Rows:
    """Return the lower triangle of the symmetric part."""
    n = X.shape[-1]
    return [[*[(X[..., i, j] + X[..., j, i]) * 0.5 for j in range(i)], X[..., i, i]] for i in range(n)]


def _carried(lower: Rows, S: Rows) -> Rows:
    """Return the lower triangle of A S A' for a lower triangular A and a symmetric S given by its lower triangle."""
    n = len(S)
    product = [
        [_dot(lower[i], [S[max(k, m)][min(k, m)] for m in range(i + 1)]) for k in range(i + 1)] for i in range(n)
    ]
    return [[_dot(lower[j], product[i][: j + 1]) for j in range(i + 1)] for i in range(n)]


def _log_by_entries(entries: _Entries) -> torch.Tensor:
    n = len(entries.vectors)
    carried = [
        [_dot(row, [entries.vectors[m][k] for m in range(len(row))]) for k in range(n)] for row in entries.factor
    ]
    scaled = [[entry * log for entry, log in zip(row, entries.logarithms, strict=True)] for row in carried]
    lower = [[_dot(scaled[i], carried[j]) for j in range(i + 1)] for i in range(n)]
    return _assembled([[lower[max(i, j)][min(i, j)] for j in range(n)] for i in range(n)])


def _assembled(rows: Rows) -> torch.Tensor:
    n = len(rows)
    zero = torch.zeros_like(rows[0][0])
    entries = [entry for row in rows for entry in (*row, *[zero] * (n - len(row)))]
    return torch.stack(entries, -1).unflatten(-1, (n, n))


def sum_of_squares(entries: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the sum of the squares of tensors, entry by entry."""
    return _dot(entries, entries)


def _dot(a: Sequence[torch.Tensor], b: Sequence[torch.Tensor]) -> torch.Tensor:
    total = a[0] * b[0]
    for p, q in zip(a[1:], b[1:], strict=True):
        total = torch.addcmul(total, p, q)
    return total
