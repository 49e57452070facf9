"""A step size that shrinks with the iterations."""

import math
from typing import Any

from manopt_torch.errors import OptionsError
from manopt_torch.plans.options import lane_of
from manopt_torch.stepsizes.base import Stepsize
from manopt_torch.stepsizes.lengths import absolute, check_type


class DecreasingStepsize(Stepsize):
    r"""Take step sizes that decrease by a fixed law.

    $s_i = \dfrac{\max(l - i a, 0) f^i}{(i + b)^e}$ for iteration $i$, by default $l / i$. The usual choice for
    subgradient methods, whose convergence asks for $\sum s_i = \infty$, $\sum s_i^2 < \infty$. A run whose step size
    has come down to zero ends as stagnated.

    Args:
        length: $l$.
        factor: $f$.
        subtrahend: $a$.
        exponent: $e$.
        shift: $b$, above -1.
        type: "relative" to the length of the direction, or "absolute": the move has length $s_i$, that is, the step
            size is $s_i / \lVert\eta_i\rVert$.

    Raises:
        OptionsError: if a parameter is no number, length or factor is not positive, the shift is not above -1, or the
            type unknown.

    Examples:
        >>> DecreasingStepsize(length=2.0).at(4)
        0.5
    """

    length: float
    factor: float
    subtrahend: float
    exponent: float
    shift: float
    type: str

    def __init__(
        self,
        length: float = 1.0,
        factor: float = 1.0,
        subtrahend: float = 0.0,
        exponent: float = 1.0,
        shift: float = 0.0,
        *,
        type: str = "relative",
    ) -> None:
        for name, value in (("length", length), ("factor", factor)):
            if not (isinstance(value, (int, float)) and 0 < value < math.inf):
                raise OptionsError(f"DecreasingStepsize: {name} must be a positive number, got {value!r}")
        for name, value in (("subtrahend", subtrahend), ("exponent", exponent)):
            if not (isinstance(value, (int, float)) and math.isfinite(value)):
                raise OptionsError(f"DecreasingStepsize: {name} must be a number, got {value!r}")
        if not (isinstance(shift, (int, float)) and -1 < shift < math.inf):
            raise OptionsError(f"DecreasingStepsize: shift must be a number above -1, got {shift!r}")
        self.length, self.factor, self.subtrahend, self.exponent = length, factor, subtrahend, exponent
        self.shift, self.type = shift, check_type(self, type)

    def at(self, i: int) -> float:
        """Return the step size of iteration `i >= 1`."""
        return max(self.length - i * self.subtrahend, 0.0) * self.factor**i / (i + self.shift) ** self.exponent

    def __call__(self, p: Any, o: Any, i: int, eta: Any = None) -> Any:
        """Return the step size of iteration `i`, the same for all problems unless `type` is "absolute"."""
        lane, length = lane_of(p, o), float(self.at(max(i, 1)))
        if length == 0.0 and o.stagnated is not None:
            o.stagnated = o.stagnated | o.active
        step = lane.full(length)
        return step if self.type == "relative" else absolute(p, o, lane, step, eta)

    def __repr__(self) -> str:
        shift = f", shift={self.shift}" if self.shift else ""
        kind = "" if self.type == "relative" else f", type={self.type!r}"
        return f"DecreasingStepsize({self.length}, {self.factor}, {self.subtrahend}, {self.exponent}{shift}{kind})"
