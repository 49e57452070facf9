"""Damping in proportion to the cost."""

from typing import Any

from manopt_torch._typing import Mask, Scalar
from manopt_torch.damping.base import Damping
from manopt_torch.errors import OptionsError
from manopt_torch.plans.options import check_range


class ResidualDamping(Damping):
    r"""Damp with $\mu \lVert r \rVert^2 I$, the rule of Manopt.jl.

    $\mu \leftarrow \beta\mu$ after a rejected step. After an accepted one $\mu$ stays, and shrinks to
    $\max(\mu_{\min}, \mu / \beta)$ only where the residuals are expected to vanish at the solution.

    Args:
        acceptance: $\eta$, the least gain ratio of an accepted step.
        increase: $\beta$.
        least: $\mu_{\min}$, also the value at the start.
        expect_zero_residual: whether $\mu$ may shrink.

    Raises:
        OptionsError: if $\eta$ is outside $(0, 1)$, $\beta \le 1$, or $\mu_{\min} \le 0$.

    References:
        [AdachiOkunoTakeda:2022]; [Bergmann:2022].

    Examples:
        >>> ResidualDamping().least
        0.1
    """

    acceptance: float
    increase: float
    least: float
    initial: float
    scaling: str

    predicts_damped = True

    def __init__(
        self,
        acceptance: float = 0.2,
        *,
        increase: float = 5.0,
        least: float = 0.1,
        expect_zero_residual: bool = False,
    ) -> None:
        self.acceptance, self.increase, self.least = acceptance, increase, least
        self.initial, self.scaling = least, "identity"
        self.expect_zero_residual = expect_zero_residual
        check_range(self, "acceptance", 0.0, 1.0)
        check_range(self, "increase", 1.0, float("inf"))
        check_range(self, "least", 0.0, float("inf"))
        if not isinstance(expect_zero_residual, bool):
            raise OptionsError(f"ResidualDamping: expect_zero_residual must be a bool, got {expect_zero_residual!r}")

    def strength(self, damping: Scalar, cost: Scalar) -> Scalar:
        r"""Return $\mu \lVert r \rVert^2$."""
        return damping * (2.0 * cost)

    def update(
        self, lane: Any, damping: Scalar, growth: Scalar, ratio: Scalar, accepted: Mask
    ) -> tuple[Scalar, Scalar]:
        """Grow after a rejection; shrink after acceptance if the residuals are to vanish."""
        kept = lane.max(damping / self.increase, self.least) if self.expect_zero_residual else damping
        return lane.where(accepted, kept, damping * self.increase), growth

    def __repr__(self) -> str:
        return f"ResidualDamping({self.acceptance:g}, increase={self.increase:g}, least={self.least:g})"
