"""Run tests written for the CPU on another device, and let no step of the package wait for it.

A mode sees every call of torch. What the package calls runs under `torch.cuda.set_sync_debug_mode("error")`, except
for what stands inside `host_read()`, the one read of a loop. What a test calls may wait, and what it makes is made on
the device, so that its numbers meet those of the package.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._device import _device_constructors

import manopt_torch
from manopt_torch import _host
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.testing import ProblemCase

TORCH = str(Path(torch.__file__).parent)
PACKAGE = str(Path(manopt_torch.__file__).parent)
# it belongs to the tests, and prepares and judges as they do
TESTING = str(Path(PACKAGE, "testing"))
# kernels that read their own flag of success or the like, whoever calls them
WAIT_BY_THEMSELVES = {torch.linalg.eigh, torch.linalg.svd, torch.linalg.svdvals, torch.linalg.eigvalsh}


class OnDevice(TorchFunctionMode):
    """Make the tests' tensors on a device, and tell `forbid` whether the host may wait in a call of the package."""

    def __init__(self, device: str, forbid: Callable[[bool], None]) -> None:
        super().__init__()
        self.device, self.forbid, self.strict = device, forbid, False

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs, former = kwargs or {}, self.strict
        own = called_by_the_package(sys._getframe(1))
        self._be(own and not _host.reading_allowed() and func not in WAIT_BY_THEMSELVES)
        try:
            result = func(*args, **kwargs)
            if own or func not in _device_constructors() or kwargs.get("device") is not None:
                return result
            return result.detach().to(self.device).requires_grad_(result.requires_grad)
        finally:
            self._be(former)

    def _be(self, strict: bool) -> None:
        if strict != self.strict:
            self.strict = strict
            self.forbid(strict)


def called_by_the_package(frame: FrameType | None) -> bool:
    """Tell whether the caller, leaving out torch itself, is the package."""
    while frame is not None and frame.f_code.co_filename.startswith(TORCH):
        frame = frame.f_back
    name = "" if frame is None else frame.f_code.co_filename
    return name.startswith(PACKAGE) and not name.startswith(TESTING)


def posing_on(device: str, pose: Callable[..., Any]) -> Callable[..., Any]:
    """Return `ProblemCase.pose` with another default device, to which the answers go as well."""

    def posed(case: ProblemCase, *batch: int, device: Any = device, **keywords: Any) -> Any:
        problem, x, *answers = pose(case, *batch, device=device, **keywords)
        return problem, x, *(None if a is None else map_leaves(lambda t: t.to(device), a) for a in answers)

    return posed
