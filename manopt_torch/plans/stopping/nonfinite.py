"""The criterion for problems that met NaN or infinity."""

from typing import Any

from manopt_torch.plans.options import lane_of
from manopt_torch.plans.stopping.base import StoppingCriterion


class StopWhenNonFinite(StoppingCriterion):
    """Stop a problem whose cost or gradient is NaN or infinite.

    Every run does so by itself, keeping the last finite point; this criterion is for combinations such as
    `StopWhenNonFinite() & StopAfterIteration(10)` and for options stepped by hand.
    """

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Look at the mark that the last step left, or else at the cost."""
        if o.broken is not None:
            return o.broken
        return lane_of(p, o).not_(o.lane.finite(o.cost if o.cost is not None else p.get_cost(o.x)))

    def reason(self, o: Any, i: int) -> str:
        """Name the iteration."""
        return f"The cost or its gradient was non-finite at iteration {i}."

    def __repr__(self) -> str:
        return "StopWhenNonFinite()"
