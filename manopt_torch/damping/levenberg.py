"""Levenberg's damping: a multiple of the identity."""

from manopt_torch.damping.factors import FactorDamping


class LevenbergDamping(FactorDamping):
    r"""Damp with $\lambda I$: up by one factor after a rejected step, down by another after an accepted one.

    Robust where the parameters have comparable units, and the natural choice on a curved manifold; other units give
    another method. `increase=2, decrease=3` is delayed gratification: the damping grows slowly and shrinks fast enough
    to follow narrow valleys.

    Args:
        initial: $\lambda_0$, in units of $J'J$.
        increase: factor after a rejected step.
        decrease: divisor after an accepted step.

    Raises:
        OptionsError: if a number is out of its range.

    References:
        [Levenberg:1944]; [TranstrumSethna:2012] for delayed gratification.

    Examples:
        >>> LevenbergDamping(increase=2.0, decrease=3.0)
        LevenbergDamping(0.001, increase=2, decrease=3)
    """

    initial: float
    increase: float
    decrease: float
    scaling: str

    def __init__(self, initial: float = 1e-3, *, increase: float = 10.0, decrease: float = 10.0) -> None:
        self.initial, self.increase, self.decrease, self.scaling = initial, increase, decrease, "identity"
        self.check()
