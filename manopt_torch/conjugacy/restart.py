"""When the conjugate gradient method starts over along minus the gradient."""

from dataclasses import dataclass
from typing import Any

from manopt_torch.conjugacy.base import RestartCondition
from manopt_torch.plans.options import check_range


class NeverRestart(RestartCondition):
    """Keep every direction, even one along which the cost increases.

    Examples:
        >>> NeverRestart()
        NeverRestart()
    """

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Return false."""
        return o.lane.full(False)


class RestartOnNonDescent(RestartCondition):
    r"""Start over where the new direction is none of descent, $\langle g_+, \delta_+\rangle \ge 0$.

    Examples:
        >>> RestartOnNonDescent()
        RestartOnNonDescent()
    """

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare the slope with zero; NaN is no descent."""
        return o.lane.not_(o.proposal.slope < 0)


@dataclass(eq=False, repr=False)
class RestartOnNonSufficientDescent(RestartCondition):
    r"""Start over where the descent is too slow, $\langle g_+, \delta_+\rangle > -\kappa \langle g_+, P g_+\rangle$.

    Args:
        kappa: $\kappa \in (0, 1]$.

    Raises:
        OptionsError: if `kappa` is out of its range.

    Examples:
        >>> RestartOnNonSufficientDescent(0.1)
        RestartOnNonSufficientDescent(0.1)
    """

    kappa: float

    def __post_init__(self) -> None:
        """Check the range."""
        check_range(self, "kappa", 0.0, 1.0, open_high=False)

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare the slope with that of minus the gradient; NaN is no descent."""
        q = o.proposal
        return o.lane.not_(q.slope <= -self.kappa * q.square)

    def __repr__(self) -> str:
        return f"RestartOnNonSufficientDescent({self.kappa!r})"
