"""The Hessian from steps, by the update of Broyden, Fletcher, Goldfarb and Shanno."""

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
class ApproxHessianBFGS(HessianApproximation):
    r"""Approximate the Hessian from steps and gradients by BFGS updates; the approximation stays positive.

    $$B \leftarrow B + \frac{y y^\top}{\langle y, s\rangle} - \frac{B s s^\top B}{\langle s, B s\rangle}$$

    with the step $s$ and the change $y$ of the gradient, then transported to the new point. The matrix is dense, of the
    manifold's dimension.

    Args:
        initial_scale: the first operator is this multiple of the identity.
        scale: whether the first update replaces it by $\langle y, y\rangle / \langle y, s\rangle$.
        cautious: an update is left out where $\langle y, s\rangle < c \langle s, s\rangle$ with this $c$, and always
            where it is not positive.

    Raises:
        OptionsError: if a parameter is out of its range.

    References:
        [NocedalWright:2006], section 6.1; [HuangAbsilGallivan:2015].

    Examples:
        >>> import torch
        >>> from manopt_torch import ApproxHessianBFGS, Sphere, trust_regions
        >>> a, x = torch.diag(torch.tensor([3.0, 2.0, 1.0]).double()), torch.tensor([0.6, 0.48, 0.64]).double()
        >>> rule = ApproxHessianBFGS()
        >>> trust_regions(Sphere(3), lambda x: (x * (x @ a)).sum(-1), x, hessian=rule).abs().round(decimals=6)
        tensor([0., 0., 1.], dtype=torch.float64)
    """

    initial_scale: float = 1.0
    scale: bool = True
    cautious: float = 1e-10

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_range(self, "initial_scale", 0.0, float("inf"))
        check_range(self, "cautious", 0.0, float("inf"), open_low=False)

    def init(self, p: Any, o: Any) -> Any:
        """Start from a multiple of the identity."""
        return {"matrix": multiple_of_identity(p, o, self.initial_scale), "fresh": o.lane.full(True)}

    def apply(self, p: Any, o: Any, u: Tangent) -> Tangent:
        """Apply the operator."""
        return apply_operator(p.M, o.x, memory_of(self, p, o)["matrix"], u)

    def update(self, p: Any, o: Any, accepted: Any, x: Any, gradient: Tangent, eta: Tangent) -> None:
        """Satisfy the secant equation of the step, and carry the operator along."""
        lane, memory = o.lane, memory_of(self, p, o)
        b, fresh = memory["matrix"], memory["fresh"]
        s, y = secant_pair(p, o, x, gradient, eta)
        ys, ss = lane.scalar((y * s).sum(-1)), lane.scalar((s * s).sum(-1))
        safe = (ys > 0) & (ys >= self.cautious * ss)
        if self.scale:
            multiple = lane.div(lane.scalar((y * y).sum(-1)), lane.where(safe, ys, 1.0))
            scaled = lane.scale(multiple, multiple_of_identity(p, o, 1.0))
            b = lane.pick(fresh & safe, scaled, b)
        bs = times(b, s)
        sbs = lane.scalar((s * bs).sum(-1))
        gain = lane.div(1.0, lane.where(safe, ys, 1.0))
        loss = lane.div(1.0, lane.where(safe, sbs, 1.0))
        new = lane.axpy(lane.axpy(b, gain, outer(y, y)), -loss, outer(bs, bs))
        new = carry_operator(p.M, x, o.x, lane.pick(safe & (sbs > 0), new, b))
        learns = moved(o, accepted) & lane.finite(new)
        memory["matrix"] = lane.pick(learns, new, memory["matrix"])
        memory["fresh"] = fresh & lane.not_(learns & safe)
