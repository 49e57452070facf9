"""Damping by fixed factors: what the rules of Levenberg, Marquardt and Fletcher share."""

from typing import Any

from manopt_torch._typing import Mask, Scalar
from manopt_torch.damping.base import Damping
from manopt_torch.plans.options import check_range


class FactorDamping(Damping):
    """Multiply the damping by one factor after a rejected step, divide it by another after an accepted one."""

    increase: float
    decrease: float

    def check(self) -> None:
        """Raise an OptionsError if a number is out of its range."""
        Damping.check(self)
        check_range(self, "increase", 1.0, float("inf"))
        check_range(self, "decrease", 1.0, float("inf"), open_low=False)

    def update(
        self, lane: Any, damping: Scalar, growth: Scalar, ratio: Scalar, accepted: Mask
    ) -> tuple[Scalar, Scalar]:
        """Apply the factors."""
        return lane.where(accepted, damping / self.decrease, damping * self.increase), growth

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.initial:g}, increase={self.increase:g}, decrease={self.decrease:g})"
