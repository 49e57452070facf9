"""The literature behind a run, as BibTeX."""

import inspect
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from manopt_torch.manifolds import Manifold
from manopt_torch.plans.options import functors_of, get_options
from manopt_torch.problems.counted import bare_problem

_CITATION = re.compile(r"\[([A-Z][A-Za-z]+:\d{4}[a-z]?)\]")
_ENTRY = re.compile(r"^@\w+\{([^,\s]+),\n.*?^\}", re.MULTILINE | re.DOTALL)


def cite(p: Any, o: Any) -> str:
    """Return BibTeX entries of the methods that a run uses: the solver, its step size, its rules, the manifold.

    The entries are those that the documentation of these parts names under "References", in that order, each once.

    Args:
        p: the problem.
        o: the options, decorated or not, before or after the run.

    Raises:
        OptionsError: if the first argument is no problem or the second no options.

    Examples:
        >>> import torch
        >>> from manopt_torch import GradientDescentOptions, GradientProblem, Sphere, cite
        >>> p = GradientProblem(Sphere(3), lambda x: x[..., 2])
        >>> print(cite(p, GradientDescentOptions(torch.eye(3)[0])).splitlines()[0])
        @book{AbsilMahonySepulchre:2008,
    """
    manifold = bare_problem(p).M
    bare = get_options(o)
    texts = [_about(bare), *(_about(functor) for _, functor in functors_of(bare)), *map(_about, _parts(manifold))]
    keys = dict.fromkeys(key for text in texts for key in _CITATION.findall(text))
    known = _entries()
    return "\n\n".join(known[key] for key in keys if key in known)


def _about(part: Any) -> str:
    """Return what the classes of an object and their modules say about themselves, the most special one first."""
    kinds = [kind for kind in type(part).__mro__ if kind.__module__ != "builtins"]
    modules = dict.fromkeys(kind.__module__ for kind in kinds)
    docs = [kind.__doc__ for kind in kinds] + [inspect.getdoc(sys.modules[name]) for name in modules]
    return "\n".join(doc for doc in docs if doc)


def _parts(manifold: Manifold) -> Iterator[Manifold]:
    """Yield the manifold and those that it is made of."""
    yield manifold
    for value in vars(manifold).values():
        for part in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(part, Manifold):
                yield from _parts(part)


@cache
def _entries() -> dict[str, str]:
    """Return the entries of the bibliography by key."""
    here = Path(__file__).parent
    # the wheel holds a copy; a checkout has the one of the documentation
    path = next(p for p in (here / "references.bib", here.parent / "docs" / "references.bib") if p.exists())
    return {match[1]: match[0] for match in _ENTRY.finditer(path.read_text(encoding="utf-8"))}
