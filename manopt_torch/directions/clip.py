"""Limits on the size of directions."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from manopt_torch.directions.base import DirectionRule
from manopt_torch.directions.components import map_factors
from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.points import leaves, map_leaves
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
        order: 2 is the norm of the metric, any other $p \ge 1$ that of the entries in Euclidean space.

    Raises:
        OptionsError: if a parameter is out of its range; at the start of a run, on a curved manifold if $p \ne 2$.

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
    order: float = field(default=2.0, kw_only=True)

    def __post_init__(self) -> None:
        """Check the parameters."""
        check_range(self, "max_norm", 0.0, math.inf)
        _check_norm(self)

    @property
    def geometry(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Where it makes sense: any norm but that of the metric looks at single entries."""
        return "riemannian" if self.order == 2 else "euclidean"

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
        order: 2 is the norm of the metric, any other $p \ge 1$ that of the entries in Euclidean space.

    Raises:
        OptionsError: if a parameter is out of its range; at the start of a run, on a curved manifold if $p \ne 2$.
    """

    length: float = 1.0
    min_norm: float = 0.0
    scope: str = "global"
    inner: DirectionRule | None = None
    order: float = field(default=2.0, kw_only=True)

    def __post_init__(self) -> None:
        """Check the parameters."""
        check_range(self, "length", 0.0, math.inf)
        check_range(self, "min_norm", 0.0, math.inf, open_low=False)
        _check_norm(self)

    @property
    def geometry(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Where it makes sense: any norm but that of the metric looks at single entries."""
        return "riemannian" if self.order == 2 else "euclidean"

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
    lane, order = o.lane, rule.order

    def rescaled(M: Any, x: Any, part: Any) -> Any:
        norm = M.norm(x, part) if order == 2 else _norm_of_entries(lane.shape, part, order)
        return lane.scale(factor(lane.scalar(norm)), part)

    return rescaled(p.M, o.x, u) if rule.scope == "global" else map_factors(rescaled, p.M, o.x, u)


def _norm_of_entries(batch: tuple[int, ...], u: Any, order: float) -> torch.Tensor:
    """Return the p-norm of all entries, shape `(*batch,)`."""
    norms = [torch.linalg.vector_norm(leaf.reshape(*batch, -1), order, dim=-1) for leaf in leaves(u)]
    return torch.linalg.vector_norm(torch.stack(norms, -1), order, dim=-1)


def _check_norm(rule: ClipNormRule | NormalizeRule) -> None:
    if not isinstance(rule.order, (int, float)) or not rule.order >= 1:
        raise OptionsError(f"{type(rule).__name__}: order must be a number >= 1, got {rule.order!r}")
    if rule.scope not in SCOPES:
        raise OptionsError(f"{type(rule).__name__}: scope must be one of {', '.join(SCOPES)}, got {rule.scope!r}")
