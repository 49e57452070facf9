"""What backtracking line searches share: both faces, the first step, and whether steps still move the point."""

from abc import abstractmethod
from typing import Any, TypeAlias

from manopt_torch._typing import Scalar
from manopt_torch.functional.linesearch import Found, rounding
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import first_leaf
from manopt_torch.plans.gradient_norm import gradient_norm
from manopt_torch.plans.options import lane_of
from manopt_torch.stepsizes.base import Linesearch

# how often (in iterations) accepted steps are compared with the smallest that still moves the point: two in a row, as
# a solver may answer the first by another direction, and goes on for ever if the step along that one is not looked at
LOOK_FOR_STAGNATION = 16

# the direction of a search, up to its sign, with its slope and squared length
Way: TypeAlias = tuple[Any, Scalar, Scalar]


class TwoFacedLinesearch(Linesearch):
    """Base of the line searches that are called in a run, or on a function alone.

    A subclass is a dataclass; a field `initial_stepsize`, if it has one, is what a run begins with.
    """

    def __call__(
        self, p: Any = None, o: Any = None, i: Any = None, eta: Any = None, /, *rest: Any, **named: Any
    ) -> Any:
        """Search as `(p, o, i[, eta])` in a run, or as `(M, x, F, gradient[, eta])` without one."""
        # a problem is what evaluates trials; to ask for the class of a manifold takes ten times as long
        if hasattr(p, "trial") and not (rest or named):  # at once what is asked nearly always
            return self._search_in_run(p, o, i, eta)
        given = [p, o, i, eta, *rest]
        while given and given[-1] is None:  # left out, or given by name
            given.pop()
        in_run = "M" not in named and (p is None or hasattr(p, "trial"))
        return (self._search_in_run if in_run else self._search_alone)(*given, **named)

    @abstractmethod
    def _search_in_run(self, p: Any, o: Any, i: int, eta: Any = None) -> Any:
        """Search in a run: return the step, and leave the accepted trial in `o.trial`."""

    @abstractmethod
    def _search_alone(self, M: Manifold, x: Any, F: Any, gradient: Any, eta: Any = None) -> Any:
        """Search without problem and options: return the step."""

    def initial(self, p: Any, o: Any) -> Any:
        """Return the initial step size."""
        return lane_of(p, o).full(float(getattr(self, "initial_stepsize", 1.0)))


def downhill(p: Any, o: Any) -> Way:
    """Return the way along minus the gradient at the iterate."""
    norm = gradient_norm(p, o)
    return o.gradient, -norm * norm, norm * norm


def way_along(M: Any, lane: Any, x: Any, gradient: Any, eta: Any, slope: Any) -> Way:
    """Return the way of a search along `eta`; its slope is computed if that is None."""
    inner = M.inner_at(x)
    slope = lane.scalar(inner(gradient, eta)) if slope is None else slope
    return eta, slope, lane.scalar(inner(eta, eta))


def capped(lane: Any, step: Any, radius: Any, squared_length: Any) -> Any:
    """Shorten the first trial to the radius; a lone run compares squares, to save the root in the usual case."""
    if lane.lone and not step * step * squared_length > radius * radius:
        return step
    return lane.min(lane.div(radius, lane.sqrt(squared_length)), step)


def smallest_step(lane: Any, x: Any, direction: Any) -> Any:
    """Return the step below which rounding swallows the whole move."""
    return lane.div(rounding(first_leaf(x).dtype) * lane.size(x), lane.size(direction))


def note_stagnation(o: Any, i: int, direction: Any, found: Found) -> None:
    """Mark the problems whose search was in vain, and now and then those whose steps no longer move the point."""
    if o.stagnated is None:  # called by hand before the run was initialised
        return
    o.stagnated = o.stagnated | found.failed
    if i >= LOOK_FOR_STAGNATION and i % LOOK_FOR_STAGNATION < 2:
        o.stagnated = o.stagnated | (o.active & (found.step <= smallest_step(o.lane, o.x, direction)))
