"""Marquardt's damping: a multiple of the diagonal, in MINPACK's form."""

from manopt_torch.damping.factors import FactorDamping


class MarquardtDamping(FactorDamping):
    r"""Damp with $\lambda D$, $D$ the running maximum of the diagonal of $J'J$.

    Marquardt scaled with the current diagonal, which can vanish where a parameter loses its influence for a while;
    with the maximum so far, as in MINPACK, the method still does not depend on the units of the parameters.

    Args:
        initial: $\lambda_0$.
        increase: factor after a rejected step; 2, with `decrease=3`, is delayed gratification.
        decrease: divisor after an accepted step.

    Raises:
        OptionsError: if a number is out of its range.

    References:
        [Marquardt:1963]; [More:1978]; [TranstrumSethna:2012] for delayed gratification.

    Examples:
        >>> MarquardtDamping().scaling
        'largest'
    """

    initial: float
    increase: float
    decrease: float
    scaling: str

    def __init__(self, initial: float = 1e-3, *, increase: float = 10.0, decrease: float = 10.0) -> None:
        self.initial, self.increase, self.decrease, self.scaling = initial, increase, decrease, "largest"
        self.check()
