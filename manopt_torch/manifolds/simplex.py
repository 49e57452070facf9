"""The probability simplex."""

import math

from manopt_torch.manifolds.fisher_rao import FisherRao
from manopt_torch.manifolds.validation import positive_sizes


class Simplex(FisherRao):
    r"""Positive vectors of sum one with the Fisher-Rao metric $\langle u, v\rangle_x = \sum_i u_i v_i / x_i$.

    Use it for probabilities, mixture weights and compositions. The square root maps it to the positive part of a
    sphere; with $s = \sqrt x$, $w = u/(2s)$, $\theta = \lVert w\rVert$ and all products entrywise:

    - $d(x, y) = 2 \arccos \sum_i \sqrt{x_i y_i}$ (computed from differences, accurate at $x = y$);
    - $\exp_x(u) = (\cos\theta\, s + \tfrac{\sin\theta}{\theta} w)^2$;
    - $\operatorname{grad} f = x (g - \langle x, g\rangle)$ and $\operatorname{Hess} f[u] = P_x(x h + \tfrac12 u
      (g - \langle x, g\rangle))$ with $g = \nabla f$, $h = \nabla^2 f[u]$, $P_x z = z - (\sum_i z_i) x$;
    - retraction $x e^{u/x}$ divided by its sum, the default: always inside, of first order.

    The boundary is at finite distance, `injectivity_radius(x)` $= 2\arcsin\sqrt{\min_i x_i}$.

    Args:
        n: number of entries.

    Shapes:
        points: `(*batch, n)`.

    Raises:
        OptionsError: if `n` is no integer of at least 2.

    References:
        [AstromPetraSchmitzerSchnoerr:2017]; [Boumal:2023], section 11.6.

    Examples:
        >>> import torch
        >>> M = Simplex(2)
        >>> round(M.dist(torch.tensor([0.5, 0.5]), torch.tensor([0.75, 0.25])).item(), 4)  # pi / 6
        0.5236
    """

    _axis, _others = -1, ()

    def __init__(self, n: int) -> None:
        positive_sizes("Simplex", (n,), least=2)
        self.point_shape = (n,)
        self.dim = n - 1
        self.typical_dist = math.pi / 2
