"""Set-up of every test run: one thread, no display, and the examples of the README, the docs and the docstrings.

Examples are run by Sybil. In Markdown, every fence whose language is `python` runs, whatever options follow it, so
fences marked `exec="on"` run here as well as when the site is built; the fences of one page share a namespace. Fences
of another language (`text`, `console`) do not run. In docstrings, `>>>` examples run, in the namespace of their module.
"""

from __future__ import annotations

import gc
import os
import re
from collections import Counter
from typing import Any

import pytest
from sybil import Sybil
from sybil.parsers.abstract import AbstractCodeBlockParser
from sybil.parsers.abstract.codeblock import PythonDocTestOrCodeBlockParser
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer
from sybil.parsers.rest import DocTestParser

os.environ["MPLBACKEND"] = "Agg"  # before anything opens matplotlib

import torch
from hypothesis import settings

torch.set_num_threads(1)  # tests run side by side, and their tensors are small

# derandomize: a run is the same tomorrow; deadline: the first call of a kernel may be slow on a busy machine
settings.register_profile("suite", deadline=None, derandomize=True, database=None)
settings.load_profile("suite")


class _PythonFences(AbstractCodeBlockParser):
    """Fences whose info string is `python`, with or without options such as `exec="on"` after it."""

    def __init__(self, language: str, evaluator: Any) -> None:
        info = re.compile(r"(?P<arguments>python)(?:[ \t][^\n]*)?$\n", re.MULTILINE)
        super().__init__([RawFencedCodeBlockLexer(info)], language, evaluator)


class _PythonBlocks(PythonDocTestOrCodeBlockParser):
    codeblock_parser_class = _PythonFences


pytest_collect_file = (
    # tests/solvers/test_nist_runs.py runs that page, and looks at what it finds
    Sybil([_PythonBlocks()], patterns=["README.md", "docs/*.md", "docs/**/*.md"], excludes=["docs/solvers/nist.md"])
    + Sybil([DocTestParser()], patterns=["manopt_torch/*.py", "manopt_torch/**/*.py"])
).pytest()


def pytest_collection_finish() -> None:
    """Leave the thousands of tests themselves out of garbage collections, which would look through them every time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


# tests of a file that go to a worker together: the bookkeeping of xdist grows with the square of the number of parcels
PARCEL = 20


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give all examples of one page to one worker, since they share a namespace, and tests in parcels."""
    from xdist.scheduler import LoadScopeScheduling

    class ByParcels(LoadScopeScheduling):
        def __init__(self, config: pytest.Config, log: Any) -> None:
            super().__init__(config, log)
            self.parcels: dict[str, str] = {}
            self.counts: Counter[str] = Counter()

        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::", 1)[0]
            if not file.startswith("tests/"):
                return file
            if nodeid not in self.parcels:
                self.parcels[nodeid] = f"{file}::{self.counts[file] // PARCEL}"
                self.counts[file] += 1
            return self.parcels[nodeid]

    return ByParcels(config, log)
