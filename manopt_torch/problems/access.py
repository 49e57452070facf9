"""Access to problems: one function a thing that a problem may have."""

from typing import Any

import torch

from manopt_torch.problems.base import Problem


def get_cost(p: Problem, x: Any) -> torch.Tensor:
    """Return the cost of problem `p` at `x`, shape `(*batch,)`.

    Raises:
        ShapeError: if the point or the cost's result has the wrong shape.
    """
    batch = p.M.batch_shape(x)
    value = p.get_cost(x)
    p.check_cost(value, batch)
    return value


def get_gradient(p: Problem, x: Any) -> Any:
    """Return the Riemannian gradient of problem `p` at `x`, a tangent vector.

    Raises:
        MissingDerivativeError: if the problem class has no gradient.
        ShapeError: if the point or the cost's result has the wrong shape.
    """
    return p.get_gradient(x)


def get_cost_and_gradient(p: Problem, x: Any) -> tuple[torch.Tensor, Any]:
    """Return cost and Riemannian gradient of problem `p` at `x` from one evaluation.

    Raises:
        MissingDerivativeError: if the problem class has no gradient.
        ShapeError: if the point or the cost's result has the wrong shape.
    """
    return p.get_cost_and_gradient(x)


def get_hessian(p: Problem, x: Any, u: Any) -> Any:
    """Return the Riemannian Hessian of problem `p` at `x` applied to the tangent vector `u`.

    Products at the same `x` (the same object) share the gradient's graph.

    Raises:
        MissingDerivativeError: if the problem class has no Hessian.
        ShapeError: if point, tangent vector or the cost's result have the wrong shape.
    """
    p.check_tangent("tangent vector", u, p.M.batch_shape(x))
    return p.get_hessian(x, u)


def get_preconditioner(p: Problem, x: Any, u: Any) -> Any:
    """Return the preconditioner of problem `p` at `x` applied to `u`; `u` itself if none is given.

    Raises:
        MissingDerivativeError: if the problem class has no preconditioner.
    """
    return p.get_preconditioner(x, u)


def get_subgradient(p: Problem, x: Any) -> Any:
    """Return a Riemannian subgradient of problem `p` at `x`.

    Raises:
        MissingDerivativeError: if the problem class has no subgradient.
    """
    return p.get_subgradient(x)


def get_proximal_map(p: Problem, lam: Any, x: Any, i: int) -> Any:
    """Return the `i`-th proximal map (counted from 0) of problem `p` with parameter `lam` at `x`.

    Raises:
        MissingDerivativeError: if the problem class has no proximal maps.
        OptionsError: if there is no `i`-th map.
    """
    return p.get_proximal_map(lam, x, i)
