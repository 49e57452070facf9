"""Problems on spaces of matrices whose answers come from eigenvalues and singular values."""

from typing import Any

import torch

from manopt_torch.manifolds import FixedRank, FixedRankPoint, Grassmann, Stiefel, SymmetricPositiveDefinite
from manopt_torch.testing.problem_case import MILD, ProblemCase

_FACTORED = FixedRank(4, 3, 2)
_PLANES = Grassmann(4, 2)
_ELLIPSES = SymmetricPositiveDefinite(2)


def _orthogonal(batch: tuple[int, ...], n: int, generator: torch.Generator) -> torch.Tensor:
    return torch.linalg.qr(torch.randn((*batch, n, n), generator=generator, dtype=torch.float64, device="cpu")).Q


def _between(bounds: list[tuple[float, float]], batch: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Draw a number within each of the bounds, shape `(*batch, len(bounds))`."""
    low, high = torch.tensor(bounds, dtype=torch.float64, device="cpu").T
    draws = torch.rand((*batch, len(bounds)), generator=generator, dtype=torch.float64, device="cpu")
    return low + (high - low) * draws


def _half_square(r: torch.Tensor) -> torch.Tensor:
    return 0.5 * r.square().sum(-1)


# ---- frames ---------------------------------------------------------------------------------------------------------


def _draw_rectangle(batch: tuple[int, ...], generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    """Draw 4 x 2 matrices with singular values around one, which are the eigenvalues of the Hessian at the frame."""
    values = _between([(1.2, 1.4), (1.0, 1.2)], batch, generator)
    left, right = (_orthogonal(batch, n, generator) for n in (4, 2))
    return ((left[..., :2] * values[..., None, :]) @ right,)


def _frame_residuals(x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    return (x - c).flatten(-2)


def _frame_minimum(c: torch.Tensor) -> torch.Tensor:
    return 0.5 * (torch.linalg.svdvals(c) - 1).square().sum(-1)


def _nearest_frame(c: torch.Tensor) -> torch.Tensor:
    left, _, right = torch.linalg.svd(c, full_matrices=False)
    return left @ right


# ---- subspaces ------------------------------------------------------------------------------------------------------


def _draw_nearly_projector(batch: tuple[int, ...], generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    values = _between([(0.0, 0.1), (0.1, 0.2), (1.0, 1.1), (1.1, 1.2)], batch, generator)
    q = _orthogonal(batch, 4, generator)
    b = (q * values[..., None, :]) @ q.mT
    return (0.5 * (b + b.mT),)


def _projector(x: torch.Tensor) -> torch.Tensor:
    return x @ x.mT


def _plane_residuals(x: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (_projector(x) - b).flatten(-2)


def _plane_minimum(b: torch.Tensor) -> torch.Tensor:
    low, high = torch.linalg.eigvalsh(b).split(2, dim=-1)
    return _half_square(torch.cat([low, high - 1], -1))


def _leading_plane(b: torch.Tensor) -> torch.Tensor:
    return torch.linalg.eigh(b).eigenvectors[..., 2:]


# ---- matrices of low rank -------------------------------------------------------------------------------------------


def _draw_nearly_low_rank(batch: tuple[int, ...], generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    values = _between([(1.8, 2.2), (1.2, 1.6), (0.1, 0.3)], batch, generator)
    left, right = (_orthogonal(batch, n, generator) for n in (4, 3))
    return ((left[..., :3] * values[..., None, :]) @ right,)


def _approximation_residuals(x: Any, a: torch.Tensor) -> torch.Tensor:
    return (_FACTORED.matrix(x) - a).flatten(-2)


def _approximation_minimum(a: torch.Tensor) -> torch.Tensor:
    return 0.5 * torch.linalg.svdvals(a)[..., 2].square()


def _best_of_rank_two(a: torch.Tensor) -> Any:
    left, values, right = torch.linalg.svd(a, full_matrices=False)
    return FixedRankPoint(left[..., :2], torch.diag_embed(values[..., :2]), right.mT[..., :2])


# ---- positive definite matrices -------------------------------------------------------------------------------------


def _draw_matrices(batch: tuple[int, ...], generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    """Draw two positive definite matrices with eigenvalues between 1/2 and 2 or so."""
    half = 0.3 * torch.randn((*batch, 2, 2, 2), generator=generator, dtype=torch.float64, device="cpu")
    a, b = torch.linalg.matrix_exp(half + half.mT).unbind(-3)
    return a, b


def _matrix_mean_cost(x: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return 0.5 * (_ELLIPSES.squared_dist(x, a) + _ELLIPSES.squared_dist(x, b))


def _matrix_mean_residuals(x: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.cat([_ELLIPSES.to_coordinates(c, _ELLIPSES.log(c, x)) for c in (a, b)], -1)


def _matrix_mean_minimum(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return a quarter of the squared distance, that is of the squared logarithms of the eigenvalues of a^-1 b."""
    return 0.25 * torch.linalg.eigvals(torch.linalg.solve(a, b)).real.log().square().sum(-1)


def _geometric_mean(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    r"""Return $a^{1/2} (a^{-1/2} b a^{-1/2})^{1/2} a^{1/2}$, which for 2 x 2 matrices is a multiple of a scaled sum."""
    ra, rb = (torch.linalg.det(m).sqrt()[..., None, None] for m in (a, b))
    total = a / ra + b / rb
    return (ra * rb).sqrt() * total / torch.linalg.det(total).sqrt()[..., None, None]


ON_MATRICES: tuple[ProblemCase, ...] = (
    ProblemCase(
        "nearest frame",
        Stiefel(4, 2),
        lambda x, c: _half_square(_frame_residuals(x, c)),
        _draw_rectangle,
        _frame_minimum,
        _nearest_frame,
        stepsize=0.8,
        elementwise=False,
        provides=MILD | {"residuals"},
        residuals=_frame_residuals,
    ),
    ProblemCase(
        "leading plane",
        _PLANES,
        lambda x, b: _half_square(_plane_residuals(x, b)),
        _draw_nearly_projector,
        _plane_minimum,
        _leading_plane,
        stepsize=0.45,
        elementwise=False,
        provides=MILD | {"residuals"},
        residuals=_plane_residuals,
        picture=_projector,
    ),
    ProblemCase(
        "low rank",
        _FACTORED,
        lambda x, a: _half_square(_approximation_residuals(x, a)),
        _draw_nearly_low_rank,
        _approximation_minimum,
        _best_of_rank_two,
        stepsize=0.9,
        elementwise=False,
        provides=MILD | {"residuals"},
        residuals=_approximation_residuals,
        picture=_FACTORED.matrix,
    ),
    ProblemCase(
        "mean of two matrices",
        _ELLIPSES,
        _matrix_mean_cost,
        _draw_matrices,
        _matrix_mean_minimum,
        _geometric_mean,
        lambda batch, generator, a, b: a,
        stepsize=0.4,
        elementwise=False,
        provides=MILD | {"residuals"},
        residuals=_matrix_mean_residuals,
    ),
)
