"""Symmetric matrices."""

import math

import torch

from manopt_torch.manifolds.matrix_subspace import MatrixSubspace
from manopt_torch.manifolds.validation import positive_sizes


class Symmetric(MatrixSubspace):
    r"""Symmetric matrices with the Frobenius inner product $\operatorname{tr}(u v)$, a linear space.

    Gradients and Hessians are the symmetric parts of the Euclidean ones. Use it for matrices that need not be positive
    definite, and as the target of logarithms of SPD matrices.

    Args:
        n: number of rows.

    Shapes:
        points: `(*batch, n, n)`; tangents: the same.

    Raises:
        OptionsError: if `n` is no integer of at least 1.

    References:
        [Boumal:2023], section 7.1.

    Examples:
        >>> M = Symmetric(2)
        >>> M.egrad2rgrad(torch.eye(2), torch.tensor([[1.0, 2.0], [0.0, 3.0]]))
        tensor([[1., 1.],
                [1., 3.]])
    """

    _offset, _sign = 0, 1.0

    def __init__(self, n: int) -> None:
        positive_sizes("Symmetric", (n,))
        self.point_shape = (n, n)
        self.dim = n * (n + 1) // 2
        self.typical_dist = math.sqrt(n)

    def part(self, z: torch.Tensor) -> torch.Tensor:
        return (z + z.mT) * 0.5

    def __repr__(self) -> str:
        return f"Symmetric({self.point_shape[0]})"
