"""Run each test of this folder on the device, where the package may not wait for it outside of `host_read()`."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import torch

from manopt_torch.testing import ProblemCase
from tests.cuda.on_device import OnDevice, posing_on
from tests.cuda.where import DEVICE, PRETEND, THERE_IS_ONE

if PRETEND:
    from tests.cuda import pretended

    pretended.register()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what is posed by `vmap`, which the pretended device does not survive."""
    if PRETEND:
        items[:] = [item for item in items if "one point" not in item.nodeid]


def forbid_waiting(strict: bool) -> None:
    if PRETEND:
        pretended.strict[0] = strict
    else:
        torch.cuda.set_sync_debug_mode("error" if strict else "default")


@pytest.fixture(autouse=True)
def on_the_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if not THERE_IS_ONE:
        yield
        return
    monkeypatch.setattr(ProblemCase, "pose", posing_on(DEVICE, ProblemCase.pose))
    with ExitStack() as modes:
        if PRETEND:
            modes.enter_context(pretended.Pretended())
            modes.enter_context(pretended.OnTheHost())
        modes.enter_context(OnDevice(DEVICE, forbid_waiting))
        yield
