"""Sums of products of two vectors, each by the way that is fastest for its length.

In a lone run they are a large part of a step on small points: there Python multiplies two or three numbers before torch
has been called for the product and for its sum.
"""

import torch
from torch import dot

from manopt_torch._host import host_read, numbers_of
from manopt_torch.linalg.known_value import can_be_read

# a vector of so many entries is worth a dot product of the library
LONG = 64
_DOUBLE = torch.float64


def _adds_in_order() -> bool:
    """Tell whether torch adds two or three numbers one after the other, as is done here; not all processors do."""
    half = torch.finfo(torch.float64).eps / 2  # lost in a sum with one, but two of them are not
    orders = torch.tensor([[1.0, half, half], [half, half, 1.0]], dtype=torch.float64, device="cpu")
    with host_read():
        sums = [terms.sum().item() for terms in orders]
    return sums[0] == 1.0 < sums[1]


_IN_ORDER = _adds_in_order()


def sum_of_products(u: torch.Tensor, v: torch.Tensor, keepdim: bool = False) -> torch.Tensor:
    """Return the sum of products over the last axis; of two long vectors in one pass, without their product in between.

    It is rounded otherwise than in a batch: short vectors, whose product is cheap, keep a batch's bits.
    """
    # the size of a batch is not asked for: a program exported for batches of any size must not depend on it
    if u.dim() > 1 or v.dim() > 1 or u.numel() < LONG:
        return (u * v).sum(-1, keepdim)
    try:
        return dot(u, v)
    except RuntimeError:  # of two dtypes, where the product takes the wider
        return (u * v).sum(-1, keepdim)


def are_few_numbers(u: torch.Tensor) -> bool:
    """Tell of what holds two or three numbers a problem whether it is a vector of double precision that can be read.

    See `can_be_read`. How many numbers there are is not asked for: manifolds know that without looking.
    """
    return u.dim() == 1 and u.dtype is _DOUBLE and _IN_ORDER and can_be_read(u)


def sum_of_few(u: torch.Tensor, v: torch.Tensor) -> float:
    """Return the sum of products of two vectors, the first of which `are_few_numbers`, in the bits of a batch.

    Examples:
        >>> u = torch.tensor([3.0, 4.0], dtype=torch.float64)
        >>> sum_of_few(u, u), float(sum_of_products(u, u))
        (25.0, 25.0)
    """
    try:
        a, b = numbers_of(u), numbers_of(v)
        if len(a) == 3:
            a0, a1, a2 = a
            b0, b1, b2 = b
            return a0 * b0 + a1 * b1 + a2 * b2
        return a[0] * b[0] + a[1] * b[1]
    except (RuntimeError, IndexError, ValueError):  # of zeros that are not there, see `entries_of`; of other lengths
        with host_read():
            return sum_of_products(u, v).item()
