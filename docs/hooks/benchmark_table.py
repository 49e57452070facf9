"""MkDocs hook: the benchmarks page, from the committed figures and from what `benchmarks/README.md` says of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = "benchmarks.md"
TABLES = "<!-- benchmarks -->"
EXPLANATIONS = "<!-- explanations -->"
FIGURES = ROOT / "docs" / "benchmarks" / "results.json"
README = ROOT / "benchmarks" / "README.md"

sys.path.insert(0, str(ROOT))
from benchmarks.table import markdown as tables  # noqa: E402  (reads JSON and runs nothing)


def explanations() -> str:
    """Return the sections of the README: how it is timed, what the figures mean."""
    _, heading, rest = README.read_text(encoding="utf-8").partition("\n## ")
    return heading.strip() + " " + rest


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill the two places of the page."""
    if page.file.src_uri != PAGE:
        return markdown
    content = json.loads(FIGURES.read_text(encoding="utf-8"))
    return markdown.replace(TABLES, tables(content)).replace(EXPLANATIONS, explanations())
