"""A list of modules, taken apart into what a step does one after the other, and the state that rules read."""

from typing import Any

from manopt_torch.directions.chain import Chain, ScaleRule
from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.stepsizes.base import Stepsize
from manopt_torch.training.modules.base import GradientProvider, OwnRateRule, SearchedRule
from manopt_torch.training.modules.subspace import Subspace, flattened, gathered


class Program:
    """What a list of modules does: estimate gradients, apply rules to them, search along the result.

    Args:
        modules: gradient providers, then rules and stepsizes in the order in which they act; lists and chains in it are
            taken apart, and what follows a `Subspace` without modules of its own acts inside that subspace.

    Raises:
        OptionsError: if something is no module, or stands where it cannot act.
    """

    def __init__(self, modules: Any) -> None:
        flat = gathered(flattened(modules))
        self.providers: list[GradientProvider] = [m for m in flat if isinstance(m, GradientProvider)]
        flat = flat[len(self.providers) :]
        for module in flat:
            if isinstance(module, GradientProvider):
                raise OptionsError(f"{module!r} makes gradients and would discard what comes before: put it first")
        searches = [m for m in flat if isinstance(m, Stepsize)]
        if len(searches) > 1:
            raise OptionsError(f"a chain has one line search at most, got {', '.join(map(repr, searches))}")
        self.search: Any = flat.pop() if flat and isinstance(flat[-1], Stepsize) else None
        flat = [SearchedRule(m) if isinstance(m, Stepsize) else m for m in flat]
        if self.search is not None or any(isinstance(m, (ScaleRule, SearchedRule)) for m in flat):
            flat = [m for m in flat if not isinstance(m, OwnRateRule)]
        self.rules: list[Any] = flat
        for rule in self.rules:
            if rule.asks_stepsize:
                raise OptionsError(f"{type(rule).__name__} asks for the step size, which modules do not know")
            if isinstance(rule, Subspace) and rule.gradient_free and rule is not self.rules[0]:
                raise OptionsError(f"{rule!r} looks at no direction, and would discard what comes before: put it first")
        Chain(self.rules)  # refuses what would discard its predecessors
        self.needs_gradient: bool = not (self.rules and getattr(self.rules[0], "gradient_free", False))

    def decorated(self, p: Any, i: int) -> Any:
        """Return the problem as the gradient providers show it in iteration `i`."""
        for provider in self.providers:
            p = provider.problem(p, turn=i - 1)
        return p

    def moved(self, p: Any, o: Any, i: int) -> Any:
        """Return where one step leads from `o.x`; for programs whose rules are not split among groups."""
        u = None
        for rule in self.rules:
            u = rule(p, o, i, u)
        return landed(self, p, o, i, o.gradient if u is None else u)


def landed(program: Program, p: Any, o: Any, i: int, u: Any) -> Any:
    """Return where the step along minus `u` ends: at its full length, or where the search says."""
    M, lane, search = p.M, o.lane, program.search
    if search is None:
        return M.retract(o.x, map_leaves(lambda leaf: -leaf, u))
    if not getattr(search, "takes_any_direction", False):
        slope = lane.scalar(M.inner(o.x, o.gradient, u))
        u = lane.pick(slope > 0, u, o.gradient)
    eta = map_leaves(lambda leaf: -leaf, u)
    s = search(p, o, i, eta)
    trial, o.trial = o.trial, None
    o.last_stepsize = s
    if trial is not None:
        return trial.x
    # a direction that is not finite has been searched in vain
    return lane.pick(s != 0, M.retract(o.x, eta, s), o.x)


class StepState:
    """What rules and searches read during one step; cost and gradient are evaluated when first asked for."""

    retraction_method = trial = along = last_stepsize = _cost = _gradient = None
    stagnated = None  # a step in vain does not end the training

    def __init__(self, p: Any, x: Any, lane: Any, memory: Any, i: int, *, needs_gradient: bool = True) -> None:
        self.p, self.x, self.lane, self.memory, self.iteration = p, x, lane, memory, i
        self.evaluated_together = needs_gradient

    @property
    def active(self) -> Any:
        """Everything moves."""
        return self.lane.full(True)

    @property
    def gradient(self) -> Any:
        """The Riemannian gradient at `x`."""
        if self._gradient is None:
            cost, self._gradient = (
                self.p.estimate(self.x) if _estimates(self.p) else self.p.get_cost_and_gradient(self.x)
            )
            if self._cost is None and cost is not None:
                self._cost = cost
        return self._gradient

    @property
    def cost(self) -> Any:
        """The cost at `x`, shape `(*batch,)`."""
        if self._cost is None and self.evaluated_together:
            _ = self.gradient
        if self._cost is None:
            self._cost = self.p.get_cost(self.x)
        return self._cost


def _estimates(p: Any) -> bool:
    return hasattr(p, "estimate")
