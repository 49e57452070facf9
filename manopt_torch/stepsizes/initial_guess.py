"""First trials of line searches."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from manopt_torch.functional.ray import Ray
from manopt_torch.manifolds import Euclidean
from manopt_torch.plans.options import Functor, check_range


class InitialGuess(Functor, ABC):
    """Choose the first step that a line search tries: called as `(ray, i, last)`.

    The search shortens the guess to its `max_stepsize`, by default the injectivity radius.
    """

    @abstractmethod
    def __call__(self, ray: Ray, i: int, last: Any) -> Any:
        """Return the first step of iteration `i`; `last` is the step taken before, or the initial step size."""


@dataclass(eq=False)
class ConstantInitialGuess(InitialGuess):
    """Begin every search with the same step; 1 is the one for directions of Newton's kind.

    Args:
        length: the step.

    Raises:
        OptionsError: if the length is not positive.
    """

    length: float = 1.0

    def __post_init__(self) -> None:
        """Check the range."""
        check_range(self, "length", 0.0, float("inf"))

    def __call__(self, ray: Ray, i: int, last: Any) -> Any:
        """Return the length."""
        return ray.lane.full(float(self.length))


@dataclass(eq=False)
class ArmijoInitialGuess(InitialGuess):
    """Begin with the step that was taken last, in the first iteration with the initial step size.

    For directions of gradient's kind, whose good steps change slowly. As all guesses it is shortened to the
    `max_stepsize` of the search.
    """

    def __call__(self, ray: Ray, i: int, last: Any) -> Any:
        """Return the last step."""
        return last


@dataclass(eq=False)
class HagerZhangInitialGuess(InitialGuess):
    r"""Begin where a parabola along the ray has its minimum.

    In the first iteration the step is, with the direction $\eta$, $\psi_0 \lVert x \rVert_\infty / \lVert \eta
    \rVert_\infty$ in a Euclidean space, otherwise or for $x = 0$ it is $\psi_0 |f(x)| / \lVert \eta \rVert^2$, and 1
    where $f(x) = 0$. Later the cost is evaluated at $r = \psi_1 s$ with the last step $s$; if it is not higher and
    the parabola with this value, the value and the slope at 0 opens upwards, its minimum is the guess, else
    $\psi_2 s$.

    Args:
        psi0: $\psi_0$.
        psi1: $\psi_1$.
        psi2: $\psi_2$.
        first: first step of a run instead; None is the rule above.
        quadratic: whether to fit the parabola, which costs one evaluation.

    Raises:
        OptionsError: if a number is out of its range.

    References:
        [HagerZhang:2006b], section 4.
    """

    psi0: float = 0.01
    psi1: float = 0.01
    psi2: float = 2.0
    first: float | None = None
    quadratic: bool = True

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_range(self, "psi0", 0.0, 1.0)
        check_range(self, "psi1", 0.0, 1.0)
        check_range(self, "psi2", 1.0, float("inf"))
        if self.first is not None:
            check_range(self, "first", 0.0, float("inf"))

    def __call__(self, ray: Ray, i: int, last: Any) -> Any:
        """Return the guess."""
        return self._first(ray) if i <= 1 else self._later(ray, last)

    def _first(self, ray: Ray) -> Any:
        lane, start = ray.lane, ray.start
        if self.first is not None:
            return lane.full(float(self.first))
        size = abs(start.value)
        length = ray.length()
        guess = lane.where(size > 0.0, self.psi0 * lane.div(size, length * length), 1.0)
        if isinstance(ray.M, Euclidean):
            reach = lane.size(start.trial.x)
            guess = lane.where(reach > 0.0, self.psi0 * lane.div(reach, lane.size(ray.direction)), guess)
        return lane.where(lane.isfinite(guess) & (guess > 0.0), guess, 1.0)

    def _later(self, ray: Ray, last: Any) -> Any:
        lane, start = ray.lane, ray.start
        grown = self.psi2 * last
        if not self.quadratic:
            return grown
        r = self.psi1 * last
        value = lane.trial_cost(ray.probe(r).cost)
        curvature = lane.div(value - start.value - start.slope * r, r * r)
        opens = (value <= start.value) & lane.isfinite(curvature) & (curvature > 0.0)
        minimum = lane.div(-0.5 * start.slope, curvature)
        return lane.where(opens & (minimum > 0.0) & lane.isfinite(minimum), minimum, grown)
