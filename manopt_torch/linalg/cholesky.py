"""Cholesky factors without hidden host reads, and congruence by them."""

import math

import torch


def cholesky_or_nan(
    X: torch.Tensor,  # shape: (*batch, n, n)
) -> torch.Tensor:
    """Return the lower Cholesky factor; NaN for the matrices that are not positive definite.

    `torch.linalg.cholesky` reads a flag on the host and fails a whole batch for one matrix.

    Examples:
        >>> cholesky_or_nan(torch.tensor([[[4.0]], [[-1.0]]])).flatten()
        tensor([2., nan])
    """
    factor, info = torch.linalg.cholesky_ex(X)
    return torch.where((info == 0)[..., None, None], factor, math.nan)


def inverse_triangular(
    L: torch.Tensor,  # shape: (*batch, n, n), lower triangular
) -> torch.Tensor:
    """Return the inverse of a lower triangular matrix."""
    eye = torch.eye(L.shape[-1], dtype=L.dtype, device=L.device)
    return torch.linalg.solve_triangular(L, eye.expand(L.shape), upper=False)


def congruence(
    A: torch.Tensor,  # shape: (*batch, m, n)
    X: torch.Tensor,  # shape: (*batch, n, n)
) -> torch.Tensor:
    """Return `A X A'`, the prime being the conjugate transpose."""
    return A @ X @ A.mH
