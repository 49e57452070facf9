"""What a test problem is: a family of problems whose minimum is known."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from manopt_torch.manifolds import Manifold
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.problems import GradientProblem, LeastSquaresProblem

# what the smooth problems of the table provide; autograd makes the derivatives
SMOOTH = frozenset({"cost", "gradient", "hessian"})
# ... and of these the ones with a condition number of at most about five
MILD = SMOOTH | {"mild"}
# what solvers of least squares are tried on; the others have enough to do
SUM_OF_SQUARES = frozenset({"residuals"})


class Posed(NamedTuple):
    """A problem with its start and its known answer."""

    problem: Any
    x: Any  # shape: (*batch, *point_shape)
    minimum: torch.Tensor  # shape: (*batch,), in float64
    minimiser: Any  # shape: (*batch, *point_shape), in float64; None where there are several


@dataclass(frozen=True)
class ProblemCase:
    """A family of problems with known minimum.

    Args:
        name: what it is called in reports of tests.
        manifold: where it lives.
        cost: `cost(x, *data)`.
        draw: `draw(batch, generator)` returns the data of a batch, in float64.
        minimum: `minimum(*data)`, the least cost of each problem.
        minimiser: `minimiser(*data)`, the point where it is attained; None where there are several.
        start: `start(batch, generator, *data)`; None draws a random point.
        stepsize: a constant step size with which steepest descent converges fast; only for mild problems.
        elementwise: whether cost and manifold consist of elementwise operations and reductions only. Then a problem
            solved alone gives the same bits as in a batch.
        vectorized: False if the cost is written for one point.
        provides: what solvers may use: "cost", "gradient", "hessian", and "mild" for a small condition number,
            "product" for a point in several parts, "residuals" for a sum of squares.
        residuals: `residuals(x, *data)`, of which the cost is half the sum of squares; None where it is no such sum.
        picture: maps points to arrays that are equal where the points are, for manifolds on which one point has many
            representations; None takes the points themselves.
    """

    name: str
    manifold: Manifold
    cost: Callable[..., torch.Tensor]
    draw: Callable[..., tuple[torch.Tensor, ...]]
    minimum: Callable[..., torch.Tensor]
    minimiser: Callable[..., Any] | None = None
    start: Callable[..., Any] | None = None
    stepsize: float = 1.0
    elementwise: bool = True
    vectorized: bool = True
    provides: frozenset[str] = MILD
    residuals: Callable[..., torch.Tensor] | None = None
    picture: Callable[..., Any] | None = None

    def pose(
        self,
        *batch: int,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
        generator: torch.Generator | None = None,
        kind: Callable[..., Any] = GradientProblem,
    ) -> Posed:
        """Make a batch of these problems.

        Args:
            *batch: batch axes; none for a lone problem.
            dtype: of start and data; the answers are in float64.
            device: of start and data; numbers are drawn on the CPU, so that they are the same everywhere.
            generator: where the numbers come from; None is a new one with seed 0.
            kind: the problem class, called as `kind(M, cost, data=..., vectorized=...)`; a `LeastSquaresProblem` gets
                the residuals instead of the cost.

        Returns:
            Problem, start, minimum and minimiser.
        """
        generator = torch.Generator().manual_seed(0) if generator is None else generator
        data = self.draw(batch, generator)
        if self.start is None:
            x = self.manifold.random_point(*batch, generator=generator, dtype=torch.float64, device="cpu")
        else:
            x = self.start(batch, generator, *data)
        problem = kind(
            self.manifold,
            self.residuals if kind is LeastSquaresProblem else self.cost,
            data=tuple(d.to(device, dtype) for d in data),
            vectorized=self.vectorized,
        )
        best = None if self.minimiser is None else self.minimiser(*data)
        return Posed(problem, map_leaves(lambda leaf: leaf.to(device, dtype), x), self.minimum(*data), best)

    def __str__(self) -> str:
        return self.name
