"""Momentum: directions that remember the former ones."""

from dataclasses import dataclass, field
from typing import Any

import torch

from manopt_torch.directions.base import DirectionRule, carried, remember
from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.plans.options import check_range

VARIANTS = ("torch", "downhill")
DAMPED = ("gradient", "velocity")


@dataclass(eq=False, repr=False)
class HeavyBallRule(DirectionRule):
    r"""Polyak's momentum: a velocity that forgets.

    $v_i = \mu\,\mathcal T_{x_{i-1} \to x_i} v_{i-1} + (1 - \tau)\,u_i$ and $d_i = v_i$, starting with $v_1 = u_1$.
    With a constant step size $s$ on Euclidean space this is `torch.optim.SGD(lr=s, momentum=mu, dampening=tau)`. It
    damps zigzagging in valleys; an effective step is $1 / (1 - \mu)$ times as long as without.

    With `damped="velocity"` the velocity counts for less instead of the gradient, as in torchzero:
    $v_i = \mu\,\mathcal T v_{i-1} + u_i$ and $d_i = u_i + (1 - \tau)\,\mu\,\mathcal T v_{i-1}$.

    Args:
        momentum: $\mu \in [0, 1)$.
        dampening: $\tau \in [0, 1]$.
        inner: rule whose direction $u_i$ is; None is the gradient.
        damped: what $\tau$ takes from, "gradient" or "velocity".

    Raises:
        OptionsError: if a parameter is out of its range.

    References:
        [Polyak:1964].

    Examples:
        >>> import torch
        >>> from manopt_torch import ConstantStepsize, Sphere, steepest_descent
        >>> x = torch.tensor([0.6, 0.8, 0.0], dtype=torch.float64)
        >>> step = {"stepsize": ConstantStepsize(0.1), "direction": HeavyBallRule(0.7)}
        >>> steepest_descent(Sphere(3), lambda x: x[..., 2], x, **step)[2].item() < -0.9999999
        True
    """

    momentum: float = 0.9
    dampening: float = 0.0
    inner: DirectionRule | None = None
    damped: str = field(default="gradient", kw_only=True)

    def __post_init__(self) -> None:
        """Check the ranges."""
        _check_momentum(self)

    def init(self, p: Any, o: Any) -> Any:
        """Start at rest."""
        return remember(p, o, ("velocity",), count=0)

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Add to the velocity."""
        memory = carried(self, p, o, "velocity")
        former, v = memory["velocity"], _advance(self, memory, u)
        if self.damped == "gradient" or not self.dampening:
            return v
        share = (1 - self.dampening) * self.momentum
        return map_leaves(lambda a, b: torch.add(a, b, alpha=share), u, former)


@dataclass(eq=False, repr=False)
class NesterovRule(DirectionRule):
    r"""Nesterov's momentum in the forms that machine learning uses, which need no gradient besides that of the step.

    With the velocity $v_i = \mu\,\mathcal T v_{i-1} + (1 - \tau)\,u_i$, $v_1 = u_1$,

    - "torch": $d_i = u_i + \mu v_i$, as `torch.optim.SGD(nesterov=True)`; with `damped="velocity"`
      $v_i = \mu\,\mathcal T v_{i-1} + u_i$ and $d_i = u_i + (1 - \tau)\,\mu v_i$, as in torchzero;
    - "downhill": $v_i = \mu^2\,\mathcal T v_{i-1} + (1 + \mu)\,u_i$ and $d_i = v_i$, as the package downhill does: a
      heavy ball with momentum $\mu^2$ and a step $1 + \mu$ times as long.

    `ZhangSraRule` is the accelerated method itself, with two sequences of points.

    Args:
        momentum: $\mu \in [0, 1)$.
        dampening: $\tau \in [0, 1]$; for "torch" only.
        variant: "torch" or "downhill".
        inner: rule whose direction $u_i$ is; None is the gradient.
        damped: what $\tau$ takes from, "gradient" or "velocity".

    Raises:
        OptionsError: if a parameter is out of its range.

    References:
        [Nesterov:1983]; [SutskeverMartensDahlHinton:2013].

    Examples:
        >>> NesterovRule(0.9, variant="downhill").momentum
        0.9
    """

    momentum: float = 0.9
    dampening: float = 0.0
    variant: str = "torch"
    inner: DirectionRule | None = None
    damped: str = field(default="gradient", kw_only=True)

    def __post_init__(self) -> None:
        """Check the ranges."""
        _check_momentum(self)
        if self.variant not in VARIANTS:
            raise OptionsError(f"NesterovRule: variant must be one of {', '.join(VARIANTS)}, got {self.variant!r}")
        if self.variant == "downhill" and self.dampening:
            raise OptionsError(f"NesterovRule: the variant 'downhill' has no dampening, got {self.dampening!r}")

    def init(self, p: Any, o: Any) -> Any:
        """Start at rest."""
        return remember(p, o, ("velocity",), count=0)

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Add to the velocity, and look ahead."""
        mu, memory = self.momentum, carried(self, p, o, "velocity")
        if self.variant == "torch":
            share = mu if self.damped == "gradient" else (1 - self.dampening) * mu
            return map_leaves(lambda a, b: torch.add(a, b, alpha=share), u, _advance(self, memory, u))
        v = map_leaves(lambda b, a: torch.add(b * mu**2, a, alpha=1 + mu), memory["velocity"], u)
        memory["velocity"] = v
        return v


def _advance(rule: HeavyBallRule | NesterovRule, memory: dict[str, Any], u: Any) -> Any:
    """Return the new velocity, and remember it."""
    dampened = memory["count"] and rule.damped == "gradient"
    mu, share = rule.momentum, 1 - rule.dampening if dampened else 1.0
    v = map_leaves(lambda b, a: torch.add(b * mu, a, alpha=share), memory["velocity"], u)
    memory["velocity"], memory["count"] = v, memory["count"] + 1
    return v


def _check_momentum(rule: HeavyBallRule | NesterovRule) -> None:
    check_range(rule, "momentum", 0.0, 1.0, open_low=False)
    check_range(rule, "dampening", 0.0, 1.0, open_low=False, open_high=False)
    if rule.damped not in DAMPED:
        raise OptionsError(f"{type(rule).__name__}: damped must be one of {', '.join(DAMPED)}, got {rule.damped!r}")
