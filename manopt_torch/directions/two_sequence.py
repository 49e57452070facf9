"""Nesterov's accelerated method with two sequences of points."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from manopt_torch.directions.base import DirectionRule
from manopt_torch.errors import OptionsError
from manopt_torch.plans.options import check_range, memory_of


@dataclass(eq=False, repr=False)
class ZhangSraRule(DirectionRule):
    r"""Accelerate with an estimate sequence, as Zhang and Sra do on manifolds.

    Besides $x_i$ there is a second point $v_i$ (at first the start) and a number $\gamma_i$. With the step size $s$ and
    $\alpha > 0$ from $\alpha^2 = s\,\bar\gamma$, $\bar\gamma = (1 - \alpha)\gamma + \alpha\mu$,

    - $y = \operatorname{retr}_x\bigl(\tfrac{\alpha\gamma}{\gamma + \alpha\mu} \operatorname{retr}^{-1}_x(v)\bigr)$,
    - $x_{i+1} = \operatorname{retr}_y(-s \operatorname{grad} f(y))$,
    - $v_{i+1} = \operatorname{retr}_y\bigl(\tfrac{(1 - \alpha)\gamma}{\bar\gamma} \operatorname{retr}^{-1}_y(v) -
      \tfrac{\alpha}{\bar\gamma} \operatorname{grad} f(y)\bigr)$ and $\gamma_{i+1} = \bar\gamma / (1 + \beta)$.

    The direction is $d = -\tfrac1s \operatorname{retr}^{-1}_x(x_{i+1})$. For costs that are $\mu$-strongly convex with
    an $L$-Lipschitz gradient and steps of $1/L$ the error falls by $1 - \sqrt{\mu/L}$ an iteration near the minimum. An
    iteration evaluates cost and gradient a second time, at $y$.

    Args:
        mu: $\mu > 0$, the strong convexity.
        gamma: $\gamma_1 > 0$.
        shrinkage: $\beta \ge 0$.

    Raises:
        OptionsError: if a parameter is out of its range; at the start of a run, if the manifold has no inverse
            retraction, or the step size is a line search (which would ask for the direction it is to scale).

    References:
        [ZhangSra:2018]. Numbers as in Manopt.jl [Bergmann:2022].

    Examples:
        >>> ZhangSraRule(mu=0.5).shrinkage
        0.8
    """

    replaces: ClassVar[bool] = True
    asks_stepsize: ClassVar[bool] = True

    mu: float = 0.9
    gamma: float = 0.001
    shrinkage: float = 0.8

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_range(self, "mu", 0.0, math.inf)
        check_range(self, "gamma", 0.0, math.inf)
        check_range(self, "shrinkage", 0.0, math.inf, open_low=False)

    def init(self, p: Any, o: Any) -> Any:
        """Start with both points at the start."""
        if not p.M.inverse_retractions:
            raise OptionsError(f"ZhangSraRule needs an inverse retraction, {p.M!r} has none")
        return {"v": o.x, "gamma": o.lane.full(float(self.gamma))}

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Take the step from the point in between, and return the direction that leads there."""
        M, lane, memory, method = p.M, o.lane, memory_of(self, p, o), o.retraction_method
        v, gamma, mu = memory["v"], memory["gamma"], self.mu
        s = lane.full(o.stepsize(p, o, i))
        excess = s * (gamma - mu)
        alpha = 0.5 * (lane.sqrt(excess * excess + 4.0 * s * gamma) - excess)
        after = (1.0 - alpha) * gamma + alpha * mu
        y = M.retract(o.x, M.inverse_retract(o.x, v, method), lane.div(alpha * gamma, gamma + alpha * mu), method)
        g = p.get_gradient(y)
        pull = lane.scale(lane.div((1.0 - alpha) * gamma, after), M.inverse_retract(y, v, method))
        memory["v"] = M.retract(y, lane.axpy(pull, lane.div(-alpha, after), g), None, method)
        memory["gamma"] = after / (1.0 + self.shrinkage)
        return lane.scale(lane.div(-1.0, s), M.inverse_retract(o.x, M.retract(y, g, -s, method), method))
