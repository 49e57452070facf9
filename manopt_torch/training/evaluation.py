"""Looking at a module without training it."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import torch


@contextmanager
def evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode for a block, and each of its parts back into its own mode after it."""
    parts = [(part, part.training) for part in module.modules()]
    for part, _ in parts:
        part.training = False
    try:
        yield
    finally:
        for part, mode in parts:
            part.training = mode


def snapshot(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return copies of all parameters, frozen ones too, and buffers."""
    return {name: t.detach().clone() for name, t in _tensors(module)}


@torch.no_grad()
def restore(module: torch.nn.Module, kept: dict[str, torch.Tensor]) -> None:
    """Write a snapshot back."""
    for name, t in _tensors(module):
        t.copy_(kept[name])


def _tensors(module: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    return chain(module.named_parameters(), module.named_buffers())
