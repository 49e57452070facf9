"""What a rule of the conjugate gradient method is, and what it is shown."""

from abc import ABC, abstractmethod
from typing import Any

import torch

from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.plans.options import Functor


class Proposal:
    r"""What a step has found before it is committed; it stands in `o.proposal` while the rules are asked.

    The options still hold the former point `o.x` with `o.gradient`, `o.preconditioned`, `o.square`, `o.direction` and
    `o.slope`. In the formulas of the rules these are $g$, $\delta$, ..., the new ones $g_+$, and $\mathcal T$ is the
    transport from the former point to the new one.

    Args:
        x: the new point.
        gradient: the gradient there, $g_+$.
        preconditioned: the preconditioner applied to it, $P g_+$; the gradient itself if there is none.
        carried: the former direction transported there, $\mathcal T\delta$.
        square: $\langle g_+, P g_+\rangle$, in the form of the lane.
        along: $\langle g_+, \mathcal T\delta\rangle$, likewise.
        inner: the inner product at the new point, a function of two tangent vectors, see `Manifold.inner_at`.
    """

    __slots__ = (
        *(
            "_carried_gradient",
            "_change",
            "along",
            "carried",
            "gradient",
            "inner",
            "preconditioned",
            "slope",
            "square",
            "x",
        ),
    )

    def __init__(
        self, x: Any, gradient: Any, preconditioned: Any, carried: Any, square: Any, along: Any, inner: Any
    ) -> None:
        self.x = x
        self.gradient = gradient
        self.preconditioned = preconditioned
        self.carried = carried
        self.square = square
        self.along = along
        self.inner = inner
        self.slope: Any = None  # of the new direction, once the coefficient is known
        self._change: Any = None
        self._carried_gradient: Any = None

    def change(self, p: Any, o: Any) -> Any:
        r"""Return the change of the gradient, $y = g_+ - \mathcal T g$, computed once for all rules of a step."""
        if self._change is None:
            self._change = map_leaves(torch.sub, self.gradient, p.M.transport(o.x, self.x, o.gradient))
        return self._change

    def along_change(self, p: Any, o: Any) -> Any:
        r"""Return $\langle y, \mathcal T\delta\rangle$ as the difference of two slopes."""
        former = self._former(p, o) if self._carried_gradient is None else self._carried_gradient
        return self.along - o.lane.scalar(self.inner(former, self.carried))

    def square_change(self, p: Any, o: Any) -> Any:
        r"""Return $\langle P g_+, y\rangle$, likewise."""
        return self.square - self.mixed(p, o)

    def mixed(self, p: Any, o: Any) -> Any:
        r"""Return $\langle P g_+, \mathcal T g\rangle$."""
        former = self._former(p, o) if self._carried_gradient is None else self._carried_gradient
        return o.lane.scalar(self.inner(self.preconditioned, former))

    def _former(self, p: Any, o: Any) -> Any:
        r"""Return what has the same inner products with tangent vectors at the new point as $\mathcal T g$ has."""
        projects = p.M.is_embedded and type(p.M).transport is Manifold.transport
        self._carried_gradient = o.gradient if projects else p.M.transport(o.x, self.x, o.gradient)
        return self._carried_gradient


class ConjugateCoefficient(Functor, ABC):
    r"""Choose the $\beta$ of the next direction $-P g_+ + \beta\,\mathcal T\delta$.

    Called as `(p, o, i)` after the point of iteration `i` has been found and before it is committed: the options
    hold the former point, `o.proposal` (a `Proposal`) the new one. A value that is not finite counts as zero.
    """

    @property
    def makes_conjugate(self) -> bool:
        """Whether successive directions are nearly conjugate, after loose line searches too."""
        return True

    @abstractmethod
    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Return a number, or a tensor of shape `(*batch,)` with a coefficient for each problem."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class RestartCondition(Functor, ABC):
    """Tell which problems give up their direction and go on along minus the (preconditioned) gradient.

    Called as `(p, o, i)` like a `ConjugateCoefficient`; `o.proposal.slope` is the slope of the direction in question.
    """

    @abstractmethod
    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Return a bool, or a tensor of shape `(*batch,)`."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
