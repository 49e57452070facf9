"""MkDocs hook: each figure that Matplotlib has drawn into a page becomes a file, and the page an image of it.

Inside a page, the thousand marks of a figure would take part in its styles, and the names of one figure would meet
those of the next. As an image it is loaded when it comes into view, and it has a text for those who do not see it.
"""

from __future__ import annotations

import hashlib
import html
import re
from pathlib import Path
from typing import Any

FOLDER = "assets/figures"
# text of figures stays text; the same figure gets the same names inside in every build
STYLE = {"svg.fonttype": "none", "font.family": "sans-serif", "svg.hashsalt": "manopt_torch"}

_FIGURE = re.compile(r'(<p>\s*)?(<svg[^>]*\bversion="1\.1".*?</svg>)(?(1)\s*</p>)', re.DOTALL)
_SIZE = re.compile(r'<svg[^>]*\bwidth="([\d.]+)pt" height="([\d.]+)pt"')
_TITLE = re.compile(r'<text style="font-size: (?:12|14\.4)px[^>]*>(.*?)</text>', re.DOTALL)
_PIXELS = 4 / 3  # a point

_made: dict[str, str] = {}


def bare(drawing: str) -> str:
    """Return a saved figure without its prolog, which has no place inside a page."""
    return re.sub(r"^<\?xml.*?(?=<svg)", "", drawing, flags=re.DOTALL)


def description(drawing: str, subject: str) -> str:
    """Return the titles of a figure, which Matplotlib writes larger than all other text, or else its subject."""
    titles = [re.sub(r"<[^>]*>|\s+", " ", found).strip() for found in _TITLE.findall(drawing)]
    return "Figure: " + ("; ".join(html.unescape(title) for title in titles if title) or subject)


def image(drawing: str, page: Any) -> str:
    """Keep a figure for the end of the build; return the image to show in its place."""
    from mkdocs.utils import get_relative_url  # the tests of the gallery do without MkDocs

    name = f"{FOLDER}/{hashlib.sha256(drawing.encode()).hexdigest()[:16]}.svg"
    _made[name] = drawing
    size = _SIZE.search(drawing)
    width, height = (round(_PIXELS * float(side)) for side in size.groups()) if size else (640, 480)
    source, text = get_relative_url(name, page.url), html.escape(description(drawing, page.title))
    return f'<img class="figure" src="{source}" alt="{text}" width="{width}" height="{height}" loading="lazy">'


def on_page_content(content: str, page: Any, **_: Any) -> str:
    """Take the figures out of the page."""
    return _FIGURE.sub(lambda found: image(found[2], page), content)


def on_post_build(config: Any, **_: Any) -> None:
    """Write the files."""
    folder = Path(config["site_dir"])
    for name, drawing in _made.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text('<?xml version="1.0" encoding="utf-8"?>\n' + drawing, encoding="utf-8")
