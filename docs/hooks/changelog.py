"""MkDocs hook: the changelog page from `CHANGELOG.md` and the fragments of the next release in `changelog.d/`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = "changelog.md"
FRAGMENTS = "<!-- fragments -->"
RELEASES = "<!-- releases -->"


def fragments() -> str:
    """Return the text of all fragments, sorted by file name, one list."""
    files = sorted(path for path in (ROOT / "changelog.d").glob("*.md") if path.name != "README.md")
    return "\n".join(path.read_text(encoding="utf-8").strip() for path in files) or "Nothing yet."


def releases() -> str:
    """Return `CHANGELOG.md` from its first release heading on."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    _, heading, rest = text.partition("\n## ")
    return heading.strip() + " " + rest if heading else ""


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill the two places of the changelog page."""
    if page.file.src_uri != PAGE:
        return markdown
    return markdown.replace(FRAGMENTS, fragments()).replace(RELEASES, releases())
