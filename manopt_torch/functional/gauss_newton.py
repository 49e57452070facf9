"""What Gauss-Newton steps say about how far they are from the end, as pure functions."""

import math
from typing import Any

import torch

from manopt_torch._typing import Scalar
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.euclidean import Euclidean
from manopt_torch.manifolds.points import first_leaf
from manopt_torch.manifolds.product import Product


def largest_cosine(
    gradient: torch.Tensor,  # shape: (*batch, n), J'r
    diagonal: torch.Tensor,  # shape: (*batch, n), the squared lengths of the columns of J
    cost: torch.Tensor,  # shape: (*batch,), half the squared length of r
) -> torch.Tensor:
    r"""Return $\max_j |J_j^\top r| / (\lVert J_j\rVert \lVert r\rVert)$, shape `(*batch,)`.

    Zero where the residuals vanish; a column of zeros has no angle.
    """
    squares = torch.nan_to_num(gradient * gradient / diagonal, nan=0.0).amax(-1)
    return torch.where(cost > 0, squares / (2 * cost), 0.0).sqrt()


def relative_length(
    step: torch.Tensor,  # shape: (*batch, n)
    sizes: torch.Tensor,  # shape: (*batch, n), of the coordinates of the point
    weights: torch.Tensor,  # shape: (*batch, n), of the coordinates
) -> torch.Tensor:
    r"""Return $\lVert h\rVert_D / \lVert x\rVert_D$, infinite where $x$ is zero, shape `(*batch,)`."""
    root = weights.sqrt()
    step, whole = (torch.linalg.vector_norm(root * t, dim=-1) for t in (step, sizes))
    return torch.where(whole > 0, step / whole, math.inf)


def distance_to_go(lane: Any, ahead: Scalar, taken: Scalar) -> Scalar:
    r"""Estimate the distance to the solution from the next step and the last one: $\ell + \ell q + \ell q^2 + \dots$.

    $q = \ell / \ell_{\text{last}}$ is how much steps shrink; unless it is below a half, nothing is known.
    """
    q = lane.div(ahead, taken)
    return lane.where(q < 0.5, lane.div(ahead, 1.0 - q), lane.full(math.inf))


def squared_sizes(M: Manifold, x: Any) -> torch.Tensor:
    """Return the squared size of each coordinate of a point: its own square in a vector space, else one."""
    if isinstance(M, Euclidean):
        return (x * x).reshape((*x.shape[: x.dim() - len(M.point_shape)], M.dim))
    if isinstance(M, Product):
        return torch.cat([squared_sizes(factor, part) for factor, part in zip(M.manifolds, x, strict=True)], -1)
    ref = first_leaf(x)
    return torch.ones((*M.batch_shape(x), M.dim), dtype=ref.real.dtype, device=ref.device)
