"""Reading values for print: the only place where debug actions look at tensors on the host."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from manopt_torch.errors import OptionsError, ShapeError
from manopt_torch.functional.masked import host_read
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.plans.storage import detached

# dtypes of which Python's floats would show digits that they do not carry
_SHORT = {torch.float32: np.float32, torch.float16: np.float16}


@dataclass(frozen=True)
class Summary:
    """Smallest, median and largest number of a batch; formats each of them alike.

    Examples:
        >>> f"F(x): {Summary(0.25, 1.0, 4.0)}"
        'F(x): min 0.25 median 1.0 max 4.0'
        >>> "f = {:.1e}".format(Summary(0.25, 1.0, 4.0, " (active 2/3)"))
        'f = min 2.5e-01 median 1.0e+00 max 4.0e+00 (active 2/3)'
    """

    least: float
    median: float
    most: float
    note: str = ""

    def __format__(self, spec: str) -> str:
        return f"min {self.least:{spec}} median {self.median:{spec}} max {self.most:{spec}}{self.note}"

    def __str__(self) -> str:
        return format(self, "")


@dataclass(frozen=True)
class Listing:
    """A point or another array, or nothing yet; a format is applied to each of its numbers."""

    value: Any

    def __format__(self, spec: str) -> str:
        return str(self) if not spec else _nested(self.value, spec)

    def __str__(self) -> str:
        with host_read():
            return str(self.value)


def readable(
    value: Any,
    shape: tuple[int, ...],
    index: int | tuple[int, ...] | None = None,
    active: Any = None,  # shape: (*batch,), bool; None: all
) -> Any:
    """Turn a value of a run into something that `str` and `format` write well.

    Args:
        value: a number, a tensor, a point, or anything else.
        shape: the batch axes of the run.
        index: the problem to look at; None summarises scalars over the batch.
        active: the problems to summarise over.

    Returns:
        A number for a scalar, a `Summary` for a scalar per problem (bools are counted), a `Listing` for other tensors
        and points and for None (a field that is not set yet), anything else as it is.

    Raises:
        ShapeError: if there is no problem of that index.
    """
    value = detached(value)
    if index is not None:
        value, shape = pick(value, shape, index)
    if isinstance(value, tuple) or value is None:
        return Listing(value)
    if not isinstance(value, torch.Tensor):
        return value
    if value.dim() == 0:
        return _number(value)
    if tuple(value.shape) != shape or value.is_complex():  # complex numbers have no order
        return Listing(value)
    if value.dtype == torch.bool:
        return fraction(value)
    if active is None or value.is_meta:
        return summarise(value)
    with host_read():
        return summarise(value[active])


def pick(value: Any, shape: tuple[int, ...], index: int | tuple[int, ...]) -> tuple[Any, tuple[int, ...]]:
    """Return what belongs to one problem (or to those of the first batch axes), and the batch axes left."""
    at = index if isinstance(index, tuple) else (index,)
    if len(at) > len(shape) or any(not -size <= k < size for k, size in zip(at, shape, strict=False)):
        raise ShapeError(f"index={index} names no problem: the batch axes are {shape}")

    def one(leaf: Any) -> Any:
        batched = isinstance(leaf, torch.Tensor) and tuple(leaf.shape[: len(shape)]) == shape
        return leaf[at] if batched else leaf

    return map_leaves(one, value), shape[len(at) :]


def summarise(
    values: torch.Tensor,  # shape: (*batch,)
    note: str = "",
) -> Summary:
    """Read smallest, median and largest of the numbers that are not NaN; NaN if there are none."""
    if values.is_meta:
        return Summary(math.nan, math.nan, math.nan, note)
    ordered = values.flatten().sort().values  # NaN comes last
    with host_read():
        count = int((~torch.isnan(ordered)).sum())
        if not count:
            return Summary(math.nan, math.nan, math.nan, note)
        places = torch.tensor([0, (count - 1) // 2, count // 2, count - 1], device=ordered.device)
        least, below, above, most = ordered[places].tolist()
    middle = below if below == above else (below + above) / 2
    least, middle, most = (_told(number, values.dtype) for number in (least, middle, most))
    return Summary(least, middle, most, note)


def count(
    mask: torch.Tensor,  # shape: (*batch,), bool
) -> int:
    """Read for how many of a batch the mask holds; on the meta device for all."""
    if mask.is_meta:
        return mask.numel()
    with host_read():
        return int(torch.count_nonzero(mask))


def fraction(
    mask: torch.Tensor,  # shape: (*batch,), bool
) -> str:
    """Read how many of a batch: `12/64`."""
    return f"{count(mask)}/{mask.numel()}"


def over(o: Any, i: int) -> bool:
    """Tell whether no problem took part in step `i`, as happens where the host asks for the stop only now and then."""
    if i <= 0 or o is None or o.check_every == 1 or not isinstance(o.active, torch.Tensor):
        return False
    return count(o.active) == 0


def check_format(owner: Any, *samples: Any) -> None:
    """Raise unless the format of an action is a template with a place for the value, such as `"f = {:.3e}"`.

    Args:
        owner: the action.
        *samples: values of the kinds that may come; the format has to suit one of them.

    Raises:
        OptionsError: if it has no such place, or suits none of the samples.
    """
    if owner.format is None:
        return
    for sample in samples:
        try:
            if owner.format.format(sample) != owner.format:
                return
        except (ValueError, LookupError, AttributeError, TypeError):
            continue
    raise OptionsError(f"{type(owner).__name__}: format={owner.format!r} cannot write the value: try 'f = {{:.3e}}'")


def _number(value: torch.Tensor) -> Any:
    if value.is_meta:
        return math.nan
    with host_read():
        return _told(value.item(), value.dtype)


def _told(number: Any, dtype: torch.dtype) -> Any:
    """Return the number with the fewest digits that tell it from others of its dtype, `0.1` for 0.10000000149."""
    kind = _SHORT.get(dtype)
    return number if kind is None else float(str(kind(number)))


def _nested(value: Any, spec: str) -> str:
    if isinstance(value, torch.Tensor):
        with host_read():
            value = value.tolist()
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_nested(part, spec) for part in value) + "]"
    return "None" if value is None else format(value, spec)
