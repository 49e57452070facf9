"""Skew-symmetric matrices."""

import math

import torch

from manopt_torch.manifolds.matrix_subspace import MatrixSubspace
from manopt_torch.manifolds.validation import positive_sizes


class SkewSymmetric(MatrixSubspace):
    r"""Skew-symmetric matrices with the Frobenius inner product $\operatorname{tr}(u^\top v)$, a linear space.

    The Lie algebra of the rotations. Gradients and Hessians are the skew parts of the Euclidean ones.

    Args:
        n: number of rows.

    Shapes:
        points: `(*batch, n, n)`; tangents: the same.

    Raises:
        OptionsError: if `n` is no integer of at least 2.

    References:
        [Boumal:2023], section 7.1.

    Examples:
        >>> M = SkewSymmetric(2)
        >>> M.project_point(torch.tensor([[1.0, 2.0], [0.0, 3.0]]))
        tensor([[ 0.,  1.],
                [-1.,  0.]])
    """

    _offset, _sign = 1, -1.0

    def __init__(self, n: int) -> None:
        positive_sizes("SkewSymmetric", (n,), least=2)
        self.point_shape = (n, n)
        self.dim = n * (n - 1) // 2
        self.typical_dist = math.sqrt(n)

    def part(self, z: torch.Tensor) -> torch.Tensor:
        return (z - z.mT) * 0.5

    def __repr__(self) -> str:
        return f"SkewSymmetric({self.point_shape[0]})"
