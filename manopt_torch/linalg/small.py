r"""Symmetric eigenproblems of one to three rows in closed form, elementwise over the batch.

LAPACK spends most of its time on a small matrix in the preparation. Here all matrices of a batch go through the same
few elementwise operations, without iteration, and the error is a few roundings of the norm, also where eigenvalues
nearly meet. For three rows, with $p$ the spread of $X$ around its mean eigenvalue $q$:

1. the eigenvalue furthest from the others is $q \pm 2 p \cos\varphi$, $\cos 3 \varphi = |\det(X - q I)| / (2 p^3)$; it
   is a well-conditioned function of the entries;
2. it is apart from the others by at least $\sqrt3\,p$, hence the largest column of the adjugate of $X - \lambda I$ is
   its eigenvector up to rounding;
3. on the plane across that vector, one rotation solves what is left. Frames are orthonormal by construction.

References:
    [Smith:1961] for the eigenvalues; [GolubVanLoan:2013], section 8.5, for the rotation.
"""

import math
from collections.abc import Sequence
from functools import reduce

import torch

Vector = Sequence[torch.Tensor]


def eigh_in_closed_form(
    X: torch.Tensor,  # shape: (*batch, n, n), symmetric
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return eigenvalues (ascending) and eigenvectors of symmetric matrices of one, two or three rows.

    A matrix that is not finite gets NaN.

    Examples:
        >>> values, vectors = eigh_in_closed_form(torch.tensor([[2.0, 1.0], [1.0, 2.0]]))
        >>> values
        tensor([1., 3.])
    """
    n = X.shape[-1]
    values, rows = eigen_entries([X[..., i, j] for i in range(n) for j in range(i + 1)])
    vectors = torch.stack([entry for row in rows for entry in row], -1).unflatten(-1, (n, n))
    return torch.stack(tuple(values), -1), vectors


def eigen_entries(
    lower: Vector,  # shape of each: (*batch,); the lower triangle, row by row
) -> tuple[Vector, Sequence[Vector]]:
    """Return the eigenvalues (ascending) and the rows of the eigenvectors, an entry at a time."""
    if len(lower) == 1:
        return lower, [[torch.ones_like(lower[0])]]
    # one unit for all entries, so that no square overflows or vanishes; a power of two, which costs no rounding
    largest = reduce(torch.maximum, [entry.abs() for entry in lower]).clamp(min=torch.finfo(lower[0].dtype).tiny)
    unit = torch.exp2(torch.floor(torch.log2(largest)))
    inverse = 1 / unit
    values, rows = (_two if len(lower) == 3 else _three)([entry * inverse for entry in lower])
    return [value * unit for value in values], rows


def _two(entries: Vector) -> tuple[Vector, Sequence[Vector]]:
    a, b, c = entries
    low, high, cosine, sine = _rotation(a, b, c)
    return (low, high), [(cosine, sine), (-sine, cosine)]


def _three(entries: Vector) -> tuple[Vector, Sequence[Vector]]:
    v, below = _isolated(entries)
    u, w = _complement(*v)
    Xu, Xw, Xv = (_apply(entries, e) for e in (u, w, v))
    low, high, cosine, sine = _rotation(_dot(u, Xu), _dot(w, Xu), _dot(w, Xw))
    at_low = [torch.addcmul(cosine * a, sine, b, value=-1) for a, b in zip(u, w, strict=True)]
    at_high = [torch.addcmul(sine * a, cosine, b) for a, b in zip(u, w, strict=True)]
    alone = _dot(v, Xv)
    # rounding may put an eigenvalue on the wrong side of its neighbour, by as much as it may be off anyway
    least = torch.where(below, torch.minimum(alone, low), low)
    most = torch.where(below, high, torch.maximum(alone, high))
    rows = [
        (torch.where(below, c, a), torch.where(below, a, b), torch.where(below, b, c))
        for a, b, c in zip(at_low, at_high, v, strict=True)
    ]
    return (least, torch.where(below, low, high), most), rows


def _isolated(entries: Vector) -> tuple[Vector, torch.Tensor]:
    """Return the unit eigenvector of the eigenvalue furthest from the others, and whether it lies below them."""
    x00, x10, x11, x20, x21, x22 = entries
    # differences first: they are exact where the eigenvalues are close together
    d1, d2 = x11 - x00, x22 - x00
    q = (d1 + d2) / 3
    d0, d1, d2 = -q, d1 - q, d2 - q
    s10, s20, s21 = x10 * x10, x20 * x20, x21 * x21
    square = torch.addcmul(torch.addcmul(torch.addcmul(2 * (s10 + s20 + s21), d0, d0), d1, d1), d2, d2)
    # a spread far below rounding is none: every frame serves
    p = torch.sqrt(square / 6).clamp(min=torch.finfo(q.dtype).eps / 8)
    minors = (torch.addcmul(s21, d1, d2, value=-1), x10 * d2 - x20 * x21, x10 * x21 - x20 * d1)
    determinant = torch.addcmul(torch.addcmul(-d0 * minors[0], x10, minors[1], value=-1), x20, minors[2])
    angle = torch.acos((determinant.abs() / (2 * p * p * p)).clamp(max=1)) / 3
    shift = torch.copysign(2 * p * torch.cos(angle), determinant)
    d0, d1, d2 = d0 - shift, d1 - shift, d2 - shift
    # the adjugate, a positive multiple of v v'
    a00, a11, a22 = d1 * d2 - s21, d0 * d2 - s20, d0 * d1 - s10
    a10, a20, a21 = x20 * x21 - x10 * d2, x10 * x21 - x20 * d1, x10 * x20 - x21 * d0
    second = a11 > a00
    third = a22 > torch.maximum(a00, a11)
    column = [
        torch.where(third, c, torch.where(second, b, a))
        for a, b, c in ((a00, a10, a20), (a10, a11, a21), (a20, a21, a22))
    ]
    inverse = 1 / torch.sqrt(_dot(column, column))
    return [entry * inverse for entry in column], determinant < 0


def _complement(x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> tuple[Vector, Vector]:
    """Return two unit vectors across a unit vector; there is no cancellation [DuffEtAl:2017]."""
    sign = torch.copysign(torch.ones_like(z), z)
    a = -1 / (sign + z)
    xa, b = x * a, x * y * a
    return (torch.addcmul(torch.ones_like(z), sign * x, xa), sign * b, -sign * x), (
        b,
        torch.addcmul(sign, y * y, a),
        -y,
    )


def _rotation(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return both eigenvalues of [[a, b], [b, c]], and the c, s of their eigenvectors (c, -s) and (s, c)."""
    gap, twice = c - a, 2 * b
    # Not zero for a multiple of the identity, which then keeps its axes. Entries are at most one: squares that vanish
    # belong to gaps far below rounding. `torch.hypot` rounds the last few entries of a tensor in another way.
    least = math.sqrt(torch.finfo(gap.dtype).tiny) / torch.finfo(gap.dtype).eps
    long = (gap.abs() + torch.sqrt(torch.addcmul(gap * gap, twice, twice))).clamp(min=least)
    inverse = 1 / torch.sqrt(torch.addcmul(long * long, twice, twice))
    change = b * (twice / long)
    upright = gap >= 0
    long, twice = long * inverse, twice * inverse
    cosine, sine = torch.where(upright, long, twice), torch.where(upright, twice, long)
    return torch.minimum(a, c) - change, torch.maximum(a, c) + change, cosine, sine


def _apply(entries: Vector, v: Vector) -> Vector:
    x00, x10, x11, x20, x21, x22 = entries
    return _dot((x00, x10, x20), v), _dot((x10, x11, x21), v), _dot((x20, x21, x22), v)


def _dot(a: Vector, b: Vector) -> torch.Tensor:
    return torch.addcmul(torch.addcmul(a[0] * b[0], a[1], b[1]), a[2], b[2])
