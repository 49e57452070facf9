"""Nielsen's damping rule."""

from typing import Any

from manopt_torch._typing import Mask, Scalar
from manopt_torch.damping.base import Damping
from manopt_torch.plans.options import check_range


class NielsenDamping(Damping):
    r"""Change the damping smoothly with the gain ratio $\varrho$, and double its growth with each rejection.

    $\lambda \leftarrow \lambda \max\bigl(\theta, 1 - (2\varrho - 1)^3\bigr)$, $\nu = 2$ after an accepted step;
    $\lambda \leftarrow \lambda \nu$, $\nu \leftarrow 2\nu$ after a rejected one. The default rule: of those tried on
    published problems it takes the fewest steps.

    Args:
        initial: $\lambda_0$; Gauss-Newton steps at first where the start is good.
        shrink: $\theta$, the strongest decrease; 1/3 in the original. Less finds back sooner from long rejections.
        scaling: the matrix $D$, see `Damping`.

    Raises:
        OptionsError: if a number is out of its range or the scaling unknown.

    References:
        [MadsenNielsenTingleff:2004], section 3.2; [Nielsen:1999].

    Examples:
        >>> NielsenDamping().scaling
        'relative'
    """

    initial: float
    shrink: float
    scaling: str

    def __init__(self, initial: float = 0.1, *, shrink: float = 0.1, scaling: str = "relative") -> None:
        self.initial, self.shrink, self.scaling = initial, shrink, scaling
        check_range(self, "shrink", 0.0, 1.0)
        self.check()

    def update(
        self, lane: Any, damping: Scalar, growth: Scalar, ratio: Scalar, accepted: Mask
    ) -> tuple[Scalar, Scalar]:
        """Follow the gain ratio."""
        q = 2.0 * ratio - 1.0
        shrunk = damping * lane.max(1.0 - q * q * q, self.shrink)
        return (
            lane.where(accepted, shrunk, damping * growth),
            lane.where(accepted, lane.full(2.0), 2.0 * growth),
        )

    def __repr__(self) -> str:
        return f"NielsenDamping({self.initial:g}, shrink={self.shrink:g}, scaling={self.scaling!r})"
