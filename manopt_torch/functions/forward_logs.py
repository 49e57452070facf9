"""Forward logarithms, which generalise forward differences of signals and images, and their differential."""

from typing import Any

import torch

from manopt_torch.functions.differentials import (
    adjoint_differential_log_argument,
    adjoint_differential_log_basepoint,
    differential_log_argument,
    differential_log_basepoint,
)
from manopt_torch.functions.grid import by_direction, check_power, in_direction, neighbours, part, placed
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.manifolds.power import Power


def forward_logs(M: Power, x: Any) -> Any:
    r"""Return the logarithms $\log_{x_i} x_j$ of the next entry in each direction, zero where there is none.

    Args:
        M: a power manifold.
        x: a point of it.

    Shapes:
        result: `(*batch, *M.shape, d, *base_shape)` for $d$ directions, each leaf of a tuple likewise.

    Examples:
        >>> from manopt_torch import Euclidean, Power, forward_logs
        >>> forward_logs(Power(Euclidean(), 3), torch.tensor([0.0, 1.0, 3.0]))
        tensor([[1.],
                [2.],
                [0.]])
    """
    check_power("forward_logs", M)
    logs = [placed(M, M.M.log(*neighbours(M, x, k)), k, 0, 1) for k in range(len(M.shape))]
    return by_direction(M, logs)


def differential_forward_logs(M: Power, x: Any, X: Any) -> Any:
    r"""Return the differential of `forward_logs` at `x` along the tangent vector `X`.

    Args:
        M: a power manifold.
        x: a point of it.
        X: a tangent vector at `x`.

    Returns:
        A tangent vector for each entry and direction, as `forward_logs` returns them.

    References:
        [BergmannHerzogEtAl:2021].

    Examples:
        >>> from manopt_torch import Euclidean, Power, differential_forward_logs
        >>> differential_forward_logs(Power(Euclidean(), 3), torch.zeros(3), torch.tensor([1.0, 0.0, 5.0]))
        tensor([[-1.],
                [ 5.],
                [ 0.]])
    """
    base, parts = M.M, []
    for k in range(len(M.shape)):
        (left, right), (U, V) = neighbours(M, x, k), neighbours(M, X, k)
        at_left = differential_log_basepoint(base, left, right, U)
        both = map_leaves(torch.add, at_left, differential_log_argument(base, left, right, V))
        parts.append(placed(M, both, k, 0, 1))
    return by_direction(M, parts)


def adjoint_differential_forward_logs(M: Power, x: Any, Y: Any) -> Any:
    r"""Return the adjoint of `differential_forward_logs` at `x`, applied to `Y`.

    Args:
        M: a power manifold.
        x: a point of it.
        Y: a tangent vector for each entry and direction, as `forward_logs` returns them.

    Returns:
        A tangent vector at `x`.

    References:
        [BergmannHerzogEtAl:2021].

    Examples:
        >>> from manopt_torch import Euclidean, Power, adjoint_differential_forward_logs
        >>> Y = torch.tensor([[1.0], [3.0], [7.0]])
        >>> adjoint_differential_forward_logs(Power(Euclidean(), 3), torch.zeros(3), Y)
        tensor([-1., -2.,  3.])
    """
    base = M.M
    total: Any = None
    for k, n in enumerate(M.shape):
        left, right = neighbours(M, x, k)
        # where there is no next entry, the logarithm is zero whatever x
        W = part(M, in_direction(M, Y, k), k, 0, n - 1)
        at_left = placed(M, adjoint_differential_log_basepoint(base, left, right, W), k, 0, 1)
        at_right = placed(M, adjoint_differential_log_argument(base, left, right, W), k, 1, 0)
        both = map_leaves(torch.add, at_left, at_right)
        total = both if total is None else map_leaves(torch.add, total, both)
    return total
