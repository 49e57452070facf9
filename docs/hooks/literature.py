"""MkDocs hook: the literature page from `docs/references.bib`, and links to it wherever `[Key:2008]` is cited.

A citation may stand in a page or in a docstring shown on a page; inside code it is left alone. A key that is not in
the file is a warning, hence an error in strict mode.
"""

from __future__ import annotations

import html
import logging
import re
from pathlib import Path
from typing import Any

import executed  # noqa: F401  (the sibling file: output of executed blocks)
from mkdocs.utils import get_relative_url

BIB = Path(__file__).parents[1] / "references.bib"
PAGE = "literature.md"
PLACE = "<!-- literature -->"

_ENTRY = re.compile(r"^@(\w+)\{([^,\s]+),\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^\s*(\w+)\s*=\s*\{(.*?)\},?$", re.MULTILINE | re.DOTALL)
_CITATION = re.compile(r"\[([A-Z][A-Za-z]+:\d{4}[a-z]?)\]")
_CODE = re.compile(r"(<(pre|code|script|style)\b.*?</\2>|<[^>]*>)", re.DOTALL)
_ACCENTS = {
    r"{\AA}": "Å",
    r"{\o}": "ø",
    r"{\`a}": "à",
    r"{\'a}": "á",
    r"{\'e}": "é",
    r"{\"o}": "ö",
    r"{\"u}": "ü",
    r"{\'i}": "í",
    r"{\'u}": "ú",
    r"{\~n}": "ñ",
    r"{\v{c}}": "č",
}

_log = logging.getLogger("mkdocs.hooks.literature")
_literature_url = ["literature/"]


def read_bib(text: str) -> dict[str, dict[str, str]]:
    """Return the entries of a BibTeX file, `{key: {field: plain text}}`; each field is written `name = {...}`."""
    entries = {}
    for kind, key, body in _ENTRY.findall(text):
        fields = {name.lower(): plain(value) for name, value in _FIELD.findall(body)}
        entries[key] = {"kind": kind.lower(), **fields}
    return entries


def plain(value: str) -> str:
    """Turn a BibTeX value into text: accents spelled out, dashes, protecting braces removed, one line."""
    for accent, letter in _ACCENTS.items():
        value = value.replace(accent, letter)
    return re.sub(r"\s+", " ", value.replace("--", "–").replace("{", "").replace("}", "")).strip()


def authors(value: str) -> str:
    """Turn `Last, First and Last, First` into `First Last, First Last and First Last`."""
    names = [" ".join(reversed(name.split(", ", 1))) for name in value.split(" and ")]
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def anchor(key: str) -> str:
    """Return the HTML id of an entry."""
    return key.replace(":", "-").lower()


def render(key: str, entry: dict[str, str]) -> str:
    """Return one entry as a Markdown paragraph that links can point to."""
    parts = [authors(entry.get("author") or entry["editor"]), f"*{entry['title']}*"]
    if "journal" in entry:
        volume = f" {entry['volume']}" if "volume" in entry else ""  # of an accepted paper, still unknown
        issue = f"({entry['number']})" if "number" in entry else ""
        pages = f", {entry['pages']}" if "pages" in entry else ""
        parts.append(f"{entry['journal']}{volume}{issue}{pages}")
    if "edition" in entry:
        parts.append(f"{entry['edition']} edition")
    parts += [entry[name] for name in ("booktitle", "school", "note", "publisher") if name in entry]
    parts.append(entry["year"])
    if "doi" in entry:
        parts.append(f"[doi:{entry['doi']}](https://doi.org/{entry['doi']})")
    return f'<span class="bib-key" id="{anchor(key)}">{key}</span> &nbsp; {". ".join(parts)}.'


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Write the entries, sorted by key, into the literature page."""
    if page.file.src_uri != PAGE:
        return markdown
    entries = read_bib(BIB.read_text(encoding="utf-8"))
    return markdown.replace(PLACE, "\n\n".join(render(key, entries[key]) for key in sorted(entries)))


def on_files(files: Any, **_: Any) -> Any:
    """Remember where the literature page will be."""
    page = files.get_file_from_path(PAGE)
    if page is not None:
        _literature_url[0] = page.url
    return files


def on_page_content(content: str, page: Any, **_: Any) -> str:
    """Link each citation in the text of the page, but not in code, to its entry."""
    known = read_bib(BIB.read_text(encoding="utf-8"))
    target = get_relative_url(_literature_url[0], page.url)

    def link(match: re.Match[str]) -> str:
        key = match.group(1)
        if key not in known:
            _log.warning("%s cites [%s], which docs/references.bib does not have", page.file.src_uri, key)
            return match.group(0)
        title = html.escape(f"{authors(known[key]['author'])}: {known[key]['title']}")
        return f'[<a class="citation" href="{target}#{anchor(key)}" title="{title}">{key}</a>]'

    # odd pieces of the split are tags and code blocks; the pattern's inner group adds a third piece to each
    pieces = _CODE.split(content)
    for k in range(0, len(pieces), 3):
        pieces[k] = _CITATION.sub(link, pieces[k])
    return "".join(piece for k, piece in enumerate(pieces) if k % 3 != 2 and piece)
