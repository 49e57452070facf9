"""A step size that shrinks with the iterations."""

import math
from typing import Any

from manopt_torch.errors import OptionsError
from manopt_torch.plans.options import lane_of
from manopt_torch.stepsizes.base import Stepsize


class DecreasingStepsize(Stepsize):
    r"""Take step sizes that decrease by a fixed law.

    $s_i = \dfrac{(l - i a) f^i}{i^e}$ for iteration $i$, by default $l / i$. The usual choice for subgradient methods,
    whose convergence asks for $\sum s_i = \infty$, $\sum s_i^2 < \infty$.

    Args:
        length: $l$.
        factor: $f$.
        subtrahend: $a$.
        exponent: $e$.

    Raises:
        OptionsError: if a parameter is no number, or length or factor is not positive.

    Examples:
        >>> DecreasingStepsize(length=2.0).at(4)
        0.5
    """

    def __init__(
        self, length: float = 1.0, factor: float = 1.0, subtrahend: float = 0.0, exponent: float = 1.0
    ) -> None:
        for name, value in (("length", length), ("factor", factor)):
            if not (isinstance(value, (int, float)) and 0 < value < math.inf):
                raise OptionsError(f"DecreasingStepsize: {name} must be a positive number, got {value!r}")
        for name, value in (("subtrahend", subtrahend), ("exponent", exponent)):
            if not (isinstance(value, (int, float)) and math.isfinite(value)):
                raise OptionsError(f"DecreasingStepsize: {name} must be a number, got {value!r}")
        self.length, self.factor, self.subtrahend, self.exponent = length, factor, subtrahend, exponent

    def at(self, i: int) -> float:
        """Return the step size of iteration `i >= 1`."""
        return (self.length - i * self.subtrahend) * self.factor**i / i**self.exponent

    def __call__(self, p: Any, o: Any, i: int, eta: Any = None) -> Any:
        """Return the step size of iteration `i`, the same for all problems."""
        return lane_of(p, o).full(float(self.at(max(i, 1))))

    def __repr__(self) -> str:
        return f"DecreasingStepsize({self.length}, {self.factor}, {self.subtrahend}, {self.exponent})"
