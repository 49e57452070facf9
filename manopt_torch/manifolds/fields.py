"""Real and complex points: dtypes by field, and the real inner product of arrays."""

import torch

from manopt_torch.errors import OptionsError

FIELDS = ("real", "complex")

# a table, since `torch.compile` does not know dtype.to_real
_PAIRS = {
    kind: (real, real.to_complex())
    for real in (torch.float16, torch.float32, torch.float64)
    for kind in (real, real.to_complex())
}


def checked_field(field: str) -> str:
    """Return `field` if it is "real" or "complex".

    Raises:
        OptionsError: if it is neither.
    """
    if field not in FIELDS:
        raise OptionsError(f"field={field!r} is not known; there is {' and '.join(map(repr, FIELDS))}")
    return field


def field_dtype(field: str, dtype: torch.dtype | None) -> torch.dtype:
    """Return the dtype of points over a field with the precision of `dtype`; None is the default dtype.

    A product of real and complex manifolds thus draws all its points by one dtype.

    Examples:
        >>> field_dtype("complex", torch.float64)
        torch.complex128
    """
    pair = _PAIRS[torch.get_default_dtype() if dtype is None else dtype]
    return pair[field == "complex"]


def real_inner(
    u: torch.Tensor,  # shape: (*batch, *point_shape)
    v: torch.Tensor,  # shape: (*batch, *point_shape)
    axes: tuple[int, ...],
) -> torch.Tensor:
    r"""Return $\operatorname{Re} \sum \bar u v$ over the given axes.

    Examples:
        >>> real_inner(torch.tensor([1j, 2.0]), torch.tensor([1j, 1j]), (-1,))
        tensor(1.)
    """
    product = torch.real(u.conj() * v) if u.is_complex() else u * v
    return product.sum(axes) if axes else product


def to_reals(
    z: torch.Tensor,  # shape: (*batch, n), complex
) -> torch.Tensor:
    """Return real and imaginary parts in turn, shape `(*batch, 2 n)`; a copy, since views refuse some offsets.

    Examples:
        >>> to_reals(torch.tensor([1 + 2j, 3j]))
        tensor([1., 2., 0., 3.])
    """
    return torch.stack((z.real, z.imag), dim=-1).flatten(-2)


def from_reals(
    v: torch.Tensor,  # shape: (*batch, 2 n)
) -> torch.Tensor:
    """Undo `to_reals`, shape `(*batch, n)`."""
    return torch.complex(v[..., ::2], v[..., 1::2])
