"""Coefficients whose numerator is the squared length of the gradient; and none at all."""

from typing import Any

from manopt_torch.conjugacy.base import ConjugateCoefficient


class SteepestDescentCoefficient(ConjugateCoefficient):
    r"""Keep nothing of the former direction: $\beta = 0$, which is steepest descent.

    Examples:
        >>> SteepestDescentCoefficient()
        SteepestDescentCoefficient()
    """

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Return zero."""
        return 0.0


class FletcherReevesCoefficient(ConjugateCoefficient):
    r"""The coefficient of Fletcher and Reeves, $\beta = \langle g_+, P g_+\rangle / \langle g, P g\rangle$.

    Never negative and free of transports of gradients. After a bad direction it takes ever shorter steps: use it in a
    `BealeRestartCoefficient`, or with `PolakRibiereCoefficient` in a `HybridCoefficient`.

    References:
        [FletcherReeves:1964]; [Boumal:2023], section 6.6; [HagerZhang:2006].

    Examples:
        >>> FletcherReevesCoefficient()
        FletcherReevesCoefficient()
    """

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Return the ratio of the squared lengths."""
        return o.lane.div(o.proposal.square, o.square)


class DaiYuanCoefficient(ConjugateCoefficient):
    r"""The coefficient of Dai and Yuan, $\beta = \langle g_+, P g_+\rangle / \langle y, \mathcal T\delta\rangle$.

    Here $y = g_+ - \mathcal T g$. With a Wolfe line search every direction is one of descent, but after a bad one the
    steps become ever shorter: use it with `HestenesStiefelCoefficient` in a `HybridCoefficient`.

    References:
        [DaiYuan:1999]; [HagerZhang:2006].

    Examples:
        >>> DaiYuanCoefficient()
        DaiYuanCoefficient()
    """

    @property
    def makes_conjugate(self) -> bool:
        """False: directions grow long and nearly parallel."""
        return False

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Return the ratio."""
        q = o.proposal
        return o.lane.div(q.square, q.along_change(p, o))


class ConjugateDescentCoefficient(ConjugateCoefficient):
    r"""Fletcher's conjugate descent, $\beta = \langle g_+, P g_+\rangle / \langle -\delta, g\rangle$.

    The default, as in Manopt.jl; the cheapest: all its products are known before it is asked.

    References:
        [Fletcher:1987]; [HagerZhang:2006].

    Examples:
        >>> ConjugateDescentCoefficient()
        ConjugateDescentCoefficient()
    """

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Return the ratio."""
        return o.lane.div(o.proposal.square, -o.slope)
