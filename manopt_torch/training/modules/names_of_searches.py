"""The names of torchzero's line searches: each makes one of this package."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.plans.options import strict_keywords
from manopt_torch.training.modules.line_searches import GridLinesearch, QuadraticLinesearch, ScalarLinesearch
from manopt_torch.training.modules.names import Normalize


@strict_keywords
def GridLS(
    lrs: Sequence[float] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0),
    stop_on_improvement: bool = False,
    stop_on_worsened: bool = False,
) -> GridLinesearch:
    """Try a list of steps. See `GridLinesearch`."""
    return GridLinesearch(lrs, stop_on_improvement=stop_on_improvement, stop_on_worsened=stop_on_worsened)


@strict_keywords
def BacktrackingLS(init: float = 1.0, mul: float = 0.5, num: int = 10) -> GridLinesearch:
    """Shrink the step until the loss is less than at the start. See `GridLinesearch`; `ArmijoLinesearch` asks more."""
    return GridLinesearch([init * mul**k for k in range(num)], stop_on_improvement=True)


@strict_keywords
def MultiplicativeLS(init: float = 1e-3, mul: float = 2.0, num: int = 10) -> GridLinesearch:
    """Grow the step as long as the loss falls. See `GridLinesearch`."""
    return GridLinesearch([init * mul**k for k in range(num)], stop_on_worsened=True)


@strict_keywords
def LinspaceLS(start: float = 0.1, end: float = 2.0, steps: int = 20) -> GridLinesearch:
    """Try evenly spaced steps from `start` to `end`. See `GridLinesearch`."""
    return GridLinesearch(torch.linspace(start, end, steps, dtype=torch.float64, device="cpu").tolist())


@strict_keywords
def ArangeLS(start: float = 0.1, end: float = 2.0, step: float = 0.1) -> GridLinesearch:
    """Try the steps from `start` to `end`, without it, by `step`. See `GridLinesearch`."""
    if not (step and (end - start) / step > 0):
        raise OptionsError(f"ArangeLS: step must lead from start to end, got {start!r}, {end!r} and {step!r}")
    return GridLinesearch(torch.arange(start, end, step, dtype=torch.float64, device="cpu").tolist())


@strict_keywords
def MinimizeQuadraticLS(lr: float = 1e-2, max_dist: float = 1e4, validate_step: bool = True) -> QuadraticLinesearch:
    """Step to the vertex of a parabola through two values and the slope. See `QuadraticLinesearch`."""
    return QuadraticLinesearch(lr, points=2, max_dist=max_dist, validate_step=validate_step)


@strict_keywords
def MinimizeQuadratic3PointsLS(
    lr: float = 1e-2, max_dist: float = 1e4, validate_step: bool = True
) -> QuadraticLinesearch:
    """Step to the vertex of a parabola through three values. See `QuadraticLinesearch`."""
    return QuadraticLinesearch(lr, points=3, max_dist=max_dist, validate_step=validate_step)


QuadraticInterpolation2Point = MinimizeQuadraticLS


@strict_keywords
def ScipyMinimizeScalarLS(
    method: str = "brent",
    maxiter: int | None = None,
    bracket: Sequence[float] | None = None,
    bounds: tuple[float, float] | None = None,
) -> ScalarLinesearch:
    """Search by `scipy.optimize.minimize_scalar`. See `ScalarLinesearch`."""
    return ScalarLinesearch(method, maxiter, bracket, bounds)


@strict_keywords
def get_line_search(name: str) -> Any:
    """Return a line search by name: backtracking, multiplicative, brent (8 iterations), brent-exact, quadratic, ...

    Raises:
        OptionsError: if there is none of this name.
    """
    known: dict[str, Callable[[], Any]] = {
        "backtracking": BacktrackingLS,
        "multiplicative": MultiplicativeLS,
        "brent": lambda: ScipyMinimizeScalarLS(maxiter=8),
        "brent-exact": ScipyMinimizeScalarLS,
        "brent-norm": lambda: [Normalize(), ScipyMinimizeScalarLS(maxiter=8)],
        "quadratic": MinimizeQuadraticLS,
        "quadratic-3": MinimizeQuadratic3PointsLS,
        "linspace": LinspaceLS,
        "arange": ArangeLS,
    }
    if name not in known:
        raise OptionsError(f"get_line_search: name must be one of {', '.join(known)}, got {name!r}")
    return known[name]()
