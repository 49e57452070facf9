"""Resilient propagation."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from manopt_torch.directions.base import DirectionRule
from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.plans.options import check_range, memory_of


@dataclass(eq=False, repr=False)
class RpropRule(DirectionRule):
    r"""Move each entry by a length of its own, which grows while the gradient keeps its sign and shrinks if that turns.

    $d_j = \operatorname{sign}(u_j)\,\delta_j$; $\delta_j$ is multiplied by `increase` where $u_j$ has the sign of the
    former one, by `decrease` where it has turned (there $u_j$ counts as zero, now and as the former of the next
    iteration), and kept within bounds. Take `ConstantStepsize(1.0)`: this then is `torch.optim.Rprop`. For full
    gradients; noise makes the lengths collapse.

    Args:
        initial: first length $\delta_j$.
        increase: factor above 1.
        decrease: factor in $(0, 1)$.
        min_length: least length.
        max_length: largest length.
        inner: rule whose direction $u$ is; None is the gradient.

    Raises:
        OptionsError: if a parameter is out of its range; at the start of a run, on a curved manifold.

    References:
        [RiedmillerBraun:1993]; [IgelHuesken:2003], the variant iRprop-.

    Examples:
        >>> RpropRule(1e-4, increase=1.01, decrease=0.99, min_length=0.0, max_length=100.0).initial
        0.0001
    """

    geometry: ClassVar[str] = "euclidean"

    initial: float = 0.01
    increase: float = 1.2
    decrease: float = 0.5
    min_length: float = 1e-6
    max_length: float = 50.0
    inner: DirectionRule | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_range(self, "initial", 0.0, math.inf)
        check_range(self, "increase", 1.0, math.inf)
        check_range(self, "decrease", 0.0, 1.0)
        check_range(self, "min_length", 0.0, math.inf, open_low=False)
        check_range(self, "max_length", 0.0, math.inf, open_high=False)
        if self.min_length > self.max_length:
            raise OptionsError(f"RpropRule: min_length {self.min_length!r} exceeds max_length {self.max_length!r}")

    def init(self, p: Any, o: Any) -> Any:
        """Start with the initial length everywhere."""
        zero = p.M.zero_tangent(o.x)
        return {"former": zero, "length": map_leaves(lambda leaf: torch.full_like(leaf, self.initial), zero)}

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Adapt the lengths and take the signs."""
        memory = memory_of(self, p, o)
        agreement = map_leaves(torch.mul, u, memory["former"])
        memory["length"] = length = map_leaves(self._adapted, memory["length"], agreement)
        # a sign that has turned counts as none
        memory["former"] = former = map_leaves(lambda a, t: torch.where(t < 0, 0.0, a), u, agreement)
        return map_leaves(lambda a, size: a.sign() * size, former, length)

    def _adapted(self, length: torch.Tensor, agreement: torch.Tensor) -> torch.Tensor:
        grown = torch.where(agreement > 0, length * self.increase, length)
        return torch.where(agreement < 0, length * self.decrease, grown).clamp(self.min_length, self.max_length)
