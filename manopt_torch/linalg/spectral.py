r"""Functions of symmetric and Hermitian matrices, differentiable twice, also where eigenvalues repeat.

For $X = V \operatorname{diag}(\lambda) V^\top$ and a scalar function $f$,
$f(X) = V \operatorname{diag}(f(\lambda)) V^\top$. Differentiating the eigenvectors would divide by differences of
eigenvalues. The derivatives of $f(X)$ itself need divided differences of $f$ only (Daleckii and Krein), which stay
finite:

$$Df(X)[G] = V \bigl(f[\lambda_i, \lambda_j]\, \tilde G_{ij}\bigr) V^\top, \qquad \tilde G = V^\top G V,$$
$$D^2f(X)[G, H] = V \Bigl(\sum_k f[\lambda_i, \lambda_k, \lambda_j]
    (\tilde G_{ik} \tilde H_{kj} + \tilde H_{ik} \tilde G_{kj})\Bigr) V^\top.$$

Both are symmetric in all their slots, so the backward of one is the other. Third derivatives raise an error.

References:
    [Higham:2008], theorem 3.11; [Bhatia:2007].
"""

from typing import Any

import torch

from manopt_torch.errors import MissingDerivativeError
from manopt_torch.linalg.divided_differences import first_difference, second_difference
from manopt_torch.linalg.function import Function
from manopt_torch.linalg.known_value import tracks_derivatives
from manopt_torch.linalg.small import eigh_in_closed_form


def symmetric_part(
    X: torch.Tensor,  # shape: (*batch, n, n)
) -> torch.Tensor:
    """Return half the sum of a matrix and its (conjugate) transpose."""
    return (X + X.mH) * 0.5


def sym_eigh(
    X: torch.Tensor,  # shape: (*batch, n, n)
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return eigenvalues (ascending) and eigenvectors of symmetric matrices, as constants; NaN where X is not finite.

    LAPACK refuses a whole batch that holds one NaN. Here such a matrix gets NaN eigenvalues, its neighbours are safe.
    Batches of real matrices of up to three rows are solved in closed form, which many matrices make worthwhile; the
    size of the batch does not decide, so that a problem gets the same bits in every batch.
    """
    X = X.detach()
    if X.shape[-1] <= 3 and X.dim() > 2 and not X.is_complex():
        return eigh_in_closed_form(X)
    not_a_number = (X * 0).sum((-2, -1), keepdim=True).abs()  # zero for a finite matrix
    eigenvalues, eigenvectors = torch.linalg.eigh(torch.nan_to_num(X, nan=0.0, posinf=0.0, neginf=0.0))
    return eigenvalues + not_a_number[..., 0], eigenvectors


def sym_expm(
    X: torch.Tensor,  # shape: (*batch, n, n)
    less_identity: torch.Tensor | None = None,  # shape: (*batch,), bool
) -> torch.Tensor:
    """Return the exponential of the symmetric part of a matrix.

    Args:
        X: the matrices.
        less_identity: where true, the exponential minus the identity, which for a small matrix keeps the relative
            accuracy that the identity would swallow.
    """
    X = symmetric_part(X)
    eigenvalues, eigenvectors = sym_eigh(X)
    values = torch.exp(eigenvalues)
    if less_identity is not None:
        values = torch.where(less_identity[..., None], torch.expm1(eigenvalues), values)
    return spectral_function(X, eigenvalues, eigenvectors, values, "exp")


def sym_logm(
    X: torch.Tensor,  # shape: (*batch, n, n)
    less_identity: torch.Tensor | None = None,  # shape: (*batch,), bool
) -> torch.Tensor:
    """Return the logarithm of the symmetric part of a positive definite matrix; NaN where it is not.

    Args:
        X: the matrices.
        less_identity: where true, X holds the matrix minus the identity, and the logarithm keeps the relative
            accuracy that a matrix near the identity would have lost.
    """
    X = symmetric_part(X)
    eigenvalues, eigenvectors = sym_eigh(X)
    if less_identity is None:
        return spectral_function(X, eigenvalues, eigenvectors, torch.log(eigenvalues), "log")
    near = less_identity[..., None]
    shifted = torch.where(near, eigenvalues + 1, eigenvalues)
    # log1p sees zeros where it is not selected, so that it makes no NaN there
    values = torch.where(near, torch.log1p(torch.where(near, eigenvalues, 0.0)), torch.log(shifted))
    return spectral_function(X, shifted, eigenvectors, values, "log")


def sym_sqrtm(
    X: torch.Tensor,  # shape: (*batch, n, n)
) -> torch.Tensor:
    """Return the square root of the symmetric part of a positive semidefinite matrix; NaN where it is not."""
    X = symmetric_part(X)
    eigenvalues, eigenvectors = sym_eigh(X)
    return spectral_function(X, eigenvalues, eigenvectors, torch.sqrt(eigenvalues), "sqrt")


def sym_inv_sqrtm(
    X: torch.Tensor,  # shape: (*batch, n, n)
) -> torch.Tensor:
    """Return the inverse square root of the symmetric part of a positive definite matrix; NaN where it is not."""
    return sym_sqrtm_pair(X)[1]


def sym_sqrtm_pair(
    X: torch.Tensor,  # shape: (*batch, n, n)
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the square root and its inverse from one eigendecomposition."""
    X = symmetric_part(X)
    eigenvalues, eigenvectors = sym_eigh(X)
    roots = torch.sqrt(eigenvalues)
    if not tracks_derivatives():
        columns, adjoint = roots.unsqueeze(-2), eigenvectors.mH
        return (eigenvectors * columns) @ adjoint, (eigenvectors * (1 / columns)) @ adjoint
    return (
        spectral_function(X, eigenvalues, eigenvectors, roots, "sqrt"),
        spectral_function(X, eigenvalues, eigenvectors, 1 / roots, "inverse_sqrt"),
    )


def sym_floor(
    X: torch.Tensor,  # shape: (*batch, n, n)
    relative_floor: float,
) -> torch.Tensor:
    """Return the nearest symmetric matrix whose eigenvalues are at least `relative_floor` times the largest modulus.

    A symmetric matrix that is so already comes back in bits. The floor counts as a constant in derivatives.
    """
    X = symmetric_part(X)
    eigenvalues, eigenvectors = sym_eigh(X)
    largest = eigenvalues.abs().amax(-1, keepdim=True)
    floor = relative_floor * torch.where(largest > 0, largest, 1.0)
    excess = eigenvalues - floor
    eye = torch.eye(X.shape[-1], dtype=X.dtype, device=X.device)
    above = spectral_function(X, excess, eigenvectors, excess.clamp(min=0), "positive_part")
    done = (excess >= 0).all(-1)[..., None, None]
    return torch.where(done, X, above + floor[..., None] * eye)


def spectral_function(
    X: torch.Tensor,  # shape: (*batch, n, n)
    eigenvalues: torch.Tensor,  # shape: (*batch, n)
    eigenvectors: torch.Tensor,  # shape: (*batch, n, n)
    values: torch.Tensor,  # shape: (*batch, n)
    name: str,
) -> torch.Tensor:
    """Return f(X) from the eigendecomposition of X and the values of f, which count as constants.

    X only receives the derivative, by the divided differences of that name.
    """
    # where no derivative can be asked for, spare the bookkeeping of an autograd.Function, which costs more than eigh
    # of a small matrix
    if not tracks_derivatives():
        return _MatrixFunction.forward(X, eigenvalues, eigenvectors, values, name)
    return _MatrixFunction.apply(X, eigenvalues, eigenvectors, values, name)


def spectral_derivative(
    X: torch.Tensor,  # shape: (*batch, n, n)
    G: torch.Tensor,  # shape: (*batch, n, n)
    eigenvalues: torch.Tensor,  # shape: (*batch, n)
    eigenvectors: torch.Tensor,  # shape: (*batch, n, n)
    name: str,
) -> torch.Tensor:
    """Return Df(X)[G], linear in G and self-adjoint; it can be differentiated once by X."""
    function = _FirstDerivative.apply if tracks_derivatives() else _FirstDerivative.forward
    return function(X, G, eigenvalues, eigenvectors, name)


def spectral_second_derivative(
    X: torch.Tensor,  # shape: (*batch, n, n)
    G: torch.Tensor,  # shape: (*batch, n, n)
    H: torch.Tensor,  # shape: (*batch, n, n)
    eigenvalues: torch.Tensor,  # shape: (*batch, n)
    eigenvectors: torch.Tensor,  # shape: (*batch, n, n)
    name: str,
) -> torch.Tensor:
    """Return D2f(X)[G, H], linear in both directions; it cannot be differentiated by X."""
    function = _SecondDerivative.apply if tracks_derivatives() else _SecondDerivative.forward
    return function(X, G, H, eigenvalues, eigenvectors, name)


def _assemble(eigenvectors: torch.Tensor, inner: torch.Tensor) -> torch.Tensor:
    return eigenvectors @ inner @ eigenvectors.mH


def _in_eigenbasis(eigenvectors: torch.Tensor, G: torch.Tensor) -> torch.Tensor:
    return eigenvectors.mH @ G @ eigenvectors


class _MatrixFunction(Function):
    """f(X) from its eigendecomposition; X itself is an argument only to receive the derivative."""

    generate_vmap_rule = True

    @staticmethod
    def forward(X: Any, eigenvalues: Any, eigenvectors: Any, values: Any, name: str) -> torch.Tensor:
        return (eigenvectors * values[..., None, :]) @ eigenvectors.mH

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        ctx.name = inputs[4]
        ctx.save_for_backward(*inputs[:3])
        ctx.save_for_forward(*inputs[:3])

    @staticmethod
    def backward(ctx: Any, W: torch.Tensor) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        X, eigenvalues, eigenvectors = ctx.saved_tensors
        return _FirstDerivative.apply(X, W, eigenvalues, eigenvectors, ctx.name), None, None, None, None

    @staticmethod
    def jvp(ctx: Any, dX: torch.Tensor, *rest: Any) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        X, eigenvalues, eigenvectors = ctx.saved_tensors
        return _FirstDerivative.apply(X, dX, eigenvalues, eigenvectors, ctx.name)


class _FirstDerivative(Function):
    """Df(X)[G]: linear in G and self-adjoint."""

    generate_vmap_rule = True

    @staticmethod
    def forward(X: Any, G: Any, eigenvalues: Any, eigenvectors: Any, name: str) -> torch.Tensor:
        return _assemble(eigenvectors, first_difference(name, eigenvalues) * _in_eigenbasis(eigenvectors, G))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        ctx.name = inputs[4]
        ctx.save_for_backward(*inputs[:4])
        ctx.save_for_forward(*inputs[:4])

    @staticmethod
    def backward(ctx: Any, W: torch.Tensor) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        X, G, *eigen = ctx.saved_tensors
        needs_X, needs_G, *_ = ctx.needs_input_grad
        by_X = _SecondDerivative.apply(X, G, W, *eigen, ctx.name) if needs_X else None
        return by_X, _FirstDerivative.apply(X, W, *eigen, ctx.name) if needs_G else None, None, None, None

    @staticmethod
    def jvp(ctx: Any, dX: Any, dG: Any, *rest: Any) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        X, G, *eigen = ctx.saved_tensors
        along_G = _FirstDerivative.apply(X, dG, *eigen, ctx.name)
        return along_G + _SecondDerivative.apply(X, G, dX, *eigen, ctx.name)


class _SecondDerivative(Function):
    """D2f(X)[G, H]: bilinear, and symmetric together with the direction it is contracted with."""

    generate_vmap_rule = True

    @staticmethod
    def forward(X: Any, G: Any, H: Any, eigenvalues: Any, eigenvectors: Any, name: str) -> torch.Tensor:
        g, h = _in_eigenbasis(eigenvectors, G), _in_eigenbasis(eigenvectors, H)
        # shape: (*batch, i, k, j)
        products = g[..., :, :, None] * h[..., None, :, :] + h[..., :, :, None] * g[..., None, :, :]
        return _assemble(eigenvectors, (second_difference(name, eigenvalues) * products).sum(-2))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        ctx.name = inputs[5]
        ctx.save_for_backward(*inputs[:5])
        ctx.save_for_forward(*inputs[:5])

    @staticmethod
    def backward(ctx: Any, W: torch.Tensor) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        X, G, H, *eigen = ctx.saved_tensors
        needs_X, needs_G, needs_H, *_ = ctx.needs_input_grad
        if needs_X:
            raise MissingDerivativeError(_NO_THIRD)
        by_G = _SecondDerivative.apply(X, W, H, *eigen, ctx.name) if needs_G else None
        return None, by_G, _SecondDerivative.apply(X, G, W, *eigen, ctx.name) if needs_H else None, None, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> torch.Tensor:
        raise MissingDerivativeError(_NO_THIRD)


_NO_THIRD = "functions of symmetric matrices have two derivatives here, a third was asked for: use finite differences"
