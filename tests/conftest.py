"""Fixtures that leave out what a test does not ask about."""

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let long iterations run one round, which stands for all: to see what they call, not what they find."""
    # the module, not the function of its name
    monkeypatch.setattr(sys.modules["manopt_torch.linalg.frame_log"], "_ROUNDS", {4: 1, 8: 1})


@pytest.fixture
def quick_compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave out what dynamo does around compiling: a garbage collection, and to measure how long its guards take.

    For the measurement it empties the cache of the processor first: 60 ms each time.
    """
    import torch._dynamo.config  # dear, and needed for this only
    import torch._dynamo.guards

    monkeypatch.setattr(torch._dynamo.guards, "profile_guard_manager", lambda *_: 0.0, raising=False)
    known = hasattr(torch._dynamo.config, "run_gc_after_compile")  # not in old versions of torch
    with torch._dynamo.config.patch(**({"run_gc_after_compile": False} if known else {})):
        yield
