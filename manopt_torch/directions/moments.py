"""Adaptive directions that divide by a running mean of squares: Adam and RMSProp."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from manopt_torch.directions.base import DirectionRule, carried, remember
from manopt_torch.directions.components import component_inner, zero_components
from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.plans.options import check_range


def from_halflife(halflife: float) -> float:
    r"""Return the factor $\gamma = 2^{-1/h}$ by which a running mean decays if it forgets half in `halflife` steps.

    Raises:
        OptionsError: if the half-life is not positive.

    Examples:
        >>> round(from_halflife(7), 12)
        0.905723664264
    """
    if not isinstance(halflife, (int, float)) or not 0 < halflife < math.inf:
        raise OptionsError(f"from_halflife: halflife must be a positive number, got {halflife!r}")
    return math.exp(-math.log(2.0) / halflife)


@dataclass(eq=False, repr=False)
class AdamRule(DirectionRule):
    r"""Divide a running mean of directions by the root of a running mean of their squares.

    $m_i = \beta_1 \mathcal T m_{i-1} + (1 - \beta_1) u_i$, $v_i = \beta_2 v_{i-1} + (1 - \beta_2)\,u_i \odot u_i$ and
    $d_i = \dfrac{m_i / (1 - \beta_1^i)}{\sqrt{v_i / (1 - \beta_2^i)} + \varepsilon}$. On flat factors $\odot$ is taken
    entry by entry; a curved factor has one $v$, from $\langle u, u\rangle_x$. With a constant step size $s$ on
    Euclidean space this is `torch.optim.Adam(lr=s)`. Steps have about the length $s$ whatever the scale of the cost:
    use it for noisy or badly scaled gradients; to converge to a point it needs decreasing steps. A `WeightDecayRule`
    after it in a chain makes it AdamW.

    Args:
        beta1: $\beta_1 \in [0, 1)$, see also `from_halflife`.
        beta2: $\beta_2 \in [0, 1)$.
        eps: $\varepsilon \ge 0$.
        amsgrad: whether to divide by the largest $v$ so far.
        inner: rule whose direction $u_i$ is; None is the gradient.

    Raises:
        OptionsError: if a parameter is out of its range.

    References:
        [KingmaBa:2015]; on manifolds [BecigneulGanea:2019].

    Examples:
        >>> import torch
        >>> from manopt_torch import DecreasingStepsize, Sphere, steepest_descent
        >>> x = torch.tensor([0.6, 0.8, 0.0], dtype=torch.float64)
        >>> step = {"stepsize": DecreasingStepsize(0.3, exponent=0.5), "direction": AdamRule()}
        >>> steepest_descent(Sphere(3), lambda x: x[..., 2], x, **step)[2].item() < -0.999
        True
    """

    geometry: ClassVar[str] = "blockwise"

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    amsgrad: bool = False
    inner: DirectionRule | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_range(self, "beta1", 0.0, 1.0, open_low=False)
        check_range(self, "beta2", 0.0, 1.0, open_low=False)
        check_range(self, "eps", 0.0, math.inf, open_low=False)

    def init(self, p: Any, o: Any) -> Any:
        """Start with zero means."""
        zero = zero_components(p.M, o.x)
        more = {"largest": zero} if self.amsgrad else {}
        return remember(p, o, ("mean",), square=zero, count=0, **more)

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Update both means and divide."""
        memory = carried(self, p, o, "mean")
        share, share_of_squares = 1 - self.beta1, 1 - self.beta2
        memory["count"] = count = memory["count"] + 1
        memory["mean"] = mean = map_leaves(lambda m, a: torch.lerp(m, a, share), memory["mean"], u)
        square = map_leaves(
            lambda v, a: torch.lerp(v, a, share_of_squares), memory["square"], component_inner(p.M, o.x, u, u)
        )
        memory["square"] = square
        if self.amsgrad:
            memory["largest"] = square = map_leaves(torch.maximum, memory["largest"], square)
        # the corrections are moved to eps and to the root, which saves an operation
        growth = 1 - self.beta1**count
        eps, share_of_root = self.eps * growth, growth / math.sqrt(1 - self.beta2**count)
        return map_leaves(lambda m, v: torch.div(m, torch.rsub(v.sqrt(), eps, alpha=-share_of_root)), mean, square)


@dataclass(eq=False, repr=False)
class RMSPropRule(DirectionRule):
    r"""Divide by the root of a running mean of squares.

    $v_i = \beta v_{i-1} + (1 - \beta)\,u_i \odot u_i$ and $d_i = u_i / (\sqrt{v_i} + \varepsilon)$, on each flat factor
    entry by entry, on a curved one with one $v$ from $\langle u, u\rangle_x$. Centred, the square of a running mean of
    directions is subtracted from $v_i$ before the root. With a constant step size on Euclidean space this is
    `torch.optim.RMSprop`; with `centered` and `eps_inside` it is the RMSProp of the package downhill.

    Args:
        decay: $\beta \in [0, 1)$, see also `from_halflife`.
        eps: $\varepsilon \ge 0$.
        centered: whether to subtract the squared mean.
        eps_inside: whether to take $\sqrt{v_i + \varepsilon}$ instead.
        inner: rule whose direction $u_i$ is; None is the gradient.

    Raises:
        OptionsError: if a parameter is out of its range.

    References:
        [TielemanHinton:2012]; centred in [Graves:2013].

    Examples:
        >>> RMSPropRule(from_halflife(14), centered=True, eps_inside=True).eps
        1e-08
    """

    geometry: ClassVar[str] = "blockwise"

    decay: float = 0.99
    eps: float = 1e-8
    centered: bool = False
    eps_inside: bool = False
    inner: DirectionRule | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_range(self, "decay", 0.0, 1.0, open_low=False)
        check_range(self, "eps", 0.0, math.inf, open_low=False)

    def init(self, p: Any, o: Any) -> Any:
        """Start with zero means."""
        return remember(p, o, ("mean",) if self.centered else (), square=zero_components(p.M, o.x))

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Update the means and divide."""
        memory = carried(self, p, o, "mean") if self.centered else carried(self, p, o)
        share = 1 - self.decay
        square = map_leaves(lambda v, a: torch.lerp(v, a, share), memory["square"], component_inner(p.M, o.x, u, u))
        memory["square"] = square
        if self.centered:
            memory["mean"] = mean = map_leaves(lambda m, a: torch.lerp(m, a, share), memory["mean"], u)
            # rounding, and transport that is no isometry, may make a variance negative
            square = map_leaves(lambda v, m: (v - m).clamp(min=0), square, component_inner(p.M, o.x, mean, mean))
        return map_leaves(lambda a, v: a / root(v, self.eps, self.eps_inside), u, square)


def root(v: torch.Tensor, eps: float, inside: bool) -> torch.Tensor:
    """Return the square root with `eps` added to it, or to `v` before."""
    return (v + eps).sqrt() if inside else v.sqrt() + eps
