"""Functions of one variable as rays: searches along them by hand, with the steps they try."""

import math
from collections.abc import Callable
from typing import Any

import torch

from manopt_torch import Euclidean
from manopt_torch.functional.linesearch import Found, Trial
from manopt_torch.functional.masked import Lone
from manopt_torch.functional.ray import Ray, Sample

Line = Callable[[float], tuple[float, float]]  # a step to the cost and the slope there


def parabola(a: float) -> Line:
    """Return a s^2 / 2 - s, with slope -1 at zero and its minimum at 1 / a."""
    return lambda s: (0.5 * a * s * s - s, a * s - 1.0)


def wall(s: float) -> tuple[float, float]:
    """Return a cost that looks as if it fell, but is higher everywhere."""
    return (1.0 if s else 0.0), -1.0


def descent(s: float) -> tuple[float, float]:
    """Return a cost that falls for ever."""
    return -s, -1.0


def along(
    search: Any,
    f: Line,
    rule: Any,
    step: float = 1.0,
    *,
    longest: float = math.inf,
    slack: float = 0.0,
    floor: float = 0.0,
    reached: float = 0.0,
) -> tuple[Found, list[float]]:
    """Search along `f` in a lone run; return what is found and the steps tried."""
    tried: list[float] = []

    def trial(s: float) -> Trial:
        return Trial(s, torch.tensor(f(s)[0], dtype=torch.float64), None)

    def probe(s: float) -> Trial:
        tried.append(s)
        return trial(s)

    def differentiate(at: Trial) -> tuple[Any, float]:
        return torch.zeros(1), f(at.x)[1]

    start = Sample(0.0, *f(0.0), trial(0.0))
    ray = Ray(
        Lone(),
        Euclidean(1),
        None,
        start,
        longest,
        slack,
        probe,
        differentiate,
        smallest=lambda: floor,
        squared_length=lambda: 1.0,
        reached=reached,
    )
    return search(ray, step, True, rule), tried
