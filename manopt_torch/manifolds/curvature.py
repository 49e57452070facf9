"""What the models of hyperbolic space share: the curvature, and the ways from one to the other."""

import math
from numbers import Real
from typing import Any

import torch

from manopt_torch.errors import OptionsError


def ball_from_hyperboloid(
    x: torch.Tensor,  # shape: (*batch, n)
    curvature: float = -1.0,
) -> torch.Tensor:
    r"""Return the points of the Poincare ball, shape `(*batch, n - 1)`: $R x_s / (R + x_0)$ with spatial part $x_s$.

    Examples:
        >>> ball_from_hyperboloid(torch.tensor([1.0, 0.0, 0.0]))
        tensor([0., 0.])
    """
    radius = 1 / math.sqrt(-negative_curvature("ball_from_hyperboloid", curvature))
    return radius * x[..., 1:] / (radius + x[..., :1])


def hyperboloid_from_ball(
    z: torch.Tensor,  # shape: (*batch, n)
    curvature: float = -1.0,
) -> torch.Tensor:
    r"""Return the points of the hyperboloid, shape `(*batch, n + 1)`, from points of the Poincare ball.

    Examples:
        >>> hyperboloid_from_ball(torch.tensor([0.0, 0.0]))
        tensor([1., 0., 0.])
    """
    curvature = negative_curvature("hyperboloid_from_ball", curvature)
    spatial = 2 * z / (1 + curvature * (z * z).sum(-1, True))
    return torch.cat([torch.sqrt((spatial * spatial).sum(-1, True) - 1 / curvature), spatial], dim=-1)


def negative_curvature(name: str, curvature: float) -> float:
    """Return the curvature, or raise unless it is a negative number."""
    if not isinstance(curvature, Real) or not -math.inf < curvature < 0:
        raise OptionsError(f"{name}: curvature must be a negative number, got {curvature!r}")
    return float(curvature)


def constant_curvature(
    M: Any,
    x: torch.Tensor,  # shape: (*batch, n)
    u: torch.Tensor,  # shape: (*batch, n)
    v: torch.Tensor,  # shape: (*batch, n)
    w: torch.Tensor,  # shape: (*batch, n)
) -> torch.Tensor:
    """Return R(u, v) w of a space whose curvature is the same in all planes."""
    return M.curvature * (M.inner(x, v, w)[..., None] * u - M.inner(x, u, w)[..., None] * v)


def curved_repr(name: str, n: int, curvature: float) -> str:
    """Name a manifold, with its curvature unless that is -1."""
    return f"{name}({n})" if curvature == -1 else f"{name}({n}, curvature={curvature:g})"
