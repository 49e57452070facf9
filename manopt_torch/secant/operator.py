"""What the two kinds of quasi-Newton operator have in common: transport, curvature, and the first direction."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch

from manopt_torch.functional.masked import Lane
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import first_leaf, leaves
from manopt_torch.plans.gradient_norm import gradient_norm


class Secant(NamedTuple):
    """What a step tells of the Hessian, as tangent vectors at the new point."""

    x: Any  # the new point
    s: Any  # the step
    y: Any  # the change of the gradient
    keep: Any  # for which problems it is to be used


class Operator(ABC):
    """An approximate inverse Hessian that lives in the state fields of the options named by `fields`."""

    fields: ClassVar[tuple[str, ...]]

    @abstractmethod
    def start(self, p: Any, o: Any) -> dict[str, Any]:
        """Return the state fields at the start of a run."""

    @abstractmethod
    def applied(self, p: Any, o: Any, i: int) -> Any:
        """Return the operator applied to the gradient in iteration `i`."""

    @abstractmethod
    def learned(self, p: Any, o: Any, found: Secant) -> dict[str, Any]:
        """Return the state fields at the new point, improved where the step is to be kept."""

    @abstractmethod
    def forgotten(self, p: Any, o: Any, mask: Any) -> dict[str, Any]:
        """Return the state fields with those of the masked problems back at their start."""


def transport_of(M: Manifold, method: str | None) -> Callable[[Any, Any, Any], Any]:
    """Return the transport of tangent vectors of this name."""
    return M.parallel_transport if method == "parallel" else M.transport


def secant_products(lane: Lane, M: Manifold, x: Any, s: Any, y: Any) -> tuple[Any, Any, Any]:
    r"""Return where $\langle s, y\rangle$ is positive beyond rounding, that product, and $\lVert s\rVert^2$."""
    eps = torch.finfo(first_leaf(x).dtype).eps
    sy, ss, yy = (lane.scalar(M.inner(x, a, b)) for a, b in ((s, y), (s, s), (y, y)))
    return (sy > 0.0) & (sy * sy > eps * eps * ss * yy), sy, ss


def without_pairs(p: Any, o: Any) -> Any:
    r"""Return the operator before it has learned anything, applied to the gradient $g$.

    That is $\sigma P g$ with the preconditioner, else $\sigma \min\{1, 1/\lVert g\rVert\}\, g$: a step along it is not
    longer than $\sigma$.
    """
    if p.preconditioner is not None:
        return o.lane.scale(o.initial_scale, p.get_preconditioner(o.x, o.gradient))
    return o.lane.scale(first_scale(p, o), o.gradient)


def first_scale(p: Any, o: Any) -> Any:
    r"""Return $\sigma \min\{1, 1/\lVert g\rVert\}$."""
    lane = o.lane
    return o.initial_scale * lane.min(lane.div(1.0, gradient_norm(p, o)), 1.0)


def same(a: Any, b: Any) -> bool:
    """Tell whether two trees are made of the same tensors."""
    return all(one is other for one, other in zip(leaves(a), leaves(b), strict=True))
