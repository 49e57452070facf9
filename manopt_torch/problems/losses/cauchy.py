"""Cauchy's loss."""

import torch

from manopt_torch.problems.losses.base import Rho, RobustLoss, checked_scale, rescaled


class CauchyLoss(RobustLoss):
    r"""Logarithmic growth: the likelihood of residuals with heavy tails.

    $\rho(s) = c^2 \log(1 + s/c^2)$. Not convex: the farther an outlier, the weaker it pulls, so a good start matters.
    Also known as Lorentzian loss.

    Args:
        scale: $c$, the size of a residual that begins to count as an outlier.

    Raises:
        OptionsError: if the scale is not positive.

    References:
        [HollandWelsch:1977].

    Examples:
        >>> import torch
        >>> from manopt_torch import CauchyLoss
        >>> CauchyLoss().rho(torch.tensor([0.0, 1.0])).first
        tensor([1.0000, 0.5000])
    """

    def __init__(self, scale: float = 1.0) -> None:
        self.scale: float = checked_scale(self, scale)

    def rho(self, s: torch.Tensor) -> Rho:
        """Return value and derivatives."""
        return rescaled(_cauchy, s, self.scale)

    def __repr__(self) -> str:
        return f"CauchyLoss({self.scale})"


def _cauchy(s: torch.Tensor) -> Rho:
    slope = 1 / (1 + s)
    return Rho(torch.log1p(s), slope, -slope * slope)
