"""Rules one after the other, and the rules that change nothing or only the length."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from manopt_torch.directions.base import GEOMETRIES, DirectionRule
from manopt_torch.errors import OptionsError


class Chain(DirectionRule):
    r"""Apply rules one after the other, the first to the gradient, each further one to what the former returned.

    `Chain([a, b, c])` is $c(b(a(\operatorname{grad} f)))$. The order matters around rules that are not linear, such as
    clipping.

    Args:
        rules: the rules, innermost first; none gives the gradient.

    Raises:
        OptionsError: if one is no rule, or one that makes its direction from scratch is not the first.

    Examples:
        >>> from manopt_torch import ClipNormRule, NesterovRule, ScaleRule
        >>> len(Chain([ClipNormRule(4.0), ScaleRule(1e-3), NesterovRule(0.9)]).rules)
        3
    """

    def __init__(self, rules: Sequence[DirectionRule]) -> None:
        if not isinstance(rules, (list, tuple)) or not all(isinstance(rule, DirectionRule) for rule in rules):
            raise OptionsError(f"Chain: rules must be a list of direction rules, got {rules!r}")
        for rule in rules[1:]:
            if rule.replaces:
                raise OptionsError(f"Chain: {type(rule).__name__} would discard what comes before it: put it first")
        self.rules: tuple[DirectionRule, ...] = tuple(rules)
        self.inner: Any = None

    @property
    def geometry(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The most restrictive of the members' geometries."""
        return max((rule.geometry for rule in self.rules), key=GEOMETRIES.index, default=GEOMETRIES[0])

    @property
    def replaces(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the first member makes its direction from scratch."""
        return bool(self.rules) and self.rules[0].replaces

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Apply the rules."""
        for rule in self.rules:
            u = rule(p, o, i, u)
        return u

    def __repr__(self) -> str:
        return f"Chain([{', '.join(map(repr, self.rules))}])"


@dataclass(eq=False, repr=False)
class GradientRule(DirectionRule):
    """Take the gradient as it is.

    Args:
        inner: rule whose direction to take instead.
    """

    inner: DirectionRule | None = None

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Return the vector."""
        return u


@dataclass(eq=False, repr=False)
class ScaleRule(DirectionRule):
    r"""Multiply the direction by a number, $d = c\,u$.

    The learning rate of a chain in which something follows that is to see scaled directions; otherwise leave the scale
    to the step size.

    Args:
        factor: $c$.
        inner: rule whose direction to scale; None is the gradient.

    Raises:
        OptionsError: if the factor is no finite number.
    """

    factor: float
    inner: DirectionRule | None = None

    def __post_init__(self) -> None:
        """Check the factor."""
        if not isinstance(self.factor, (int, float)) or not math.isfinite(self.factor):
            raise OptionsError(f"ScaleRule: factor must be a finite number, got {self.factor!r}")

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Scale."""
        return o.lane.scale(float(self.factor), u)


@dataclass(eq=False, repr=False)
class LambdaRule(DirectionRule):
    r"""Apply a function of one's own, $d = P_x\,\varphi(u)$; the result is projected to the tangent space.

    Args:
        function: $\varphi$, takes and returns an array like a tangent vector, with the batch axes in front.
        inner: rule whose direction to change; None is the gradient.

    Raises:
        OptionsError: if the function is not callable.

    Examples:
        >>> import torch
        >>> LambdaRule(torch.nan_to_num).function is torch.nan_to_num
        True
    """

    function: Callable[[Any], Any]
    inner: DirectionRule | None = None

    def __post_init__(self) -> None:
        """Check the function."""
        if not callable(self.function):
            raise OptionsError(f"LambdaRule: function must be callable, got {self.function!r}")

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Apply the function and project."""
        return p.M.project_tangent(o.x, self.function(u))
