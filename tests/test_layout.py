"""How the source is laid out: sizes, names, documentation, and no hidden reads of values on the host."""

import ast
import re
from pathlib import Path

import pytest

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


def functions(path):
    """Yield each function of a file with the number of lines of its body, the docstring not counted."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            yield node.name, body[-1].end_lineno - body[0].lineno + 1 if body else 0


# the one list of all public names grows with the package; it may hold nothing else
NAMES = PACKAGE / "__init__.py"


@pytest.mark.parametrize("path", [path for path in FILES if path != NAMES], ids=relative)
def test_file_is_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES_OF_A_FILE


@pytest.mark.parametrize("path", [path for path in FILES if path.name == "__init__.py"], ids=relative)
def test_packages_only_list_names(path):
    kinds = {type(node) for node in ast.parse(path.read_text(encoding="utf-8")).body}
    assert kinds <= {ast.Expr, ast.ImportFrom, ast.Import, ast.Assign}


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_functions_are_short(path):
    assert {name: lines for name, lines in functions(path) if lines > LINES_OF_A_BODY} == {}


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_name_says_what_it_is_for(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    assert not SAYS_NOTHING & {part.strip("_") for part in parts}
    assert not re.search(r"_part\d|\d$", parts[-1].removesuffix("__init__"))


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_module_has_a_docstring(path):
    source = path.read_text(encoding="utf-8")
    assert not source.strip() or ast.get_docstring(ast.parse(source))


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


@pytest.mark.parametrize("path", [p for name in BLIND for p in sorted((PACKAGE / name).rglob("*.py"))], ids=relative)
def test_no_value_is_read_on_the_host(path):
    assert path in MAY_LOOK or list(reads(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_has_a_docstring(name):
    value = getattr(manopt_torch, name)
    # a constant such as STOP has the docstring of its type: it is described where it stands in the docs
    assert isinstance(value, int | str) or (value.__doc__ or "").strip()


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_is_on_a_page_of_the_api(name):
    assert re.search(rf"^\s*::: manopt_torch(\.\w+)*\.{name}$|^\s+- {name}$", API, re.MULTILINE)
