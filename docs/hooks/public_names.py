"""Griffe extension: what `from manopt_torch import name` gives, and a class with the arguments that it takes.

Griffe reads the package without running it. A solver's function has the name of its module, and Griffe would show the
module; and it does not know that `state()` declares a field that is no argument.
"""

from __future__ import annotations

from typing import Any

import griffe


class PublicNames(griffe.Extension):
    """Mend both, once the package is read."""

    def on_package(self, *, pkg: griffe.Module, loader: griffe.GriffeLoader, **_: Any) -> None:
        """Go through the public names, then through all classes."""
        for name, member in list(pkg.members.items()):
            if isinstance(member, griffe.Alias) and member.target_path.rpartition(".")[2] == name:
                found = _found(loader, member.target_path)
                if isinstance(found, griffe.Module) and name in found.members:
                    inside = f"{member.target_path}.{name}"
                    pkg.members[name] = griffe.Alias(name, inside, lineno=member.lineno, parent=pkg)
        _without_state(pkg)


def _found(loader: griffe.GriffeLoader, path: str) -> Any:
    try:
        return loader.modules_collection[path]
    except KeyError:
        return None


def _without_state(parent: griffe.Module | griffe.Class) -> None:
    for member in parent.members.values():
        if isinstance(member, griffe.Function) and member.name == "__init__" and isinstance(parent, griffe.Class):
            kept = [p for p in member.parameters if not str(p.default).startswith("state(")]
            member.parameters = griffe.Parameters(*kept)
        elif isinstance(member, griffe.Module | griffe.Class):
            _without_state(member)
