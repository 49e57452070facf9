"""What a direction rule is, and how a solver asks for a direction."""

from abc import ABC, abstractmethod
from dataclasses import fields, is_dataclass
from typing import Any, ClassVar

import torch

from manopt_torch._keywords import what_came
from manopt_torch.directions.components import is_elementwise
from manopt_torch.errors import MissingDerivativeError, OptionsError
from manopt_torch.manifolds.points import first_leaf, map_leaves
from manopt_torch.plans.options import Functor, functors_of, memory_of
from manopt_torch.problems.counted import bare_problem

GEOMETRIES = ("riemannian", "blockwise", "euclidean")


class DirectionRule(Functor, ABC):
    r"""Choose where to go: called as `(p, o, i)` or `(p, o, i, u)`, it returns a tangent vector at `o.x`.

    The vector is signed like the gradient: the solver moves along its negative, and multiplies it by the step size
    itself, once. `u` is the vector to start from, the gradient if None; so rules nest, by `inner=` or in a `Chain`.

    A rule of one's own writes `change`, and `init` if it remembers something. `geometry` says where it makes sense:
    "riemannian" everywhere; "blockwise" everywhere too, with a scale for each entry on flat factors and one scale for
    each curved factor; "euclidean" only where each entry of a tangent vector stands for itself.

    Examples:
        >>> import torch
        >>> from dataclasses import dataclass
        >>> from manopt_torch import ConstantStepsize, DirectionRule, Euclidean, steepest_descent
        >>> @dataclass(eq=False)
        ... class DoubleRule(DirectionRule):
        ...     inner: DirectionRule | None = None
        ...
        ...     def change(self, p, o, i, u):
        ...         return o.lane.scale(2.0, u)
        >>> step = {"stepsize": ConstantStepsize(0.25), "direction": DoubleRule()}
        >>> steepest_descent(Euclidean(1), lambda x: (x * x).sum(-1), torch.ones(1), **step)
        tensor([0.])
    """

    geometry: ClassVar[str] = "riemannian"
    # what a problem must provide besides the gradient, checked before the first iteration
    needs: ClassVar[tuple[str, ...]] = ()
    # whether the rule makes its direction from scratch: it then has no inner rule, and comes first in a chain
    replaces: ClassVar[bool] = False
    # whether the rule asks the stepsize itself, which then must not be a line search
    asks_stepsize: ClassVar[bool] = False

    inner: Any = None

    def __call__(self, p: Any, o: Any, i: int, u: Any = None) -> Any:
        """Return the direction of iteration `i`."""
        if self.inner is not None:
            u = self.inner(p, o, i, u)
        return self.change(p, o, i, o.gradient if u is None else u)

    @abstractmethod
    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Return what the rule makes of the tangent vector `u`."""

    def __repr__(self) -> str:
        known = fields(self) if is_dataclass(self) else ()
        told = [f"{f.name}={getattr(self, f.name)!r}" for f in known if getattr(self, f.name) != f.default]
        return f"{type(self).__name__}({', '.join(told)})"


def remember(p: Any, o: Any, tangents: tuple[str, ...], **rest: Any) -> dict[str, Any]:
    """Return a memory with zero tangent vectors of these names, the point they belong to, and further entries."""
    memory = {name: p.M.zero_tangent(o.x) for name in tangents} | rest
    # where transport does nothing there is nothing to carry, and no point to keep
    return memory if is_elementwise(p.M) else memory | {"x": o.x}


def carried(rule: DirectionRule, p: Any, o: Any, *names: str) -> dict[str, Any]:
    """Return the rule's memory with its tangent vectors carried to `o.x`, if the point has moved since."""
    memory = memory_of(rule, p, o)
    former = memory.get("x")
    if former is not None and former is not o.x:
        for name in names:
            memory[name] = p.M.transport(former, o.x, memory[name])
        memory["x"] = o.x
    return memory


def check_direction(p: Any, o: Any) -> None:
    """Raise unless the rules of `o.direction` suit the problem; solvers call it at the start of a run.

    Raises:
        OptionsError: if a rule makes sense in Euclidean space only and the manifold is another.
        MissingDerivativeError: if a rule needs what the problem lacks.
    """
    if o.direction is None:
        return
    provides = bare_problem(p).provides
    for rule in reversed(rules_of(o.direction)):  # a chain is as restrictive as a member: name the member
        if rule.geometry == "euclidean" and not is_elementwise(p.M):
            raise OptionsError(
                f"{type(rule).__name__} changes single entries, which makes no tangent vector on {p.M!r}: it works on "
                "Euclidean spaces, angles, and products and powers of these"
            )
        for need in rule.needs:
            if need not in provides:
                raise MissingDerivativeError(f"{type(rule).__name__} needs a {need}: use HessianProblem")


def check_rule(owner: Any, *, searched: bool) -> None:
    """Raise an OptionsError unless `owner.direction` is None or a rule that fits the stepsize and has no part twice."""
    direction, name = owner.direction, type(owner).__name__
    if direction is None:
        return
    if not isinstance(direction, DirectionRule):
        came = what_came(direction)
        raise OptionsError(f"{name}: direction must be a rule such as HeavyBallRule(0.9), got {came}")
    rules = rules_of(direction)
    for rule in rules:
        if rule.inner is not None and not isinstance(rule.inner, DirectionRule):
            raise OptionsError(f"{type(rule).__name__}: inner must be a direction rule, got {rule.inner!r}")
        if searched and rule.asks_stepsize:
            raise OptionsError(f"{name}: {type(rule).__name__} asks for the step size, which a line search cannot tell")
    if len({id(rule) for rule in rules}) < len(rules):
        raise OptionsError(f"{name}: a rule occurs twice in {direction!r}, and what it remembers would be mixed up")


def rules_of(direction: DirectionRule) -> list[DirectionRule]:
    """List a rule and all rules inside it."""
    return [direction, *(f for _, f in functors_of(direction) if isinstance(f, DirectionRule))]


def direction_of(p: Any, o: Any, i: int, *, searched: bool = False) -> Any:
    """Return the direction along which to move in iteration `i`, None for minus the gradient.

    Args:
        p: the problem.
        o: the options, with `direction`.
        i: the iteration.
        searched: whether a line search follows. Then problems whose direction does not descend, which momentum and
            adaptive rules may give, take minus the gradient instead.
    """
    if o.direction is None:
        return None
    lane = o.lane
    some_finished = not lane.lone and o.active_count != o.active.numel()
    u = _freezing(p, o, i) if some_finished else o.direction(p, o, i)
    if searched:
        slope = lane.scalar(p.M.inner(o.x, o.gradient, u))
        u = lane.pick(slope > 0, u, o.gradient)
    return map_leaves(torch.neg, u)


def _freezing(p: Any, o: Any, i: int) -> Any:
    """Ask for the direction, and let finished problems remember what they did when they finished."""
    rules = rules_of(o.direction)
    former = [dict(memory_of(rule, p, o) or {}) for rule in rules]
    u = o.direction(p, o, i)
    for rule, old in zip(rules, former, strict=True):
        memory = o.memory[rule]
        for name, value in old.items():
            if isinstance(first_leaf(value), torch.Tensor):
                memory[name] = o.lane.pick(o.active, memory[name], value)
    return u
