"""What modules remember, as plain data: tensors, numbers, tuples and dicts."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.points import first_leaf
from manopt_torch.plans.options import Memory


def packed(functors: Sequence[tuple[str, Any]], memory: Memory) -> dict[str, Any]:
    """Return the memories by path, each with the name of the class it belongs to."""
    plain = {}
    for path, functor in functors:
        if functor in memory:
            held = memory[functor]
            tree = functor.packed(held) if hasattr(functor, "packed") else _kept(held)
            plain[path] = {"kind": type(functor).__name__, "memory": tree}
    return plain


def unpacked(
    functors: Sequence[tuple[str, Any]],
    held: dict[str, Any],
    memory: Memory,
    p: Any,
    o: Any,
    merge: Callable[[Any, Any], Any] | None = None,
) -> None:
    """Fill a memory with what was packed; `merge(old, fresh)` fits it to more parameters.

    Raises:
        OptionsError: if a memory belongs to no functor, or to one of another class.
    """
    at = dict(functors)
    for path, entry in held.items():
        here = type(at[path]).__name__ if path in at else "nothing"
        if here != entry["kind"]:
            raise OptionsError(f"the state has the memory of a {entry['kind']} for module {path}, there is {here} now")
        functor, device = at[path], first_leaf(o.x).device
        if hasattr(functor, "unpacked"):
            memory[functor] = functor.unpacked(entry["memory"], p, o)
        else:
            tree = _copied(entry["memory"], device)
            memory[functor] = tree if merge is None else merge(tree, functor.init(p, o))


def _kept(tree: Any) -> Any:
    """Copy the dicts, which steps write into; tensors are replaced rather than changed."""
    return {key: _kept(value) for key, value in tree.items()} if isinstance(tree, dict) else tree


def _copied(tree: Any, device: torch.device) -> Any:
    if isinstance(tree, dict):
        return {key: _copied(value, device) for key, value in tree.items()}
    if isinstance(tree, (tuple, list)):
        return tuple(_copied(part, device) for part in tree)
    return tree.to(device, copy=True) if isinstance(tree, torch.Tensor) else tree
