"""Batches of a loader: tensors, or tuples, lists and dicts of them, all with the samples on their first axis."""

from collections.abc import Callable, Iterator
from typing import Any

import torch

from manopt_torch.errors import OptionsError, ShapeError


def leaves(tree: Any) -> list[torch.Tensor]:
    """List the tensors of a batch, in a fixed order.

    Raises:
        ShapeError: if it holds something else.
    """
    if isinstance(tree, torch.Tensor):
        return [tree]
    if isinstance(tree, dict):
        return [leaf for key in tree for leaf in leaves(tree[key])]
    if isinstance(tree, (tuple, list)):
        return [leaf for part in tree for leaf in leaves(part)]
    raise ShapeError(
        f"a batch is a tensor, or a tuple, list or dict of them, got {type(tree).__name__}: torch.as_tensor makes one"
    )


def rebuilt(tree: Any, values: Iterator[torch.Tensor]) -> Any:
    """Put other tensors, in the order of `leaves`, in the places of a batch."""
    if isinstance(tree, torch.Tensor):
        return next(values)
    if isinstance(tree, dict):
        return {key: rebuilt(tree[key], values) for key in tree}
    parts = [rebuilt(part, values) for part in tree]
    return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)


def mapped(function: Callable[[torch.Tensor], torch.Tensor], tree: Any) -> Any:
    """Apply a function to every tensor of a batch."""
    return function(tree) if isinstance(tree, torch.Tensor) else rebuilt(tree, map(function, leaves(tree)))


def arguments(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Say how a model is called: a tuple or list holds arguments, a dict keywords, anything else is the argument."""
    if isinstance(inputs, dict):
        return (), inputs
    return (tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)), {}


def call(model: Callable[..., Any], inputs: Any) -> Any:
    """Call a model."""
    args, kwargs = arguments(inputs)
    return model(*args, **kwargs)


def pair_of(batch: Any, device: torch.device | None, source: str) -> tuple[Any, Any]:
    """Return inputs and targets of a batch, on a device.

    Raises:
        OptionsError: if the batch is no pair; it names the source.
    """
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        size = f" of {len(batch)}" if isinstance(batch, (tuple, list)) else ""
        raise OptionsError(f"{source} must yield pairs of inputs and targets, got a {type(batch).__name__}{size}")
    inputs, targets = batch
    if device is None:
        return inputs, targets
    return mapped(lambda t: t.to(device), inputs), mapped(lambda t: t.to(device), targets)


def samples(inputs: Any, targets: Any) -> int:
    """Return how many samples a batch holds.

    Raises:
        ShapeError: if it holds none, or its tensors do not agree.
    """
    sizes = {leaf.shape[0] if leaf.dim() else 0 for leaf in [*leaves(inputs), *leaves(targets)]}
    if len(sizes) != 1 or 0 in sizes:
        raise ShapeError(
            "inputs and targets need the same number of samples on their first axis, at least one, got "
            f"{[tuple(leaf.shape) for leaf in leaves(inputs)]} and {[tuple(leaf.shape) for leaf in leaves(targets)]}"
        )
    return sizes.pop()
