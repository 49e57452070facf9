r"""Differentials of geodesics, exponential map and logarithm in each argument, and their adjoints.

By Jacobi fields where the curvature is known in closed form (see `jacobi_field`), else by automatic differentiation.
An adjoint is taken with respect to the Riemannian metrics at both ends.
"""

from collections.abc import Callable
from typing import Any

import torch

from manopt_torch.functions.jacobi_fields import (
    beta_exp_argument,
    beta_exp_basepoint,
    beta_geodesic_startpoint,
    beta_log_argument,
    beta_log_basepoint,
    curvature_is_known,
    weighted,
)
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.geodesics import carry, move
from manopt_torch.manifolds.points import first_leaf, map_leaves


# ---- geodesics ------------------------------------------------------------------------------------------------------
def differential_geodesic_startpoint(M: Manifold, x: Any, y: Any, t: Any, X: Any) -> Any:
    r"""Return $D_x \gamma_{x,y}(t)[X]$, how the point at time `t` of a geodesic moves with its start.

    Args:
        M: a manifold with exponential map and logarithm.
        x: the start, shape `(*batch, *point_shape)`.
        y: the end, same shape.
        t: the time, a number or a tensor of shape `(*batch,)`.
        X: a tangent vector at `x`.

    Returns:
        A tangent vector at the point at time `t`.

    Examples:
        >>> from manopt_torch import Euclidean, differential_geodesic_startpoint
        >>> zero, one = torch.tensor([0.0]), torch.tensor([1.0])
        >>> differential_geodesic_startpoint(Euclidean(1), zero, one, 0.25, one)
        tensor([0.7500])
    """
    if curvature_is_known(M):
        return weighted(M, x, M.log(x, y), t, X, beta_geodesic_startpoint)
    return _pushed(M, x, X, lambda z: M.geodesic(z, y, t), M.geodesic(x, y, t))


def adjoint_differential_geodesic_startpoint(M: Manifold, x: Any, y: Any, t: Any, Y: Any) -> Any:
    r"""Return the adjoint of $D_x \gamma_{x,y}(t)$ at a tangent vector `Y` at time `t`: a tangent vector at `x`.

    Examples:
        >>> from manopt_torch import Euclidean, adjoint_differential_geodesic_startpoint
        >>> zero, one = torch.tensor([0.0]), torch.tensor([1.0])
        >>> adjoint_differential_geodesic_startpoint(Euclidean(1), zero, one, 0.25, one)
        tensor([0.7500])
    """
    if curvature_is_known(M):
        return weighted(M, x, M.log(x, y), t, Y, beta_geodesic_startpoint, adjoint=True)
    return _pulled(M, x, Y, lambda z: M.geodesic(z, y, t), M.geodesic(x, y, t))


def differential_geodesic_endpoint(M: Manifold, x: Any, y: Any, t: Any, X: Any) -> Any:
    r"""Return $D_y \gamma_{x,y}(t)[X]$ for a tangent vector `X` at `y`; see `differential_geodesic_startpoint`.

    Examples:
        >>> from manopt_torch import Euclidean, differential_geodesic_endpoint
        >>> zero, one = torch.tensor([0.0]), torch.tensor([1.0])
        >>> differential_geodesic_endpoint(Euclidean(1), zero, one, 0.25, one)
        tensor([0.2500])
    """
    if curvature_is_known(M):
        return differential_geodesic_startpoint(M, y, x, 1 - t, X)
    # not the geodesic backwards: on a quotient that ends in another representative of the point at time t
    return _pushed(M, y, X, lambda z: M.geodesic(x, z, t), M.geodesic(x, y, t))


def adjoint_differential_geodesic_endpoint(M: Manifold, x: Any, y: Any, t: Any, Y: Any) -> Any:
    r"""Return the adjoint of $D_y \gamma_{x,y}(t)$ at a tangent vector `Y` at time `t`: a tangent vector at `y`.

    Examples:
        >>> from manopt_torch import Euclidean, adjoint_differential_geodesic_endpoint
        >>> zero, one = torch.tensor([0.0]), torch.tensor([1.0])
        >>> adjoint_differential_geodesic_endpoint(Euclidean(1), zero, one, 0.25, one)
        tensor([0.2500])
    """
    if curvature_is_known(M):
        return adjoint_differential_geodesic_startpoint(M, y, x, 1 - t, Y)
    return _pulled(M, y, Y, lambda z: M.geodesic(x, z, t), M.geodesic(x, y, t))


# ---- exponential map ------------------------------------------------------------------------------------------------
def differential_exp_basepoint(M: Manifold, x: Any, u: Any, X: Any) -> Any:
    r"""Return $D_x \exp_x(u)[X]$, where `u` is carried along in parallel while `x` moves.

    Args:
        M: a manifold with an exponential map.
        x: the base point, shape `(*batch, *point_shape)`.
        u: a tangent vector at `x`.
        X: a tangent vector at `x`.

    Returns:
        A tangent vector at $\exp_x(u)$.

    Examples:
        >>> import math
        >>> from manopt_torch import Sphere, differential_exp_basepoint
        >>> x, u, X = torch.tensor([[1.0, 0.0, 0.0], [0.0, math.pi / 3, 0.0], [0.0, 0.0, 1.0]])
        >>> differential_exp_basepoint(Sphere(3), x, u, X)
        tensor([0.0000, 0.0000, 0.5000])
    """
    if curvature_is_known(M):
        return weighted(M, x, u, 1.0, X, beta_exp_basepoint)
    return _pushed(M, x, X, lambda z: M.exp(z, carry(M, x, z, u)), M.exp(x, u))


def adjoint_differential_exp_basepoint(M: Manifold, x: Any, u: Any, Y: Any) -> Any:
    r"""Return the adjoint of $D_x \exp_x(u)$ at a tangent vector `Y` at $\exp_x(u)$: a tangent vector at `x`.

    Examples:
        >>> from manopt_torch import Euclidean, adjoint_differential_exp_basepoint
        >>> one = torch.ones(1)
        >>> adjoint_differential_exp_basepoint(Euclidean(1), one, one, one)
        tensor([1.])
    """
    if curvature_is_known(M):
        return weighted(M, x, u, 1.0, Y, beta_exp_basepoint, adjoint=True)
    return _pulled(M, x, Y, lambda z: M.exp(z, carry(M, x, z, u)), M.exp(x, u))


def differential_exp_argument(M: Manifold, x: Any, u: Any, X: Any) -> Any:
    r"""Return $D_u \exp_x(u)[X]$ for a tangent vector `X` at `x`: a tangent vector at $\exp_x(u)$.

    Examples:
        >>> import math
        >>> from manopt_torch import Sphere, differential_exp_argument
        >>> x, u, X = torch.tensor([[1.0, 0.0, 0.0], [0.0, math.pi / 2, 0.0], [0.0, 0.0, 1.0]])
        >>> differential_exp_argument(Sphere(3), x, u, X)
        tensor([0.0000, 0.0000, 0.6366])
    """
    if curvature_is_known(M):
        return weighted(M, x, u, 1.0, X, beta_exp_argument)
    return _pushed(M, x, X, lambda w: M.exp(x, map_leaves(torch.add, u, w)), M.exp(x, u), linear=True)


def adjoint_differential_exp_argument(M: Manifold, x: Any, u: Any, Y: Any) -> Any:
    r"""Return the adjoint of $D_u \exp_x(u)$ at a tangent vector `Y` at $\exp_x(u)$: a tangent vector at `x`.

    Examples:
        >>> from manopt_torch import Euclidean, adjoint_differential_exp_argument
        >>> one = torch.ones(1)
        >>> adjoint_differential_exp_argument(Euclidean(1), one, one, one)
        tensor([1.])
    """
    if curvature_is_known(M):
        return weighted(M, x, u, 1.0, Y, beta_exp_argument, adjoint=True)
    return _pulled(M, x, Y, lambda w: M.exp(x, map_leaves(torch.add, u, w)), M.exp(x, u), linear=True)


# ---- logarithm ------------------------------------------------------------------------------------------------------
def differential_log_basepoint(M: Manifold, x: Any, y: Any, X: Any) -> Any:
    r"""Return $D_x \log_x(y)[X]$, the covariant derivative along `X` of the field of logarithms of `y`.

    Args:
        M: a manifold with exponential map and logarithm.
        x: the base point, shape `(*batch, *point_shape)`.
        y: the other point, same shape.
        X: a tangent vector at `x`.

    Returns:
        A tangent vector at `x`.

    Examples:
        >>> from manopt_torch import Euclidean, differential_log_basepoint
        >>> one = torch.ones(1)
        >>> differential_log_basepoint(Euclidean(1), one, one, one)
        tensor([-1.])
    """
    if curvature_is_known(M):
        return weighted(M, x, M.log(x, y), 0.0, X, beta_log_basepoint)
    return _pushed(M, x, X, lambda z: carry(M, z, x, M.log(z, y)), x)


def adjoint_differential_log_basepoint(M: Manifold, x: Any, y: Any, Y: Any) -> Any:
    r"""Return the adjoint of $D_x \log_x(y)$ at a tangent vector `Y` at `x`: a tangent vector at `x`.

    Examples:
        >>> from manopt_torch import Euclidean, adjoint_differential_log_basepoint
        >>> one = torch.ones(1)
        >>> adjoint_differential_log_basepoint(Euclidean(1), one, one, one)
        tensor([-1.])
    """
    if curvature_is_known(M):
        return weighted(M, x, M.log(x, y), 0.0, Y, beta_log_basepoint, adjoint=True)
    return _pulled(M, x, Y, lambda z: carry(M, z, x, M.log(z, y)), x)


def differential_log_argument(M: Manifold, x: Any, y: Any, X: Any) -> Any:
    r"""Return $D_y \log_x(y)[X]$ for a tangent vector `X` at `y`: a tangent vector at `x`.

    Examples:
        >>> from manopt_torch import Euclidean, differential_log_argument
        >>> one = torch.ones(1)
        >>> differential_log_argument(Euclidean(1), one, one, one)
        tensor([1.])
    """
    if curvature_is_known(M):
        return weighted(M, y, M.log(y, x), 1.0, X, beta_log_argument)
    return _pushed(M, y, X, lambda z: M.log(x, z), x)


def adjoint_differential_log_argument(M: Manifold, x: Any, y: Any, Y: Any) -> Any:
    r"""Return the adjoint of $D_y \log_x(y)$ at a tangent vector `Y` at `x`: a tangent vector at `y`.

    Examples:
        >>> from manopt_torch import Euclidean, adjoint_differential_log_argument
        >>> one = torch.ones(1)
        >>> adjoint_differential_log_argument(Euclidean(1), one, one, one)
        tensor([1.])
    """
    if curvature_is_known(M):
        return weighted(M, y, M.log(y, x), 1.0, Y, beta_log_argument, adjoint=True)
    return _pulled(M, y, Y, lambda z: M.log(x, z), x)


# ---- by automatic differentiation -----------------------------------------------------------------------------------
def _moved(M: Manifold, x: Any, linear: bool) -> Callable[[torch.Tensor], Any]:
    """Return the map from coordinates at `x` to what moves: the tangent vector itself, or the point it leads to."""

    def reached(c: torch.Tensor) -> Any:
        u = M.from_coordinates(x, c)
        return u if linear else move(M, x, u)

    return reached


def _pushed(M: Manifold, x: Any, X: Any, fn: Callable[[Any], Any], end: Any, linear: bool = False) -> Any:
    """Return the differential of `fn`, whose value is tangent at `end` or the point `end` itself, along `X`."""
    reached, c = _moved(M, x, linear), M.to_coordinates(x, X)
    moved = torch.func.jvp(lambda at: fn(reached(at)), (torch.zeros_like(c),), (c,))[1]
    return M.project_tangent(end, moved)


def _pulled(M: Manifold, x: Any, Y: Any, fn: Callable[[Any], Any], end: Any, linear: bool = False) -> Any:
    """Return the adjoint of the differential of `fn` at `Y`: in orthonormal coordinates a gradient."""
    ref, reached = first_leaf(x), _moved(M, x, linear)
    shape = (*M.batch_shape(map_leaves(torch.add, x, Y)), M.dim)
    zero = torch.zeros(shape, dtype=ref.real.dtype, device=ref.device)
    return M.from_coordinates(x, torch.func.grad(lambda c: M.inner(end, Y, fn(reached(c))).sum())(zero))
