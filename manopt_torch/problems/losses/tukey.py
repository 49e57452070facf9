"""Tukey's biweight loss."""

import torch

from manopt_torch.problems.losses.base import Rho, RobustLoss, checked_scale, rescaled


class TukeyLoss(RobustLoss):
    r"""Outliers beyond the scale do not count at all.

    $\rho(s) = \tfrac{c^2}{3}\bigl(1 - (1 - s/c^2)^3\bigr)$ for $s \le c^2$, constant beyond. Also known as biweight.
    Where a problem starts with all residuals beyond the scale its gradient is zero: start close, or with another loss.

    Args:
        scale: $c$, the size of residuals from which on they are left out.

    Raises:
        OptionsError: if the scale is not positive.

    References:
        [HollandWelsch:1977].

    Examples:
        >>> import torch
        >>> from manopt_torch import TukeyLoss
        >>> TukeyLoss().rho(torch.tensor([0.0, 1.5])).first
        tensor([1., 0.])
    """

    def __init__(self, scale: float = 1.0) -> None:
        self.scale: float = checked_scale(self, scale)

    def rho(self, s: torch.Tensor) -> Rho:
        """Return value and derivatives; NaN for an infinite residual, which is a failure and no outlier."""
        return rescaled(_tukey, s, self.scale)

    def __repr__(self) -> str:
        return f"TukeyLoss({self.scale})"


def _tukey(s: torch.Tensor) -> Rho:
    inside = s.clamp(max=1)
    rest = 1 - inside
    # the polynomial multiplied out: (1 - rest^3) / 3 loses the digits of small s
    return Rho(inside * (1 - inside + inside * inside / 3) + 0 * s, rest * rest, -2 * rest)
