"""MkDocs hook: a page from each script of `docs/gallery/`, with what it prints and the figures it draws.

A script is plain Python and runs alone. Its docstring is a title, an empty line and the opening text. A line `# %%`
starts a cell; comment lines right after it are Markdown, the rest is code. Below the code of a cell stand what it
printed and the pyplot figures it left open. `plt.show()` belongs at the end of a script: here it does nothing.

The page `gallery/index.md` gets a card for each script in place of its `<!-- gallery -->`.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import sys
import warnings
from contextlib import redirect_stdout
from functools import cache
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import figures

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "docs" / "gallery"
CACHE = ROOT / ".cache" / "gallery"
PACKAGE = ROOT / "manopt_torch"
HOOKS = (Path(__file__), Path(figures.__file__))
INDEX = "gallery/index.md"
PLACE = "<!-- gallery -->"
WIDE = "---\nhide: [toc]\n---\n\n"  # without contents at the side, the lines of a script fit

_FIGURE = re.compile(r"<!--figure (\w+) (\d+)-->")


class Cell(NamedTuple):
    """A piece of a script: Markdown, then code that starts at a line of the file."""

    text: str
    code: str
    line: int


class Page(NamedTuple):
    """A script that has been run: its page in Markdown, with places for the figures, and what it has left behind."""

    name: str
    title: str
    summary: str
    markdown: str
    figures: tuple[str, ...]  # in SVG
    namespace: dict[str, Any]


def split(source: str) -> tuple[str, str, list[Cell]]:
    """Return title, opening text and cells of a script."""
    docstring = ast.get_docstring(ast.parse(source)) or ""
    title, _, opening = docstring.partition("\n\n")
    cells = []
    lines = source.splitlines()
    starts = [n for n, line in enumerate(lines) if line.startswith("# %%")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        n = start + 1
        while n < end and lines[n].startswith("#"):
            n += 1
        text = "\n".join(line[2:] for line in lines[start + 1 : n])
        while n < end and not lines[n].strip():
            n += 1
        cells.append(Cell(text, "\n".join(lines[n:end]).rstrip(), n))
    return title, opening.strip(), cells


@cache
def run(path: Path) -> Page:
    """Run a script cell by cell in a module of its own.

    Raises:
        RuntimeError: if a cell fails; the traceback names file and line.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    title, opening, cells = split(path.read_text(encoding="utf-8"))
    module = sys.modules[f"gallery_{path.stem}"] = ModuleType(f"gallery_{path.stem}")
    parts, drawings = [f"# {title}", opening], []
    with mpl.rc_context(figures.STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "FigureCanvasAgg is non-interactive")
        for cell in cells:
            printed, drawn = _run_cell(path, cell, module.__dict__, plt)
            parts += [cell.text, f"```python\n{cell.code}\n```" if cell.code else ""]
            parts += [f"```text\n{printed.rstrip()}\n```"] if printed.strip() else []
            parts += [f"<!--figure {path.stem} {len(drawings) + k}-->" for k in range(len(drawn))]
            drawings += drawn
    parts.append(f"*This page was made from the script `docs/gallery/{path.name}`, which runs alone.*")
    summary = opening.split("\n\n")[0].replace("\n", " ")
    markdown = "\n\n".join(part for part in parts if part)
    return Page(path.stem, title, summary, markdown, tuple(drawings), module.__dict__)


def _run_cell(path: Path, cell: Cell, namespace: dict[str, Any], plt: Any) -> tuple[str, list[str]]:
    """Execute a cell; return what it printed and the figures it drew."""
    code = compile("\n" * cell.line + cell.code, str(path), "exec", dont_inherit=True)
    with redirect_stdout(StringIO()) as printed:
        try:
            exec(code, namespace)
        except Exception as error:
            raise RuntimeError(f"{path.name}, cell at line {cell.line}: {error!r}") from error
    drawn = []
    for number in plt.get_fignums():
        content = StringIO()
        plt.figure(number).savefig(content, format="svg", metadata={"Date": None})
        drawn.append(figures.bare(content.getvalue()))
    plt.close("all")
    return printed.getvalue(), drawn


@cache
def kept(path: Path) -> Page:
    """Return the page of a script from the last build, or run it if script, package or this hook have changed since."""
    file, key = CACHE / f"{path.stem}.json", _fingerprint(path)
    if file.exists():
        content = json.loads(file.read_text(encoding="utf-8"))
        if content.pop("key") == key:
            return Page(**{**content, "figures": tuple(content["figures"]), "namespace": {}})
    page = run(path)
    content = {name: value for name, value in page._asdict().items() if name != "namespace"}
    CACHE.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"key": key, **content}), encoding="utf-8")
    return page


def _fingerprint(path: Path) -> str:
    """Return a hash of all that the page of a script depends on, as far as it lies in this repository, or in torch."""
    sources = [path, *HOOKS, *sorted(file for file in PACKAGE.rglob("*") if file.suffix in (".py", ".csv"))]
    packages = " ".join(f"{name} {version(name)}" for name in ("torch", "matplotlib"))
    return hashlib.sha256(b"\0".join([packages.encode(), *(file.read_bytes() for file in sources)])).hexdigest()


def scripts() -> list[Path]:
    """List the scripts by name."""
    return sorted(SCRIPTS.glob("*.py"))


def cards() -> str:
    """Return the index: title, first paragraph and first figure of each page, as HTML that Markdown goes on in."""
    made = []
    for path in scripts():
        page = kept(path)
        figure = f"<!--figure {page.name} 0-->" if page.figures else ""
        link = f"[{page.title}]({page.name}.md)"
        made.append(f'<div class="gallery-card" markdown>\n\n{figure}\n\n**{link}**\n\n{page.summary}\n\n</div>')
    return '<div class="gallery" markdown>\n\n' + "\n\n".join(made) + "\n\n</div>"


def on_files(files: Any, config: Any, **_: Any) -> Any:
    """Put a generated page in the place of each script."""
    from mkdocs.structure.files import File

    for path in scripts():
        script = files.get_file_from_path(f"gallery/{path.name}")
        if script is not None:
            files.remove(script)
        files.append(File.generated(config, f"gallery/{path.stem}.md", content=WIDE + kept(path).markdown))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill the index."""
    return markdown.replace(PLACE, cards()) if page.file.src_uri == INDEX else markdown


def on_page_content(content: str, page: Any, **_: Any) -> str:
    """Put the figures into their places, out of reach of everything that reads Markdown."""
    if not page.file.src_uri.startswith("gallery/"):
        return content
    return _FIGURE.sub(lambda found: kept(SCRIPTS / f"{found[1]}.py").figures[int(found[2])], content)
