"""Damping with the current diagonal."""

from manopt_torch.damping.factors import FactorDamping


class FletcherDamping(FactorDamping):
    r"""Damp with $\lambda \operatorname{diag}(J'J)$ of the current point, as Marquardt and Fletcher first did.

    What many packages mean by Levenberg-Marquardt. It does not depend on units, but a parameter that loses its
    influence for a while is hardly damped and may run off: prefer the default, or `MarquardtDamping`.

    Args:
        initial: $\lambda_0$.
        increase: factor after a rejected step.
        decrease: divisor after an accepted step.

    Raises:
        OptionsError: if a number is out of its range.

    References:
        [Fletcher:1971]; [Marquardt:1963].

    Examples:
        >>> FletcherDamping().scaling
        'current'
    """

    initial: float
    increase: float
    decrease: float
    scaling: str

    def __init__(self, initial: float = 1e-3, *, increase: float = 10.0, decrease: float = 10.0) -> None:
        self.initial, self.increase, self.decrease, self.scaling = initial, increase, decrease, "current"
        self.check()
