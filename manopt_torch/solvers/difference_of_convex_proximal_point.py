r"""The proximal point algorithm for differences of convex functions.

For $f = g - h$ with convex $g$ and $h$ a step goes along a subgradient of $h$, then takes the proximal map of $g$,

$$q_i = \exp_{x_i}(\lambda_i X_i), \quad X_i \in \partial h(x_i), \qquad
x_{i+1} \approx \operatorname*{argmin}_{y \in \mathcal M}\; g(y) + \tfrac{1}{2\lambda_i} d(q_i, y)^2.$$

References: [SouzaOliveira:2015]; [AlmeidaNetoOliveiraSouza:2020].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.functional.linesearch import Trial
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.geodesics import move
from manopt_torch.plans.commit import commit
from manopt_torch.plans.difference_of_convex import begin_difference, check_sub_solvers, next_subgradient, sub_solution
from manopt_torch.plans.dispatch import get_solver_result, initialize_solver, step_solver
from manopt_torch.plans.options import Options, state, strict_keywords
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration, StoppingCriterion, StopWhenChangeLess
from manopt_torch.problems.difference_of_convex import DifferenceOfConvexProblem
from manopt_torch.solvers.quasi_newton import QuasiNewtonOptions
from manopt_torch.stepsizes.base import Stepsize, check_stepsize, take_step, trial_gradient


@dataclass(eq=False, kw_only=True)
class DifferenceOfConvexProximalOptions(Options):
    r"""Options of the proximal point algorithm for differences of convex functions.

    Args:
        x: the start, shape `(*batch, *point_shape)`.
        proximal_parameter: $\lambda$, a positive number or a function of the iteration $i \ge 1$.
        sub_options: Options of the solver for the proximal map, whose `x` is replaced and whose `stop` bounds each run;
            they start at the iterate. None is `QuasiNewtonOptions(x, stop=StopAfterIteration(300))`.
        sub_solver: `sub_solver(lam, q, *data)`, the proximal map of $g$ in closed form, in place of a run with
            `sub_options`.
        sub_tolerance: gradient norm at which a sub problem is solved.
        stepsize: how far to go from the iterate towards the point of the proximal map; None goes there. A line search
            on $f$ looks whether going beyond pays.
        stop: the stopping criterion; None is `StopAfterIteration(300) | StopWhenChangeLess(1e-9)`, as in Manopt.jl.
        retraction_method: name of the retraction by which to follow $X_i$ and a step; None is the exponential map for
            $X_i$ where there is one, and the manifold's default for a step.
        check_every: how often (in iterations) the host asks whether any problem of a batch still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter has the wrong kind or is out of its range.

    Examples:
        >>> import torch
        >>> from manopt_torch import DifferenceOfConvexProximalOptions
        >>> DifferenceOfConvexProximalOptions(torch.zeros(2)).proximal_parameter
        0.5
    """

    needs: ClassVar[tuple[str, ...]] = ("cost", "gradient", "subtrahend_gradient")

    proximal_parameter: float | Callable[[int], Any] = 0.5
    sub_options: Options | None = None
    sub_solver: Callable[..., Any] | None = None
    sub_tolerance: float = 1e-9
    stepsize: Stepsize | None = None

    # updated every step: the subgradient of h at the new point
    subtrahend_gradient: Any = state()
    last_stepsize: Any = state()

    def __post_init__(self) -> None:
        """Fill in the defaults and check the ranges."""
        Options.__post_init__(self)
        lam = self.proximal_parameter
        if not (callable(lam) or (isinstance(lam, (int, float)) and 0 < lam < float("inf"))):
            raise OptionsError(
                "DifferenceOfConvexProximalOptions: proximal_parameter must be a positive number or a function of the "
                f"iteration, got {lam!r}"
            )
        if self.sub_options is None:
            self.sub_options = QuasiNewtonOptions(self.x, stop=StopAfterIteration(300))
        check_sub_solvers(self)
        if self.stepsize is not None:
            check_stepsize(self)
        if self.stop is None:
            self.stop = StopAfterIteration(300) | StopWhenChangeLess(1e-9)


@initialize_solver.register(DifferenceOfConvexProximalOptions)
def _initialize(p: Any, o: DifferenceOfConvexProximalOptions) -> None:
    begin_difference(p, o)
    o.last_stepsize = None


@step_solver.register(DifferenceOfConvexProximalOptions)
def _step(p: Any, o: DifferenceOfConvexProximalOptions, i: int) -> None:
    M, lane = p.M, o.lane
    lam = o.proximal_parameter(i) if callable(o.proximal_parameter) else o.proximal_parameter
    # along the geodesic where there is one, as the theory has it
    q = move(M, o.x, o.subtrahend_gradient, lam, o.retraction_method)
    r = sub_solution(p, o, proximal, lam, q, lead=1)
    if o.stepsize is None:
        s, trial = lane.full(1.0), Trial(r, *p.trial(r))
    else:
        s, trial = take_step(p, o, i, M.inverse_retract(o.x, r, o.retraction_method))
    subgradient = next_subgradient(p, o, trial.x)
    commit(
        o,
        x=trial.x,
        cost=trial.cost,
        gradient=trial_gradient(p, trial),
        subtrahend_gradient=subgradient,
        last_stepsize=s,
    )


def proximal(p: Any, lam: Any, q: Any, *, hessian: bool = False) -> Any:
    r"""Return the sub problem: to minimise $y \mapsto g(y) + d(q, y)^2 / 2\lambda$.

    On manifolds without a logarithm the length of the inverse of the default retraction stands in for the distance.

    Args:
        p: the problem, a `DifferenceOfConvexProblem`.
        lam: $\lambda$.
        q: the centre.
        hessian: whether the sub problem is to have Hessians, by autograd.
    """
    M = p.M

    def distance_term(y: Any, q: Any) -> torch.Tensor:
        if M.has_log:
            return M.squared_dist(q, y) / (2 * lam)
        towards = M.inverse_retract(q, y)
        return M.inner(q, towards, towards) / (2 * lam)

    return p.surrogate(distance_term, q, hessian=hessian)


@strict_keywords
def difference_of_convex_proximal_point(
    M: Manifold,
    cost: Callable[..., Any] | None,
    g: Callable[..., Any] | None,
    subgradient_h: Callable[..., Any] | None,
    x: Any,
    *,
    h: Callable[..., Any] | None = None,
    gradient: Callable[..., Any] | None = None,
    gradient_g: Callable[..., Any] | None = None,
    data: tuple[Any, ...] = (),
    vectorized: bool = True,
    proximal_parameter: float | Callable[[int], Any] = 0.5,
    sub_options: Options | None = None,
    sub_solver: Callable[..., Any] | None = None,
    sub_tolerance: float = 1e-9,
    stepsize: Stepsize | None = None,
    stop: StoppingCriterion | None = None,
    retraction_method: str | None = None,
    check_every: int = 1,
    compact: bool = True,
    debug: Any = None,
    record: Any = None,
    return_options: bool = False,
) -> Any:
    r"""Minimise a difference of convex functions by steps along subgradients of one and proximal maps of the other.

    The choice where the proximal map of $g$ is known, or where $g$ is badly conditioned: its sub problems are better
    conditioned than those of `difference_of_convex_algorithm`, at the price of shorter steps.

    Args:
        M: the manifold.
        cost: $f$, `cost(x, *data)`, returns shape `(*batch,)`; None is `g` minus `h`.
        g: $g$, `g(x, *data)`, likewise; None is for a closed `sub_solver`.
        subgradient_h: `subgradient_h(x, *data)`, a subgradient of $h$; None is autograd of `h`.
        x: the start, shape `(*batch, *point_shape)`.
        h: $h$, `h(x, *data)`; None is `g` minus `cost`.
        gradient: the Riemannian gradient of $f$; None is autograd.
        gradient_g: the Riemannian gradient of $g$; None is autograd.
        data: tensors with the batch axes in front, handed to the callables last.
        vectorized: False if the callables, `sub_solver` too, are written for one point.
        proximal_parameter: see `DifferenceOfConvexProximalOptions`, as for the following.
        sub_options: Options of the solver for the proximal map.
        sub_solver: the proximal map, `sub_solver(lam, q, *data)`.
        sub_tolerance: gradient norm at which a sub problem is solved.
        stepsize: how far to go towards the point of the proximal map.
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
        [SouzaOliveira:2015]; [AlmeidaNetoOliveiraSouza:2020].

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, difference_of_convex_proximal_point
        >>> g, h = lambda x: x.square().sum(-1), lambda x: x.abs().sum(-1)
        >>> shrink = lambda lam, q: q / (1 + 2 * lam)  # the proximal map of g
        >>> x = torch.tensor([2.0, -0.1], dtype=torch.float64)
        >>> x = difference_of_convex_proximal_point(Euclidean(2), None, g, None, x, h=h, sub_solver=shrink)
        >>> bool(((x - torch.tensor([0.5, -0.5])).abs() < 1e-8).all())
        True
    """
    problem = DifferenceOfConvexProblem(
        M, cost, g, subgradient_h, h=h, gradient=gradient, gradient_g=gradient_g, data=data, vectorized=vectorized
    )
    options = DifferenceOfConvexProximalOptions(
        x,
        proximal_parameter=proximal_parameter,
        sub_options=sub_options,
        sub_solver=sub_solver,
        sub_tolerance=sub_tolerance,
        stepsize=stepsize,
        stop=stop,
        retraction_method=retraction_method,
        check_every=check_every,
        compact=compact,
    )
    solve(problem, options, debug=debug, record=record)
    return options if return_options else get_solver_result(options)
