"""Executed examples: what a block prints on its page, whoever prints it.

markdown-exec catches the `print` of the block itself; here standard output is caught, so that lines printed by the
package (`debug=`) come out as well, each in its turn. The blocks of one `session` share a namespace. A block prints its
figure in SVG, and `figures.py` makes a file of it.
"""

from __future__ import annotations

import sys
import traceback
from collections import defaultdict
from contextlib import redirect_stdout
from io import StringIO
from types import ModuleType
from typing import Any

import figures
import matplotlib
import torch
from markdown_exec import ExecutionError, base_format, code_block, formatters

torch.set_num_threads(1)  # the examples are small
matplotlib.rcParams.update(figures.STYLE)

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
    return figures.bare(printed.getvalue())


def format_python(**keywords: Any) -> str:
    """Format a block marked `exec="on"`."""
    return base_format(language="python", run=run, **keywords)


formatters["python"] = format_python
