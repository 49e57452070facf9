"""Criteria of least squares: relative to the residuals and the parameters, so that units do not matter."""

from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.points import first_leaf
from manopt_torch.plans.options import check_range
from manopt_torch.plans.stopping.base import StoppingCriterion


class _Relative(StoppingCriterion):
    """A bound on a quantity that a least-squares solver keeps."""

    indicates_convergence = True
    # the bound if none is given: this multiple of this power of the rounding error of the dtype
    multiple: float = 1.0
    power: float = 1.0
    field: str

    def __init__(self, eps: float | None = None) -> None:
        self.eps = eps
        if eps is not None:
            check_range(self, "eps", 0.0, float("inf"), open_low=False)

    def bound(self, o: Any) -> float:
        """Return the bound for the dtype of the iterate."""
        return self.multiple * torch.finfo(first_leaf(o.x).dtype).eps ** self.power if self.eps is None else self.eps

    def kept(self, o: Any, i: int) -> Any:
        """Return the quantity after step `i`, None before the first step."""
        if not hasattr(o, self.field):
            raise OptionsError(f"{type(self).__name__} needs the field {self.field}, {type(o).__name__} has none")
        return getattr(o, self.field)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'' if self.eps is None else f'{self.eps:g}'})"


class StopWhenCosineLess(_Relative):
    r"""Stop a problem when every column of $J$ is all but perpendicular to the residuals.

    $\max_j \lvert J_j' r\rvert / (\lVert J_j\rVert \lVert r\rVert) \le \varepsilon$, the gradient test of MINPACK.

    Args:
        eps: the bound; None is 4 times the rounding error of the dtype.

    Raises:
        OptionsError: if `eps` is negative; at the start of a run, if its options keep no such cosine.

    References:
        [More:1978].
    """

    multiple, field = 4.0, "cosine"

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare the cosine with the bound."""
        value = self.kept(o, i)
        return False if value is None else value <= self.bound(o)

    def reason(self, o: Any, i: int) -> str:
        """Name the bound."""
        return f"The residuals were perpendicular to the Jacobian within {self.bound(o):.2g} after {i} iterations."


class StopWhenReductionLess(_Relative):
    r"""Stop a problem when both the predicted and the actual change of the cost are at most $\varepsilon f(x)$.

    Args:
        eps: the bound; None is 4 times the rounding error of the dtype.

    Raises:
        OptionsError: if `eps` is negative; at the start of a run, if its options keep no reductions.

    References:
        [More:1978].
    """

    multiple, field = 4.0, "relative_reduction"

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare the larger of the two relative reductions with the bound."""
        value = self.kept(o, i)
        return False if value is None or i <= 0 else value <= self.bound(o)

    def reason(self, o: Any, i: int) -> str:
        """Name the bound."""
        return f"The cost could be reduced by no more than {self.bound(o):.2g} of itself after {i} iterations."


class StopWhenRelativeStepLess(_Relative):
    r"""Stop a problem when what is left of the way to the solution is at most $\varepsilon$ times as long as the point.

    Lengths are those of scaled parameters. What is left is estimated after two accepted steps in a row, from the rate
    at which they shrink, provided that the damping no longer matters.

    Args:
        eps: the bound; None is a 32nd of the square root of the rounding error of the dtype, $5 \cdot 10^{-10}$ in
            double precision.

    Raises:
        OptionsError: if `eps` is negative; at the start of a run, if its options keep no relative step.

    References:
        [More:1978].
    """

    multiple, power, field = 1 / 32, 1 / 2, "relative_step"

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare the estimate with the bound; after a rejected step it counts as infinite."""
        value = self.kept(o, i)
        return False if value is None or i <= 0 else value <= self.bound(o)

    def reason(self, o: Any, i: int) -> str:
        """Name the bound."""
        return f"The parameters were within {self.bound(o):.2g} of their limit, relative to them, after {i} iterations."
