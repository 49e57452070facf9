"""What a secant update is: how a quasi-Newton method learns from a step."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch

from manopt_torch.plans.options import Functor


class SecantUpdate(Functor, ABC):
    r"""Improve a matrix by what a step $s$ and the change $y$ of the gradient along it tell of the Hessian.

    The matrix stands for the Hessian ($B_+ s = y$), or, if `inverse`, for its inverse ($H_+ y = s$), in an
    orthonormal basis of the tangent space.
    """

    inverse: ClassVar[bool] = True
    # whether the update needs <s, y> > 0, and keeps a positive matrix positive then
    needs_curvature: ClassVar[bool] = True
    # of the scale <s, y> / <y, y> that the first pair gives the matrix
    first_factor: ClassVar[float] = 1.0
    # whether it can be done with vectors instead of a matrix
    limited_memory: ClassVar[bool] = False

    @abstractmethod
    def update(
        self,
        A: torch.Tensor,  # shape: (*batch, dim, dim)
        s: torch.Tensor,  # shape: (*batch, dim)
        y: torch.Tensor,  # shape: (*batch, dim)
    ) -> tuple[torch.Tensor, Any]:
        """Return the new matrix, and for which problems it is safe: a tensor of shape `(*batch,)`, or True."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
