"""Least-squares problems with known answers, from linear algebra."""

from collections.abc import Callable

import torch

from manopt_torch.manifolds import Euclidean, Product, Rotations, Sphere
from manopt_torch.testing.problem_case import SUM_OF_SQUARES, ProblemCase


def _normal(*shape: int, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64, device="cpu")


def _draw_linear_fit(batch: tuple[int, ...], generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    return _normal(*batch, 6, 3, generator=generator), _normal(*batch, 6, generator=generator)


def _linear_residuals(x: torch.Tensor, A: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (A * x[..., None, :]).sum(-1) - b


def _linear_solution(A: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.linalg.lstsq(A, b[..., None]).solution[..., 0]


def _draw_targets(batch: tuple[int, ...], generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    """Draw points around the sphere, none of them close to its centre."""
    c = _normal(*batch, 3, generator=generator)
    length = 0.7 + 0.8 * torch.rand((*batch, 1), generator=generator, dtype=torch.float64, device="cpu")
    return (c / c.norm(dim=-1, keepdim=True) * length,)


def _offset(x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    return x - c


def _draw_point_clouds(batch: tuple[int, ...], generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    """Draw four points in space, and the same turned by less than half a right angle and moved a little."""
    a = _normal(*batch, 3, 4, generator=generator)
    turn = 0.3 * _normal(*batch, 3, 3, generator=generator)
    return a, torch.linalg.matrix_exp(turn - turn.mT) @ a + 0.05 * _normal(*batch, 3, 4, generator=generator)


def _misalignment(x: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (x @ a - b).flatten(-2)


def _alignment(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the rotation that aligns best, from the singular vectors of the correlation."""
    u, _, vh = torch.linalg.svd(b @ a.mT)
    last = torch.linalg.det(u @ vh)
    sign = torch.stack([torch.ones_like(last), torch.ones_like(last), last], -1)
    return (u * sign[..., None, :]) @ vh


def _draw_pair(batch: tuple[int, ...], generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    return (*_draw_targets(batch, generator), _normal(*batch, 2, generator=generator))


def _pair_offsets(x: tuple[torch.Tensor, ...], c: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.cat([x[0] - c, x[1] - b], -1)


def _half_square(residuals: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    return lambda x, *data: 0.5 * residuals(x, *data).square().sum(-1)


SUMS_OF_SQUARES: tuple[ProblemCase, ...] = (
    ProblemCase(
        "linear fit",
        Euclidean(3),
        _half_square(_linear_residuals),
        _draw_linear_fit,
        lambda A, b: _half_square(_linear_residuals)(_linear_solution(A, b), A, b),
        _linear_solution,
        elementwise=False,
        provides=SUM_OF_SQUARES,
        residuals=_linear_residuals,
    ),
    ProblemCase(
        "fit on a sphere",
        Sphere(3),
        _half_square(_offset),
        _draw_targets,
        lambda c: 0.5 * (c.norm(dim=-1) - 1).square(),
        lambda c: c / c.norm(dim=-1, keepdim=True),
        elementwise=False,
        provides=SUM_OF_SQUARES,
        residuals=_offset,
    ),
    ProblemCase(
        "fit of a pair",
        Product(Sphere(3), Euclidean(2)),
        _half_square(_pair_offsets),
        _draw_pair,
        lambda c, b: 0.5 * (c.norm(dim=-1) - 1).square(),
        lambda c, b: (c / c.norm(dim=-1, keepdim=True), b),
        elementwise=False,
        provides=SUM_OF_SQUARES,
        residuals=_pair_offsets,
    ),
    ProblemCase(
        "fit of a rotation",
        Rotations(3),
        _half_square(_misalignment),
        _draw_point_clouds,
        lambda a, b: _half_square(_misalignment)(_alignment(a, b), a, b),
        _alignment,
        lambda batch, generator, a, b: torch.eye(3, dtype=torch.float64, device="cpu").repeat(*batch, 1, 1),
        elementwise=False,
        provides=SUM_OF_SQUARES,
        residuals=_misalignment,
    ),
)
