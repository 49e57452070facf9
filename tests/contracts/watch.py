"""A dispatch mode that counts kernels and notes hidden host reads."""

from collections import Counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from manopt_torch import _host


class Watch(TorchDispatchMode):
    """Count the kernels that run, and note those that would make the host wait for a device."""

    HOST_READS = ("_local_scalar_dense", "equal", "nonzero", "masked_select", "_linalg_check_errors")

    def __init__(self) -> None:
        super().__init__()
        self.kernels: Counter[str] = Counter()
        self.host_reads: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        name = func.overloadpacket.__name__
        self.kernels[name] += 1
        by_mask = name.startswith("index") and any(
            isinstance(i, torch.Tensor) and i.dtype == torch.bool for a in args if isinstance(a, list) for i in a
        )
        if (name in self.HOST_READS or by_mask or _waits(name, args, kwargs or {})) and not _host.reading_allowed():
            self.host_reads.append(name)
        return func(*args, **(kwargs or {}))


def _waits(name: str, args: tuple, kwargs: dict) -> bool:
    """Tell whether numbers of the host are copied to another device, such as the meta device, until they are there."""
    if name == "_to_copy":
        source, onto = args[0].device, torch.device(kwargs.get("device") or args[0].device)
    elif name == "copy_":
        source, onto = args[1].device, args[0].device
    else:
        return False
    return source.type == "cpu" != onto.type and not (kwargs.get("non_blocking") or any(a is True for a in args))
