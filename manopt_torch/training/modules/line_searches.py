"""Line searches of values alone: the best of a list of steps, the vertex of a parabola, SciPy's scalar methods."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.plans.options import check_count, check_range
from manopt_torch.stepsizes.base import Linesearch, probe

SCALAR_METHODS = ("brent", "golden", "bounded")


class GridLinesearch(Linesearch):
    r"""Try a list of steps and take the one with the least cost, or none if no step improves.

    `BacktrackingLS`, `MultiplicativeLS`, `LinspaceLS` and `ArangeLS` are such lists. No slope is asked for, so that any
    direction will do. Each problem of a batch has its own step.

    Args:
        values: the steps, in the order in which they are tried.
        stop_on_improvement: whether the first step that improves on the start is taken.
        stop_on_worsened: whether to stop when a step is worse than the one before.

    Raises:
        OptionsError: if there is no step, or one that is no finite number.

    Examples:
        >>> GridLinesearch([0.1, 1.0, 10.0]).values
        (0.1, 1.0, 10.0)
    """

    takes_any_direction: ClassVar[bool] = True

    def __init__(
        self, values: Sequence[float], *, stop_on_improvement: bool = False, stop_on_worsened: bool = False
    ) -> None:
        self.values: tuple[float, ...] = tuple(float(v) for v in values)
        if not self.values or not all(map(math.isfinite, self.values)):
            raise OptionsError(f"GridLinesearch: values must be one or more finite numbers, got {values!r}")
        self.stop_on_improvement, self.stop_on_worsened = stop_on_improvement, stop_on_worsened

    def __call__(self, p: Any, o: Any, i: int, eta: Any = None) -> Any:
        """Return the best step, zero where none improves."""
        lane = o.lane
        best = former = lane.scalar(o.cost)
        step, done, kept = lane.full(0.0), lane.not_(o.active), None
        for s in self.values:
            trial = probe(p, o, lane.full(s), eta)
            cost = lane.trial_cost(trial.cost)
            better = lane.not_(done) & (cost < best)
            best, step = lane.where(better, cost, best), lane.where(better, lane.full(s), step)
            if lane.lone and better:
                kept = trial
            if self.stop_on_improvement:
                done = done | better
            if self.stop_on_worsened:
                done, former = done | (cost > former), cost
            if (self.stop_on_improvement or self.stop_on_worsened) and not lane.any(lane.not_(done)):
                break
        o.trial = kept
        _note_stagnation(o, step)
        return step

    def __repr__(self) -> str:
        return f"GridLinesearch({list(self.values)!r})"


class QuadraticLinesearch(Linesearch):
    r"""Step to the vertex of the parabola through a few values along the direction.

    With two points it is through $f(0)$, $f(l)$ and the slope $b$ at 0, with three through $f(0), f(l), f(2l)$; the
    vertex is $-b / 2a$. Where the parabola opens downwards, or the vertex is no improvement, the best of the points
    looked at is taken, $0$ among them.

    Args:
        lr: $l$.
        points: 2 or 3.
        max_dist: longest move, in the norm of the manifold.
        validate_step: whether the cost at the vertex is compared with those of the points.

    Raises:
        OptionsError: if a parameter is out of its range.

    Examples:
        >>> QuadraticLinesearch(1e-2, points=3).max_dist
        10000.0
    """

    takes_any_direction: ClassVar[bool] = True

    def __init__(self, lr: float = 1e-2, *, points: int = 2, max_dist: float = 1e4, validate_step: bool = True) -> None:
        self.lr, self.points, self.max_dist, self.validate_step = lr, points, max_dist, validate_step
        check_range(self, "lr", 0.0, math.inf)
        check_range(self, "max_dist", 0.0, math.inf)
        if points not in (2, 3):
            raise OptionsError(f"QuadraticLinesearch: points must be 2 or 3, got {points!r}")

    def __call__(self, p: Any, o: Any, i: int, eta: Any = None) -> Any:
        """Return the step to the vertex."""
        lane, M, h = o.lane, p.M, float(self.lr)
        eta = map_leaves(torch.neg, o.gradient) if eta is None else eta
        f0 = lane.scalar(o.cost)
        f1 = lane.trial_cost(probe(p, o, lane.full(h), eta).cost)
        best, step = lane.where(f1 < f0, f1, f0), lane.where(f1 < f0, lane.full(h), lane.full(0.0))
        if self.points == 2:
            b = lane.scalar(M.inner(o.x, o.gradient, eta))
            a = (f1 - f0 - b * h) / h**2
        else:
            f2 = lane.trial_cost(probe(p, o, lane.full(2 * h), eta).cost)
            a, b = (f2 - 2 * f1 + f0) / (2 * h**2), (4 * f1 - 3 * f0 - f2) / (2 * h)
            best, step = lane.where(f2 < best, f2, best), lane.where(f2 < best, lane.full(2 * h), step)
        vertex = lane.div(-b, 2 * a)
        farthest = lane.div(float(self.max_dist), lane.scalar(M.norm(o.x, eta)))
        vertex = lane.max(lane.min(vertex, farthest), -farthest)
        usable = (a > 0) & lane.isfinite(vertex)
        vertex = lane.where(usable, vertex, step)
        o.trial = None
        if self.validate_step:
            trial = probe(p, o, vertex, eta)
            cost = lane.trial_cost(trial.cost)
            better = usable & (cost < best)
            o.trial = trial if lane.lone and better else None
            vertex = lane.where(better, vertex, step)
        _note_stagnation(o, vertex)
        return vertex

    def __repr__(self) -> str:
        return f"QuadraticLinesearch({self.lr!r}, points={self.points})"


class ScalarLinesearch(Linesearch):
    """Search along the direction by `scipy.optimize.minimize_scalar`; for a single problem.

    Args:
        method: "brent", "golden" or "bounded".
        maxiter: bound on its iterations; None is SciPy's.
        bracket: interval to start from, SciPy's by default.
        bounds: of the step, for "bounded".

    Raises:
        OptionsError: if a parameter is unknown or out of its range; in a run, if there is a batch.
        ImportError: in a run, if SciPy is missing.

    Examples:
        >>> ScalarLinesearch("golden", maxiter=8).method
        'golden'
    """

    takes_any_direction: ClassVar[bool] = True

    def __init__(
        self,
        method: str = "brent",
        maxiter: int | None = None,
        bracket: Sequence[float] | None = None,
        bounds: tuple[float, float] | None = None,
    ) -> None:
        self.method, self.maxiter, self.bracket, self.bounds = method, maxiter, bracket, bounds
        if method not in SCALAR_METHODS:
            raise OptionsError(f"ScalarLinesearch: method must be one of {', '.join(SCALAR_METHODS)}, got {method!r}")
        if (method == "bounded") is not (bounds is not None):
            raise OptionsError("ScalarLinesearch: bounds go with method='bounded', and that needs them")
        if maxiter is not None:
            check_count(self, "maxiter", 1)

    def __call__(self, p: Any, o: Any, i: int, eta: Any = None) -> Any:
        """Return the best step that SciPy has tried, zero if none improves."""
        lane = o.lane
        if math.prod(lane.shape) != 1:
            raise OptionsError(f"ScalarLinesearch searches for one problem, the run has batch axes {lane.shape}")
        try:
            from scipy.optimize import minimize_scalar
        except ImportError as error:
            raise ImportError("SciPy is missing: pip install manopt_torch[scipy]") from error
        found: list[Any] = [(float(o.cost), 0.0, None)]

        def along(s: float) -> float:
            trial = probe(p, o, lane.full(float(s)), eta)
            cost = float(lane.trial_cost(trial.cost))
            if cost < found[0][0]:
                found[0] = (cost, float(s), trial)
            return cost if math.isfinite(cost) else 1e300  # infinity spoils the brackets

        options = {} if self.maxiter is None else {"maxiter": self.maxiter}
        minimize_scalar(along, method=self.method, bracket=self.bracket, bounds=self.bounds, options=options)
        _, step, o.trial = found[0]
        _note_stagnation(o, lane.full(step))
        return lane.full(step)

    def __repr__(self) -> str:
        return f"ScalarLinesearch({self.method!r})"


def _note_stagnation(o: Any, step: Any) -> None:
    """Tell a solver for which problems no step improves; in training the next batch may."""
    if o.stagnated is not None:
        o.stagnated = o.stagnated | (o.active & (step == 0))
