r"""The Riemannian primal-dual semismooth Newton method.

For $f(x) = F(x) + G(\Lambda(x))$, solve the optimality conditions of the linearised problem, in the form

$$X(x, \xi) = \begin{pmatrix}
-\log_x \operatorname{prox}_{\tau F}\bigl(\exp_x(-\tau\, P_{m \to x} A^* \xi)\bigr) \\
\xi - \operatorname{prox}_{\sigma G_n^*}\bigl(\xi + \sigma\, a(x)\bigr)
\end{pmatrix} = 0,$$

with $a$ and $A^*$ as in the linearised algorithm of Chambolle and Pock, by Newton steps $(V + \mu I) d = -X$. $V$ is
the covariant derivative of $X$ with generalised derivatives in place of those of the proximal maps. References:
[DiepeveenLellmann:2021].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.functional.primal_dual import Bases, Lengths, fixed_point_residual
from manopt_torch.functions.differentials import differential_log_argument, differential_log_basepoint
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.geodesics import carry, move
from manopt_torch.manifolds.points import axpy, first_leaf, map_leaves
from manopt_torch.plans.commit import commit
from manopt_torch.plans.dispatch import get_solver_result, initialize_solver, step_solver
from manopt_torch.plans.options import Options, check_range, state, strict_keywords
from manopt_torch.plans.primal_dual import (
    PrimalDualOptions,
    bases_of,
    begin_primal_dual,
    check_primal_dual,
    checked_cost,
    moved_bases,
    state_of_bases,
    step_of,
)
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration, StoppingCriterion, StopWhenPrimalDualResidualLess
from manopt_torch.problems.primal_dual import PrimalDualProblem


@dataclass(eq=False, kw_only=True)
class PrimalDualSemismoothNewtonOptions(PrimalDualOptions):
    r"""Options of the primal-dual semismooth Newton method.

    Args:
        x: the start, shape `(*batch, *point_shape)`.
        xi: the start of the dual variable, a tangent vector at $n$; None is zero.
        m: the point at which the operator is linearised, one for each problem or for all; None is the start.
        n: the point whose tangent space holds the dual variable; None is $\Lambda(m)$, also where $m$ moves.
        primal_stepsize: $\tau$, a number or a tensor of shape `(*batch,)`; it scales the equations.
        dual_stepsize: $\sigma$, likewise.
        regularization_parameter: $\mu \ge 0$, which keeps the matrix regular where generalised derivatives are not;
            with zero, steps are those of Newton.
        update_primal_base: `update_primal_base(p, o, i)` returns the point $m$ for step $i \ge 2$; None leaves it.
        update_dual_base: likewise for $n$; the dual variable is transported along.
        stop: the stopping criterion; None is `StopAfterIteration(50) | StopWhenPrimalDualResidualLess(1e-10)`.
        retraction_method: name of the retraction for the steps; None is the exponential map.
        check_every: how often (in iterations) the host asks whether any problem of a batch still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter has the wrong kind or is out of its range.

    Examples:
        >>> import torch
        >>> from manopt_torch import PrimalDualSemismoothNewtonOptions
        >>> PrimalDualSemismoothNewtonOptions(torch.zeros(2)).regularization_parameter
        1e-05
    """

    xi: Any = None
    m: Any = None
    n: Any = None
    primal_stepsize: Any = 8**-0.5
    dual_stepsize: Any = 8**-0.5
    regularization_parameter: float = 1e-5
    update_primal_base: Callable[..., Any] | None = None
    update_dual_base: Callable[..., Any] | None = None

    # updated every step
    pulled: Any = state()  # the adjoint at the dual variable
    prox_argument: Any = state()  # arguments and values of both proximal maps
    prox_value: Any = state()
    dual_argument: Any = state()
    dual_value: Any = state()

    def __post_init__(self) -> None:
        """Fill in the defaults and check the parameters."""
        Options.__post_init__(self)
        check_primal_dual(self)
        check_range(self, "regularization_parameter", 0.0, float("inf"), open_low=False)
        if self.stop is None:
            self.stop = StopAfterIteration(50) | StopWhenPrimalDualResidualLess(1e-10)


@initialize_solver.register(PrimalDualSemismoothNewtonOptions)
def _initialize(p: Any, o: PrimalDualSemismoothNewtonOptions) -> None:
    begin_primal_dual(p, o)
    if not (p.M.has_exp and p.M.has_log):
        raise OptionsError(
            f"PrimalDualSemismoothNewtonOptions needs exp and log, which {p.M} lacks: use ChambollePockOptions"
        )
    o.tau, o.sigma, o.dual_change = step_of(o, "primal_stepsize"), step_of(o, "dual_stepsize"), None
    vars(o).update(fixed_point_residual(p, bases_of(o), Lengths(o.lane, o.tau, o.sigma), o.x))


@step_solver.register(PrimalDualSemismoothNewtonOptions)
def _step(p: Any, o: PrimalDualSemismoothNewtonOptions, i: int) -> None:
    M, N, lane, x, s = p.M, p.N, o.lane, o.x, Lengths(o.lane, o.tau, o.sigma)
    moved = moved_bases(p, o, i)
    b = moved or bases_of(o)
    at = fixed_point_residual(p, b, s, x) if moved is not None else vars(o)
    off = map_leaves(torch.sub, at["dual_value"], b.xi)
    rhs = torch.cat([M.to_coordinates(x, M.log(x, at["prox_value"])), N.to_coordinates(b.n, off)], -1)
    matrix = _derivative(p, o, b, at)
    matrix.diagonal(dim1=-2, dim2=-1).add_(o.regularization_parameter)
    d = torch.linalg.solve_ex(matrix, rhs.unsqueeze(-1)).result.squeeze(-1)
    d = lane.pick(lane.finite(d), d, torch.zeros_like(d))
    # a singular matrix, or nothing left to gain
    least = torch.finfo(d.dtype).eps * lane.max(lane.size(x), lane.size(b.xi))
    o.stagnated = o.stagnated | (o.active & (lane.size(d) <= least))
    y = move(M, x, M.from_coordinates(x, d[..., : M.dim]), method=o.retraction_method)
    eta = N.from_coordinates(b.n, d[..., M.dim :])
    b = b._replace(xi=map_leaves(torch.add, b.xi, eta))
    new = fixed_point_residual(p, b, s, y) | {"dual_change": lane.scalar(N.norm(b.n, eta))}
    if moved is not None:
        new.update(state_of_bases(b))
    commit(o, cost=checked_cost(p, o, y, b.xi), x=y, dual=b.xi, **new)


def _derivative(p: Any, o: PrimalDualSemismoothNewtonOptions, b: Bases, at: Any) -> torch.Tensor:
    """Return the covariant derivative in orthonormal coordinates, shape `(*batch, k, k)`, `k` both dimensions together.

    Its columns are the derivatives along the vectors of a basis, on an axis after the batch axes.
    """
    M, N, axes, k = p.M, p.N, len(o.lane.shape), p.M.dim + p.N.dim

    def wide(tree: Any) -> Any:
        # forward mode refuses tensors that are expanded
        return map_leaves(lambda t: t.unsqueeze(axes).expand(*t.shape[:axes], k, *t.shape[axes:]).contiguous(), tree)

    x, q, y, z = (wide(point) for point in (o.x, at["prox_argument"], at["prox_value"], at["dual_argument"]))
    each, c = p.spread(k, axes), Bases(*(None if part is None else wide(part) for part in b))
    ref = first_leaf(o.x).real
    tau, sigma = (s if o.lane.lone else wide(s.to(ref.dtype)) for s in (o.tau, o.sigma))
    eye = torch.eye(k, dtype=ref.dtype, device=ref.device).expand(*o.lane.shape, k, k)
    u, eta = M.from_coordinates(x, eye[..., : M.dim]), N.from_coordinates(c.n, eye[..., M.dim :])

    def argument(x: Any, pulled: Any) -> Any:
        return M.exp(x, carry(M, c.m, x, pulled), -tau)

    moving = torch.func.jvp(argument, (x, wide(at["pulled"])), (u, c.pull(each, eta)))[1]
    moving = each.get_differential_primal_prox(tau, q, M.project_tangent(q, moving), y)
    primal = map_leaves(torch.add, differential_log_basepoint(M, x, y, u), differential_log_argument(M, x, y, moving))
    image = c.push(each, differential_log_argument(M, c.m, x, u))
    moving = map_leaves(lambda a, v: axpy(a, v, sigma, a.dim() - axes - 1), eta, image)
    moving = each.get_differential_dual_prox(c.n, sigma, z, moving)
    dual = map_leaves(torch.sub, eta, moving)
    return torch.cat([-M.to_coordinates(x, primal), N.to_coordinates(c.n, dual)], -1).mT.contiguous()


@strict_keywords
def primal_dual_semismooth_newton(
    M: Manifold,
    N: Manifold,
    cost: Callable[..., Any],
    x: Any,
    xi: Any,
    m: Any,
    n: Any,
    *,
    prox_f: Callable[..., Any],
    prox_g_dual: Callable[..., Any],
    diff_prox_f: Callable[..., Any] | None = None,
    diff_prox_g_dual: Callable[..., Any] | None = None,
    forward_operator: Callable[..., Any] | None = None,
    linearized_forward_operator: Callable[..., Any] | None = None,
    adjoint_linearized_operator: Callable[..., Any] | None = None,
    data: tuple[Any, ...] = (),
    vectorized: bool = True,
    primal_stepsize: Any = 8**-0.5,
    dual_stepsize: Any = 8**-0.5,
    regularization_parameter: float = 1e-5,
    update_primal_base: Callable[..., Any] | None = None,
    update_dual_base: Callable[..., Any] | None = None,
    stop: StoppingCriterion | None = None,
    retraction_method: str | None = None,
    check_every: int = 1,
    compact: bool = True,
    debug: Any = None,
    record: Any = None,
    return_options: bool = False,
) -> Any:
    r"""Minimise $F(x) + G(\Lambda(x))$ by Newton steps for the optimality conditions, to high accuracy.

    From a good start, such as the point and the dual variable of some steps of `chambolle_pock`, a few steps do. Each
    solves a dense system with as many unknowns as both manifolds have dimensions, so problems are to be small.

    Args:
        M: the manifold of the unknown, with exponential map and logarithm.
        N: the manifold in which $\Lambda$ has its values.
        cost: $f$, `cost(x, *data)`, returns shape `(*batch,)`.
        x: the start, shape `(*batch, *point_shape)`.
        xi: the start of the dual variable, None for zero, as `m` and `n` may be; see the options.
        m: the point at which the operator is linearised.
        n: the point whose tangent space holds the dual variable.
        prox_f: see `PrimalDualProblem`, as for the following, where None is autograd.
        prox_g_dual: the proximal map of the dual of $G$.
        diff_prox_f: a generalised derivative of the one.
        diff_prox_g_dual: a generalised derivative of the other.
        forward_operator: $\Lambda$; it may be missing if both of the following are given.
        linearized_forward_operator: the differential of $\Lambda$ at $m$.
        adjoint_linearized_operator: the adjoint of that.
        data: tensors with the batch axes in front, handed to the callables last.
        vectorized: False if the callables are written for one point.
        primal_stepsize: see `PrimalDualSemismoothNewtonOptions`, as for the following.
        dual_stepsize: the dual step size.
        regularization_parameter: what is added to the diagonal of the matrix.
        update_primal_base: where the operator is linearised from then on.
        update_dual_base: where the dual variable lives from then on.
        stop: the stopping criterion.
        retraction_method: name of the manifold's retraction.
        check_every: how often the host asks whether any problem still runs.
        compact: whether finished problems leave the working set.
        debug: what to print, see `solve`.
        record: what to record, see `solve`.
        return_options: whether to return the options (with reasons, iterations, records) instead of the result.

    Returns:
        The minimiser, shape `(*batch, *point_shape)`, or the options.

    Raises:
        ManoptError: for bad input, before the first iteration; see `solve`.

    References:
        [DiepeveenLellmann:2021].

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, primal_dual_semismooth_newton
        >>> f = torch.tensor([0.0, 3.0, 3.0], dtype=torch.float64)
        >>> x = primal_dual_semismooth_newton(
        ...     Euclidean(3),
        ...     Euclidean(2),
        ...     lambda x: 0.5 * (x - f).square().sum(-1) + x.diff().abs().sum(-1),
        ...     f, None, None, None,
        ...     prox_f=lambda lam, x: (x + lam * f) / (1 + lam),
        ...     prox_g_dual=lambda n, lam, xi: (xi + lam * n).clamp(-1, 1),
        ...     forward_operator=lambda x: x.diff(),
        ... )
        >>> [round(float(a), 8) for a in x]
        [1.0, 2.5, 2.5]
    """
    problem = PrimalDualProblem(
        M,
        N,
        cost,
        prox_f,
        prox_g_dual,
        forward_operator=forward_operator,
        linearized_forward_operator=linearized_forward_operator,
        adjoint_linearized_operator=adjoint_linearized_operator,
        diff_prox_f=diff_prox_f,
        diff_prox_g_dual=diff_prox_g_dual,
        data=data,
        vectorized=vectorized,
    )
    options = PrimalDualSemismoothNewtonOptions(
        x,
        xi=xi,
        m=m,
        n=n,
        primal_stepsize=primal_stepsize,
        dual_stepsize=dual_stepsize,
        regularization_parameter=regularization_parameter,
        update_primal_base=update_primal_base,
        update_dual_base=update_dual_base,
        stop=stop,
        retraction_method=retraction_method,
        check_every=check_every,
        compact=compact,
    )
    solve(problem, options, debug=debug, record=record)
    return options if return_options else get_solver_result(options)
