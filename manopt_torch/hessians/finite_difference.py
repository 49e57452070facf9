"""The Hessian from differences of gradients."""

from dataclasses import dataclass
from typing import Any

import torch

from manopt_torch._typing import Tangent
from manopt_torch.hessians.base import HessianApproximation
from manopt_torch.manifolds.geodesics import carry
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.plans.options import check_range


@dataclass(eq=False)
class ApproxHessianFiniteDifference(HessianApproximation):
    r"""Approximate Hessian-vector products by a forward difference of gradients.

    $$\operatorname{Hess} f(x)[u] \approx \frac{\lVert u\rVert}{c}\bigl(
    \mathcal T_{x \leftarrow y}\operatorname{grad} f(y) - \operatorname{grad} f(x)\bigr), \qquad
    y = \operatorname{retr}_x\Bigl(\frac{c}{\lVert u\rVert} u\Bigr)$$

    with parallel transport $\mathcal T$, or the manifold's cheap one where there is no other. Each product costs a
    gradient. It is neither quite linear nor quite symmetric; trust regions bear that. Use it where the cost cannot be
    differentiated twice.

    Args:
        steplength: $c$; the default is that of Manopt.jl.

    Raises:
        OptionsError: if the step is not positive.

    References:
        [Boumal:2015]; [AbsilMahonySepulchre:2008], section 8.2.1.

    Examples:
        >>> import torch
        >>> from manopt_torch import ApproxHessianFiniteDifference, Sphere, trust_regions
        >>> a, x = torch.diag(torch.tensor([3.0, 2.0, 1.0]).double()), torch.tensor([0.6, 0.48, 0.64]).double()
        >>> rule = ApproxHessianFiniteDifference()
        >>> trust_regions(Sphere(3), lambda x: (x * (x @ a)).sum(-1), x, hessian=rule).abs().round(decimals=6)
        tensor([0., 0., 1.], dtype=torch.float64)
    """

    steplength: float = 2.0**-14

    def __post_init__(self) -> None:
        """Check the range."""
        check_range(self, "steplength", 0.0, float("inf"))

    def apply(self, p: Any, o: Any, u: Tangent) -> Tangent:
        """Compare the gradient a little further along `u` with the one at the iterate."""
        lane, M, x, c = o.lane, p.M, o.x, self.steplength
        length = lane.scalar(M.norm(x, u))
        moves = length > 0
        t = lane.where(moves, lane.div(c, lane.where(moves, length, 1.0)), 0.0)  # the product with zero is zero
        y = M.retract(x, u, t, o.retraction_method)
        difference = map_leaves(torch.sub, carry(M, y, x, p.get_gradient(y)), o.gradient)
        return lane.scale(length / c, M.project_tangent(x, difference))
