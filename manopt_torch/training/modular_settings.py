"""Settings of modules as entries of parameter groups, where schedulers change them, and rules split among groups."""

import copy
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.product import Product
from manopt_torch.plans.options import functors_of


def settings_of(rules: Sequence[Any]) -> dict[str, tuple[int, str]]:
    """Return the numbers among the rules' parameters by name: which rule, which attribute.

    A name that several rules have is preceded by the place of the rule in the list, as in "2.momentum".
    """
    found: list[tuple[int, str]] = []
    for n, rule in enumerate(rules):
        if is_dataclass(rule):
            found += [(n, f.name) for f in fields(rule) if isinstance(getattr(rule, f.name), (int, float))]
    names = [name for _, name in found]
    return {name if names.count(name) == 1 else f"{n}.{name}": (n, name) for n, name in found}


def adjusted(rule: Any, **settings: Any) -> Any:
    """Return a copy of the rule with these settings, checked."""
    part = copy.copy(rule)
    for name, value in settings.items():
        setattr(part, name, value)
    part.__post_init__()
    return part


class SplitRule:
    """One rule with settings of its own for each parameter group: each group is a point by itself.

    Args:
        rule: the rule.
        settings: for each group, the values in which it differs.
        groups: the places of each group's parameters in the point.
    """

    def __init__(self, rule: Any, settings: Sequence[dict[str, Any]], groups: Sequence[Sequence[int]]) -> None:
        if any(functors_of(rule)):
            raise OptionsError(
                f"{rule!r} has modules inside, which belong to all parameters: its settings "
                "cannot differ between groups"
            )
        self.rule, self.groups = rule, [list(places) for places in groups]
        self.parts: list[Any] = [adjusted(rule, **values) for values in settings]

    def __call__(self, p: Any, o: Any, i: int, u: Any = None) -> Any:
        """Apply each part to its group, and put the directions together."""
        u = o.gradient if u is None else u
        new = list(u)
        for part, places in zip(self.parts, self.groups, strict=True):
            q, state = _GroupProblem(p, places), _GroupState(o, places)
            for n, leaf in zip(places, part(q, state, i, tuple(u[n] for n in places)), strict=True):
                new[n] = leaf
        return tuple(new)

    def divided(self, tree: Any, count: int) -> list[Any]:
        """Return the memory of the whole rule as one for each group; `count` parameters make a point."""
        return [_picked(tree, places, count) for places in self.groups]


class _GroupProblem:
    """The parameters of one group on their own; it cannot be evaluated."""

    def __init__(self, p: Any, places: Sequence[int]) -> None:
        self.M = Product(*(p.M.manifolds[n] for n in places))

    def __getattr__(self, name: str) -> Any:
        raise OptionsError(
            "a module that evaluates the loss cannot have settings that differ between parameter groups: give all "
            "groups the same"
        )


class _GroupState:
    """The state of a step as one group sees it."""

    def __init__(self, o: Any, places: Sequence[int]) -> None:
        self.o, self.places = o, places
        self.x = tuple(o.x[n] for n in places)

    @property
    def gradient(self) -> Any:
        """The gradient of the group's parameters."""
        return tuple(self.o.gradient[n] for n in self.places)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.o, name)


def _picked(tree: Any, places: Sequence[int], count: int) -> Any:
    if isinstance(tree, dict):
        return {key: _picked(value, places, count) for key, value in tree.items()}
    if isinstance(tree, tuple) and len(tree) == count:
        return tuple(tree[n] for n in places)
    return tree


def extended(old: Any, new: Any) -> Any:
    """Return the memory `new` of a longer point, with the entries that `old` has for its first parameters."""
    if isinstance(new, dict):
        return {key: extended(old[key], value) if key in old else value for key, value in new.items()}
    if isinstance(new, tuple) and isinstance(old, tuple) and len(old) < len(new):
        return old + new[len(old) :]
    return old
