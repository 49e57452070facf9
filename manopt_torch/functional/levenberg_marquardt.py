"""The arithmetic of damped Gauss-Newton steps, as pure functions of tensors with the batch axes in front."""

from typing import Any

import torch

from manopt_torch._typing import Scalar


def model_terms(
    gradient: torch.Tensor,  # shape: (*batch, n)
    step: torch.Tensor,  # shape: (*batch, n)
    matrix: torch.Tensor,  # shape: (*batch, n), the diagonal of D
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Return $-g' s$ and $s' D s$ for the solution of $(J'J + \lambda D) s = -g$, each of shape `(*batch,)`.

    The linear model predicts a reduction of the cost by $\frac12 (-g' s + \lambda s' D s)$, the damped one by half the
    first term; $\lambda s' D s / (-g' s)$ is the share that the damping has in the step.
    """
    return -(gradient * step).sum(-1), (matrix * (step * step)).sum(-1)


def felt(
    diagonal: torch.Tensor,  # shape: (*batch, n), of J'J
    matrix: torch.Tensor,  # shape: (*batch, n), the diagonal of D
) -> torch.Tensor:
    r"""Return the damping below which $\lambda D$ is lost in the rounding of $J' J$, shape `(*batch,)`."""
    return (diagonal / matrix).amax(-1) * torch.finfo(diagonal.dtype).eps


def remaining(lane: Any, length: Scalar, former: Scalar, share: Scalar) -> Scalar:
    r"""Estimate how far the solution still is after a step: $\ell \sum_{k \ge 1} q^k$ for steps that shrink by $q$.

    $q = \ell / \ell_{\text{former}}$. Infinite unless $q < 1/2$ and the former length, relative to the point, is known
    (not zero) and below one, and where the damping has more than a tenth of the step: its length then says nothing
    about convergence.
    """
    q = lane.div(length, former)
    # nor does the step that comes after a jump; one from a point at zero is infinitely long
    known = (former < 1.0) & (q < 0.5) & (share < 0.1)
    return lane.where(known, length * lane.div(q, 1.0 - q), lane.full(float("inf")))
