r"""The derivative of a minimiser by the data of its problem, from the implicit function theorem.

References:
    [BlondelEtAl:2022].
"""

from typing import Any

import torch

from manopt_torch.errors import MissingDerivativeError
from manopt_torch.linalg.cholesky import cholesky_or_nan
from manopt_torch.linalg.known_value import with_value
from manopt_torch.manifolds.points import first_leaf, map_leaves
from manopt_torch.plans.options import get_options
from manopt_torch.problems.autodiff import grad_mode
from manopt_torch.problems.counted import bare_problem


def differentiable_solution(p: Any, o: Any) -> Any:
    r"""Return the solution of a run with its derivative by the data, and by all else that the cost depends on.

    If $x(\theta)$ is a strict minimiser of $f(\cdot, \theta)$, then

    $$\mathrm D x(\theta)[\dot\theta] = -\operatorname{Hess} f(x, \theta)^{-1}\, \mathrm D_\theta
    \operatorname{grad} f(x, \theta)[\dot\theta],$$

    however $x$ was found: the derivative of one Newton step from there with the Hessian as a constant. Use it for
    bilevel optimization, for parameters of a cost that are tuned by gradients, or for a solver as a layer of a network.
    The tensors that require a gradient may be data of the problem, or stand in the closure of the cost.

    The values are those of the run in all bits. Only first derivatives are right, and those up to an error of the size
    of the last gradient. The Hessian is a matrix here, by one backward pass for each dimension of the manifold.

    Args:
        p: the problem, with a cost that autograd can differentiate twice; a gradient or Hessian that was given is not
            used. No constraints.
        o: its options after a run.

    Returns:
        The point, shape `(*batch, *point_shape)`, with a graph. NaN for a problem whose Hessian is not positive
        definite there: it has no strict minimum.

    Raises:
        MissingDerivativeError: if the problem has constraints or no gradient, or if its cost has no graph.

    References:
        [BlondelEtAl:2022].

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, GradientProblem, QuasiNewtonOptions, differentiable_solution, solve
        >>> theta = torch.tensor([3.0], requires_grad=True)
        >>> p = GradientProblem(Euclidean(1), lambda x: ((x - theta**2) ** 2).sum(-1))  # x = theta^2
        >>> x = differentiable_solution(p, solve(p, QuasiNewtonOptions(torch.ones(1))))
        >>> torch.autograd.grad(x.sum(), theta)[0]
        tensor([6.])
    """
    problem: Any = bare_problem(p)
    if "constraints" in problem.provides:
        raise MissingDerivativeError(
            f"{type(problem).__name__}: differentiable_solution takes problems without constraints; "
            "eliminate them by a manifold"
        )
    if "gradient" not in problem.provides:
        problem.missing("gradient", "GradientProblem")
    M, x = problem.M, map_leaves(torch.Tensor.detach, get_options(o).x)
    ref = first_leaf(x)
    with grad_mode(True):
        c = torch.zeros((*M.batch_shape(x), M.dim), dtype=ref.real.dtype, device=ref.device, requires_grad=True)
        value = problem.cost(M.retract(x, M.from_coordinates(x, c)), *problem.data)
        step = _newton_step(value, c)
        moved = M.retract(x, M.from_coordinates(x, step))
        return map_leaves(with_value, moved, x)


def _newton_step(
    value: torch.Tensor,  # shape: (*batch,)
    c: torch.Tensor,  # shape: (*batch, n)
) -> torch.Tensor:
    """Return minus the inverse Hessian, a constant, times the gradient by c, which keeps its graph."""
    g = None
    if value.requires_grad:  # if only for the sake of the data
        (g,) = torch.autograd.grad(value.sum(), c, create_graph=True, allow_unused=True)
    if g is None:
        raise MissingDerivativeError(
            "differentiable_solution: autograd finds no way from the cost back to the point; "
            "write the cost in torch operations, without .detach(), .item() or NumPy"
        )
    rows = [_row(entries, c) for entries in g.unbind(-1)]
    H = torch.stack(rows, -2)
    factor = cholesky_or_nan(0.5 * (H + H.mT))
    return -torch.cholesky_solve(g[..., None], factor)[..., 0]


def _row(entries: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """Return the derivative of one entry of the gradient; of a cost that is linear there is none."""
    if not entries.requires_grad:
        return torch.zeros_like(c)
    (row,) = torch.autograd.grad(entries.sum(), c, retain_graph=True, allow_unused=True, materialize_grads=True)
    return row.detach()
