"""How the source is laid out: sizes, names, documentation, and no hidden reads of values on the host."""

import ast
import re
from functools import cache
from pathlib import Path

import manopt_torch

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "manopt_torch"
FILES = sorted(PACKAGE.rglob("*.py"))
API = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs" / "api").glob("*.md")))

LINES_OF_A_FILE = 300
LINES_OF_A_BODY = 40
SAYS_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc"}

# Code that runs inside the loop, on any device: it reads no value on the host. `masked.py` is where the loop asks, and
# checks of arguments read inside a `with host_read()` block.
BLIND = ["manifolds", "functional", "functions", "stepsizes", "directions", "solvers", "linalg"]
MAY_LOOK = {PACKAGE / "functional" / "masked.py"}
READS = {"item", "tolist", "cpu", "numpy"}

# Names with a meaning of their own; `S` and `STOP` are constants, modules are not names.
PUBLIC = sorted(
    name for name, value in vars(manopt_torch).items() if not name.startswith("_") and not isinstance(value, type(ast))
)


def relative(path):
    return str(path.relative_to(ROOT))


@cache
def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(path):
    """Yield each function of a file with the number of lines of its body, the docstring not counted."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            yield node.name, body[-1].end_lineno - body[0].lineno + 1 if body else 0


# the one list of all public names grows with the package; it may hold nothing else
NAMES = PACKAGE / "__init__.py"


def offenders(paths, found):
    """Return what `found` finds in the files, by file; nothing for those without offence."""
    return {relative(path): what for path in paths if (what := found(path))}


def test_files_are_short():
    lines = {relative(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES if path != NAMES}
    assert {path: count for path, count in lines.items() if count > LINES_OF_A_FILE} == {}


def test_packages_only_list_names():
    allowed = {ast.Expr, ast.ImportFrom, ast.Import, ast.Assign}
    packages = [path for path in FILES if path.name == "__init__.py"]
    assert len(packages) > 10
    assert offenders(packages, lambda path: {type(node) for node in tree(path).body} - allowed) == {}


def test_functions_are_short():
    def long(path):
        return {name: lines for name, lines in functions(path) if lines > LINES_OF_A_BODY}

    assert offenders(FILES, long) == {}


def test_names_say_what_they_are_for():
    def empty(path):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        said = SAYS_NOTHING & {part.strip("_") for part in parts}
        return said or re.search(r"_part\d|\d$", parts[-1].removesuffix("__init__"))

    assert offenders(FILES, empty) == {}


def test_modules_have_docstrings():
    assert offenders(FILES, lambda path: tree(path).body and not ast.get_docstring(tree(path))) == {}


def is_gate(node):
    """Tell whether a node is `with host_read(): ...`."""
    return isinstance(node, ast.With) and any("host_read" in ast.unparse(item) for item in node.items)


def reads(node):
    """Yield what asks for values on the host, outside of `with host_read()` blocks."""
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and node.func.attr in READS and not node.args:
            yield f"line {node.lineno}: .{node.func.attr}()"
        if isinstance(node.func, ast.Name) and node.func.id == "print":
            yield f"line {node.lineno}: print()"
    for child in ast.iter_child_nodes(node):
        if not is_gate(child):
            yield from reads(child)


def test_no_value_is_read_on_the_host():
    blind = [path for name in BLIND for path in sorted((PACKAGE / name).rglob("*.py")) if path not in MAY_LOOK]
    assert len(blind) > 100
    assert offenders(blind, lambda path: list(reads(tree(path)))) == {}


def test_public_names_have_docstrings():
    # a constant such as STOP has the docstring of its type: it is described where it stands in the docs
    values = {name: getattr(manopt_torch, name) for name in PUBLIC}
    described = [
        name for name, value in values.items() if isinstance(value, int | str) or (value.__doc__ or "").strip()
    ]
    assert described == PUBLIC


def test_public_names_are_on_a_page_of_the_api():
    entry = re.compile(r"^\s*::: manopt_torch(?:\.\w+)*\.(\w+)$|^\s+- (\w+)$", re.MULTILINE)
    listed = {name for pair in entry.findall(API) for name in pair}
    assert [name for name in PUBLIC if name not in listed] == []
