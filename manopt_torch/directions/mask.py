"""Directions of which parts are left out."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from manopt_torch._host import uploaded
from manopt_torch.directions.base import DirectionRule
from manopt_torch.directions.components import component_inner, draw_components
from manopt_torch.directions.draws import generator_for
from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.points import map_leaves, map_shaped
from manopt_torch.plans.options import check_count, check_range, memory_of

SCALES = ("none", "mean")


@dataclass(eq=False, repr=False)
class CautiousRule(DirectionRule):
    r"""Leave out the components in which the direction would make the cost grow.

    $d_j = u_j$ where $u_j g_j > 0$ with the gradient $g$, else zero: entry by entry on flat factors; a curved factor
    goes as a whole, when $\langle u, g\rangle_x \le 0$. Put it behind a rule with momentum.

    Args:
        scale: "mean" divides by the share of components that are left, tensor by tensor; "none" does not.
        eps: least share to divide by.
        inner: rule whose direction $u$ is; None is the gradient.

    Raises:
        OptionsError: if a parameter is out of its range.

    References:
        [LiangEtAl:2024].

    Examples:
        >>> from manopt_torch import AdamRule
        >>> CautiousRule("mean", inner=AdamRule()).eps
        0.001
    """

    geometry: ClassVar[str] = "blockwise"

    scale: str = "none"
    eps: float = 1e-3
    inner: DirectionRule | None = None

    def __post_init__(self) -> None:
        """Check the parameters."""
        if self.scale not in SCALES:
            raise OptionsError(f"CautiousRule: scale must be one of {', '.join(SCALES)}, got {self.scale!r}")
        check_range(self, "eps", 0.0, 1.0, open_high=False)

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Compare with the gradient."""
        kept = map_leaves(lambda t: (t > 0).to(t.dtype), component_inner(p.M, o.x, u, o.gradient))
        if self.scale == "mean":
            kept = map_shaped(self._rescaled, p.M.point_shape, kept)
        return map_leaves(torch.mul, u, kept)

    def _rescaled(self, ndim: int, kept: torch.Tensor) -> torch.Tensor:
        share = kept.mean(tuple(range(-ndim, 0)), keepdim=True) if ndim else kept
        return kept / share.clamp(min=self.eps)


@dataclass(eq=False, repr=False)
class DropoutRule(DirectionRule):
    r"""Leave out random components.

    $d_j = u_j$ with probability $1 - q$, else zero: entry by entry on flat factors, whole curved factors. Last in a
    chain this is learning rate dropout; before an adaptive rule it drops gradients, which changes what that rule
    remembers. Components are drawn from seed and iteration, the same for all problems of a batch, so that each comes
    out the same in any company.

    Args:
        drop: $q \in [0, 1)$, the probability to be left out.
        rescale: whether to divide what is left by $1 - q$, which keeps the mean.
        seed: seed of the draws.
        inner: rule whose direction $u$ is; None is the gradient.

    Raises:
        OptionsError: if a parameter is out of its range.

    References:
        [LinEtAl:2020].

    Examples:
        >>> DropoutRule(0.3, seed=1).rescale
        False
    """

    geometry: ClassVar[str] = "blockwise"

    drop: float = 0.5
    rescale: bool = False
    seed: int = 0
    inner: DirectionRule | None = None

    def __post_init__(self) -> None:
        """Check the parameters."""
        check_range(self, "drop", 0.0, 1.0, open_low=False)
        check_count(self, "seed", 0)

    def init(self, p: Any, o: Any) -> Any:
        """Count the draws."""
        return {"count": 0}

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Draw what is kept."""
        memory = memory_of(self, p, o)
        generator = generator_for(self.seed, memory["count"])
        memory["count"] += 1
        kept = draw_components(
            p.M, u, lambda shape: torch.rand(shape, generator=generator, dtype=torch.float64, device="cpu") >= self.drop
        )
        factor = 1 / (1 - self.drop) if self.rescale else 1.0
        return map_leaves(lambda a, k: a * (uploaded(k, a) * factor), u, kept)
