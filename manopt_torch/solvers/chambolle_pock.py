r"""The Riemannian Chambolle-Pock algorithm.

For $f(x) = F(x) + G(\Lambda(x))$ with $\Lambda\colon \mathcal M \to \mathcal N$, alternate proximal steps in the primal
variable $x \in \mathcal M$ and in the dual one $\xi \in T_n\mathcal N$,

$$\begin{aligned}
\xi_{k+1} &= \operatorname{prox}_{\sigma_k G_n^*}\bigl(\xi_k + \sigma_k\, a(\bar x_k)\bigr), \\
x_{k+1} &= \operatorname{prox}_{\tau_k F}\bigl(\exp_{x_k}(-\tau_k\, P_{m \to x_k} A^* \xi_{k+1})\bigr), \\
\bar x_{k+1} &= \exp_{x_{k+1}}(-\theta_k \log_{x_{k+1}} x_k),
\end{aligned}$$

with $a(x) = \log_n \Lambda(x)$ in the exact variant, $a(x) = \log_n\Lambda(m) + P_{\Lambda(m) \to n} D\Lambda(m)[\log_m
x]$ in the linearised one, and $A^* \xi = D\Lambda(m)^*[P_{n \to \Lambda(m)} \xi]$ in both. Relaxed in the dual variable
instead, the step in $x$ comes first, with $\bar\xi_{k} = \xi_{k} + \theta_{k-1} (\xi_{k} - \xi_{k-1})$. References:
[ChambollePock:2011]; [BergmannHerzogEtAl:2021].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.functional.primal_dual import Lengths, dual_relaxed_step, primal_relaxed_step
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.geodesics import carry
from manopt_torch.manifolds.points import map_leaves
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
class ChambollePockOptions(PrimalDualOptions):
    r"""Options of the Chambolle-Pock algorithm.

    Args:
        x: the start, shape `(*batch, *point_shape)`.
        xi: the start $\xi_0$ of the dual variable, a tangent vector at $n$; None is zero.
        m: the point at which the operator is linearised, for its adjoint in both variants; None is the start. One for
            all problems may be given without batch axes, also in `xi` and `n`.
        n: the point whose tangent space holds the dual variable; None is $\Lambda(m)$, also where $m$ moves.
        variant: "exact" or "linearized".
        primal_stepsize: $\tau_0$, a number or a tensor of shape `(*batch,)`.
        dual_stepsize: $\sigma_0$, likewise. In flat space, convergence asks for
            $\tau\sigma\lVert D\Lambda\rVert^2 < 1$, as the defaults have it for differences in up to two directions.
        acceleration: $\gamma \ge 0$; if positive, $\theta_k = 1 / \sqrt{1 + 2 \gamma \tau_k}$, $\tau_{k+1} = \theta_k
            \tau_k$ and $\sigma_{k+1} = \sigma_k / \theta_k$, which is faster if $F$ is strongly convex with at least
            this constant.
        relax: "primal" or "dual", the variable that is relaxed.
        relaxation: $\theta \ge 0$, where $\gamma = 0$.
        update_primal_base: `update_primal_base(p, o, i)` returns the point $m$ for step $i \ge 2$, such as
            `lambda p, o, i: o.x`, with which limits are exact also on curved manifolds; None leaves it.
        update_dual_base: likewise for $n$; the dual variable is transported along.
        stop: the stopping criterion; None is `StopAfterIteration(200) | StopWhenPrimalDualResidualLess(1e-10)`.
        retraction_method: name of the manifold's retraction; None is the exponential map where there is one.
        check_every: how often (in iterations) the host asks whether any problem of a batch still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter has the wrong kind or is out of its range.

    Examples:
        >>> import torch
        >>> from manopt_torch import ChambollePockOptions
        >>> ChambollePockOptions(torch.zeros(2), relax="dual").variant
        'exact'
    """

    xi: Any = None
    m: Any = None
    n: Any = None
    variant: str = "exact"
    primal_stepsize: Any = 8**-0.5
    dual_stepsize: Any = 8**-0.5
    acceleration: float = 0.05
    relax: str = "primal"
    relaxation: float = 1.0
    update_primal_base: Callable[..., Any] | None = None
    update_dual_base: Callable[..., Any] | None = None

    # updated every step
    primal_bar: Any = state()  # relaxed; or else the other one is
    dual_bar: Any = state()
    pulled: Any = state()  # then the adjoint at both dual variables
    pulled_bar: Any = state()

    def __post_init__(self) -> None:
        """Fill in the defaults and check the parameters."""
        Options.__post_init__(self)
        check_primal_dual(self)
        check_range(self, "acceleration", 0.0, float("inf"), open_low=False)
        check_range(self, "relaxation", 0.0, float("inf"), open_low=False)
        for name, known in (("variant", ("exact", "linearized")), ("relax", ("primal", "dual"))):
            if getattr(self, name) not in known:
                raise OptionsError(
                    f"ChambollePockOptions: {name} must be {known[0]!r} or {known[1]!r}, got {getattr(self, name)!r}"
                )
        if self.stop is None:
            self.stop = StopAfterIteration(200) | StopWhenPrimalDualResidualLess(1e-10)


@initialize_solver.register(ChambollePockOptions)
def _initialize(p: Any, o: ChambollePockOptions) -> None:
    begin_primal_dual(p, o)
    o.tau, o.sigma = step_of(o, "primal_stepsize"), step_of(o, "dual_stepsize")
    o.primal_residual = o.dual_residual = o.dual_change = None
    o.primal_bar = o.dual_bar = o.pulled = o.pulled_bar = None
    if o.relax == "primal":
        o.primal_bar = o.x
    else:
        o.dual_bar = o.dual
        o.pulled = o.pulled_bar = bases_of(o).pull(p, o.dual)


@step_solver.register(ChambollePockOptions)
def _step(p: Any, o: ChambollePockOptions, i: int) -> None:
    moved = moved_bases(p, o, i)
    b = moved or bases_of(o)
    s = Lengths(o.lane, o.tau, o.sigma, _theta(o), o.retraction_method)
    image = b.exact_image if o.variant == "exact" else b.linearized_image
    if o.relax == "primal":
        new = primal_relaxed_step(p, b, s, image, o.x, o.primal_bar)
    else:
        pulled, pulled_bar = o.pulled, o.pulled_bar
        if moved is not None:
            pulled, pulled_bar = b.pull(p, b.xi), b.pull(p, carry(p.N, o.dual_base, b.n, o.dual_bar))
        new = dual_relaxed_step(p, b, s, image, o.x, pulled, pulled_bar)
    new["dual_change"] = o.lane.scalar(p.N.norm(b.n, map_leaves(torch.sub, new["dual"], b.xi)))
    if o.acceleration > 0:
        new["tau"], new["sigma"] = s.theta * o.tau, o.lane.div(o.sigma, s.theta)
    if moved is not None:
        new.update(state_of_bases(moved))
    commit(o, cost=checked_cost(p, o, new["x"], new["dual"]), **new)


def _theta(o: ChambollePockOptions) -> Any:
    """Return the relaxation of this step."""
    if o.acceleration > 0:
        return o.lane.div(1.0, o.lane.sqrt(1.0 + 2.0 * o.acceleration * o.tau))
    return float(o.relaxation)


@strict_keywords
def chambolle_pock(
    M: Manifold,
    N: Manifold,
    cost: Callable[..., Any],
    x: Any,
    xi: Any,
    m: Any,
    n: Any,
    prox_f: Callable[..., Any],
    prox_g_dual: Callable[..., Any],
    adjoint_linearized_operator: Callable[..., Any] | None = None,
    *,
    forward_operator: Callable[..., Any] | None = None,
    linearized_forward_operator: Callable[..., Any] | None = None,
    data: tuple[Any, ...] = (),
    vectorized: bool = True,
    variant: str = "exact",
    primal_stepsize: Any = 8**-0.5,
    dual_stepsize: Any = 8**-0.5,
    acceleration: float = 0.05,
    relax: str = "primal",
    relaxation: float = 1.0,
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
    r"""Minimise $F(x) + G(\Lambda(x))$ by proximal steps in a primal and a dual variable.

    For costs with kinks behind an operator, such as total variation: unlike cyclic proximal points it needs no
    parameters that tend to zero, and converges fast. What the callables take and return: `PrimalDualProblem`.

    Args:
        M: the manifold of the unknown.
        N: the manifold in which $\Lambda$ has its values.
        cost: $f$, `cost(x, *data)`, returns shape `(*batch,)`.
        x: the start, shape `(*batch, *point_shape)`.
        xi: the start of the dual variable; see `ChambollePockOptions`, also for `m` and `n`, all of which may be None.
        m: the point at which the operator is linearised.
        n: the point whose tangent space holds the dual variable.
        prox_f: `prox_f(lam, x, *data) -> y`.
        prox_g_dual: `prox_g_dual(n, lam, xi, *data)`, returns a tangent vector at `n`.
        adjoint_linearized_operator: `adjoint_linearized_operator(m, n, xi, *data)`; None is autograd.
        forward_operator: `forward_operator(x, *data)`, a point of `N`.
        linearized_forward_operator: `linearized_forward_operator(m, u, *data)`; None is autograd.
        data: tensors with the batch axes in front, handed to the callables last.
        vectorized: False if the callables are written for one point.
        variant: see `ChambollePockOptions`, as for the following.
        primal_stepsize: the first primal step size.
        dual_stepsize: the first dual step size.
        acceleration: how strongly convex $F$ is.
        relax: the variable that is relaxed.
        relaxation: by how much, without acceleration.
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
        [ChambollePock:2011]; [BergmannHerzogEtAl:2021].

    Examples:
        Denoising of three numbers: the level of each piece moves towards the other by one over its length.

        >>> import torch
        >>> from manopt_torch import Euclidean, chambolle_pock
        >>> f = torch.tensor([0.0, 3.0, 3.0], dtype=torch.float64)
        >>> x = chambolle_pock(
        ...     Euclidean(3),
        ...     Euclidean(2),
        ...     lambda x: 0.5 * (x - f).square().sum(-1) + x.diff().abs().sum(-1),
        ...     f, None, None, None,
        ...     prox_f=lambda lam, x: (x + lam * f) / (1 + lam),
        ...     prox_g_dual=lambda n, lam, xi: (xi + lam * n).clamp(-1, 1),
        ...     forward_operator=lambda x: x.diff(),
        ... )
        >>> [round(float(a), 4) for a in x]
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
        data=data,
        vectorized=vectorized,
    )
    options = ChambollePockOptions(
        x,
        xi=xi,
        m=m,
        n=n,
        variant=variant,
        primal_stepsize=primal_stepsize,
        dual_stepsize=dual_stepsize,
        acceleration=acceleration,
        relax=relax,
        relaxation=relaxation,
        update_primal_base=update_primal_base,
        update_dual_base=update_dual_base,
        stop=stop,
        retraction_method=retraction_method,
        check_every=check_every,
        compact=compact,
    )
    solve(problem, options, debug=debug, record=record)
    return options if return_options else get_solver_result(options)
