r"""Jacobi fields: how a geodesic moves when its ends do.

Along a geodesic $\gamma$ from $x$ with $d = \lVert\dot\gamma\rVert$, on a manifold whose curvature along $\gamma$ is
diagonal in a parallel frame $\Xi_1, \dots, \Xi_n$ with values $\kappa_1, \dots, \kappa_n$, a Jacobi field that starts
with $X$ is

$$J(t) = \sum_i \beta(\kappa_i, t, d)\, \langle X, \Xi_i(0)\rangle_x\, \Xi_i(t),$$

with weights $\beta$ that depend on the boundary conditions. That is so on flat manifolds, on the sphere, in hyperbolic
space, on positive definite matrices with the affine-invariant metric, and on powers and products of these. No frame
is formed: there is a component along the geodesic, for which $\kappa = 0$, and the rest, or the eigenbasis of a
matrix. References: [BergmannPerschSteidl:2016]; [BergmannGousenbourger:2018].
"""

from collections.abc import Callable
from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.functions.grid import per_entry, scaled
from manopt_torch.linalg.cholesky import congruence
from manopt_torch.linalg.cholesky_pair import cholesky_pair
from manopt_torch.linalg.hyperbolic import cosh_and_sinhc_sqrt
from manopt_torch.linalg.scalar import cos_and_sinc_sqrt
from manopt_torch.linalg.spectral import sym_eigh, symmetric_part
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.hyperboloid import Hyperboloid
from manopt_torch.manifolds.points import expand_right, map_leaves, rebuild
from manopt_torch.manifolds.power import Power
from manopt_torch.manifolds.product import Product
from manopt_torch.manifolds.sphere import Sphere
from manopt_torch.manifolds.symmetric_positive_definite import SymmetricPositiveDefinite

Beta = Callable[[torch.Tensor, Any, torch.Tensor], torch.Tensor]


def _cosine_and_sinc(s: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Return $\cos\sqrt{s}$ and $\sin\sqrt{s}/\sqrt{s}$, which are hyperbolic functions for negative `s`."""
    cosine, sinc = cos_and_sinc_sqrt(s.clamp(min=0))
    cosh, sinhc = cosh_and_sinhc_sqrt((-s).clamp(min=0))
    curved_up = s < 0
    return torch.where(curved_up, cosh, cosine), torch.where(curved_up, sinhc, sinc)


def beta_geodesic_startpoint(kappa: torch.Tensor, t: Any, d: torch.Tensor) -> torch.Tensor:
    r"""Return the weight $\sin((1-t) d\sqrt\kappa) / \sin(d\sqrt\kappa)$ of a field that vanishes at the end.

    For $\kappa < 0$ sines are hyperbolic, for $\kappa = 0$ it is $1 - t$; likewise for the other weights.

    Examples:
        >>> import math
        >>> beta_geodesic_startpoint(torch.tensor(1.0), 0.5, torch.tensor(math.pi / 2))
        tensor(0.7071)
    """
    s = kappa * d * d
    rest = 1 - t
    return rest * _cosine_and_sinc(rest * rest * s)[1] / _cosine_and_sinc(s)[1]


def beta_exp_basepoint(kappa: torch.Tensor, t: Any, d: torch.Tensor) -> torch.Tensor:
    r"""Return the weight $\cos(d\sqrt\kappa)$ of a field that starts with derivative zero, at time one.

    Examples:
        >>> beta_exp_basepoint(torch.tensor(0.0), 1.0, torch.tensor(2.0))
        tensor(1.)
    """
    return _cosine_and_sinc(kappa * d * d)[0]


def beta_exp_argument(kappa: torch.Tensor, t: Any, d: torch.Tensor) -> torch.Tensor:
    r"""Return the weight $\sin(d\sqrt\kappa) / (d\sqrt\kappa)$ of a field that starts at zero, at time one.

    Examples:
        >>> beta_exp_argument(torch.tensor(0.0), 1.0, torch.tensor(2.0))
        tensor(1.)
    """
    return _cosine_and_sinc(kappa * d * d)[1]


def beta_log_basepoint(kappa: torch.Tensor, t: Any, d: torch.Tensor) -> torch.Tensor:
    r"""Return the weight $-d\sqrt\kappa \cot(d\sqrt\kappa)$: the first derivative of a field that vanishes at the end.

    Examples:
        >>> beta_log_basepoint(torch.tensor(0.0), 0.0, torch.tensor(2.0))
        tensor(-1.)
    """
    cosine, sinc = _cosine_and_sinc(kappa * d * d)
    return -cosine / sinc


def beta_log_argument(kappa: torch.Tensor, t: Any, d: torch.Tensor) -> torch.Tensor:
    r"""Return the weight $d\sqrt\kappa / \sin(d\sqrt\kappa)$: the first derivative of a field that starts at zero.

    Examples:
        >>> beta_log_argument(torch.tensor(0.0), 1.0, torch.tensor(2.0))
        tensor(1.)
    """
    return 1 / _cosine_and_sinc(kappa * d * d)[1]


def jacobi_field(M: Manifold, x: Any, y: Any, t: Any, X: Any, beta: Beta = beta_geodesic_startpoint) -> Any:
    r"""Return the Jacobi field along the geodesic from `x` to `y` at time `t`, a tangent vector there.

    Args:
        M: a manifold with known curvature: flat, `Sphere`, `Hyperboloid`, `SymmetricPositiveDefinite` with the
            affine-invariant metric, `Power` and `Product` of these.
        x: the start of the geodesic, shape `(*batch, *point_shape)`.
        y: its end, same shape.
        t: the time, a number or a tensor of shape `(*batch,)`.
        X: the tangent vector at `x` that says how the field starts.
        beta: the weight $\beta(\kappa, t, d)$; the default belongs to $D_x \gamma_{x, y}(t)$.

    Raises:
        OptionsError: if the curvature of the manifold is not known here.

    References:
        [BergmannPerschSteidl:2016].

    Examples:
        >>> from manopt_torch import Euclidean, jacobi_field
        >>> zero, one = torch.tensor([0.0]), torch.tensor([1.0])
        >>> jacobi_field(Euclidean(1), zero, one, 0.25, one)
        tensor([0.7500])
    """
    _check_curvature(M)
    return weighted(M, x, M.log(x, y), t, X, beta)


def adjoint_jacobi_field(M: Manifold, x: Any, y: Any, t: Any, Y: Any, beta: Beta = beta_geodesic_startpoint) -> Any:
    r"""Return the adjoint of `jacobi_field` as a map of `X`, applied to a tangent vector `Y` at time `t`.

    Args:
        M: see `jacobi_field`, as for the following.
        x: the start of the geodesic, shape `(*batch, *point_shape)`.
        y: its end, same shape.
        t: the time.
        Y: a tangent vector at the point at time `t`.
        beta: the weight.

    Returns:
        A tangent vector at `x`.

    Raises:
        OptionsError: if the curvature of the manifold is not known here.

    Examples:
        >>> from manopt_torch import Euclidean, adjoint_jacobi_field
        >>> zero, one = torch.tensor([0.0]), torch.tensor([1.0])
        >>> adjoint_jacobi_field(Euclidean(1), zero, one, 0.25, one)
        tensor([0.7500])
    """
    _check_curvature(M)
    return weighted(M, x, M.log(x, y), t, Y, beta, adjoint=True)


def curvature_is_known(M: Manifold) -> bool:
    """Tell whether Jacobi fields of the manifold are known in closed form.

    Examples:
        >>> from manopt_torch.manifolds import Stiefel
        >>> curvature_is_known(Power(Sphere(3), 4)), curvature_is_known(Stiefel(4, 2))
        (True, False)
    """
    if isinstance(M, Power):
        return curvature_is_known(M.M)
    if isinstance(M, Product):
        return all(curvature_is_known(part) for part in M.manifolds)
    if isinstance(M, SymmetricPositiveDefinite) and M.metric == "affine_invariant":
        return True
    return isinstance(M, (Sphere, Hyperboloid)) or (M.is_flat and M.has_exp and M.has_log and M.has_parallel_transport)


def _check_curvature(M: Manifold) -> None:
    if not curvature_is_known(M):
        raise OptionsError(
            f"jacobi_field: the curvature of {M!r} is not known in closed form; the functions differential_... and "
            "adjoint_differential_... serve every manifold"
        )


def weighted(M: Manifold, x: Any, v: Any, t: Any, X: Any, beta: Beta, adjoint: bool = False) -> Any:
    r"""Return a Jacobi field along $\exp_x(t v)$, or its adjoint; the manifold's curvature is known.

    Unlike an end, the direction `v` may lead beyond the cut locus.
    """
    if isinstance(M, Power):
        return weighted(M.M, x, v, per_entry(M, t), X, beta, adjoint)
    if isinstance(M, Product):
        parts = zip(M.manifolds, x, v, X, strict=True)
        return rebuild(x, [weighted(part, a, b, t, c, beta, adjoint) for part, a, b, c in parts])
    if isinstance(M, SymmetricPositiveDefinite) and M.metric == "affine_invariant":
        return _by_eigenbasis(x, v, t, X, beta, adjoint)
    here = isinstance(t, (int, float)) and t == 0
    end = x if here else M.exp(x, v, t)
    if adjoint and not here:
        X = M.parallel_transport(end, x, X)
    field = _split_along(M, x, v, t, X, beta)
    return field if adjoint or here else M.parallel_transport(x, end, field)


def _split_along(M: Manifold, x: Any, v: Any, t: Any, X: Any, beta: Beta) -> Any:
    """Weigh the component of `X` along `v` and the rest, in a space of constant curvature."""
    kappa = 1.0 if isinstance(M, Sphere) else M.curvature if isinstance(M, Hyperboloid) else 0.0
    d = M.norm(x, v)
    along = beta(torch.zeros_like(d), t, d)
    if kappa == 0:
        return scaled(M, along, X)
    across = beta(torch.full_like(d, kappa), t, d)
    share = M.inner(x, v, X) / torch.where(d > 0, d * d, 1.0)
    return map_leaves(torch.add, scaled(M, across, X), scaled(M, (along - across) * share, v))


def _by_eigenbasis(
    x: torch.Tensor,  # shape: (*batch, n, n)
    v: torch.Tensor,  # shape: (*batch, n, n)
    t: Any,
    X: torch.Tensor,  # shape: (*batch, n, n)
    beta: Beta,
    adjoint: bool,
) -> torch.Tensor:
    r"""Weigh in the eigenbasis of the whitened direction, whose pairs have curvature $-(\lambda_i - \lambda_j)^2/4$.

    Parallel transport to time $t$ multiplies the entry of a pair by $\exp(t (\lambda_i + \lambda_j) / 2)$.
    """
    factor, inverse = cholesky_pair(x)
    direction = symmetric_part(congruence(inverse, v))
    eigenvalues, frame = torch.linalg.eigh(direction) if direction.requires_grad else sym_eigh(direction)
    row, column = eigenvalues[..., :, None], eigenvalues[..., None, :]
    t = expand_right(t.to(x.dtype), 2) if isinstance(t, torch.Tensor) else t
    kappa = -0.25 * (row - column).square()
    weight = beta(kappa, t, torch.ones_like(kappa))
    carry = torch.exp((-0.5 if adjoint else 0.5) * t * (row + column))
    inner = congruence(frame.mT @ inverse, X) * (weight * carry)
    return symmetric_part(congruence(factor @ frame, inner))
