"""Criteria of evolution strategies, for options with the fields `costs`, `deviations`, `width` and `path`."""

import math
from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.plans.options import check_count, check_range
from manopt_torch.plans.stopping.base import StoppingCriterion


class StopWhenCovarianceIllConditioned(StoppingCriterion):
    r"""Stop a problem when the condition number of its covariance exceeds a bound.

    Args:
        threshold: the bound, at least 1.

    Raises:
        OptionsError: if the bound is below 1.

    Examples:
        >>> StopWhenCovarianceIllConditioned()
        StopWhenCovarianceIllConditioned(1e+14)
    """

    reads = ("deviations",)

    def __init__(self, threshold: float = 1e14) -> None:
        self.threshold = threshold
        check_range(self, "threshold", 1.0, float("inf"), open_low=False)

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare the ratio of the extreme eigenvalues with the bound."""
        if i <= 0:
            return False
        return (o.deviations[..., -1] / o.deviations[..., 0]).square() > self.threshold

    def reason(self, o: Any, i: int) -> str:
        """Name the bound."""
        return f"The condition number of the covariance exceeds {self.threshold:g} after {i} iterations."

    def __repr__(self) -> str:
        return f"StopWhenCovarianceIllConditioned({self.threshold:g})"


class StopWhenBestCostInGenerationConstant(StoppingCriterion):
    r"""Stop a problem when the best cost of a generation has been the same for `n` generations.

    Args:
        n: how many; None is $10 + \lceil 30 d / \lambda\rceil$ with the dimension $d$ and $\lambda$ points.

    Raises:
        OptionsError: if `n` is not an int of at least 1.
    """

    indicates_convergence = True
    reads = ("costs",)

    def __init__(self, n: int | None = None) -> None:
        self.n = n
        if n is not None:
            check_count(self, "n", 1)

    def init(self, p: Any, o: Any) -> Any:
        """Remember the best cost and since when it has been that."""
        best = _best_of_generation(o)
        return {"best": best, "same": torch.zeros_like(best, dtype=torch.int64), "seen": None}

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Count the generations without a change; asked again at the same `i`, say the same."""
        memory = self.remembered(p, o, i)
        if i > 0 and memory["seen"] != i:
            best = _best_of_generation(o)
            memory["same"] = torch.where(best == memory["best"], memory["same"] + 1, 0)
            memory["best"], memory["seen"] = best, i
        return memory["same"] >= (_generations(p, o) if self.n is None else self.n)

    def reason(self, o: Any, i: int) -> str:
        """Say what happened."""
        return f"The best cost of a generation has not changed for many generations, after {i} iterations."

    def __repr__(self) -> str:
        return f"StopWhenBestCostInGenerationConstant({'' if self.n is None else self.n})"


class StopWhenEvolutionStagnates(StoppingCriterion):
    r"""Stop a problem when neither the best nor the median cost of its generations falls any more.

    Of the last fifth of all generations (at least `min_size`, at most `max_size`) the medians over the oldest and over
    the newest part are compared. At most `min_size` are remembered: of a longer history every second, third, ...

    Args:
        min_size: shortest history; None is $120 + 30 \lceil d / \lambda\rceil$.
        max_size: longest history.
        fraction: how much of the history is the oldest and the newest part, in $(0, 1/2]$.

    Raises:
        OptionsError: if a parameter is out of its range.
    """

    min_size: int | None
    max_size: int
    fraction: float

    reads = ("costs",)

    def __init__(self, min_size: int | None = None, max_size: int = 20000, fraction: float = 0.3) -> None:
        self.min_size, self.max_size, self.fraction = min_size, max_size, fraction
        check_count(self, "max_size", 2)
        if min_size is not None:
            check_count(self, "min_size", 2)
            if min_size > max_size:
                raise OptionsError(f"StopWhenEvolutionStagnates: min_size {min_size} exceeds max_size {max_size}")
        check_range(self, "fraction", 0.0, 0.5, open_high=False)

    def init(self, p: Any, o: Any) -> Any:
        """Begin a history of best and median costs; what is not a number is not yet there."""
        shape = (*o.costs.shape[:-1], 2, self._size(p, o))
        return {"history": torch.full_like(o.costs[..., :1, None], math.nan).expand(shape), "seen": None}

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare the ends of the history once it is long enough."""
        memory, size = self.remembered(p, o, i), self._size(p, o)
        every = max(1, min(i // 5, self.max_size) // size)
        if i > 0 and i % every == 0 and memory["seen"] != i:
            joined = torch.cat((memory["history"], _summary(o).unsqueeze(-1)), -1)
            memory["history"], memory["seen"] = joined[..., 1:], i
        history = memory["history"]
        part = max(1, round(self.fraction * history.shape[-1]))
        old, new = history[..., :part].median(-1).values, history[..., -part:].median(-1).values
        return (new >= old).all(-1)

    def _size(self, p: Any, o: Any) -> int:
        return 120 + 30 * math.ceil(p.M.dim / o.costs.shape[-1]) if self.min_size is None else self.min_size

    def reason(self, o: Any, i: int) -> str:
        """Say what happened."""
        return f"Best and median costs of the generations have stopped falling, after {i} iterations."

    def __repr__(self) -> str:
        return f"StopWhenEvolutionStagnates({self.min_size}, {self.max_size}, {self.fraction:g})"


class StopWhenPopulationDiverges(StoppingCriterion):
    r"""Stop a problem when the largest deviation of its points has grown by a factor since the start.

    The first step width was much too small then, or the cost has no minimum. The deviation is that of the distribution,
    $\sigma \sqrt{\lambda_{\max}(C)}$.

    Args:
        factor: the factor, above 1.

    Raises:
        OptionsError: if the factor is not above 1.
    """

    reads = ("width", "deviations")

    def __init__(self, factor: float = 1e4) -> None:
        self.factor = factor
        check_range(self, "factor", 1.0, float("inf"))

    def init(self, p: Any, o: Any) -> Any:
        """Remember the deviation at the start."""
        return {"first": o.width * o.deviations[..., -1]}

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare the growth with the factor."""
        return o.width * o.deviations[..., -1] > self.factor * self.remembered(p, o, i)["first"]

    def reason(self, o: Any, i: int) -> str:
        """Name the factor."""
        return f"The points lie {self.factor:g} times as far apart as at the start, after {i} iterations."

    def __repr__(self) -> str:
        return f"StopWhenPopulationDiverges({self.factor:g})"


class StopWhenPopulationCostConcentrated(StoppingCriterion):
    r"""Stop a problem when all costs of a generation and the best ones of those before lie within $\varepsilon$.

    Args:
        tol: $\varepsilon$.
        n: how many generations to look back; None is $10 + \lceil 30 d / \lambda\rceil$.

    Raises:
        OptionsError: if a parameter is out of its range.
    """

    tol: float
    n: int | None

    indicates_convergence = True
    reads = ("costs",)

    def __init__(self, tol: float = 1e-12, n: int | None = None) -> None:
        self.tol, self.n = tol, n
        check_range(self, "tol", 0.0, float("inf"), open_low=False)
        if n is not None:
            check_count(self, "n", 1)

    def init(self, p: Any, o: Any) -> Any:
        """Begin a history of best costs; infinite ones are not yet there."""
        best = _best_of_generation(o)
        shape = (*best.shape, _generations(p, o) if self.n is None else self.n)
        return {"history": torch.full_like(best.unsqueeze(-1), math.inf).expand(shape), "seen": None}

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare the range of the costs with the bound once the history is long enough."""
        memory = self.remembered(p, o, i)
        if i > 0 and memory["seen"] != i:
            joined = torch.cat((memory["history"], _best_of_generation(o).unsqueeze(-1)), -1)
            memory["history"], memory["seen"] = joined[..., 1:], i
        together = torch.cat((memory["history"], o.costs), -1)
        return together.amax(-1) - together.amin(-1) <= self.tol

    def reason(self, o: Any, i: int) -> str:
        """Name the bound."""
        return f"The costs of the last generations lie within {self.tol:g} after {i} iterations."

    def __repr__(self) -> str:
        return f"StopWhenPopulationCostConcentrated({self.tol:g})"


class StopWhenPopulationStronglyConcentrated(StoppingCriterion):
    r"""Stop a problem when its distribution has shrunk to a point: all deviations and its path are below $\varepsilon$.

    Args:
        tol: $\varepsilon$, compared with $\sigma \sqrt{\lambda_{\max}(C)}$ and $\sigma \lVert p_c\rVert_\infty$.

    Raises:
        OptionsError: if `tol` is negative.
    """

    indicates_convergence = True
    reads = ("width", "deviations", "path")

    def __init__(self, tol: float = 1e-12) -> None:
        self.tol = tol
        check_range(self, "tol", 0.0, float("inf"), open_low=False)

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare deviations and path with the bound."""
        largest = torch.maximum(o.deviations[..., -1], o.path.abs().amax(-1))
        return o.width * largest < self.tol

    def reason(self, o: Any, i: int) -> str:
        """Name the bound."""
        return f"The distribution of the points is narrower than {self.tol:g} after {i} iterations."

    def __repr__(self) -> str:
        return f"StopWhenPopulationStronglyConcentrated({self.tol:g})"


def _generations(p: Any, o: Any) -> int:
    """Return the usual number of generations that tell a lasting state from chance."""
    return 10 + math.ceil(30 * p.M.dim / o.costs.shape[-1])


def _best_of_generation(o: Any) -> torch.Tensor:
    return o.costs.amin(-1)


def _summary(o: Any) -> torch.Tensor:
    """Return best and median cost of a generation, shape `(*batch, 2)`."""
    return torch.stack((o.costs.amin(-1), o.costs.median(-1).values), -1)
