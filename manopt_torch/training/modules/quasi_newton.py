"""Limited-memory BFGS as a direction rule."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch

from manopt_torch.directions.base import DirectionRule
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.plans.options import check_count, memory_of
from manopt_torch.secant.limited_memory import LimitedMemory
from manopt_torch.secant.operator import Secant, secant_products


@dataclass(eq=False, repr=False)
class QuasiNewton(DirectionRule):
    r"""Apply the inverse BFGS operator of the last steps and changes of the direction, $d = H u$.

    Steps are read off the points, by `inverse_retract`, so that whatever moves the parameters serves. Put a line search
    behind it. The operator is that of `quasi_newton`; pairs without positive curvature are left out.

    Args:
        memory_size: how many pairs are kept.
        inner: rule whose direction $u$ is; None is the gradient.

    Raises:
        OptionsError: if the size is no positive int.

    References:
        [NocedalWright:2006], section 7.2.

    Examples:
        >>> QuasiNewton(5).memory_size
        5
    """

    memory_size: int = 10
    inner: DirectionRule | None = None

    def __post_init__(self) -> None:
        """Check the size."""
        check_count(self, "memory_size", 1)

    def init(self, p: Any, o: Any) -> Any:
        """Start with empty buffers."""
        buffers = LimitedMemory(self.memory_size).start(p, o)
        return {**buffers, "pairs": o.lane.full(0), "at": o.x, "gradient": p.M.zero_tangent(o.x), "count": 0}

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Learn from the last step, and apply the operator."""
        M, lane, memory = p.M, o.lane, memory_of(self, p, o)
        operator, former, names = LimitedMemory(self.memory_size), memory["at"], ("steps", "changes", "pairs")
        state = SimpleNamespace(x=o.x, gradient=u, lane=lane, initial_scale=1.0, transport_method=None, measured=None)
        for name in names:
            setattr(state, name, memory[name])
        if memory["count"]:
            s = map_leaves(torch.neg, M.inverse_retract(o.x, former))
            y = map_leaves(torch.sub, u, M.transport(former, o.x, memory["gradient"]))
            keep, _, _ = secant_products(lane, M, o.x, s, y)
            state.x = former
            for name, value in operator.learned(p, state, Secant(o.x, s, y, keep)).items():
                memory[name] = value
                setattr(state, name, value)
            state.x = o.x
        # parameters and .grad are overwritten by the steps to come
        memory["at"], memory["gradient"] = map_leaves(torch.clone, o.x), map_leaves(torch.clone, u)
        memory["count"] += 1
        return operator.applied(p, state, i)
