"""Criteria on the cost."""

from typing import Any

from manopt_torch.errors import OptionsError
from manopt_torch.plans.options import lane_of
from manopt_torch.plans.stopping.base import StoppingCriterion


class StopWhenCostLess(StoppingCriterion):
    r"""Stop a problem when $f(x_i) < v$, $i \ge 1$.

    Args:
        v: the bound.

    Raises:
        OptionsError: if `v` is not a number.
    """

    def __init__(self, v: float) -> None:
        if not isinstance(v, (int, float)) or v != v:
            raise OptionsError(f"StopWhenCostLess: v must be a number, got {v!r}")
        self.v = v

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare the cost with the bound."""
        if i <= 0:
            return False
        return lane_of(p, o).scalar(o.cost if o.cost is not None else p.get_cost(o.x)) < self.v

    def reason(self, o: Any, i: int) -> str:
        """Name the bound."""
        return f"The algorithm reached a cost below {self.v:g} after {i} iterations."

    def __repr__(self) -> str:
        return f"StopWhenCostLess({self.v:g})"
