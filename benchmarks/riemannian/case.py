"""What a case is: a problem, where it begins, how each package gets it, and what is to be reached."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from manopt_torch import Manifold

Tensor = torch.Tensor


@dataclass
class Derivatives:
    """Derivatives by hand: for ours by keyword of a problem, for the floor as an objective."""

    ours: dict[str, Callable[..., Any]]
    floor: Callable[[], Any]
    cost: Callable[..., Tensor] | None = None  # that shares work with them; None: the case's own


@dataclass
class Case:
    """One problem, or a batch of them."""

    name: str
    title: str
    M: Manifold
    x: Any
    cost: Callable[..., Tensor]  # of ours, called with the data too
    bare: Any  # the floor's manifold
    objective: Callable[[], Any] | None  # the floor's, by autograd
    peer: tuple[str, tuple[int, ...]]  # pymanopt's manifold
    peer_cost: Callable[[int], Callable[..., Tensor]]  # of problem k
    peer_start: Callable[[int], Any]
    targets: dict[str, float | None]  # by solver; None is timed without one
    given: dict[str, float] = field(default_factory=dict)
    derivatives: Derivatives | None = None
    per_iteration: tuple[str, ...] = ()
    tolerance: float = 1e-6
    bound: int = 20000
    data: tuple[Tensor, ...] = ()

    @property
    def batched(self) -> bool:
        """Whether it is many problems."""
        return bool(self.data)


def remembered(product: Callable[[Any], Tensor]) -> Callable[[Any], Tensor]:
    """Keep the last product: cost and derivatives at one point share it."""
    point: Any = None
    found: Any = None

    def asked(x: Any) -> Tensor:
        nonlocal point, found
        if point is not x:
            point, found = x, product(x)
        return found

    return asked
