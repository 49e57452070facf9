"""The flat torus as angles."""

import math

from manopt_torch.manifolds.flat_space import Angles
from manopt_torch.manifolds.validation import positive_sizes


class Torus(Angles):
    r"""Vectors of angles in $[-\pi, \pi)$, each with the arc length of its circle.

    $\langle u, v\rangle = \sum_i u_i v_i$; $\exp_x(u) = \operatorname{wrap}(x + u)$ and
    $\log_x(y) = \operatorname{wrap}(y - x)$, where $\operatorname{wrap}$ adds the multiples of $2\pi$ that lead to
    $[-\pi, \pi)$. Use it for joint angles of robots and molecules and for phases of several signals. The torus is flat:
    transport does nothing, and gradients and Hessians are the Euclidean ones. Where two angles are antipodes the
    logarithm is $-\pi$, and `log_defined` is false.

    Args:
        n: number of angles.

    Shapes:
        points: `(*batch, n)`.

    Raises:
        OptionsError: if `n` is no positive integer.

    References:
        [BergmannLausSteidlWeinmann:2014].

    Examples:
        >>> import torch
        >>> M = Torus(2)
        >>> x, y = torch.tensor([3.0, 0.0]), torch.tensor([-3.0, 0.5])
        >>> M.log(x, y)
        tensor([0.2832, 0.5000])
        >>> M.exp(x, torch.tensor([1.0, 1.0]))
        tensor([-2.2832,  1.0000])
    """

    def __init__(self, n: int) -> None:
        positive_sizes("Torus", (n,))
        Angles.__init__(self, n)
        self.typical_dist = math.pi / 2 * math.sqrt(n)  # as the power of a circle
