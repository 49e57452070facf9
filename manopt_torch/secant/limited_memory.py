"""The operator of a few pairs of vectors."""

from typing import Any, ClassVar

from manopt_torch.functional.limited_memory import empty_memory, pushed, two_loop
from manopt_torch.manifolds.points import map_leaves, new_axis
from manopt_torch.secant.operator import Operator, Secant, first_scale, transport_of


class LimitedMemory(Operator):
    """The inverse BFGS operator of the newest pairs, in buffers of shape `(*batch, size, *point_shape)`.

    All pairs are carried along at each step, each problem has its own.
    """

    fields: ClassVar[tuple[str, ...]] = ("steps", "changes")

    def __init__(self, size: int) -> None:
        self.size = size

    def start(self, p: Any, o: Any) -> dict[str, Any]:
        """Return empty buffers."""
        return {name: empty_memory(p.M, o.x, self.size) for name in self.fields}

    def applied(self, p: Any, o: Any, i: int) -> Any:
        """Return the operator applied to the gradient."""
        lane, M = o.lane, p.M

        def initial(q: Any, ratio: Any) -> Any:
            if p.preconditioner is not None:
                return lane.scale(o.initial_scale, p.get_preconditioner(o.x, q))
            scale = o.initial_scale * ratio
            if not (lane.lone and o.pairs):
                scale = lane.where(o.pairs == 0, first_scale(p, o), scale)
            return lane.scale(scale, q)

        # in a batch, a problem has one pair for each former iteration at most
        used = o.pairs if lane.lone else min(self.size, i - 1)
        return two_loop(M, lane, o.x, o.gradient, o.steps, o.changes, used, initial)

    def learned(self, p: Any, o: Any, found: Secant) -> dict[str, Any]:
        """Carry the pairs to the new point and put the new one behind them."""
        M, lane = p.M, o.lane
        carry, new = transport_of(M, o.transport_method), {}
        if not self.size:
            return {}
        x, y = new_axis(o.x, M.point_shape), new_axis(found.x, M.point_shape)
        for name, vector in (("steps", found.s), ("changes", found.y)):
            there = carry(x, y, getattr(o, name))
            new[name] = lane.pick(found.keep, pushed(M, there, vector), there)
        new["pairs"] = lane.min(lane.where(found.keep, o.pairs + 1, o.pairs), self.size)
        return new

    def forgotten(self, p: Any, o: Any, mask: Any) -> dict[str, Any]:
        """Empty the buffers of the masked problems."""
        new = {}
        for name in self.fields:
            held = getattr(o, name)
            new[name] = o.lane.pick(mask, map_leaves(lambda leaf: leaf * 0, held), held)
        return new
