r"""The difference of a function at two symmetric matrices, without cancellation where they are close.

With $X = V \operatorname{diag}(\lambda) V^\top$ and $Y = W \operatorname{diag}(\mu) W^\top$,

$$f(Y) - f(X) = V \bigl(f[\lambda_i, \mu_j]\, (V^\top (Y - X) W)_{ij}\bigr) W^\top,$$

since $(\mu_j - \lambda_i) (V^\top W)_{ij} = (V^\top (Y - X) W)_{ij}$. Its derivatives are those of the two functions.

References:
    [Bhatia:1997], theorem X.3.
"""

from typing import Any

import torch

from manopt_torch.linalg.divided_differences import first_difference
from manopt_torch.linalg.function import Function
from manopt_torch.linalg.spectral import spectral_derivative, symmetric_part

Spectrum = tuple[torch.Tensor, torch.Tensor]


def spectral_difference(
    X: torch.Tensor,  # shape: (*batch, n, n)
    Y: torch.Tensor,  # shape: (*batch, n, n)
    of_X: Spectrum,
    of_Y: Spectrum,
    name: str,
) -> torch.Tensor:
    """Return f(Y) - f(X) from the eigenvalues and eigenvectors of both, which count as constants; twice differentiable.

    Examples:
        >>> X, Y = torch.tensor([[1.0]]), torch.tensor([[1.0 + 2.0**-23]])
        >>> one = torch.ones(1, 1)
        >>> spectral_difference(X, Y, (X[0], one), (Y[0], one), "log").item() / 2.0**-23
        0.9999999403953552
    """
    return _Difference.apply(*torch.broadcast_tensors(X, Y), *of_X, *of_Y, name)


class _Difference(Function):
    """f(Y) - f(X); backward and forward derivative are those of f at each matrix."""

    generate_vmap_rule = True

    @staticmethod
    def forward(X: Any, Y: Any, x: Any, V: Any, y: Any, W: Any, name: str) -> torch.Tensor:
        return symmetric_part(V @ (first_difference(name, x, y) * (V.mH @ (Y - X) @ W)) @ W.mH)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        ctx.name = inputs[6]
        ctx.save_for_backward(*inputs[:6])
        ctx.save_for_forward(*inputs[:6])

    @staticmethod
    def backward(ctx: Any, G: torch.Tensor) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        X, Y, x, V, y, W = ctx.saved_tensors
        needs_X, needs_Y, *_ = ctx.needs_input_grad
        by_X = -spectral_derivative(X, G, x, V, ctx.name) if needs_X else None
        return by_X, spectral_derivative(Y, G, y, W, ctx.name) if needs_Y else None, None, None, None, None, None

    @staticmethod
    def jvp(ctx: Any, dX: Any, dY: Any, *rest: Any) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        X, Y, x, V, y, W = ctx.saved_tensors
        return spectral_derivative(Y, dY, y, W, ctx.name) - spectral_derivative(X, dX, x, V, ctx.name)
