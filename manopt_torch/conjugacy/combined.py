"""Coefficients made of other coefficients."""

from dataclasses import KW_ONLY, dataclass
from typing import Any

from manopt_torch._keywords import what_came
from manopt_torch.conjugacy.base import ConjugateCoefficient
from manopt_torch.errors import OptionsError
from manopt_torch.plans.options import check_range


@dataclass(eq=False, repr=False)
class HybridCoefficient(ConjugateCoefficient):
    r"""Take the smaller one of two coefficients, but not less than a bound: $\max\{b, \min\{\beta_1, \beta_2\}\}$.

    The usual pairs are Hestenes-Stiefel with Dai-Yuan, and Polak-Ribiere with Fletcher-Reeves: the first one is
    fast, the second one keeps it in the range where the method converges.

    Args:
        first: a coefficient.
        second: another one.
        lower_bound: $b$.

    Raises:
        OptionsError: if one of them is no coefficient.

    References:
        [DaiYuan:2001]; [HagerZhang:2006].

    Examples:
        >>> from manopt_torch import DaiYuanCoefficient, HestenesStiefelCoefficient
        >>> HybridCoefficient(HestenesStiefelCoefficient(), DaiYuanCoefficient())
        HybridCoefficient(HestenesStiefelCoefficient(), DaiYuanCoefficient())
    """

    first: ConjugateCoefficient
    second: ConjugateCoefficient
    _: KW_ONLY
    lower_bound: float = 0.0

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_coefficient(self, "first", self.first)
        check_coefficient(self, "second", self.second)

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Return the combined coefficient."""
        lane = o.lane
        first, second = (lane.answer(rule(p, o, i)) for rule in (self.first, self.second))
        return lane.max(lane.min(first, second), self.lower_bound)

    def __repr__(self) -> str:
        return f"HybridCoefficient({self.first!r}, {self.second!r})"


@dataclass(eq=False, repr=False)
class BealeRestartCoefficient(ConjugateCoefficient):
    r"""Another coefficient, but zero where successive gradients are far from orthogonal.

    That is where $\lvert\langle g_+, P\,\mathcal T g\rangle\rvert > \theta\,\langle g_+, P g_+\rangle$: the test of
    Powell for the restarts of Beale.

    Args:
        coefficient: the coefficient to use otherwise.
        threshold: $\theta > 0$; 0.2 as in the paper.

    Raises:
        OptionsError: if `coefficient` is none, or `threshold` is not positive.

    References:
        [Beale:1972]; [Powell:1977].

    Examples:
        >>> from manopt_torch import FletcherReevesCoefficient
        >>> BealeRestartCoefficient(FletcherReevesCoefficient())
        BealeRestartCoefficient(FletcherReevesCoefficient(), threshold=0.2)
    """

    coefficient: ConjugateCoefficient
    threshold: float = 0.2

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_coefficient(self, "coefficient", self.coefficient)
        check_range(self, "threshold", 0.0, float("inf"))

    @property
    def makes_conjugate(self) -> bool:
        """Whether the other coefficient does."""
        return getattr(self.coefficient, "makes_conjugate", True)

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Return the coefficient, or zero."""
        lane, q = o.lane, o.proposal
        far = abs(q.mixed(p, o)) > self.threshold * q.square
        beta = lane.answer(self.coefficient(p, o, i))
        return lane.where(far, 0.0, beta)

    def __repr__(self) -> str:
        return f"BealeRestartCoefficient({self.coefficient!r}, threshold={self.threshold!r})"


def check_coefficient(owner: Any, name: str, rule: Any) -> None:
    """Raise an OptionsError unless `rule` can be called as a coefficient."""
    if not callable(rule) or isinstance(rule, type):
        kind, came = type(owner).__name__, what_came(rule)
        raise OptionsError(f"{kind}: {name} must be a coefficient such as FletcherReevesCoefficient(), got {came}")
