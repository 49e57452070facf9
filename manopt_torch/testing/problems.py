"""Problems with known answers: the table that every solver is tested on.

Each entry makes a batch of any shape, every problem with data of its own, and says from a closed form or from
eigenvalues what the minimum is.
"""

import torch

from manopt_torch.linalg.scalar import wrap_angle
from manopt_torch.manifolds import Circle, Euclidean, Hyperboloid, Power, Product, Sphere
from manopt_torch.testing.matrix_problems import ON_MATRICES
from manopt_torch.testing.problem_case import MILD, SMOOTH, ProblemCase
from manopt_torch.testing.sums_of_squares import SUMS_OF_SQUARES


def problem_named(name: str) -> ProblemCase:
    """Return the entry of the table with this name.

    Raises:
        KeyError: if there is none; the message lists the names.

    Examples:
        >>> p, x, minimum, minimiser = problem_named("quadratic").pose(2)
        >>> x.shape, minimum.tolist(), bool(torch.equal(p.cost(minimiser, *p.data), minimum))
        (torch.Size([2, 3]), [0.0, 0.0], True)
    """
    for case in PROBLEMS:
        if case.name == name:
            return case
    raise KeyError(f"no problem {name!r}; there are {', '.join(case.name for case in PROBLEMS)}")


def _normal(*shape: int, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64, device="cpu")


def _uniform(low: float, high: float, *shape: int, generator: torch.Generator) -> torch.Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64, device="cpu")


def _zero(*data: torch.Tensor) -> torch.Tensor:
    return data[0].new_zeros(data[-1].shape[:-1])


# ---- Euclidean ------------------------------------------------------------------------------------------------------


def _draw_quadratic(batch: tuple[int, ...], generator: torch.Generator) -> tuple[torch.Tensor, ...]:
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


def _rosenbrock_start(batch: tuple[int, ...], generator: torch.Generator, a: torch.Tensor) -> torch.Tensor:
    # the start of Manopt's example, moved a little for each problem of a batch
    at = a.new_tensor([0.1, 0.2]).expand(*batch, 2)
    return at + 0.1 * _normal(*batch, 2, generator=generator) if batch else at.clone()


# ---- spheres --------------------------------------------------------------------------------------------------------


def _draw_direction(batch: tuple[int, ...], generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    c = _normal(*batch, 3, generator=generator)
    return (c / c.norm(dim=-1, keepdim=True) * _uniform(1.0, 2.0, *batch, 1, generator=generator),)


def _linear(x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    return (c * x).sum(-1)


def _opposite(c: torch.Tensor) -> torch.Tensor:
    return -c / c.norm(dim=-1, keepdim=True)


def _draw_symmetric(batch: tuple[int, ...], generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    """Draw symmetric 4 x 4 matrices with one low eigenvalue, so that the lowest eigenvector is found fast."""
    q = torch.linalg.qr(_normal(*batch, 4, 4, generator=generator)).Q
    low = q.new_tensor([-1.0, 0.5, 0.75, 1.0])
    spectrum = low + _uniform(0.0, 0.2, *batch, 4, generator=generator)
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


def _draw_angles(batch: tuple[int, ...], generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    """Draw five angles within a quarter turn on both sides of a centre; there the mean is that of numbers."""
    centre = _uniform(-2.0, 2.0, *batch, 1, generator=generator)
    return (wrap_angle(centre + _uniform(-0.7, 0.7, *batch, 5, generator=generator)),)


def _angle_cost(x: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    return 0.15 * Circle().squared_dist(x[..., None], angles).sum(-1)


def _angle_mean(angles: torch.Tensor) -> torch.Tensor:
    first = angles[..., :1]
    return wrap_angle(first[..., 0] + wrap_angle(angles - first).mean(-1))


def _angle_minimum(angles: torch.Tensor) -> torch.Tensor:
    unrolled = wrap_angle(angles - angles[..., :1])
    return 0.15 * (unrolled - unrolled.mean(-1, keepdim=True)).square().sum(-1)


def _draw_pair(batch: tuple[int, ...], generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    return (*_draw_direction(batch, generator), _normal(*batch, 2, generator=generator))


def _pair_cost(x: tuple[torch.Tensor, ...], c: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return _linear(x[0], c) + 0.5 * (x[1] - b).square().sum(-1)


def _draw_directions(batch: tuple[int, ...], generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    return _draw_direction((*batch, 2), generator)


def _power_cost(x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    return (c * x).sum((-2, -1))


# ---- hyperbolic space -----------------------------------------------------------------------------------------------


def _draw_hyperbolic(batch: tuple[int, ...], generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    """Draw points near the origin, where the Minkowski form and the Euclidean one do not differ much."""
    return (Hyperboloid(3).project_point(0.3 * _normal(*batch, 3, generator=generator)),)


def _chord(x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    return x - c


def _half_squared_chord(x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    return 0.5 * _chord(x, c).square().sum(-1)


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
        lambda batch, generator: (torch.full((*batch, 1), 100.0, dtype=torch.float64, device="cpu"),),
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
    ProblemCase("rayleigh, sums", Sphere(4), _rayleigh_sum, _draw_symmetric, _least_eigenvalue, stepsize=0.27),
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
        stepsize=0.55,
    ),
    ProblemCase(
        "product",
        Product(Sphere(3), Euclidean(2)),
        _pair_cost,
        _draw_pair,
        lambda c, b: -c.norm(dim=-1),
        lambda c, b: (_opposite(c), b),
        stepsize=0.6,
        provides=MILD | {"product"},
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
    ProblemCase(
        "hyperbolic chord",
        Hyperboloid(3),
        _half_squared_chord,
        _draw_hyperbolic,
        _zero,
        lambda c: c,
        lambda batch, generator, c: _draw_hyperbolic(batch, generator)[0],
        stepsize=0.6,
        provides=MILD | {"residuals"},
        residuals=_chord,
    ),
    *ON_MATRICES,
    *SUMS_OF_SQUARES,
)
