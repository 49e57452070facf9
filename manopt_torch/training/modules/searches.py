"""Random search, and guards against steps that make the loss grow."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from manopt_torch.directions.base import DirectionRule
from manopt_torch.directions.draws import generator_for
from manopt_torch.directions.perturb import tangent_of
from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.plans.options import check_count, memory_of

ACTIONS = ("negate", "zero")


@dataclass(eq=False, repr=False)
class RandomSearch(DirectionRule):
    r"""Draw a point uniformly from a box, and go there if its cost is less.

    With a step size of one, as in a `ModularOptimizer`. One evaluation an iteration and one at the start of each; a
    baseline for other methods.

    Args:
        low: lower end of the box in every coordinate.
        high: upper end.
        cyclic: whether to draw a single coordinate, one after the other.
        seed: seed of the draws.
        inner: must be None: the direction is made from scratch.

    Raises:
        OptionsError: if the box is empty; at the start, on a curved manifold.

    Examples:
        >>> RandomSearch(-1.0, 1.0, cyclic=True).seed
        0
    """

    geometry: ClassVar[str] = "euclidean"
    replaces: ClassVar[bool] = True
    gradient_free: ClassVar[bool] = True

    low: float = -10.0
    high: float = 10.0
    cyclic: bool = False
    seed: int = 0
    inner: None = None

    def __post_init__(self) -> None:
        """Check the box."""
        if not -math.inf < self.low < self.high < math.inf:
            raise OptionsError(f"RandomSearch: low must be less than high, got {self.low!r} and {self.high!r}")
        check_count(self, "seed", 0)

    def init(self, p: Any, o: Any) -> Any:
        """Count the draws."""
        return {"count": 0}

    def __call__(self, p: Any, o: Any, i: int, u: Any = None) -> Any:
        """Draw, and compare: no gradient is asked for."""
        memory, dim, lane = memory_of(self, p, o), p.M.dim, o.lane
        count = memory["count"]
        memory["count"] = count + 1
        generator = generator_for(self.seed, count)
        c = torch.rand(dim, generator=generator, dtype=torch.float64, device="cpu") * (self.high - self.low) + self.low
        x = tangent_of(p, o, c)  # in flat coordinates
        if self.cyclic:
            place = torch.nn.functional.one_hot(torch.tensor(count % dim, device="cpu"), dim).double()
            chosen = tangent_of(p, o, place)
            x = map_leaves(lambda here, new, one: torch.where(one > 0, new, here), o.x, x, chosen)
        better = lane.trial_cost(p.get_cost(x)) < lane.scalar(o.cost)
        return lane.pick(better, map_leaves(torch.sub, o.x, x), map_leaves(torch.zeros_like, o.x))

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Draw, whatever the vector."""
        return self(p, o, i)


@dataclass(eq=False, repr=False)
class LossIncreaseRule(DirectionRule):
    r"""Look at the cost after the whole step along minus the direction, and change the direction if it has grown.

    One evaluation more an iteration, two where "negate" looks at the other side.

    Args:
        action: "zero" makes no step then; "negate" turns around if that lessens the cost, and makes no step otherwise.
        inner: rule whose direction to judge; None is the gradient.

    Raises:
        OptionsError: if the action is unknown.

    Examples:
        >>> LossIncreaseRule("negate").action
        'negate'
    """

    action: str = "zero"
    inner: DirectionRule | None = None

    def __post_init__(self) -> None:
        """Check the action."""
        if self.action not in ACTIONS:
            raise OptionsError(f"LossIncreaseRule: action must be one of {', '.join(ACTIONS)}, got {self.action!r}")

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Evaluate, and keep, turn or drop the direction."""
        lane, M, cost = o.lane, p.M, o.lane.scalar(o.cost)
        back = map_leaves(torch.neg, u)
        worse = lane.not_(lane.trial_cost(p.get_cost(M.retract(o.x, back))) <= cost)
        if not lane.any(worse):
            return u
        other = map_leaves(torch.zeros_like, u)
        if self.action == "negate":
            lessens = lane.trial_cost(p.get_cost(M.retract(o.x, u))) < cost
            other = lane.pick(lessens, back, other)
        return lane.pick(worse, other, u)
