"""Limits on the size of directions."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from manopt_torch.directions.base import DirectionRule
from manopt_torch.directions.components import map_factors
from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.plans.options import check_range

SCOPES = ("global", "factor")


@dataclass(eq=False, repr=False)
class ClipNormRule(DirectionRule):
    r"""Shorten directions that are too long, $d = \min(1, c / \lVert u\rVert_x)\,u$.

    Use it where the gradient has cliffs.

    Args:
        max_norm: $c$.
        scope: "global" for the norm over the whole point, "factor" for each factor of a product on its own.
        inner: rule whose direction $u$ is; None is the gradient.

    Raises:
        OptionsError: if the norm is not positive or the scope unknown.

    References:
        [PascanuMikolovBengio:2013].

    Examples:
        >>> import torch
        >>> from manopt_torch import ConstantStepsize, Euclidean, StopAfterIteration, steepest_descent
        >>> step = {"stepsize": ConstantStepsize(1.0), "direction": ClipNormRule(0.5), "stop": StopAfterIteration(1)}
        >>> steepest_descent(Euclidean(2), lambda x: (x * x).sum(-1), torch.tensor([3.0, 4.0]), **step)
        tensor([2.7000, 3.6000])
    """

    max_norm: float
    scope: str = "global"
    inner: DirectionRule | None = None

    def __post_init__(self) -> None:
        """Check the parameters."""
        check_range(self, "max_norm", 0.0, math.inf)
        _check_scope(self)

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Shorten."""
        lane = o.lane
        return _rescaled(self, p, o, u, lambda norm: lane.min(1.0, lane.div(float(self.max_norm), norm)))


@dataclass(eq=False, repr=False)
class NormalizeRule(DirectionRule):
    r"""Give directions a fixed length, $d = l\,u / \lVert u\rVert_x$.

    The step size then is the length of the move, whatever the gradient; use one that decreases. Directions shorter than
    `min_norm`, zero among them, are left as they are.

    Args:
        length: $l$.
        min_norm: directions not longer than this are left alone.
        scope: "global" for the norm over the whole point, "factor" for each factor of a product on its own.
        inner: rule whose direction $u$ is; None is the gradient.

    Raises:
        OptionsError: if a parameter is out of its range.
    """

    length: float = 1.0
    min_norm: float = 0.0
    scope: str = "global"
    inner: DirectionRule | None = None

    def __post_init__(self) -> None:
        """Check the parameters."""
        check_range(self, "length", 0.0, math.inf)
        check_range(self, "min_norm", 0.0, math.inf, open_low=False)
        _check_scope(self)

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Rescale."""
        lane, length = o.lane, float(self.length)
        return _rescaled(self, p, o, u, lambda n: lane.where(n > self.min_norm, lane.div(length, n), lane.full(1.0)))


@dataclass(eq=False, repr=False)
class ClipValueRule(DirectionRule):
    r"""Cut off large entries, $d_j = \max(-c, \min(c, u_j))$.

    Args:
        max_value: $c$.
        inner: rule whose direction $u$ is; None is the gradient.

    Raises:
        OptionsError: if the value is not positive; at the start of a run, on a curved manifold.
    """

    geometry: ClassVar[str] = "euclidean"

    max_value: float
    inner: DirectionRule | None = None

    def __post_init__(self) -> None:
        """Check the value."""
        check_range(self, "max_value", 0.0, math.inf)

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Cut off."""
        return map_leaves(lambda leaf: leaf.clamp(-self.max_value, self.max_value), u)


@dataclass(eq=False, repr=False)
class SignRule(DirectionRule):
    r"""Keep the signs only, $d_j = \operatorname{sign} u_j$.

    Args:
        inner: rule whose direction $u$ is; None is the gradient.

    Raises:
        OptionsError: at the start of a run, on a curved manifold.

    References:
        [BernsteinEtAl:2018].
    """

    geometry: ClassVar[str] = "euclidean"

    inner: DirectionRule | None = None

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Take the signs."""
        return map_leaves(torch.sign, u)


def _rescaled(rule: ClipNormRule | NormalizeRule, p: Any, o: Any, u: Any, factor: Callable[[Any], Any]) -> Any:
    """Multiply the direction, or each of its factors, by a function of its norm."""
    lane = o.lane
    if rule.scope == "global":
        return lane.scale(factor(lane.scalar(p.M.norm(o.x, u))), u)
    return map_factors(lambda M, x, part: lane.scale(factor(lane.scalar(M.norm(x, part))), part), p.M, o.x, u)


def _check_scope(rule: ClipNormRule | NormalizeRule) -> None:
    if rule.scope not in SCOPES:
        raise OptionsError(f"{type(rule).__name__}: scope must be one of {', '.join(SCOPES)}, got {rule.scope!r}")
