"""Directions averaged over iterations, and momentum of single entries."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from manopt_torch._host import uploaded
from manopt_torch.directions.base import DirectionRule, carried, remember
from manopt_torch.directions.components import is_elementwise
from manopt_torch.directions.draws import generator_for
from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.points import map_leaves, map_shaped, new_axis
from manopt_torch.plans.options import check_count, check_range, memory_of


@dataclass(eq=False, repr=False)
class AverageGradientRule(DirectionRule):
    r"""Average the last directions, $d_i = \tfrac1m \sum_{j<m} \mathcal T_{x_{i-j} \to x_i} u_{i-j}$.

    All are carried along from step to step. $m$ is `n`, or the number of iterations as long as there are fewer (in
    Manopt.jl missing directions count as zeros, which shortens the first steps). With weights the direction is the sum
    $\sum_j w_j \mathcal T u_{i-j}$, in which missing ones are zero.

    Args:
        n: how many directions to average.
        weights: $w_0, \dots, w_{n-1}$, the newest first; None averages.
        inner: rule whose directions $u_i$ are; None is the gradient.

    Shapes:
        the memory holds `n` tangent vectors for each problem, `(*batch, n, *point_shape)`.

    Raises:
        OptionsError: if `n` is no positive int, or there are not `n` weights.

    References:
        [Bergmann:2022].

    Examples:
        >>> AverageGradientRule(2, weights=(1.0, 0.5)).n
        2
    """

    n: int = 10  # as in Manopt.jl
    weights: Sequence[float] | None = None
    inner: DirectionRule | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_count(self, "n", 1)
        if self.weights is not None and len(self.weights) != self.n:
            raise OptionsError(f"AverageGradientRule: weights must be {self.n} numbers, got {self.weights!r}")

    def init(self, p: Any, o: Any) -> Any:
        """Start without directions."""
        shape = p.M.point_shape

        def empty(ndim: int, leaf: torch.Tensor) -> torch.Tensor:
            at = leaf.dim() - ndim
            return leaf.new_zeros((*leaf.shape[:at], self.n, *leaf.shape[at:]))

        memory = {"former": map_shaped(empty, shape, p.M.zero_tangent(o.x)), "count": 0}
        return memory if is_elementwise(p.M) else memory | {"x": o.x}

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Put the direction to the former ones and average."""
        M, n = p.M, self.n
        memory = memory_of(self, p, o)
        former, start = memory["former"], memory.get("x")
        if start is not None and start is not o.x:
            former = M.transport(new_axis(start, M.point_shape), new_axis(o.x, M.point_shape), former)
            memory["x"] = o.x

        def pushed(ndim: int, old: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
            axis = old.dim() - ndim - 1
            return torch.cat([new.unsqueeze(axis), old.narrow(axis, 0, n - 1)], dim=axis)

        held = map_shaped(pushed, M.point_shape, former, u)
        memory["former"], memory["count"] = held, min(memory["count"] + 1, n)
        if self.weights is None:
            return map_shaped(lambda ndim, leaf: leaf.sum(-1 - ndim) / memory["count"], M.point_shape, held)
        return map_shaped(self._weighted, M.point_shape, held)

    def _weighted(self, ndim: int, held: torch.Tensor) -> torch.Tensor:
        first, *others = zip(held.unbind(-1 - ndim), self.weights or (), strict=True)
        total = first[0] * first[1]
        for leaf, weight in others:
            total = torch.add(total, leaf, alpha=weight)
        return total


@dataclass(eq=False, repr=False)
class CoordinateMomentumRule(DirectionRule):
    r"""Momentum that takes up the gradient in a few random entries only.

    $d = u + (1 - \tau) v$; then $v \leftarrow \beta v$, and $v_j \leftarrow u_j$ for a random set of entries, each in
    it with probability `probability`. With `nesterov` the velocity is renewed first, and used then. Entries are drawn
    from seed and iteration, the same for all problems of a batch, so that each comes out the same in any company.

    Args:
        probability: of an entry to be renewed, in $[0, 1]$.
        decay: $\beta \in [0, 1]$.
        dampening: $\tau \in [0, 1]$.
        nesterov: whether to renew the velocity before its use.
        seed: seed of the draws.
        inner: rule whose direction $u$ is; None is the gradient.

    Raises:
        OptionsError: if a parameter is out of its range; at the start of a run, on a curved manifold.

    Examples:
        >>> CoordinateMomentumRule(0.2).decay
        0.99
    """

    geometry: ClassVar[str] = "euclidean"

    probability: float = 0.1
    decay: float = 0.99
    dampening: float = 0.0
    nesterov: bool = False
    seed: int = 0
    inner: DirectionRule | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("probability", "decay", "dampening"):
            check_range(self, name, 0.0, 1.0, open_low=False, open_high=False)
        check_count(self, "seed", 0)

    def init(self, p: Any, o: Any) -> Any:
        """Start at rest."""
        return remember(p, o, ("velocity",), count=0)

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Add the velocity."""
        memory = carried(self, p, o)
        share, generator = 1 - self.dampening, generator_for(self.seed, memory["count"])

        def chosen(ndim: int, a: torch.Tensor) -> torch.Tensor:
            draws = torch.rand(a.shape[a.dim() - ndim :], generator=generator, dtype=torch.float64, device="cpu")
            return uploaded(draws < self.probability, a, torch.bool)

        former, mask = memory["velocity"], map_shaped(chosen, p.M.point_shape, u)
        if self.nesterov:
            former = new = map_leaves(lambda m, a, v: torch.where(m, a, v) * self.decay, mask, u, former)
        else:
            new = map_leaves(lambda m, a, v: torch.where(m, a, v * self.decay), mask, u, former)
        memory["velocity"], memory["count"] = new, memory["count"] + 1
        return map_leaves(lambda a, v: torch.add(a, v, alpha=share), u, former)
