"""The Hessian from steps, by updates of rank one."""

from dataclasses import dataclass
from typing import Any

from manopt_torch._typing import Tangent
from manopt_torch.hessians.base import HessianApproximation
from manopt_torch.hessians.coordinates import (
    apply_operator,
    carry_operator,
    moved,
    multiple_of_identity,
    outer,
    secant_pair,
    times,
)
from manopt_torch.plans.options import check_range, memory_of


@dataclass(eq=False)
class ApproxHessianSymmetricRankOne(HessianApproximation):
    r"""Approximate the Hessian from steps and gradients by symmetric updates of rank one.

    $$B \leftarrow B + \frac{r r^\top}{\langle r, s\rangle}, \qquad r = y - B s$$

    with the step $s$ and the change $y$ of the gradient, then transported to the new point. The matrix may be
    indefinite, as the Hessian may be: trust regions make use of that. It is dense, of the manifold's dimension.

    Args:
        initial_scale: the first operator is this multiple of the identity.
        nu: an update is left out where $|\langle r, s\rangle| < \nu \lVert r\rVert \lVert s\rVert$, which avoids
            division by nearly zero.

    Raises:
        OptionsError: if a parameter is out of its range.

    References:
        [NocedalWright:2006], section 6.2; [HuangAbsilGallivan:2015].

    Examples:
        >>> import torch
        >>> from manopt_torch import ApproxHessianSymmetricRankOne, Sphere, trust_regions
        >>> a, x = torch.diag(torch.tensor([3.0, 2.0, 1.0]).double()), torch.tensor([0.6, 0.48, 0.64]).double()
        >>> rule = ApproxHessianSymmetricRankOne()
        >>> trust_regions(Sphere(3), lambda x: (x * (x @ a)).sum(-1), x, hessian=rule).abs().round(decimals=6)
        tensor([0., 0., 1.], dtype=torch.float64)
    """

    initial_scale: float = 1.0
    nu: float = 1e-8  # [NocedalWright:2006], (6.26)

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_range(self, "initial_scale", 0.0, float("inf"))
        check_range(self, "nu", 0.0, 1.0, open_low=False)

    def init(self, p: Any, o: Any) -> Any:
        """Start from a multiple of the identity."""
        return {"matrix": multiple_of_identity(p, o, self.initial_scale)}

    def apply(self, p: Any, o: Any, u: Tangent) -> Tangent:
        """Apply the operator."""
        return apply_operator(p.M, o.x, memory_of(self, p, o)["matrix"], u)

    def update(self, p: Any, o: Any, accepted: Any, x: Any, gradient: Tangent, eta: Tangent) -> None:
        """Satisfy the secant equation of the step, and carry the operator along."""
        lane, memory = o.lane, memory_of(self, p, o)
        b = memory["matrix"]
        s, y = secant_pair(p, o, x, gradient, eta)
        r = y - times(b, s)
        product = lane.scalar((r * s).sum(-1))
        lengths = lane.scalar((r * r).sum(-1)) * lane.scalar((s * s).sum(-1))
        safe = (product * product >= self.nu**2 * lengths) & lane.not_(product == 0)
        factor = lane.where(safe, lane.div(1.0, lane.where(safe, product, 1.0)), 0.0)
        new = carry_operator(p.M, x, o.x, lane.axpy(b, factor, outer(r, r)))
        memory["matrix"] = lane.pick(moved(o, accepted) & lane.finite(new), new, b)
