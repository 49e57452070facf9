"""Euclidean space of arrays."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from manopt_torch.manifolds.flat_space import FlatSpace
from manopt_torch.manifolds.points import axpy
from manopt_torch.manifolds.validation import positive_sizes


class Euclidean(FlatSpace):
    r"""Arrays of a fixed shape with the Frobenius inner product.

    $\langle u, v\rangle = \sum_i u_i v_i$, $\exp_x(u) = x + u$, $\log_x(y) = y - x$; transport does nothing. The
    manifold of unconstrained problems, and of the unconstrained part of a `Product`.

    Args:
        *shape: shape of one point; `Euclidean()` holds scalars.

    Shapes:
        points: `(*batch, *shape)`.

    Raises:
        OptionsError: if a size is not a positive integer.

    References:
        [Boumal:2023], section 7.1.

    Examples:
        >>> M = Euclidean(2)
        >>> M.dist(torch.tensor([0.0, 0.0]), torch.tensor([3.0, 4.0]))
        tensor(5.)
    """

    retractions: Mapping[str, str] = {"exp": "exp", "projection": "exp"}  # the straight step needs no projection
    inverse_retractions: Mapping[str, str] = {"exp": "log", "projection": "log"}

    def __init__(self, *shape: int) -> None:
        positive_sizes("Euclidean", shape)
        FlatSpace.__init__(self, *shape)
        self.typical_dist = math.sqrt(self.dim)

    def project_point(self, z: torch.Tensor) -> torch.Tensor:
        return z

    def exp(self, x: torch.Tensor, u: torch.Tensor, t: float | torch.Tensor | None = None) -> torch.Tensor:
        return axpy(x, u, t, self._ndim)

    retract_default = exp

    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return y - x

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> torch.Tensor:
        return torch.randn((*batch, *self.point_shape), generator=generator, dtype=dtype, device=device)

    def off_manifold(self, x: torch.Tensor) -> torch.Tensor:
        zero = x * 0  # NaN where x is not finite, which is no point
        return zero.sum(self._axes).abs() if self._ndim else zero.abs()
