r"""Powers of the distance to a point: cost, gradient and proximal map.

All three belong to $\tfrac1p d(f, x)^p$.
"""

import math
from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.functions.grid import per_problem, scaled
from manopt_torch.linalg.scalar import safe_sqrt
from manopt_torch.manifolds.base import Manifold


def distance_power(M: Manifold, x: Any, y: Any, p: float) -> torch.Tensor:
    """Return the distance to the power `p` at least 1, differentiable also where the points coincide.

    Examples:
        >>> from manopt_torch.manifolds import Euclidean
        >>> distance_power(Euclidean(1), torch.tensor([1.0]), torch.tensor([3.0]), 2)
        tensor(4.)
    """
    squared = M.squared_dist(x, y)
    if p == 2:
        return squared
    return safe_sqrt(squared) if p == 1 else safe_power(squared, 0.5 * p)


def safe_power(
    s: torch.Tensor,  # shape: any, s >= 0
    exponent: float,
) -> torch.Tensor:
    """Return a power of a nonnegative number with derivative zero, not infinity or NaN, at zero; NaN stays NaN.

    Examples:
        >>> safe_power(torch.tensor([4.0, 0.0]), 0.5)
        tensor([2., 0.])
    """
    positive = s > 0
    return torch.where(positive, torch.where(positive, s, 1.0) ** exponent, s * 0)


def check_exponent(name: str, p: Any, finite: bool = True, also: tuple[Any, ...] = ()) -> None:
    """Raise unless an exponent is a number of at least one.

    Raises:
        OptionsError: naming the value.
    """
    if p not in also and not (isinstance(p, (int, float)) and p >= 1 and not (finite and math.isinf(p))):
        kind = "a finite number of at least 1" if finite else "a number of at least 1, or math.inf"
        raise OptionsError(f"{name}: the exponent must be {kind}, got {p!r}")


def check_one_or_two(name: str, p: Any) -> None:
    """Raise unless an exponent is 1 or 2, for which closed forms are known.

    Raises:
        OptionsError: naming the value.
    """
    if p not in (1, 2):
        raise OptionsError(f"{name} is known for p=1 and p=2, got p={p!r}")


def check_parameter(name: str, lam: Any) -> None:
    """Raise if the parameter of a proximal map is a number below zero; tensors are not read.

    Raises:
        OptionsError: naming the value.
    """
    if isinstance(lam, (int, float)) and not lam >= 0:
        raise OptionsError(f"{name}: the parameter lam must not be negative, got {lam!r}")


def cost_distance(M: Manifold, f: Any, x: Any, p: float = 2) -> torch.Tensor:
    r"""Return $\tfrac1p d(f, x)^p$.

    Args:
        M: the manifold.
        f: the data, shape `(*batch, *point_shape)`.
        x: the point, same shape.
        p: the exponent, at least 1.

    Shapes:
        result: `(*batch,)`.

    Raises:
        OptionsError: if `p` is less than 1.

    Examples:
        >>> from manopt_torch import Euclidean, cost_distance
        >>> cost_distance(Euclidean(1), torch.tensor([1.0]), torch.tensor([3.0]))
        tensor(2.)
    """
    check_exponent("cost_distance", p)
    return distance_power(M, f, x, p) / p


def grad_distance(M: Manifold, f: Any, x: Any, p: float = 2) -> Any:
    r"""Return the Riemannian gradient of $\tfrac1p d(f, x)^p$ at `x`, $-d(f, x)^{p-2} \log_x f$.

    For `p` below 2 it is undefined at $x = f$, where the zero vector, a subgradient, is returned.

    Args:
        M: a manifold with a logarithm.
        f: the data, shape `(*batch, *point_shape)`.
        x: the point, same shape.
        p: the exponent, at least 1.

    Raises:
        OptionsError: if `p` is less than 1.

    Examples:
        >>> from manopt_torch import Euclidean, grad_distance
        >>> grad_distance(Euclidean(1), torch.tensor([1.0]), torch.tensor([3.0]), 1)
        tensor([1.])
    """
    check_exponent("grad_distance", p)
    u = M.log(x, f)
    if p == 2:
        return scaled(M, -1.0, u)
    return scaled(M, -inverse_power(M.norm(x, u), 2 - p), u)


def inverse_power(
    d: torch.Tensor,  # shape: any, d >= 0
    exponent: float,
) -> torch.Tensor:
    """Return `d ** -exponent`, zero where `d` is zero.

    Examples:
        >>> inverse_power(torch.tensor([2.0, 0.0]), 1.0)
        tensor([0.5000, 0.0000])
    """
    positive = d != 0
    return torch.where(positive, torch.where(positive, d, 1.0) ** -exponent, 0.0)


def prox_distance(M: Manifold, lam: Any, f: Any, x: Any, p: int = 2) -> Any:
    r"""Return the proximal map of $\tfrac1p d(f, \cdot)^p$ with parameter $\lambda$ at `x`.

    It is the point at time $t$ of the geodesic from $x$ to $f$, with $t = \lambda / (1 + \lambda)$ for $p = 2$ and
    $t = \min\{\lambda / d(f, x), 1\}$ for $p = 1$.

    Args:
        M: a manifold with exponential map and logarithm.
        lam: $\lambda \ge 0$, a number or a tensor of shape `(*batch,)`.
        f: the data, shape `(*batch, *point_shape)`.
        x: the point, same shape.
        p: 1 or 2.

    Raises:
        OptionsError: if `p` is another, or `lam` a negative number.

    References:
        [WeinmannDemaretStorath:2014].

    Examples:
        >>> from manopt_torch import Euclidean, prox_distance
        >>> prox_distance(Euclidean(1), 1.0, torch.tensor([1.0]), torch.tensor([3.0]))
        tensor([2.])
    """
    check_one_or_two("prox_distance", p)
    check_parameter("prox_distance", lam)
    if p == 2:
        return M.geodesic(x, f, lam / (1 + lam))
    u = M.log(x, f)
    d = M.norm(x, u)
    lam = per_problem(M, lam, x)
    return M.exp(x, u, torch.where(lam < d, lam / torch.where(d > 0, d, 1.0), 1.0))
