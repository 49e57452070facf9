"""Nothing is timed in earnest here."""

import pytest

from benchmarks import apart


@pytest.fixture(autouse=True)
def no_collections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the garbage collection before each sample: among the objects of all tests it takes half a second."""
    monkeypatch.setattr(apart.gc, "collect", lambda *_: 0)
