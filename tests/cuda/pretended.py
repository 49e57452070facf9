"""A pretended second device with real values, to run the tests of this folder where there is no CUDA.

Tensors of the device `pretended` hold a CPU tensor each. As on CUDA, operations refuse to mix them with tensors of the
CPU, and in strict stretches (see `on_device.py`) whatever would make the host wait is an error: reading a value,
indexing by a mask or by a tensor of the CPU, uploading numbers other than with `non_blocking=True`.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

_READS = {"_local_scalar_dense", "equal", "is_nonzero", "nonzero", "masked_select", "_linalg_check_errors", "_unique2"}
_COPIES = {"_to_copy", "copy_"}

strict = [False]  # whether the host may not wait


class WaitError(RuntimeError):
    """What makes the host wait for the device."""


class PretendedTensor(torch.Tensor):
    """A tensor of the pretended device."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> "PretendedTensor":
        layout = {"strides": held.stride(), "storage_offset": held.storage_offset()}
        made = torch.Tensor._make_wrapper_subclass(cls, held.shape, dtype=held.dtype, device="pretended:0", **layout)
        made.held = held
        return made

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"pretended {self.held!r}"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return _run(func, args, kwargs or {})


class Pretended(TorchDispatchMode):
    """Make the device known to functions that create tensors."""

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return _run(func, args, kwargs or {})


class OnTheHost(TorchFunctionMode):
    """Let tensors of the device become lists and arrays, which torch refuses to subclasses."""

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func in (torch.Tensor.tolist, torch.Tensor.numpy) and isinstance(args[0], PretendedTensor):
            if strict[0]:
                raise WaitError(f"{func.__name__} makes the host wait for the device")
            return func(args[0].held)
        return func(*args, **(kwargs or {}))


def register() -> None:
    """Register the device with torch, once in a process."""
    _setup_privateuseone_for_python_backend("pretended")
    # `torch.tensor(numbers, device=...)` asks for these below all modes
    torch.library.impl("aten::empty_strided", "privateuseone")(_empty)
    torch.library.impl("aten::_copy_from", "privateuseone")(_upload)


def _empty(size: list[int], stride: list[int], *, dtype: torch.dtype, **_: Any) -> PretendedTensor:
    return PretendedTensor(torch.empty_strided(size, stride, dtype=dtype))


def _upload(numbers: torch.Tensor, onto: PretendedTensor, non_blocking: bool = False) -> None:
    if strict[0] and not non_blocking:
        raise WaitError("an upload makes the host wait for the device")
    onto.held.copy_(numbers)


def _run(func: Callable[..., Any], args: tuple, kwargs: dict) -> Any:
    name = func.overloadpacket.__name__
    tensors = [a for a in tree_flatten((args, kwargs))[0] if isinstance(a, torch.Tensor)]
    here = [t for t in tensors if isinstance(t, PretendedTensor)]
    there = [t for t in tensors if not isinstance(t, PretendedTensor)]
    asked = kwargs.get("device")
    onto = bool(here) if asked is None else torch.device(asked).type == "pretended"
    # numbers of the CPU may take part, and indices, which are uploaded
    if here and name not in _COPIES and not name.startswith("index") and any(t.dim() for t in there):
        raise RuntimeError(
            f"{name}: expected all tensors on one device, got {[tuple(t.shape) for t in there]} of the CPU"
        )
    if strict[0] and (here or onto):
        _refuse_to_wait(name, args, kwargs, bool(there), onto)
    plain = {**kwargs, "device": torch.device("cpu")} if asked is not None and onto else kwargs
    result = func(*tree_map(_held, args), **tree_map(_held, plain))
    if not onto and not (name == "copy_" and here):
        return result
    known = {id(t.held): t for t in here}  # what works in place returns its argument

    def wrapped(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        # a tensor that is conjugated or negated when it is read would have to say so
        return known[id(value)] if id(value) in known else PretendedTensor(value.resolve_conj().resolve_neg())

    return tree_map(wrapped, result)


def _refuse_to_wait(name: str, args: tuple, kwargs: dict, mixed: bool, onto: bool) -> None:
    by_mask = name.startswith("index") and any(
        isinstance(i, torch.Tensor) and (i.dtype == torch.bool or i.device.type == "cpu")
        for a in args
        if isinstance(a, list | tuple)
        for i in a
    )
    waiting_copy = (
        name in _COPIES and (mixed or not onto) and not (kwargs.get("non_blocking") or any(a is True for a in args))
    )
    if name in _READS or by_mask or waiting_copy:
        raise WaitError(f"{name} makes the host wait for the device")


def _held(value: Any) -> Any:
    return value.held if isinstance(value, PretendedTensor) else value
