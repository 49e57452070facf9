"""Criteria on how much a value of the run changed in the last step."""

from collections.abc import Callable
from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.plans.options import check_range, lane_of
from manopt_torch.plans.stopping.base import StoppingCriterion
from manopt_torch.plans.symbols import check_symbol, field_of


class StopWhenGradientChangeLess(StoppingCriterion):
    r"""Stop a problem when $\lVert \operatorname{grad} f(x_i) - T \operatorname{grad} f(x_{i-1})\rVert < \varepsilon$.

    $T$ is the transport of the manifold from $x_{i-1}$ to $x_i$.

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
        """Remember the current iterate and its gradient; there is no change yet."""
        return begun(lane_of(p, o), {"x": o.x, "gradient": gradient_at(p, o)})

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare the change with the bound; asked again at the same `i`, say the same."""
        now = {"x": o.x, "gradient": gradient_at(p, o)}

        def change(former: Any) -> Any:
            carried = p.M.transport(former["x"], o.x, former["gradient"])
            return p.M.norm(o.x, map_leaves(torch.sub, now["gradient"], carried))

        return last_change(self, p, o, i, now, change) < self.eps

    def reason(self, o: Any, i: int) -> str:
        """Name the bound."""
        return f"The algorithm changed the gradient in a step by less than {self.eps:g} after {i} iterations."

    def __repr__(self) -> str:
        return f"StopWhenGradientChangeLess({self.eps:g})"


class StopWhenCostChangeLess(StoppingCriterion):
    r"""Stop a problem when $|f(x_i) - f(x_{i-1})| < \varepsilon$.

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
        """Remember the current cost; there is no change yet."""
        return begun(lane_of(p, o), cost_at(p, o))

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare the change with the bound; asked again at the same `i`, say the same."""
        now = cost_at(p, o)
        return last_change(self, p, o, i, now, lambda former: abs(now - former)) < self.eps

    def reason(self, o: Any, i: int) -> str:
        """Name the bound."""
        return f"The algorithm changed the cost in a step by less than {self.eps:g} after {i} iterations."

    def __repr__(self) -> str:
        return f"StopWhenCostChangeLess({self.eps:g})"


class StopWhenRelativeAPosterioriCostChangeLessOrEqual(StoppingCriterion):
    r"""Stop a problem when the cost fell by no more than $\varepsilon$, relative to its size.

    $$\frac{f(x_{i-1}) - f(x_i)}{\max(|f(x_{i-1})|, |f(x_i)|, 1)} \le \varepsilon$$

    It also holds for a step that raises the cost, or leaves it as it is: do not use it with step sizes that take steps
    back or are not monotone.

    Args:
        eps: the bound; None is $10^7$ units of rounding of the cost's type, as L-BFGS-B has it.

    Raises:
        OptionsError: if `eps` is negative.

    References:
        [ZhuByrdLuNocedal:1997], equation (1).
    """

    repeatable = True

    def __init__(self, eps: float | None = None) -> None:
        self.eps = eps
        if eps is not None:
            check_range(self, "eps", 0.0, float("inf"), open_low=False)

    def init(self, p: Any, o: Any) -> Any:
        """Remember the current cost; there is no change yet."""
        return begun(lane_of(p, o), cost_at(p, o))

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare the change with the bound; asked again at the same `i`, say the same."""
        lane, now = lane_of(p, o), cost_at(p, o)

        def change(former: Any) -> Any:
            return lane.div(former - now, lane.max(lane.max(abs(former), abs(now)), 1.0))

        eps = self.eps
        if eps is None:
            kind = o.cost.dtype if isinstance(o.cost, torch.Tensor) else torch.float64
            eps = 1e7 * torch.finfo(kind).eps
        return last_change(self, p, o, i, now, change) <= eps

    def reason(self, o: Any, i: int) -> str:
        """Name the bound."""
        bound = "1e7 units of rounding" if self.eps is None else f"{self.eps:g}"
        return f"The algorithm decreased the cost by no more than {bound}, relative to its size, after {i} iterations."

    def __repr__(self) -> str:
        return f"StopWhenRelativeAPosterioriCostChangeLessOrEqual({'' if self.eps is None else f'{self.eps:g}'})"


class StopWhenEntryChangeLess(StoppingCriterion):
    r"""Stop a problem when a field of the options changed by less than $\varepsilon$ in the last step.

    Args:
        field: name of a field that has a value for each problem, with or without colon, e.g. `"last_stepsize"`.
        eps: the bound.
        distance: `distance(p, o, former, now)` returns one number a problem; None is the largest absolute difference
            of the entries.

    Raises:
        OptionsError: if `eps` is negative, or `field` no name.
        UnknownSymbolError: at the start of a run, if its options have no such field.
    """

    field: str
    eps: float
    distance: Callable[..., Any] | None

    indicates_convergence = True
    repeatable = True

    def __init__(self, field: str, eps: float, *, distance: Callable[..., Any] | None = None) -> None:
        if not isinstance(field, str) or not field_of(field).isidentifier():
            raise OptionsError(f"StopWhenEntryChangeLess: field must be a name such as 'last_stepsize', got {field!r}")
        self.field, self.eps, self.distance = field_of(field), eps, distance
        check_range(self, "eps", 0.0, float("inf"), open_low=False)

    def init(self, p: Any, o: Any) -> Any:
        """Remember the current value; there is no change yet."""
        check_symbol(o, f":{self.field}", ())
        return begun(lane_of(p, o), getattr(o, self.field))

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare the change with the bound; asked again at the same `i`, say the same."""
        lane, now = lane_of(p, o), getattr(o, self.field, None)

        def change(former: Any) -> Any:
            if former is None or now is None:  # not set before the first step
                return lane.full(float("inf"))
            if self.distance is not None:
                return self.distance(p, o, former, now)
            difference = map_leaves(lambda a, b: a - b, now, former)
            return lane.size(difference) if isinstance(difference, (torch.Tensor, tuple)) else abs(difference)

        return last_change(self, p, o, i, now, change) < self.eps

    def reason(self, o: Any, i: int) -> str:
        """Name the field and the bound."""
        return f"The algorithm changed {self.field} in a step by less than {self.eps:g} after {i} iterations."

    def __repr__(self) -> str:
        return f"StopWhenEntryChangeLess({self.field!r}, {self.eps:g})"


# ---- what these criteria remember -----------------------------------------------------------------------------------


def begun(lane: Any, now: Any) -> dict[str, Any]:
    """Return the memory of such a criterion at the start: there has been no step, so the change is infinite."""
    return {"former": now, "change": lane.full(float("inf")), "seen": None}


def last_change(criterion: StoppingCriterion, p: Any, o: Any, i: int, now: Any, change: Callable[[Any], Any]) -> Any:
    """Return how much the value `now` differs from that after the former step, by `change(former)`."""
    memory = criterion.remembered(p, o, i)
    if memory["seen"] is not None and i > 0 and i != memory["seen"]:
        memory["change"] = lane_of(p, o).scalar(change(memory["former"]))
        memory["former"] = now
    memory["seen"] = i
    return memory["change"]


def cost_at(p: Any, o: Any) -> Any:
    """Return the cost at the iterate in the form of the lane."""
    return lane_of(p, o).scalar(o.cost if o.cost is not None else p.get_cost(o.x))


def gradient_at(p: Any, o: Any) -> Any:
    """Return the gradient at the iterate."""
    return o.gradient if o.gradient is not None else p.get_gradient(o.x)
