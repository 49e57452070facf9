"""Matrices of probability vectors."""

import math

from manopt_torch.manifolds.fisher_rao import FisherRao
from manopt_torch.manifolds.validation import positive_sizes


class Multinomial(FisherRao):
    r"""Positive n x m matrices whose columns sum to one, each column a point of `Simplex(n)`.

    Use it for transition matrices and soft assignments. Formulas are those of `Simplex`, column by column; inner
    products and squared distances are summed over the columns.

    Args:
        n: number of rows, the length of a probability vector.
        m: number of columns.

    Shapes:
        points: `(*batch, n, m)`.

    Raises:
        OptionsError: if `n` is no integer of at least 2 or `m` none of at least 1.

    References:
        [AstromPetraSchmitzerSchnoerr:2017].

    Examples:
        >>> import torch
        >>> M = Multinomial(2, 3)
        >>> M.project_point(torch.ones(2, 3))
        tensor([[0.5000, 0.5000, 0.5000],
                [0.5000, 0.5000, 0.5000]])
    """

    _axis, _others = -2, (-1,)

    def __init__(self, n: int, m: int) -> None:
        positive_sizes("Multinomial", (n,), least=2)
        positive_sizes("Multinomial", (n, m))
        self.point_shape = (n, m)
        self.dim = (n - 1) * m
        self.typical_dist = 0.5 * math.pi * math.sqrt(m)
