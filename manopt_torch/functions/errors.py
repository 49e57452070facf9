"""Errors of signals and images against the truth."""

import math
from typing import Any

import torch

from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.power import Power


def mean_squared_error(M: Manifold, x: Any, y: Any) -> torch.Tensor:
    r"""Return $\tfrac1n \sum_i d(x_i, y_i)^2$ over the $n$ entries of a power manifold; on others $d(x, y)^2$.

    Shapes:
        result: `(*batch,)`.

    Examples:
        >>> from manopt_torch import Euclidean, Power, mean_squared_error
        >>> mean_squared_error(Power(Euclidean(), 2), torch.tensor([0.0, 0.0]), torch.tensor([1.0, 3.0]))
        tensor(5.)
    """
    return M.squared_dist(x, y) / _entries(M)


def mean_absolute_error(M: Manifold, x: Any, y: Any) -> torch.Tensor:
    r"""Return $\tfrac1n \sum_i d(x_i, y_i)$ over the $n$ entries of a power manifold; on others $d(x, y)$.

    Shapes:
        result: `(*batch,)`.

    Examples:
        >>> from manopt_torch import Euclidean, Power, mean_absolute_error
        >>> mean_absolute_error(Power(Euclidean(), 2), torch.tensor([0.0, 0.0]), torch.tensor([1.0, 3.0]))
        tensor(2.)
    """
    if not isinstance(M, Power):
        return M.dist(x, y)
    return M.M.dist(x, y).sum(tuple(range(-len(M.shape), 0))) / _entries(M)


def _entries(M: Manifold) -> int:
    return math.prod(M.shape) if isinstance(M, Power) else 1
