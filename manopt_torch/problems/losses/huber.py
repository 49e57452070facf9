"""Huber's loss."""

import torch

from manopt_torch.problems.losses.base import Rho, RobustLoss, checked_scale, rescaled


class HuberLoss(RobustLoss):
    r"""Squares up to the scale, absolute values beyond.

    $\rho(s) = s$ for $s \le c^2$, $2c\sqrt s - c^2$ beyond. The usual first choice: convex, so that it adds no local
    minima; an outlier pulls with a constant force.

    Args:
        scale: $c$, the size of a residual that begins to count as an outlier.

    Raises:
        OptionsError: if the scale is not positive.

    References:
        [Huber:1964].

    Examples:
        >>> import torch
        >>> from manopt_torch import HuberLoss
        >>> HuberLoss().rho(torch.tensor([0.5, 4.0])).value
        tensor([0.5000, 3.0000])
    """

    def __init__(self, scale: float = 1.0) -> None:
        self.scale: float = checked_scale(self, scale)

    def rho(self, s: torch.Tensor) -> Rho:
        """Return value and derivatives; at the bend the second derivative is that of the squares."""
        return rescaled(_huber, s, self.scale)

    def __repr__(self) -> str:
        return f"HuberLoss({self.scale})"


def _huber(s: torch.Tensor) -> Rho:
    inside = s <= 1
    # never the root of a small number: its derivative is of no use to anyone, but inf
    outside = s.clamp(min=1)
    root = outside.sqrt()
    slope = 1 / root
    second = -0.5 * slope / outside
    return Rho(torch.where(inside, s, 2 * root - 1), slope, torch.where(inside, torch.zeros_like(s), second))
