"""The smooth approximation of absolute values."""

import torch

from manopt_torch.problems.losses.base import Rho, RobustLoss, checked_scale, rescaled


class SoftL1Loss(RobustLoss):
    r"""Huber's loss without the bend: smooth everywhere.

    $\rho(s) = 2c^2\bigl(\sqrt{1 + s/c^2} - 1\bigr)$. Convex, with derivatives of all orders, for which second-order
    methods are grateful. Also known as pseudo-Huber or Charbonnier loss.

    Args:
        scale: $c$, the size of a residual that begins to count as an outlier.

    Raises:
        OptionsError: if the scale is not positive.

    References:
        [TriggsEtAl:1999], section 4.3.

    Examples:
        >>> import torch
        >>> from manopt_torch import SoftL1Loss
        >>> SoftL1Loss().rho(torch.tensor([0.0, 3.0])).value
        tensor([0., 2.])
    """

    def __init__(self, scale: float = 1.0) -> None:
        self.scale: float = checked_scale(self, scale)

    def rho(self, s: torch.Tensor) -> Rho:
        """Return value and derivatives."""
        return rescaled(_soft_l1, s, self.scale)

    def __repr__(self) -> str:
        return f"SoftL1Loss({self.scale})"


def _soft_l1(s: torch.Tensor) -> Rho:
    root = (1 + s).sqrt()
    slope = 1 / root
    # not 2 (root - 1), of which little is left for small s
    return Rho(2 * s / (1 + root), slope, -0.5 * slope / (1 + s))
