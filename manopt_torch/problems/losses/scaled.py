"""A loss for residuals of another size."""

import torch

from manopt_torch.problems.losses.base import Rho, RobustLoss, checked_loss, checked_scale, rescaled


class ScaledLoss(RobustLoss):
    r"""Another loss with its bend moved to residuals of size $c$.

    $s \mapsto c^2 \rho(s/c^2)$, which is still $\approx s$ near zero if $\rho$ is. (The class of that name in Ceres
    multiplies by a factor: that is a matter of `weights=` here.)

    Args:
        loss: the loss to scale.
        scale: $c$.

    Raises:
        OptionsError: if the loss is none, or the scale is not positive.

    References:
        The robustifiers of Manopt.jl [Bergmann:2022].

    Examples:
        >>> import torch
        >>> from manopt_torch import HuberLoss, ScaledLoss
        >>> ScaledLoss(HuberLoss(), 0.5).rho(torch.tensor([0.0, 1.0])).value
        tensor([0.0000, 0.7500])
    """

    loss: RobustLoss
    scale: float

    def __init__(self, loss: RobustLoss, scale: float) -> None:
        self.loss, self.scale = checked_loss(self, "loss", loss), checked_scale(self, scale)
        self.block_size: int = loss.block_size

    def rho(self, s: torch.Tensor) -> Rho:
        """Return value and derivatives."""
        return rescaled(self.loss.rho, s, self.scale)

    def __repr__(self) -> str:
        return f"ScaledLoss({self.loss!r}, {self.scale})"
