r"""What a damping rule is, and the diagonal matrices that it may damp with."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch

from manopt_torch._typing import Mask, Scalar
from manopt_torch.errors import OptionsError
from manopt_torch.plans.options import Functor, check_range

# a parameter counts as at least so large as this share of the change in it that alone would explain the residuals
_LEAST_SHARE = 1e-4
# the size of a parameter may fall to this share of the former one in a step
_SHRINK = 0.25

SCALINGS = ("relative", "identity", "largest", "current", "first")


class Gauge(NamedTuple):
    """What a damping rule looks at when it makes its matrix."""

    diagonal: torch.Tensor  # shape: (*batch, n), of J'J
    cost: torch.Tensor  # shape: (*batch,)
    squares: torch.Tensor  # shape: (*batch, n), of the sizes of the coordinates


class Damping(Functor, ABC):
    r"""Choose $\lambda$ and the diagonal matrix $D$ of the steps $(J'J + \lambda D)\, s = -J' r$.

    A rule is made of numbers; what it works on, the damping $\lambda$, its growth and the diagonal of $D$, are state
    fields of the options, one for each problem.

    Attributes:
        initial: $\lambda_0$.
        scaling: the matrix $D$. `"identity"`, as Levenberg has it: sensitive to the units of the parameters. The
            others are not: `"current"`, the diagonal of $J'J$; `"largest"`, its running maximum (Moré, MINPACK);
            `"first"`, the one at the start; `"relative"`, the identity in parameters divided by their size
            (see `relative_scaling`).
    """

    # a step is accepted from this ratio of actual to predicted reduction on
    acceptance: float = 1e-4
    # whether the predicted reduction counts the damping term too, as in Manopt.jl
    predicts_damped: bool = False

    initial: float
    scaling: str

    def check(self) -> None:
        """Raise an OptionsError if a number is out of its range."""
        check_range(self, "initial", 0.0, float("inf"), open_low=False)
        if self.scaling not in SCALINGS:
            raise OptionsError(f"{type(self).__name__}: scaling must be one of {SCALINGS}, got {self.scaling!r}")

    def matrix(
        self,
        gauge: Gauge,
        former: torch.Tensor | None,  # shape: (*batch, n); None at the start
        unit: torch.Tensor | None,  # shape: (*batch,)
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the diagonal of $D$ at a new point, `(*batch, n)`, and what it is measured in, `(*batch,)`."""
        if former is None or unit is None:
            return self._first(gauge)
        if self.scaling == "relative":
            return relative_scaling(gauge, former, unit), unit
        if self.scaling == "largest":
            return torch.maximum(former, gauge.diagonal), unit
        return (_positive(gauge.diagonal) if self.scaling == "current" else former), unit

    def _first(self, gauge: Gauge) -> tuple[torch.Tensor, torch.Tensor]:
        d = gauge.diagonal
        if self.scaling == "identity":
            return torch.ones_like(d), torch.ones_like(d[..., 0])
        if self.scaling != "relative":
            return _positive(d), d.amax(-1)
        # at zero there is no telling the size of a parameter: it is damped in proportion to its influence
        squares = torch.where(gauge.squares > 0, torch.maximum(gauge.squares, _share(gauge)), 0.0)
        unit = (d * squares).amax(-1)
        # where no size is known, or only those of parameters without influence, each is the change that alone would
        # explain the residuals
        unit = torch.where(unit > 2 * torch.finfo(d.dtype).eps ** 2 * gauge.cost, unit, 2 * gauge.cost)
        unit = torch.where(unit > 0, unit, torch.ones_like(unit))
        bare = torch.where(d > 0, d, unit.unsqueeze(-1))
        return torch.where(squares > 0, unit.unsqueeze(-1) / squares, bare), unit

    def strength(self, damping: Scalar, cost: Scalar) -> Scalar:
        r"""Return the factor $\lambda$ of $D$ in the next step."""
        return damping

    @abstractmethod
    def update(
        self,
        lane: Any,
        damping: Scalar,
        growth: Scalar,
        ratio: Scalar,
        accepted: Mask,
    ) -> tuple[Scalar, Scalar]:
        """Return damping and growth after a step with this gain ratio, which is NaN after a failed one."""


def relative_scaling(
    gauge: Gauge,
    former: torch.Tensor,  # shape: (*batch, n)
    unit: torch.Tensor,  # shape: (*batch,)
) -> torch.Tensor:
    r"""Return $D = \sigma \operatorname{diag}(1/z^2)$ for parameters of size $z$, shape `(*batch, n)`.

    $z_j = \max\bigl(|x_j|, \tfrac14 z_j^{\text{former}}, c\,\lVert r \rVert / \lVert J_j \rVert\bigr)$: the size may
    fall to a quarter in one step, so that a parameter that passes through zero is not held there, and it is at least a
    small share of the change in it that alone would explain the residuals. $\sigma = \max_j z_j^2 \lVert J_j \rVert^2$
    at the start makes $\lambda$ a number without unit. So neither the units of the parameters nor those of the
    residuals matter. Coordinates on curved manifolds have size one.
    """
    size = torch.maximum(gauge.squares, _share(gauge))
    return torch.minimum(unit.unsqueeze(-1) / size, former * (1 / _SHRINK**2))


def _share(gauge: Gauge) -> torch.Tensor:
    """Return the square of the least size of each parameter; zero where it has no influence.

    A parameter that is not zero is taken to be off by no more than a factor of 1 / eps. One that seems to be has next
    to no influence where it stands; a step that trusts in it would be thrown out of the numbers with each trial.
    """
    natural = (gauge.cost * (2 * _LEAST_SHARE**2)).unsqueeze(-1) / gauge.diagonal
    natural = torch.nan_to_num(natural, nan=0.0, posinf=0.0)
    largest = gauge.squares / torch.finfo(natural.dtype).eps ** 2
    return torch.where(gauge.squares > 0, torch.minimum(natural, largest), natural)


def _positive(d: torch.Tensor) -> torch.Tensor:
    """Give a column of zeros a positive weight: it must not leave its parameter undamped."""
    return torch.where(d > 0, d, d.amax(-1, keepdim=True).clamp(min=torch.finfo(d.dtype).tiny))
