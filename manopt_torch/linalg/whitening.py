"""Positive definite matrices in coordinates where one of them is the identity, with derivatives."""

from typing import Any

import torch

from manopt_torch.linalg.cholesky import congruence
from manopt_torch.linalg.cholesky_pair import cholesky_pair
from manopt_torch.linalg.definite_pencil import Pencil, definite_pencil, log_between, log_distance_squared, nearer
from manopt_torch.linalg.function import Function
from manopt_torch.linalg.known_value import with_value
from manopt_torch.linalg.spectral import sym_logm, symmetric_part, tracks_derivatives


def whitened_log(
    inverse: torch.Tensor,  # shape: (*batch, n, n), of the Cholesky factor of x
    x: torch.Tensor,  # shape: (*batch, n, n)
    y: torch.Tensor,  # shape: (*batch, n, n)
) -> torch.Tensor:
    """Return the logarithm of `y` in coordinates where `x` is the identity, exact also for `y` next to `x`."""
    return sym_logm(*nearer(inverse, x, y))


def affine_invariant_log(
    x: torch.Tensor,  # shape: (*batch, n, n)
    y: torch.Tensor,  # shape: (*batch, n, n)
) -> torch.Tensor:
    """Return the logarithm of `y` at `x`, in the same bits whether or not derivatives are asked for."""
    value = log_between(x, y)
    if not tracks_derivatives():
        return value
    factor, inverse = cholesky_pair(x)
    return with_value(symmetric_part(congruence(factor, whitened_log(inverse, x, y))), value)


def affine_invariant_squared_distance(
    x: torch.Tensor,  # shape: (*batch, n, n)
    y: torch.Tensor,  # shape: (*batch, n, n)
) -> torch.Tensor:
    r"""Return $\|\log(x^{-1/2} y x^{-1/2})\|_F^2$, with the derivatives of the distance, not of an eigenproblem.

    With $W$ the inverse Cholesky factor of $x$ and $Z = W y W^\top$, the derivative along $dx$ is the inner product
    with $-2 W^\top \log(Z)\, W$. That takes no divided differences; only the second derivative does.
    """
    if not tracks_derivatives():
        return log_distance_squared(x, y)
    return _SquaredDistance.apply(x, y, *definite_pencil(x, y))


class _SquaredDistance(Function):
    """The squared distance from its eigenproblem; the matrices are arguments only to receive the derivative."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Any, y: Any, value: Any, inverse: Any, values: Any, logarithms: Any, vectors: Any) -> torch.Tensor:
        return value.clone()  # by name and not by `*rest`, which torch.compile mistakes

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, weight: torch.Tensor) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, y, *pencil = ctx.saved_tensors
        needs_x, needs_y, *_ = ctx.needs_input_grad
        if torch.is_grad_enabled():  # a second derivative may follow
            by_x = _gradient(x, y) if needs_x else None
            by_y = _gradient(y, x) if needs_y else None
        else:
            by_x, by_y = _gradients(Pencil(*pencil), needs_x, needs_y)
        factor = 2 * weight[..., None, None]
        by_x = None if by_x is None else (factor * by_x).sum_to_size(x.shape)
        by_y = None if by_y is None else (factor * by_y).sum_to_size(y.shape)
        return by_x, by_y, None, None, None, None, None

    @staticmethod
    def jvp(ctx: Any, dx: Any, dy: Any, *rest: Any) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, y = ctx.saved_tensors
        along_x, along_y = (_gradient(x, y).conj() * dx).real, (_gradient(y, x).conj() * dy).real
        return 2 * (along_x.sum((-2, -1)) + along_y.sum((-2, -1)))


def _gradient(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return half the gradient by `x`, itself differentiable."""
    inverse = cholesky_pair(x)[1]
    return -congruence(inverse.mH, whitened_log(inverse, x, y))


def _gradients(pencil: Pencil, needs_x: bool, needs_y: bool) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Return half the gradients as constants, from the eigenproblem that the value has solved."""
    axes = pencil.vectors.mH @ pencil.inverse

    def spread(weights: torch.Tensor) -> torch.Tensor:
        return axes.mH @ (weights[..., None] * axes)

    logarithms = pencil.logarithms
    return spread(-logarithms) if needs_x else None, spread(logarithms / pencil.eigenvalues) if needs_y else None
