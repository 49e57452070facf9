"""Directions with something added: noise, or a pull towards the origin."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from manopt_torch._host import uploaded
from manopt_torch.directions.base import DirectionRule
from manopt_torch.directions.draws import check_distribution, drawn, generator_for
from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.points import first_leaf, map_leaves
from manopt_torch.plans.options import check_count, check_range, memory_of


@dataclass(eq=False, repr=False)
class NoiseRule(DirectionRule):
    r"""Add noise, $d = u + \sigma \xi$ with random $\xi$ in the tangent space.

    The coordinates of $\xi$ in an orthonormal basis are drawn from seed and iteration, the same for all problems of a
    batch, so that each comes out the same in any company.

    Args:
        scale: $\sigma \ge 0$.
        seed: seed of the draws.
        inner: rule whose direction $u$ is; None is the gradient.
        distribution: of the coordinates, of variance one: "normal", "uniform", "sphere", "rademacher", or a callable
            `(dim, generator)`.

    Raises:
        OptionsError: if a parameter is out of its range.

    References:
        [NeelakantanEtAl:2015].

    Examples:
        >>> NoiseRule(0.1).seed
        0
    """

    scale: float = 0.01
    seed: int = 0
    inner: DirectionRule | None = None
    distribution: str | Callable[..., torch.Tensor] = field(default="normal", kw_only=True)

    def __post_init__(self) -> None:
        """Check the parameters."""
        check_range(self, "scale", 0.0, math.inf, open_low=False)
        check_count(self, "seed", 0)
        check_distribution(self)

    def init(self, p: Any, o: Any) -> Any:
        """Count the draws."""
        return {"count": 0}

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Draw the noise."""
        memory = memory_of(self, p, o)
        c = drawn(self.distribution, p.M.dim, generator_for(self.seed, memory["count"]))
        memory["count"] += 1
        return o.lane.axpy(u, float(self.scale), tangent_of(p, o, c))


@dataclass(eq=False, repr=False)
class WeightDecayRule(DirectionRule):
    r"""Pull towards the origin: $d = u + \lambda x$, or $d = u + \lambda \operatorname{sign} x$.

    First in a chain this is the gradient of the penalty $\tfrac\lambda2\lVert x\rVert^2$ or
    $\lambda\lVert x\rVert_1$; behind an adaptive rule it decays the weights apart from the gradient, as AdamW does.

    Args:
        decay: $\lambda \ge 0$.
        order: 2 or 1.
        inner: rule whose direction $u$ is; None is the gradient.

    Raises:
        OptionsError: if a parameter is out of its range; at the start of a run, on a curved manifold.

    References:
        [LoshchilovHutter:2019].

    Examples:
        >>> from manopt_torch import AdamRule
        >>> WeightDecayRule(0.1, inner=AdamRule()).order
        2
    """

    geometry: ClassVar[str] = "euclidean"

    decay: float = 0.01
    order: int = 2
    inner: DirectionRule | None = None

    def __post_init__(self) -> None:
        """Check the parameters."""
        check_range(self, "decay", 0.0, math.inf, open_low=False)
        if self.order not in (1, 2):
            raise OptionsError(f"WeightDecayRule: order must be 1 or 2, got {self.order!r}")

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Add the pull."""
        pull = o.x if self.order == 2 else map_leaves(torch.sign, o.x)
        return o.lane.axpy(u, float(self.decay), pull)


def tangent_of(
    p: Any,
    o: Any,
    c: torch.Tensor,  # shape: (dim,)
) -> Any:
    """Return the tangent vectors at `o.x`, one a problem, with the same coordinates for all."""
    ref = first_leaf(o.x)
    return p.M.from_coordinates(o.x, uploaded(c, ref, ref.real.dtype).expand(*o.lane.shape, p.M.dim))
