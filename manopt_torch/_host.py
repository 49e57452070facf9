"""The gate through which the package reads tensor values on the host.

Reading a value of a device tensor makes the host wait for the device. All such reads stand inside `host_read()`,
so that tests can forbid them everywhere else. Loops use `functional.masked`, which builds on this gate; value
checks of arguments use `first_failures`. What belongs to a lone problem on the CPU, where nothing has to wait, is read
without the gate, which takes longer.
"""

import math
from typing import Any

import torch

_depth = [0]
# so few entries are looked at one by one in less time than a torch call takes
_FEW = 32
# so many entries are more than the kernel of the maximum norm is good for
_MANY = 200


class host_read:  # noqa: N801  (used as a statement, like torch.no_grad)
    """Mark a block that may read tensor values."""

    __slots__ = ()

    def __enter__(self) -> None:
        _depth[0] += 1

    def __exit__(self, *exc: object) -> None:
        _depth[0] -= 1


def reading_allowed() -> bool:
    """Whether the caller stands inside a `host_read()` block."""
    return _depth[0] > 0


# the entries of a vector of a lone problem on the CPU; a RuntimeError for zeros for which torch has allocated nothing
numbers_of = torch.Tensor.tolist


def entries_of(u: torch.Tensor) -> list[Any]:
    """Return the entries of a vector of a lone problem on the CPU, whatever it is.

    Derivatives of `sgn`, and second ones of an absolute value, are zeros for which torch has allocated nothing.
    """
    try:
        return u.tolist()
    except RuntimeError:
        return torch.zeros(u.shape, dtype=u.dtype, device="cpu").tolist()


def largest_entry(leaf: torch.Tensor) -> float:
    """Return the largest absolute entry of an array of a lone problem on the CPU; NaN if there is one."""
    if leaf.dim() == 1 and 0 < leaf.numel() <= _FEW:
        sizes = [abs(number) for number in entries_of(leaf)]
        total = sum(sizes)
        return max(sizes) if total == total else total
    # the maximum norm carries NaN along and, unlike others, cannot overflow; its kernel is slow for many entries
    size = torch.linalg.vector_norm(leaf, math.inf) if leaf.numel() <= _MANY else leaf.abs().amax()
    return size.item()


def uploaded(
    values: Any,  # a tensor, a number, or what `torch.as_tensor` takes
    like: torch.Tensor,
    dtype: torch.dtype | None = None,
) -> torch.Tensor:
    """Return numbers of the host as a tensor on the device of another; the host does not wait until they are there.

    Args:
        values: the numbers.
        like: a tensor on the device they are to go to.
        dtype: their precision there; None is that of `like`.

    Examples:
        >>> uploaded([1, 2], torch.zeros(3, dtype=torch.float64))
        tensor([1., 2.], dtype=torch.float64)
    """
    dtype = like.dtype if dtype is None else dtype
    if isinstance(values, bool | int | float):
        return torch.full((), values, dtype=dtype, device=like.device)
    if not isinstance(values, torch.Tensor):  # whatever torch's default dtype and device are
        values = torch.as_tensor(values, dtype=dtype, device="cpu")
    return values.to(like.device, dtype, non_blocking=True)


def first_failures(
    ok: torch.Tensor,  # shape: (*batch,), bool
    limit: int = 5,
) -> list[tuple[int, ...]]:
    """Return the batch indices where `ok` is false, at most `limit`; `[()]` for a lone problem that fails.

    On the meta device there are no values to judge: nothing fails.
    """
    if ok.is_meta:
        return []
    with host_read():
        if not ok.dim():
            return [] if ok.item() else [()]
        if bool(ok.all()):
            return []
        return [tuple(row) for row in torch.nonzero(~ok)[:limit].tolist()]
