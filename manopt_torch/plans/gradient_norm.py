"""The length of the gradient, computed once for each gradient, whoever asks for it.

Criteria, stepsizes and rules all want it, and `commit` can tell from it that a gradient is finite.
"""

from typing import Any

from manopt_torch._typing import Scalar
from manopt_torch.plans.options import lane_of


def gradient_norm(p: Any, o: Any) -> Scalar:
    """Return the length of the gradient at the iterate in the form of the lane."""
    held = o.measured
    if held is not None and held[0] is o.gradient and held[1] is o.x:
        return held[2]
    if o.lane is None or o.gradient is None:  # asked by hand, before the run was initialised
        gradient = p.get_gradient(o.x) if o.gradient is None else o.gradient
        return lane_of(p, o).scalar(p.M.norm(o.x, gradient))
    return norm_at(p.M, o, o.x, o.gradient)


def norm_at(M: Any, o: Any, x: Any, gradient: Any, inner: Any = None) -> Scalar:
    """Return the length of the gradient at `x` in the form of the lane, and keep it for those who ask next.

    With the inner product at `x` in hand, see `Manifold.inner_at`, it may keep what the length is computed from.
    """
    held = o.measured
    # with its point: a gradient may be the same tensor everywhere, as that of a linear function is
    if held is not None and held[0] is gradient and held[1] is x:
        return held[2]
    length = getattr(inner, "norm", None)
    norm = o.lane.scalar(M.norm(x, gradient) if length is None else length(gradient))
    o.measured = gradient, x, norm
    return norm
