"""Executed examples: what a block prints on its page, whoever prints it.

markdown-exec catches the `print` of the block itself; here standard output is caught, so that lines printed by the
package (`debug=`) come out as well, each in its turn. The blocks of one `session` share a namespace. Of a figure in SVG
the prolog is dropped, which has no place inside a page.
"""

from __future__ import annotations

import re
import sys
import traceback
from collections import defaultdict
from contextlib import redirect_stdout
from io import StringIO
from types import ModuleType
from typing import Any

import matplotlib
import torch
from markdown_exec import ExecutionError, base_format, code_block, formatters

torch.set_num_threads(1)  # the examples are small
# text of figures stays text, in the font of the page; the same figure gets the same names inside in every build
matplotlib.rcParams.update({"svg.fonttype": "none", "font.family": "sans-serif", "svg.hashsalt": "manopt_torch"})

_namespaces: dict[str, dict[str, Any]] = defaultdict(dict)


def run(code: str, session: str = "", id: str = "", **_: Any) -> str:
    """Execute a block and return what it has printed."""
    name = f"docs_{session or id or 'block'}"
    module = sys.modules.setdefault(name, ModuleType(name))  # dataclasses look up the module of their class
    namespace = _namespaces[session] if session else {}
    namespace["__name__"] = module.__name__
    with redirect_stdout(StringIO()) as printed:
        try:
            exec(compile(code, f"<block of {name}>", "exec", dont_inherit=True), namespace)
        except Exception as error:
            raise ExecutionError(code_block("python", traceback.format_exc())) from error
    return re.sub(r"^<\?xml.*?(?=<svg)", "", printed.getvalue(), flags=re.DOTALL)


def format_python(**keywords: Any) -> str:
    """Format a block marked `exec="on"`."""
    return base_format(language="python", run=run, **keywords)


formatters["python"] = format_python
