"""What a robust loss is."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch

from manopt_torch._keywords import KnownKeywords
from manopt_torch.errors import OptionsError


class Rho(NamedTuple):
    r"""Value and two derivatives of a loss, elementwise: $\rho(s)$, $\rho'(s)$, $\rho''(s)$."""

    value: torch.Tensor
    first: torch.Tensor
    second: torch.Tensor


class RobustLoss(KnownKeywords, ABC):
    r"""Turn squared residuals $s$ into what they are to cost: $\tfrac12 \sum_i w_i\, \rho(r_i^2)$.

    A loss grows slower than $s$, so that outliers count less, and is $\rho(s) \approx s$ near zero (but for
    `TolerantLoss`). A loss of one's own is a subclass with the method `rho`, elementwise, in torch operations. Losses
    hold numbers only: one object serves any problem, dtype and device.

    References:
        [TriggsEtAl:1999], section 4.3; [HollandWelsch:1977].

    Examples:
        >>> import torch
        >>> from manopt_torch.problems.losses import Rho, RobustLoss
        >>> class GemanMcClure(RobustLoss):
        ...     def rho(self, s):
        ...         d = 1 / (1 + s)
        ...         return Rho(s * d, d**2, -2 * d**3)
        >>> GemanMcClure().rho(torch.tensor([0.0, 1.0])).value
        tensor([0.0000, 0.5000])
    """

    # how many consecutive residuals count as one, by their squared norm; see `BlockLoss`
    block_size: int = 1

    @abstractmethod
    def rho(
        self,
        s: torch.Tensor,  # shape: (...), squares, not negative
    ) -> Rho:
        r"""Return $\rho(s)$, $\rho'(s)$ and $\rho''(s)$, each of the shape of `s`."""


def rescaled(unit: Callable[[torch.Tensor], Rho], s: torch.Tensor, scale: float) -> Rho:
    r"""Return $c^2 \rho(s/c^2)$ with its derivatives, for a loss whose bend is at residuals of size one."""
    if scale == 1:
        return unit(s)
    q = scale * scale
    value, first, second = unit(s / q)
    return Rho(q * value, first, second / q)


def checked_scale(owner: object, scale: float) -> float:
    """Return the scale; raise an OptionsError unless it is a positive number."""
    if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not 0 < scale < math.inf:
        raise OptionsError(
            f"{type(owner).__name__}: scale must lie in (0, inf), got {scale!r}; it is the size of a residual that "
            "begins to count as an outlier"
        )
    return scale


def checked_loss(owner: object, name: str, loss: object) -> "RobustLoss":
    """Return the loss; raise an OptionsError unless it is one."""
    if not isinstance(loss, RobustLoss):
        raise OptionsError(
            f"{type(owner).__name__}: {name} must be a loss such as HuberLoss(), got "
            f"{loss.__name__ + ' itself: call it' if isinstance(loss, type) else type(loss).__name__}"
        )
    return loss
