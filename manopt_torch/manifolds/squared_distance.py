r"""Squared distances whose derivatives come from the logarithm.

Inside the cut locus the gradient of $d(x, y)^2$ with respect to $x$ is $-2 \log_x(y)$. Taken from there it costs no
derivative of the logarithm, and is finite also where that has none; the Hessian needs its first derivative only.
"""

from typing import TYPE_CHECKING, Any

import torch

from manopt_torch.linalg.function import Function
from manopt_torch.linalg.spectral import tracks_derivatives

if TYPE_CHECKING:
    from manopt_torch.manifolds.base import Manifold


def differentiable_by_log(
    M: "Manifold",
    x: torch.Tensor,  # shape: (*batch, *point_shape)
    y: torch.Tensor,  # shape: (*batch, *point_shape)
    value: torch.Tensor,  # shape: (*batch,)
) -> torch.Tensor:
    """Return `value`, the squared distance of `x` and `y`, with its derivatives.

    For manifolds whose points are one tensor and whose metric is that of the surrounding space.
    """
    if not tracks_derivatives():
        return value
    return _SquaredDistance.apply(*torch.broadcast_tensors(x, y), value.detach(), M)


class _SquaredDistance(Function):
    """A squared distance that is known; the points are arguments only to receive the derivative."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Any, y: Any, value: Any, M: Any) -> torch.Tensor:
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        ctx.M = inputs[3]
        ctx.save_for_backward(*inputs[:2])
        ctx.save_for_forward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, W: torch.Tensor) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, y = ctx.saved_tensors
        needs_x, needs_y, *_ = ctx.needs_input_grad
        weight = -2 * W[(..., *(None,) * len(ctx.M.point_shape))]
        return weight * ctx.M.log(x, y) if needs_x else None, weight * ctx.M.log(y, x) if needs_y else None, None, None

    @staticmethod
    def jvp(ctx: Any, dx: Any, dy: Any, *rest: Any) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, y = ctx.saved_tensors
        M = ctx.M
        return -2 * (M.inner(x, M.log(x, y), dx) + M.inner(y, M.log(y, x), dy))
