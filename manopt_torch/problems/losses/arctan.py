"""The arctangent loss."""

import torch

from manopt_torch.problems.losses.base import Rho, RobustLoss, checked_scale, rescaled


class ArctanLoss(RobustLoss):
    r"""Bounded: no residual costs more than $\tfrac\pi2 c^2$.

    $\rho(s) = c^2 \arctan(s/c^2)$. Not convex: a far outlier hardly pulls at all, so a good start matters.

    Args:
        scale: $c$, the size of a residual that begins to count as an outlier. (The argument of Ceres' loss of that
            name is $c^2$.)

    Raises:
        OptionsError: if the scale is not positive.

    References:
        [TriggsEtAl:1999], section 4.3.

    Examples:
        >>> import torch
        >>> from manopt_torch import ArctanLoss
        >>> ArctanLoss().rho(torch.tensor([0.0, 1.0])).first
        tensor([1.0000, 0.5000])
    """

    def __init__(self, scale: float = 1.0) -> None:
        self.scale: float = checked_scale(self, scale)

    def rho(self, s: torch.Tensor) -> Rho:
        """Return value and derivatives; NaN for an infinite residual, which is a failure and no outlier."""
        return rescaled(_arctan, s, self.scale)

    def __repr__(self) -> str:
        return f"ArctanLoss({self.scale})"


def _arctan(s: torch.Tensor) -> Rho:
    slope = 1 / (1 + s * s)
    return Rho(torch.atan(s) + 0 * s, slope, -2 * (s * slope) * slope)
