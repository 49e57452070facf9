"""Criteria on how far the last step went."""

from typing import Any

from manopt_torch.errors import OptionsError
from manopt_torch.plans.distance import distance
from manopt_torch.plans.options import check_range, lane_of
from manopt_torch.plans.stopping.base import StoppingCriterion


class StopWhenChangeLess(StoppingCriterion):
    r"""Stop a problem when $d(x_{i}, x_{i-1}) < \varepsilon$.

    Args:
        eps: the bound.

    Raises:
        OptionsError: if `eps` is negative.
    """

    indicates_convergence = True
    repeatable = True

    def __init__(self, eps: float) -> None:
        self.eps = eps
        check_range(self, "eps", 0.0, float("inf"), open_low=False)

    def init(self, p: Any, o: Any) -> Any:
        """Remember the current iterate; there is no change yet."""
        return {"x": o.x, "change": lane_of(p, o).full(float("inf")), "seen": None}

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare the distance from the former iterate with the bound; asked again at the same `i`, say the same."""
        memory = self.remembered(p, o, i)
        if memory["seen"] is not None and i > 0 and i != memory["seen"]:
            memory["change"] = lane_of(p, o).scalar(distance(p.M, o.x, memory["x"]))
            memory["x"] = o.x
        memory["seen"] = i
        return memory["change"] < self.eps

    def reason(self, o: Any, i: int) -> str:
        """Name the bound."""
        return f"The algorithm performed a step with a change below {self.eps:g} after {i} iterations."

    def __repr__(self) -> str:
        return f"StopWhenChangeLess({self.eps:g})"


class StopWhenStepsizeLess(StoppingCriterion):
    r"""Stop a problem when its last step size $s_i < \varepsilon$.

    Args:
        eps: the bound.

    Raises:
        OptionsError: if `eps` is negative; at the start of a run, if its options have no step size.
    """

    def __init__(self, eps: float) -> None:
        self.eps = eps
        check_range(self, "eps", 0.0, float("inf"), open_low=False)

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare the last step size with the bound."""
        if i <= 0 and not hasattr(o, "last_stepsize"):
            raise OptionsError(f"StopWhenStepsizeLess needs the field last_stepsize, {type(o).__name__} has none")
        if i <= 0 or o.last_stepsize is None:
            return False
        return lane_of(p, o).scalar(o.last_stepsize) < self.eps

    def reason(self, o: Any, i: int) -> str:
        """Name the bound."""
        return f"The algorithm computed a step size below {self.eps:g} after {i} iterations."

    def __repr__(self) -> str:
        return f"StopWhenStepsizeLess({self.eps:g})"
