r"""Coefficients whose numerator knows the change of the gradient, $y = g_+ - \mathcal T g$.

They fall back to zero by themselves where the gradient has hardly changed, and so recover from bad directions.
"""

from dataclasses import KW_ONLY, dataclass
from typing import Any

from manopt_torch.conjugacy.base import ConjugateCoefficient
from manopt_torch.plans.options import check_range


@dataclass(eq=False, repr=False)
class PolakRibiereCoefficient(ConjugateCoefficient):
    r"""The coefficient of Polak and Ribiere, $\beta = \langle P g_+, y\rangle / \langle g, P g\rangle$.

    Args:
        nonnegative: whether negative values count as zero (the rule PR+, which converges for general costs).

    References:
        [PolakRibiere:1969]; [GilbertNocedal:1992]; [HagerZhang:2006].

    Examples:
        >>> PolakRibiereCoefficient().nonnegative
        True
    """

    nonnegative: bool = True

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Return the ratio."""
        return _clipped(o.lane, o.lane.div(o.proposal.square_change(p, o), o.square), self.nonnegative)


@dataclass(eq=False, repr=False)
class HestenesStiefelCoefficient(ConjugateCoefficient):
    r"""The coefficient of Hestenes and Stiefel, $\beta = \langle P g_+, y\rangle / \langle y, \mathcal T\delta\rangle$.

    The new direction is conjugate to the former one whatever the line search. Often the fastest.

    Args:
        nonnegative: whether negative values count as zero.

    References:
        [HestenesStiefel:1952]; [HagerZhang:2006].

    Examples:
        >>> HestenesStiefelCoefficient().nonnegative
        True
    """

    nonnegative: bool = True

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Return the ratio."""
        q = o.proposal
        return _clipped(o.lane, o.lane.div(q.square_change(p, o), q.along_change(p, o)), self.nonnegative)


@dataclass(eq=False, repr=False)
class LiuStoreyCoefficient(ConjugateCoefficient):
    r"""The coefficient of Liu and Storey, $\beta = \langle P g_+, y\rangle / \langle -\delta, g\rangle$.

    Args:
        nonnegative: whether negative values count as zero.

    References:
        [LiuStorey:1991]; [HagerZhang:2006].

    Examples:
        >>> LiuStoreyCoefficient().nonnegative
        False
    """

    nonnegative: bool = False

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Return the ratio."""
        return _clipped(o.lane, o.lane.div(o.proposal.square_change(p, o), -o.slope), self.nonnegative)


@dataclass(eq=False, repr=False)
class HagerZhangCoefficient(ConjugateCoefficient):
    r"""The coefficient of Hager and Zhang, which gives descent with any line search.

    $$\beta = \max\Bigl\{ \frac{1}{d}\Bigl\langle P y - 2\,\frac{\langle y, P y\rangle}{d}\,\mathcal T\delta,\;
    g_+ \Bigr\rangle,\; \frac{-1}{\lVert\delta\rVert \min\{\eta, \lVert g\rVert\}} \Bigr\},
    \qquad d = \langle y, \mathcal T\delta\rangle$$

    Args:
        eta: $\eta > 0$ in the bound from below; 0.01 as in the paper.

    Raises:
        OptionsError: if `eta` is not positive.

    References:
        [HagerZhang:2005]; [HagerZhang:2006].

    Examples:
        >>> HagerZhangCoefficient().eta
        0.01
    """

    _: KW_ONLY
    eta: float = 0.01

    def __post_init__(self) -> None:
        """Check the range."""
        check_range(self, "eta", 0.0, float("inf"))

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Return the coefficient."""
        lane, q, M = o.lane, o.proposal, p.M
        y = q.change(p, o)
        plain = o.preconditioned is None
        py = y if plain else p.get_preconditioner(q.x, y)
        below = lane.scalar(q.inner(y, q.carried))
        squared = lane.scalar(q.inner(y, py))
        above = lane.scalar(q.inner(py, q.gradient)) - lane.div(2.0 * squared * q.along, below)
        squared_length = lane.scalar(M.inner(o.x, o.direction, o.direction))
        former = o.square if plain else lane.scalar(M.inner(o.x, o.gradient, o.gradient))
        limit = lane.sqrt(squared_length) * lane.min(lane.sqrt(former), self.eta)
        return lane.max(lane.div(above, below), lane.div(-1.0, limit))


def _clipped(lane: Any, beta: Any, nonnegative: bool) -> Any:
    return lane.max(beta, 0.0) if nonnegative else beta
