"""Positive definite matrices in coordinates where one of them is the identity."""

import torch

from manopt_torch.linalg.cholesky import congruence
from manopt_torch.linalg.spectral import sym_logm


def whitened_log(
    inverse: torch.Tensor,  # shape: (*batch, n, n), of the Cholesky factor of x
    x: torch.Tensor,  # shape: (*batch, n, n)
    y: torch.Tensor,  # shape: (*batch, n, n)
) -> torch.Tensor:
    """Return the logarithm of `y` in coordinates where `x` is the identity, exact also for `y` next to `x`."""
    # far from x the difference loses the small eigenvalues of y, near x the whitened y loses the difference
    difference, whitened = congruence(inverse, y - x), congruence(inverse, y)
    near = difference.abs().square().sum((-2, -1)) < 0.0625
    return sym_logm(torch.where(near[..., None, None], difference, whitened), near)
