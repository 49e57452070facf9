"""The tolerant loss."""

import math

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.problems.losses.base import Rho, RobustLoss


class TolerantLoss(RobustLoss):
    r"""Residuals below a threshold cost next to nothing.

    $\rho(s) = b \log\bigl(1 + e^{(s-a)/b}\bigr) - b \log\bigl(1 + e^{-a/b}\bigr)$: flat below $s = a$, slope one above,
    with a bend of width $b$. For residuals that need not be zero, only small enough.

    Args:
        a: threshold of the squared residual, not negative.
        b: width of the bend, positive.

    Raises:
        OptionsError: if a parameter is out of its range.

    References:
        The losses of Ceres Solver [AgarwalEtAl:2023].

    Examples:
        >>> import torch
        >>> from manopt_torch import TolerantLoss
        >>> TolerantLoss(1.0, 0.1).rho(torch.tensor([0.0, 1.0])).first.round(decimals=4)
        tensor([0.0000, 0.5000])
    """

    a: float
    b: float

    def __init__(self, a: float, b: float) -> None:
        if isinstance(a, bool) or not isinstance(a, (int, float)) or not 0 <= a < math.inf:
            raise OptionsError(f"TolerantLoss: a must lie in [0, inf), got {a!r}")
        if isinstance(b, bool) or not isinstance(b, (int, float)) or not 0 < b < math.inf:
            raise OptionsError(f"TolerantLoss: b must lie in (0, inf), got {b!r}")
        self.a, self.b = a, b
        tail = math.exp(-a / b)
        self._at_zero, self._slope_at_zero = math.log1p(tail), tail / (1 + tail)

    def rho(self, s: torch.Tensor) -> Rho:
        """Return value and derivatives."""
        z, t = (s - self.a) / self.b, s / self.b
        # a difference of two logarithms, written as one where they are close
        near = torch.log1p(self._slope_at_zero * torch.expm1(t.clamp(max=1)))
        # not softplus and sigmoid, which round the last entries of a batch in another way than the others
        far = torch.where(z > 40, z, torch.log1p(torch.exp(z.clamp(max=40)))) - self._at_zero
        e = torch.exp(torch.where(z > 0, -z, z))
        slope = torch.where(z > 0, 1.0, e) / (1 + e)
        return Rho(self.b * torch.where(t < 1, near, far), slope, e / (1 + e).square() / self.b)

    def __repr__(self) -> str:
        return f"TolerantLoss({self.a}, {self.b})"
