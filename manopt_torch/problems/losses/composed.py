"""One loss after another."""

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.problems.losses.base import Rho, RobustLoss, checked_loss


class ComposedLoss(RobustLoss):
    r"""The loss of a loss, $s \mapsto \rho_1(\rho_2(s))$, with derivatives by the chain rule.

    Args:
        outer: $\rho_1$.
        inner: $\rho_2$.

    Raises:
        OptionsError: if one of them is no loss, or they belong to blocks of different sizes.

    References:
        The losses of Ceres Solver [AgarwalEtAl:2023].

    Examples:
        >>> import torch
        >>> from manopt_torch import ComposedLoss, HuberLoss, TolerantLoss
        >>> ComposedLoss(HuberLoss(), TolerantLoss(1.0, 0.1)).rho(torch.tensor([0.0])).value
        tensor([0.])
    """

    outer: RobustLoss
    inner: RobustLoss

    def __init__(self, outer: RobustLoss, inner: RobustLoss) -> None:
        self.outer, self.inner = checked_loss(self, "outer", outer), checked_loss(self, "inner", inner)
        if outer.block_size != inner.block_size:
            raise OptionsError(
                f"ComposedLoss: outer and inner have blocks of {outer.block_size} and {inner.block_size} residuals: "
                "wrap the composition instead, BlockLoss(ComposedLoss(outer, inner), size)"
            )
        self.block_size: int = inner.block_size

    def rho(self, s: torch.Tensor) -> Rho:
        """Return value and derivatives."""
        value, first, second = self.inner.rho(s)
        outer = self.outer.rho(value)
        return Rho(outer.value, outer.first * first, outer.second * first * first + outer.first * second)

    def __repr__(self) -> str:
        return f"ComposedLoss({self.outer!r}, {self.inner!r})"
