"""Criteria of searches on a mesh."""

from typing import Any

from manopt_torch.plans.options import check_range, lane_of
from manopt_torch.plans.stopping.base import StoppingCriterion


class StopWhenPollSizeLess(StoppingCriterion):
    r"""Stop a problem when its poll size is below $\varepsilon$; for options with the field `poll_size`.

    Args:
        eps: the bound.

    Raises:
        OptionsError: if `eps` is negative.

    Examples:
        >>> StopWhenPollSizeLess(1e-10)
        StopWhenPollSizeLess(1e-10)
    """

    indicates_convergence = True
    reads = ("poll_size",)

    def __init__(self, eps: float) -> None:
        self.eps = eps
        check_range(self, "eps", 0.0, float("inf"), open_low=False)

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare the poll size with the bound."""
        return lane_of(p, o).scalar(o.poll_size) < self.eps

    def reason(self, o: Any, i: int) -> str:
        """Name the bound."""
        return f"The algorithm computed a poll size below {self.eps:g} after {i} iterations."

    def __repr__(self) -> str:
        return f"StopWhenPollSizeLess({self.eps:g})"
