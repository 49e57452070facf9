"""Problems with known answers: the table that every solver is tested on.

Each entry makes a batch of any shape, every problem with data of its own, and says from a closed form or from
eigenvalues what the minimum is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from manopt_torch.manifolds import Circle, Euclidean, Manifold, Power, Product, Sphere
from manopt_torch.manifolds.circle import wrap_angle
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.problems import GradientProblem

# what the smooth problems of the table provide; autograd makes the derivatives
SMOOTH = frozenset({"cost", "gradient", "hessian"})
# ... and of these the ones with a condition number of at most about five
MILD = SMOOTH | {"mild"}


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
        provides: what solvers may use: "cost", "gradient", "hessian", and "mild" for a small condition number.
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
            kind: the problem class, called as `kind(M, cost, data=..., vectorized=...)`.

        Returns:
            Problem, start, minimum and minimiser.
        """
        generator = torch.Generator().manual_seed(0) if generator is None else generator
        data = self.draw(batch, generator)
        if self.start is None:
            x = self.manifold.random_point(*batch, generator=generator, dtype=torch.float64)
        else:
            x = self.start(batch, generator, *data)
        problem = kind(
            self.manifold,
            self.cost,
            data=tuple(d.to(device, dtype) for d in data),
            vectorized=self.vectorized,
        )
        best = None if self.minimiser is None else self.minimiser(*data)
        return Posed(problem, map_leaves(lambda leaf: leaf.to(device, dtype), x), self.minimum(*data), best)

    def __str__(self) -> str:
        return self.name


def problem_case(name: str) -> ProblemCase:
    """Return the entry of the table with this name.

    Raises:
        KeyError: if there is none; the message lists the names.

    Examples:
        >>> p, x, minimum, minimiser = problem_case("quadratic").pose(2)
        >>> x.shape, minimum.tolist(), bool(torch.equal(p.cost(minimiser, *p.data), minimum))
        (torch.Size([2, 3]), [0.0, 0.0], True)
    """
    for case in PROBLEMS:
        if case.name == name:
            return case
    raise KeyError(f"no problem {name!r}; there are {', '.join(case.name for case in PROBLEMS)}")


def _normal(*shape: int, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def _uniform(low: float, high: float, *shape: int, generator: torch.Generator) -> torch.Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)


def _zero(*data: torch.Tensor) -> torch.Tensor:
    return data[0].new_zeros(data[-1].shape[:-1])


# ---- Euclidean ------------------------------------------------------------------------------------------------------


def _draw_quadratic(batch: tuple, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    return _uniform(1.0, 3.0, *batch, 3, generator=generator), _normal(*batch, 3, generator=generator)


def _quadratic(x: torch.Tensor, w: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    return 0.5 * (w * (x - c).square()).sum(-1)


def _matrix_quadratic(x: torch.Tensor, w: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    return 0.5 * (w[..., None] * (x - c[..., None]).square()).sum((-2, -1))


def _exponential(x: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.exp(x) - b * x


def _rosenbrock(x: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    first, second = x.unbind(-1)
    return a[..., 0] * (first.square() - second).square() + (first - 1).square()


def _rosenbrock_start(batch: tuple, generator: torch.Generator, a: torch.Tensor) -> torch.Tensor:
    # the start of Manopt's example, moved a little for each problem of a batch
    at = torch.tensor([0.1, 0.2], dtype=torch.float64).expand(*batch, 2)
    return at + 0.1 * _normal(*batch, 2, generator=generator) if batch else at.clone()


# ---- spheres --------------------------------------------------------------------------------------------------------


def _draw_direction(batch: tuple, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    c = _normal(*batch, 3, generator=generator)
    return (c / c.norm(dim=-1, keepdim=True) * _uniform(1.0, 2.0, *batch, 1, generator=generator),)


def _linear(x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    return (c * x).sum(-1)


def _opposite(c: torch.Tensor) -> torch.Tensor:
    return -c / c.norm(dim=-1, keepdim=True)


def _draw_symmetric(batch: tuple, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    """Draw symmetric 4 x 4 matrices with one low eigenvalue, so that the lowest eigenvector is found fast."""
    q = torch.linalg.qr(_normal(*batch, 4, 4, generator=generator)).Q
    low = torch.tensor([-1.0, 0.5, 0.75, 1.0], dtype=torch.float64)
    spectrum = low + 0.2 * torch.rand((*batch, 4), generator=generator, dtype=torch.float64)
    a = (q * spectrum[..., None, :]) @ q.mT
    return (0.5 * (a + a.mT),)


def _rayleigh_sum(x: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    return (x * (a * x[..., None, :]).sum(-1)).sum(-1)


def _rayleigh_bmm(x: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    return (x * (a @ x[..., None])[..., 0]).sum(-1)


def _rayleigh_point(x: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    return x @ a @ x


def _least_eigenvalue(a: torch.Tensor) -> torch.Tensor:
    return torch.linalg.eigvalsh(a)[..., 0]


# ---- circle, products, powers ---------------------------------------------------------------------------------------


def _draw_angles(batch: tuple, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    """Draw five angles within a quarter turn on both sides of a centre; there the mean is that of numbers."""
    centre = _uniform(-2.0, 2.0, *batch, 1, generator=generator)
    return (wrap_angle(centre + _uniform(-0.7, 0.7, *batch, 5, generator=generator)),)


def _angle_cost(x: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    return 0.5 * Circle().squared_dist(x[..., None], angles).mean(-1)


def _angle_mean(angles: torch.Tensor) -> torch.Tensor:
    first = angles[..., :1]
    return wrap_angle(first[..., 0] + wrap_angle(angles - first).mean(-1))


def _angle_minimum(angles: torch.Tensor) -> torch.Tensor:
    unrolled = wrap_angle(angles - angles[..., :1])
    return 0.5 * unrolled.var(-1, correction=0)


def _draw_pair(batch: tuple, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    return (*_draw_direction(batch, generator), _normal(*batch, 2, generator=generator))


def _pair_cost(x: tuple, c: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return _linear(x[0], c) + 0.5 * (x[1] - b).square().sum(-1)


def _draw_directions(batch: tuple, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    return _draw_direction((*batch, 2), generator)


def _power_cost(x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    return (c * x).sum((-2, -1))


PROBLEMS: tuple[ProblemCase, ...] = (
    ProblemCase("quadratic", Euclidean(3), _quadratic, _draw_quadratic, _zero, lambda w, c: c, stepsize=0.45),
    ProblemCase(
        "matrix quadratic",
        Euclidean(3, 2),
        _matrix_quadratic,
        _draw_quadratic,
        _zero,
        lambda w, c: c[..., None].expand(*c.shape, 2),
        stepsize=0.45,
    ),
    ProblemCase(
        "exponential",  # points are scalars: no axes of their own
        Euclidean(),
        _exponential,
        lambda batch, generator: (_uniform(1.0, 3.0, *batch, generator=generator),),
        lambda b: b - b * b.log(),
        lambda b: b.log(),
        lambda batch, generator, b: _uniform(0.0, 1.0, *batch, generator=generator),
        stepsize=0.4,
    ),
    ProblemCase(
        "rosenbrock",
        Euclidean(2),
        _rosenbrock,
        lambda batch, generator: (torch.full((*batch, 1), 100.0, dtype=torch.float64),),
        _zero,
        lambda a: a.new_ones(*a.shape[:-1], 2),
        _rosenbrock_start,
        provides=SMOOTH,
    ),
    ProblemCase(
        "linear on a sphere",
        Sphere(3),
        _linear,
        _draw_direction,
        lambda c: -c.norm(dim=-1),
        _opposite,
        stepsize=0.6,
    ),
    ProblemCase(
        "rayleigh, sums", Sphere(4), _rayleigh_sum, _draw_symmetric, _least_eigenvalue, stepsize=0.27
    ),
    ProblemCase(
        "rayleigh, bmm",
        Sphere(4),
        _rayleigh_bmm,
        _draw_symmetric,
        _least_eigenvalue,
        stepsize=0.27,
        elementwise=False,
    ),
    ProblemCase(
        "rayleigh, one point",
        Sphere(4),
        _rayleigh_point,
        _draw_symmetric,
        _least_eigenvalue,
        stepsize=0.27,
        elementwise=False,
        vectorized=False,
    ),
    ProblemCase(
        "circle mean",
        Circle(),
        _angle_cost,
        _draw_angles,
        _angle_minimum,
        _angle_mean,
        lambda batch, generator, angles: wrap_angle(angles[..., 0] + 0.5),
        stepsize=0.8,
    ),
    ProblemCase(
        "product",
        Product(Sphere(3), Euclidean(2)),
        _pair_cost,
        _draw_pair,
        lambda c, b: -c.norm(dim=-1),
        lambda c, b: (_opposite(c), b),
        stepsize=0.6,
    ),
    ProblemCase(
        "power",
        Power(Sphere(3), 2),
        _power_cost,
        _draw_directions,
        lambda c: -c.norm(dim=-1).sum(-1),
        _opposite,
        stepsize=0.6,
    ),
)
