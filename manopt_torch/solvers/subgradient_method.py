r"""The subgradient method.

$$x_{i+1} = \operatorname{retr}_{x_i}(-s_i\, \partial f(x_i)),$$

where $\partial f(x_i)$ is any element of the subdifferential. The cost need not decrease from step to step; the result
is the best point met. References: [FerreiraOliveira:1998].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from manopt_torch.manifolds.base import Manifold
from manopt_torch.plans.begin import begin, first_evaluation
from manopt_torch.plans.commit import commit
from manopt_torch.plans.dispatch import get_solver_result, initialize_solver, step_solver
from manopt_torch.plans.options import Options, lane_of, state, strict_keywords
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration, StoppingCriterion
from manopt_torch.problems.subgradient import SubGradientProblem
from manopt_torch.stepsizes.base import Stepsize, check_stepsize, take_step, trial_gradient


class _TypicalDecrease(Stepsize):
    """Take steps of a fifth of the manifold's typical distance, divided by the iteration."""

    def __call__(self, p: Any, o: Any, i: int, eta: Any = None) -> Any:
        """Return the step size of iteration `i`, the same for all problems."""
        return lane_of(p, o).full(float(p.M.typical_dist) / (5 * max(i, 1)))


@dataclass(eq=False, kw_only=True)
class SubGradientMethodOptions(Options):
    r"""Options of the subgradient method.

    Args:
        x: the start, shape `(*batch, *point_shape)`.
        stepsize: the step sizes $s_i$; None is $\operatorname{diam} / 5i$ with the manifold's `typical_dist` for the
            diameter. Convergence asks for $\sum s_i = \infty$, $\sum s_i^2 < \infty$; a line search makes no sense
            here.
        stop: the stopping criterion; None is `StopAfterIteration(5000)`.
        retraction_method: name of the manifold's retraction; None is its default.
        check_every: how often (in iterations) the host asks whether any problem of a batch still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter has the wrong kind or is out of its range.

    Examples:
        >>> import torch
        >>> from manopt_torch import SubGradientMethodOptions
        >>> SubGradientMethodOptions(torch.zeros(2)).stop
        StopAfterIteration(5000)
    """

    needs: ClassVar[tuple[str, ...]] = ("cost", "subgradient")

    stepsize: Stepsize | None = None

    # updated every step; `gradient` holds the subgradient
    last_stepsize: Any = state()
    best_x: Any = state()
    best_cost: Any = state()

    def __post_init__(self) -> None:
        """Fill in the defaults and check the ranges."""
        Options.__post_init__(self)
        self.stepsize = _TypicalDecrease() if self.stepsize is None else self.stepsize
        check_stepsize(self)
        if self.stop is None:
            self.stop = StopAfterIteration(5000)


@initialize_solver.register(SubGradientMethodOptions)
def _initialize(p: Any, o: SubGradientMethodOptions) -> None:
    begin(p, o)
    first_evaluation(p, o)
    o.last_stepsize, o.best_x, o.best_cost = None, o.x, o.cost


@step_solver.register(SubGradientMethodOptions)
def _step(p: Any, o: SubGradientMethodOptions, i: int) -> None:
    s, trial = take_step(p, o, i)
    lane = o.lane
    better = lane.trial_cost(trial.cost) < lane.scalar(o.best_cost)
    commit(
        o,
        x=trial.x,
        cost=trial.cost,
        gradient=trial_gradient(p, trial),
        last_stepsize=s,
        best_x=lane.pick(better, trial.x, o.best_x),
        best_cost=lane.where(better, trial.cost, o.best_cost),
    )


@get_solver_result.register(SubGradientMethodOptions)
def _best(o: SubGradientMethodOptions) -> Any:
    return o.x if o.best_x is None else o.best_x


@strict_keywords
def subgradient_method(
    M: Manifold,
    cost: Callable[..., Any],
    x: Any,
    *,
    subgradient: Callable[..., Any] | None = None,
    data: tuple[Any, ...] = (),
    vectorized: bool = True,
    stepsize: Stepsize | None = None,
    stop: StoppingCriterion | None = None,
    retraction_method: str | None = None,
    check_every: int = 1,
    compact: bool = True,
    debug: Any = None,
    record: Any = None,
    return_options: bool = False,
) -> Any:
    r"""Minimise a cost with kinks by subgradients; return the best point met.

    It needs nothing but a subgradient, and converges slowly, like $1/\sqrt i$. Where proximal maps are known,
    `cyclic_proximal_point` is faster.

    Args:
        M: the manifold.
        cost: `cost(x, *data)`, returns shape `(*batch,)`.
        x: the start, shape `(*batch, *point_shape)`.
        subgradient: `subgradient(x, *data)`, a tangent vector; None is what autograd returns.
        data: tensors with the batch axes in front, handed to the callables after the point.
        vectorized: False if the callables are written for one point.
        stepsize: see `SubGradientMethodOptions`, as for the following.
        stop: the stopping criterion.
        retraction_method: name of the manifold's retraction.
        check_every: how often the host asks whether any problem still runs.
        compact: whether finished problems leave the working set.
        debug: what to print, see `solve`.
        record: what to record, see `solve`.
        return_options: whether to return the options (with reasons, iterations, records) instead of the result.

    Returns:
        The best point of each problem, shape `(*batch, *point_shape)`, or the options.

    Raises:
        ManoptError: for bad input, before the first iteration; see `solve`.

    References:
        [FerreiraOliveira:1998].

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, StopAfterIteration, subgradient_method
        >>> cost = lambda x: (x - torch.tensor([1.0, 2.0])).abs().sum(-1)
        >>> x = subgradient_method(Euclidean(2), cost, torch.zeros(2), stop=StopAfterIteration(1000))
        >>> bool(cost(x) < 0.01)
        True
    """
    problem = SubGradientProblem(M, cost, subgradient, data=data, vectorized=vectorized)
    options = SubGradientMethodOptions(
        x, stepsize=stepsize, stop=stop, retraction_method=retraction_method, check_every=check_every, compact=compact
    )
    solve(problem, options, debug=debug, record=record)
    return options if return_options else get_solver_result(options)
