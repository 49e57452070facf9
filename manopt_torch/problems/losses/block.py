"""A loss for groups of residuals."""

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.problems.losses.base import Rho, RobustLoss, checked_loss


class BlockLoss(RobustLoss):
    r"""A loss of the length of several residuals taken together.

    $\tfrac12 \sum_b \rho\bigl(r_{bk}^2 + \dots + r_{bk+k-1}^2\bigr)$ for blocks of $k$ consecutive residuals: the two
    coordinates of a point in an image, say, which are an outlier together or not at all.

    Args:
        loss: the loss $\rho$.
        size: $k$; the number of residuals must be a multiple of it.

    Raises:
        OptionsError: if the loss is none, or the size is not a positive int.

    References:
        [TriggsEtAl:1999], section 4.3.

    Examples:
        >>> from manopt_torch import BlockLoss, HuberLoss
        >>> BlockLoss(HuberLoss(), 2).block_size
        2
    """

    loss: RobustLoss
    block_size: int

    def __init__(self, loss: RobustLoss, size: int) -> None:
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise OptionsError(f"BlockLoss: size must be an int >= 1, got {size!r}")
        self.loss, self.block_size = checked_loss(self, "loss", loss), size

    def rho(self, s: torch.Tensor) -> Rho:
        """Return value and derivatives, where `s` is the squared length of a block."""
        return self.loss.rho(s)

    def __repr__(self) -> str:
        return f"BlockLoss({self.loss!r}, {self.block_size})"
