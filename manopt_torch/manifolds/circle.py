"""The circle as angles."""

import math

from manopt_torch.manifolds.flat_space import Angles


class Circle(Angles):
    r"""Angles in $[-\pi, \pi)$ with the arc length as distance.

    $\exp_x(u) = \operatorname{wrap}(x + u)$, $\log_x(y) = \operatorname{wrap}(y - x)$, where $\operatorname{wrap}$
    adds the multiple of $2\pi$ that leads to $[-\pi, \pi)$. Use it for phases and headings, and `Power(Circle(), n)`
    for phase-valued signals. The circle is flat: transport does nothing, and gradients and Hessians are the
    Euclidean ones. `log` of an antipode is $-\pi$, where `log_defined` is false.

    Shapes:
        points: `(*batch,)`, one angle each.

    References:
        [Boumal:2023], section 7.2, on the unit circle that the angles stand for.

    Examples:
        >>> import torch
        >>> M = Circle()
        >>> M.dist(torch.tensor(3.0), torch.tensor(-3.0))
        tensor(0.2832)
        >>> M.exp(torch.tensor(3.0), torch.tensor(1.0))
        tensor(-2.2832)
    """

    def __init__(self) -> None:
        Angles.__init__(self)
        self.typical_dist = math.pi / 2
