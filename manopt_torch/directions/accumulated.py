"""Adaptive directions without a length to choose, or with one that dies down: Adagrad and Adadelta."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from manopt_torch.directions.base import DirectionRule
from manopt_torch.directions.components import component_inner, zero_components
from manopt_torch.directions.moments import root
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.plans.options import check_range, memory_of


@dataclass(eq=False, repr=False)
class AdagradRule(DirectionRule):
    r"""Divide by the root of the sum of all squares.

    $v_i = v_{i-1} + u_i \odot u_i$ and $d_i = u_i / (\sqrt{v_i} + \varepsilon)$, on each flat factor entry by entry, on
    a curved one with one $v$ from $\langle u, u\rangle_x$. With a constant step size on Euclidean space this is
    `torch.optim.Adagrad`. Steps shrink like $1/\sqrt i$ by themselves; use it for sparse gradients.

    Args:
        eps: $\varepsilon \ge 0$.
        initial: $v_0 \ge 0$.
        eps_inside: whether to take $\sqrt{v_i + \varepsilon}$ instead, as the package downhill does.
        inner: rule whose direction $u_i$ is; None is the gradient.

    Raises:
        OptionsError: if a parameter is out of its range.

    References:
        [DuchiHazanSinger:2011].

    Examples:
        >>> AdagradRule(1e-8, eps_inside=True).initial
        0.0
    """

    geometry: ClassVar[str] = "blockwise"

    eps: float = 1e-10
    initial: float = 0.0
    eps_inside: bool = False
    inner: DirectionRule | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_range(self, "eps", 0.0, math.inf, open_low=False)
        check_range(self, "initial", 0.0, math.inf, open_low=False)

    def init(self, p: Any, o: Any) -> Any:
        """Start with the initial sum."""
        return {"sum": map_leaves(lambda leaf: leaf + self.initial, zero_components(p.M, o.x))}

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Add the squares and divide."""
        memory = memory_of(self, p, o)
        memory["sum"] = total = map_leaves(torch.add, memory["sum"], component_inner(p.M, o.x, u, u))
        return map_leaves(lambda a, v: a / root(v, self.eps, self.eps_inside), u, total)


@dataclass(eq=False, repr=False)
class AdadeltaRule(DirectionRule):
    r"""Scale by the ratio of two running means: of the squares of past moves and of directions.

    $v_i = \rho v_{i-1} + (1 - \rho)\,u_i \odot u_i$,
    $d_i = \sqrt{\dfrac{w_{i-1} + \varepsilon}{v_i + \varepsilon}}\,u_i$ and
    $w_i = \rho w_{i-1} + (1 - \rho)\,d_i \odot d_i$, on each flat factor entry by entry, on a curved one with inner
    products. Take `ConstantStepsize(1.0)`: moves have the units of the point already. This is `torch.optim.Adadelta`.

    Args:
        decay: $\rho \in [0, 1)$, see also `from_halflife`.
        eps: $\varepsilon > 0$; it sets the length of the first moves.
        inner: rule whose direction $u_i$ is; None is the gradient.

    Raises:
        OptionsError: if a parameter is out of its range.

    References:
        [Zeiler:2012].

    Examples:
        >>> AdadeltaRule(0.95).eps
        1e-06
    """

    geometry: ClassVar[str] = "blockwise"

    decay: float = 0.9
    eps: float = 1e-6
    inner: DirectionRule | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_range(self, "decay", 0.0, 1.0, open_low=False)
        check_range(self, "eps", 0.0, math.inf)

    def init(self, p: Any, o: Any) -> Any:
        """Start with zero means."""
        zero = zero_components(p.M, o.x)
        return {"square": zero, "moves": zero}

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Update both means and scale."""
        memory, share, eps = memory_of(self, p, o), 1 - self.decay, self.eps
        square = map_leaves(lambda v, a: torch.lerp(v, a, share), memory["square"], component_inner(p.M, o.x, u, u))
        d = map_leaves(lambda a, w, v: a * ((w + eps).sqrt() / (v + eps).sqrt()), u, memory["moves"], square)
        moves = map_leaves(lambda w, a: torch.lerp(w, a, share), memory["moves"], component_inner(p.M, o.x, d, d))
        memory["square"], memory["moves"] = square, moves
        return d
