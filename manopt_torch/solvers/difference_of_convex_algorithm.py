r"""The difference of convex algorithm.

For $f = g - h$ with convex $g$ and $h$ a step replaces $h$ by its linear minorant at $x_i$,

$$x_{i+1} \approx \operatorname*{argmin}_{y \in \mathcal M}\; g(y) - \langle X_i, \log_{x_i} y\rangle_{x_i}, \qquad
X_i \in \partial h(x_i),$$

so that the cost never grows. References: [BergmannFerreiraSantosSouza:2024].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.geodesics import towards
from manopt_torch.plans.commit import commit
from manopt_torch.plans.difference_of_convex import begin_difference, check_sub_solvers, next_subgradient, sub_solution
from manopt_torch.plans.dispatch import get_solver_result, initialize_solver, step_solver
from manopt_torch.plans.options import Options, state, strict_keywords
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration, StoppingCriterion, StopWhenChangeLess
from manopt_torch.problems.difference_of_convex import DifferenceOfConvexProblem
from manopt_torch.solvers.quasi_newton import QuasiNewtonOptions


@dataclass(eq=False, kw_only=True)
class DifferenceOfConvexOptions(Options):
    r"""Options of the difference of convex algorithm.

    Args:
        x: the start, shape `(*batch, *point_shape)`.
        sub_options: Options of the solver for the sub problems, whose `x` is replaced and whose `stop` bounds each run;
            they start at the iterate. None is `QuasiNewtonOptions(x, stop=StopAfterIteration(300))`.
        sub_solver: `sub_solver(x, X, *data)`, the minimiser of $y \mapsto g(y) - \langle X, \log_x y\rangle_x$ in
            closed form, in place of a run with `sub_options`.
        sub_tolerance: gradient norm at which a sub problem is solved.
        stop: the stopping criterion; None is `StopAfterIteration(300) | StopWhenChangeLess(1e-9)`, as in Manopt.jl.
        check_every: how often (in iterations) the host asks whether any problem of a batch still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter has the wrong kind or is out of its range.

    Examples:
        >>> import torch
        >>> from manopt_torch import DifferenceOfConvexOptions
        >>> DifferenceOfConvexOptions(torch.zeros(2)).sub_tolerance
        1e-09
    """

    needs: ClassVar[tuple[str, ...]] = ("cost", "gradient", "subtrahend_gradient")

    sub_options: Options | None = None
    sub_solver: Callable[..., Any] | None = None
    sub_tolerance: float = 1e-9

    # updated every step: the subgradient of h at the new point
    subtrahend_gradient: Any = state()

    def __post_init__(self) -> None:
        """Fill in the defaults and check the ranges."""
        Options.__post_init__(self)
        if self.sub_options is None:
            self.sub_options = QuasiNewtonOptions(self.x, stop=StopAfterIteration(300))
        check_sub_solvers(self)
        if self.stop is None:
            self.stop = StopAfterIteration(300) | StopWhenChangeLess(1e-9)


@initialize_solver.register(DifferenceOfConvexOptions)
def _initialize(p: Any, o: DifferenceOfConvexOptions) -> None:
    begin_difference(p, o)


@step_solver.register(DifferenceOfConvexOptions)
def _step(p: Any, o: DifferenceOfConvexOptions, i: int) -> None:
    x = sub_solution(p, o, linearised, o.x, o.subtrahend_gradient)
    cost, context = p.trial(x)
    gradient = p.gradient_from(x, context)
    subgradient = next_subgradient(p, o, x)
    commit(o, x=x, cost=cost, gradient=gradient, subtrahend_gradient=subgradient)


def linearised(p: Any, x: Any, subgradient: Any, *, hessian: bool = False) -> Any:
    r"""Return the sub problem at `x`: to minimise $y \mapsto g(y) - \langle X, \log_x y\rangle_x$.

    On manifolds without a logarithm the inverse of the default retraction stands in for it.

    Args:
        p: the problem, a `DifferenceOfConvexProblem`.
        x: the iterate.
        subgradient: $X$, a subgradient of $h$ there.
        hessian: whether the sub problem is to have Hessians, by autograd.
    """
    M = p.M

    def minorant(y: Any, x: Any, subgradient: Any) -> torch.Tensor:
        return -M.inner(x, subgradient, towards(M, x, y))

    return p.surrogate(minorant, x, subgradient, hessian=hessian)


@strict_keywords
def difference_of_convex_algorithm(
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
    sub_options: Options | None = None,
    sub_solver: Callable[..., Any] | None = None,
    sub_tolerance: float = 1e-9,
    stop: StoppingCriterion | None = None,
    check_every: int = 1,
    compact: bool = True,
    debug: Any = None,
    record: Any = None,
    return_options: bool = False,
) -> Any:
    r"""Minimise a difference of convex functions by a sequence of convex problems.

    For costs that are no more than a convex function away from convex ones: $h$ may have kinks, and no step size is
    needed. Each step lowers the cost, up to the accuracy of the sub problems; the limits are critical points.

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
        sub_options: see `DifferenceOfConvexOptions`, as for the following.
        sub_solver: the solution of the sub problem, `sub_solver(x, X, *data)`.
        sub_tolerance: gradient norm at which a sub problem is solved.
        stop: the stopping criterion.
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
        [BergmannFerreiraSantosSouza:2024].

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, difference_of_convex_algorithm
        >>> g, h = lambda x: (x**4).sum(-1), lambda x: (x**2).sum(-1)
        >>> x = torch.tensor([2.0, 0.1, -1.0], dtype=torch.float64)
        >>> x = difference_of_convex_algorithm(Euclidean(3), None, g, None, x, h=h)
        >>> bool(((x.abs() - 0.5**0.5).abs() < 1e-8).all())
        True
    """
    problem = DifferenceOfConvexProblem(
        M, cost, g, subgradient_h, h=h, gradient=gradient, gradient_g=gradient_g, data=data, vectorized=vectorized
    )
    options = DifferenceOfConvexOptions(
        x,
        sub_options=sub_options,
        sub_solver=sub_solver,
        sub_tolerance=sub_tolerance,
        stop=stop,
        check_every=check_every,
        compact=compact,
    )
    solve(problem, options, debug=debug, record=record)
    return options if return_options else get_solver_result(options)
