r"""The cyclic proximal point algorithm.

For $f = \sum_{j=1}^c f_j$, cycle $i$ applies the proximal maps of the parts one after the other with the same
parameter,

$$x \leftarrow \operatorname{prox}_{\lambda_i f_j}(x), \qquad j = 1, \dots, c,$$

in an order chosen for each cycle. References: [Bacak:2014]; [WeinmannDemaretStorath:2014].
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from manopt_torch._keywords import what_came
from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.base import Manifold
from manopt_torch.plans.begin import begin, cost_at_start
from manopt_torch.plans.commit import commit
from manopt_torch.plans.dispatch import get_solver_result, initialize_solver, step_solver
from manopt_torch.plans.options import Options, strict_keywords
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration, StoppingCriterion, StopWhenChangeLess
from manopt_torch.problems.eval_order import EvalOrder, LinearEvalOrder
from manopt_torch.problems.proximal import ProximalProblem


@dataclass(frozen=True)
class HarmonicParameter:
    r"""Parameters $\lambda_i = \ell / i$ of proximal maps.

    Args:
        length: $\ell$.

    Examples:
        >>> HarmonicParameter(3.0)(2)
        1.5
    """

    length: float = 1.0

    def __call__(self, i: int) -> float:
        """Return the parameter of cycle `i`, that of cycle 1 before the first."""
        return self.length / max(i, 1)


@dataclass(eq=False, kw_only=True)
class CyclicProximalPointOptions(Options):
    r"""Options of the cyclic proximal point algorithm.

    Args:
        x: the start, shape `(*batch, *point_shape)`.
        proximal_parameter: the parameters $\lambda_i$ as a function of the cycle $i \ge 1$; None is
            $\lambda_i = \operatorname{diam} / (2i)$ with the manifold's `typical_dist` for the diameter. Convergence
            asks for $\sum \lambda_i = \infty$, $\sum \lambda_i^2 < \infty$.
        order: the order of the parts in a cycle; None is `LinearEvalOrder()`.
        stop: the stopping criterion; None is `StopAfterIteration(5000) | StopWhenChangeLess(1e-12)`.
        check_every: how often (in cycles) the host asks whether any problem of a batch still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter has the wrong kind.

    Examples:
        >>> import torch
        >>> from manopt_torch import CyclicProximalPointOptions
        >>> CyclicProximalPointOptions(torch.zeros(2), proximal_parameter=lambda i: 1 / i).order
        LinearEvalOrder()
    """

    needs: ClassVar[tuple[str, ...]] = ("cost", "proximal_map")

    proximal_parameter: Callable[[int], Any] | None = None
    order: EvalOrder | None = None

    def __post_init__(self) -> None:
        """Fill in the defaults and check the kinds."""
        Options.__post_init__(self)
        self.order = LinearEvalOrder() if self.order is None else self.order
        if not isinstance(self.order, EvalOrder):
            raise OptionsError(
                f"CyclicProximalPointOptions: order must be one such as LinearEvalOrder(), got {what_came(self.order)}"
            )
        if self.proximal_parameter is not None and not callable(self.proximal_parameter):
            raise OptionsError(
                "CyclicProximalPointOptions: proximal_parameter must be a function of the cycle such as "
                f"lambda i: 1 / i, got {self.proximal_parameter!r}"
            )
        if self.stop is None:
            self.stop = StopAfterIteration(5000) | StopWhenChangeLess(1e-12)


@initialize_solver.register(CyclicProximalPointOptions)
def _initialize(p: Any, o: CyclicProximalPointOptions) -> None:
    if o.proximal_parameter is None:
        o.proximal_parameter = HarmonicParameter(0.5 * p.M.typical_dist)
    begin(p, o)
    cost_at_start(p, o)


@step_solver.register(CyclicProximalPointOptions)
def _step(p: Any, o: CyclicProximalPointOptions, i: int) -> None:
    assert o.proximal_parameter is not None
    assert o.order is not None
    x, lam = o.x, o.proximal_parameter(i)
    for j in o.order(len(p.proximal_maps), i):
        x = p.get_proximal_map(lam, x, j)
    commit(o, x=x, cost=p.get_cost(x))


@strict_keywords
def cyclic_proximal_point(
    M: Manifold,
    cost: Callable[..., Any],
    proximal_maps: Sequence[Callable[..., Any]],
    x: Any,
    *,
    number_of_proxes: Sequence[int] | None = None,
    data: tuple[Any, ...] = (),
    vectorized: bool = True,
    proximal_parameter: Callable[[int], Any] | None = None,
    order: EvalOrder | None = None,
    stop: StoppingCriterion | None = None,
    check_every: int = 1,
    compact: bool = True,
    debug: Any = None,
    record: Any = None,
    return_options: bool = False,
) -> Any:
    r"""Minimise a sum of parts with known proximal maps, one map after the other.

    The workhorse of total variation models on manifold-valued signals and images: robust, with little to tune, and of
    slow convergence near the minimum.

    Args:
        M: the manifold.
        cost: `cost(x, *data)`, returns shape `(*batch,)`.
        proximal_maps: callables `prox(lam, x, *data) -> y`.
        x: the start, shape `(*batch, *point_shape)`.
        number_of_proxes: how many parts each callable stands for; see `ProximalProblem`.
        data: tensors with the batch axes in front, handed to the callables last.
        vectorized: False if the callables are written for one point.
        proximal_parameter: see `CyclicProximalPointOptions`, as for the following.
        order: the order of the parts in a cycle.
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
        [Bacak:2014].

    Examples:
        The median of three numbers: the maps of $|x - a|$ move towards $a$, by at most the parameter.

        >>> import torch
        >>> from manopt_torch import Euclidean, cyclic_proximal_point
        >>> numbers = torch.tensor([0.0, 1.0, 5.0], dtype=torch.float64)
        >>> cost = lambda x: (x - numbers).abs().sum(-1)
        >>> towards = lambda a: lambda lam, x: x - (x - a).clamp(-lam, lam)
        >>> x = cyclic_proximal_point(Euclidean(1), cost, [towards(a) for a in numbers], torch.zeros(1).double())
        >>> bool(abs(x - 1) < 1e-3)
        True
    """
    problem = ProximalProblem(
        M, cost, proximal_maps, number_of_proxes=number_of_proxes, data=data, vectorized=vectorized
    )
    options = CyclicProximalPointOptions(
        x,
        proximal_parameter=proximal_parameter,
        order=order,
        stop=stop,
        check_every=check_every,
        compact=compact,
    )
    solve(problem, options, debug=debug, record=record)
    return options if return_options else get_solver_result(options)
