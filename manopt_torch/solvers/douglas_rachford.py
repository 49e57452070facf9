r"""The Douglas-Rachford algorithm.

For $f = f_1 + f_2$, with the reflection $R_{\lambda f}(x) = \exp_y(-\log_y x)$ at $y = \operatorname{prox}_{\lambda
f}(x)$,

$$t = R_{\lambda_i f_2}\bigl(R_{\lambda_i f_1}(s_i)\bigr), \qquad s_{i+1} = \gamma(s_i, t; \alpha_i),$$

where $\gamma$ is the geodesic from $s_i$ to $t$; the iterate is $x_i = \operatorname{prox}_{\lambda_i f_2}(R_{\lambda_i
f_1}(s_i))$. More than two parts are handled in the product space: $n$ copies of the point, $f_1$ the sum of the parts
each on its copy, $f_2$ the indicator of equal copies, whose proximal map is the mean. References:
[BergmannPerschSteidl:2016].
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.plans.begin import begin, cost_at_start
from manopt_torch.plans.commit import commit
from manopt_torch.plans.dispatch import get_solver_result, initialize_solver, step_solver
from manopt_torch.plans.options import Options, state, strict_keywords
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration, StoppingCriterion, StopWhenChangeLess
from manopt_torch.problems.proximal import ProximalProblem
from manopt_torch.solvers.statistics import mean


def reflect(M: Manifold, centre: Any, x: Any) -> Any:
    r"""Return the reflection of `x` at `centre`, $\exp_c(-\log_c x)$.

    Args:
        M: a manifold with exponential map and logarithm.
        centre: the point $c$, shape `(*batch, *point_shape)`.
        x: the point, same shape.

    Returns:
        The point reached by going on from $x$ through $c$ by the same length, same shape.

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, reflect
        >>> reflect(Euclidean(1), torch.tensor([1.0]), torch.tensor([3.0]))
        tensor([-1.])
    """
    return M.exp(centre, M.log(centre, x), -1.0)


@dataclass(eq=False, kw_only=True)
class DouglasRachfordOptions(Options):
    r"""Options of the Douglas-Rachford algorithm.

    Args:
        x: the start, shape `(*batch, *point_shape)`.
        proximal_parameter: $\lambda$, a positive number or a function of the iteration $i \ge 1$.
        relaxation: $\alpha \in (0, 1]$, a number or a function of the iteration.
        reflection: `reflection(M, centre, x)`; None is `reflect`.
        parallel: whether two parts are handled in the product space as well; more always are.
        stop: the stopping criterion; None is `StopAfterIteration(200) | StopWhenChangeLess(1e-5)`.
        check_every: how often (in iterations) the host asks whether any problem of a batch still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter has the wrong kind or is out of its range.

    Examples:
        >>> import torch
        >>> from manopt_torch import DouglasRachfordOptions
        >>> DouglasRachfordOptions(torch.zeros(2)).relaxation
        0.9
    """

    needs: ClassVar[tuple[str, ...]] = ("cost", "proximal_map")

    proximal_parameter: float | Callable[[int], Any] = 1.0
    relaxation: float | Callable[[int], Any] = 0.9
    reflection: Callable[..., Any] | None = None
    parallel: bool = False

    # updated every step: s, in the product space (*batch, n, *point_shape) where there are copies
    shadow: Any = state()

    def __post_init__(self) -> None:
        """Fill in the defaults and check the parameters."""
        Options.__post_init__(self)
        for name, most in (("proximal_parameter", float("inf")), ("relaxation", 1.0)):
            value = getattr(self, name)
            if not (callable(value) or (isinstance(value, (int, float)) and 0 < value <= most)):
                raise OptionsError(
                    f"DouglasRachfordOptions: {name} must be a number in (0, {most:g}] or a function of the "
                    f"iteration, got {value!r}"
                )
        self.reflection = reflect if self.reflection is None else self.reflection
        if not callable(self.reflection):
            raise OptionsError(
                "DouglasRachfordOptions: reflection must be a function reflection(M, centre, x), got "
                f"{self.reflection!r}"
            )
        if self.stop is None:
            self.stop = StopAfterIteration(200) | StopWhenChangeLess(1e-5)


@initialize_solver.register(DouglasRachfordOptions)
def _initialize(p: Any, o: DouglasRachfordOptions) -> None:
    begin(p, o)
    if len(p.proximal_maps) < 2:
        raise OptionsError("DouglasRachfordOptions needs two proximal maps or more; use ProximalPointOptions for one")
    if not (p.M.has_exp and p.M.has_log):
        raise OptionsError(
            f"DouglasRachfordOptions needs exp and log, which {p.M} lacks: use CyclicProximalPointOptions"
        )
    cost_at_start(p, o)
    o.shadow = _copies(p, o, [o.x] * len(p.proximal_maps)) if _in_product(p, o) else o.x


@step_solver.register(DouglasRachfordOptions)
def _step(p: Any, o: DouglasRachfordOptions, i: int) -> None:
    lam, alpha = (v(i) if callable(v) else v for v in (o.proximal_parameter, o.relaxation))
    assert o.reflection is not None
    s = o.shadow
    t = o.reflection(p.M, _first(p, o, lam, s), s)
    y = _second(p, o, lam, t)
    spread = _copies(p, o, [y] * len(p.proximal_maps)) if _in_product(p, o) else y
    t = o.reflection(p.M, spread, t)
    commit(o, x=y, cost=p.get_cost(y), shadow=p.M.geodesic(s, t, alpha))


def _in_product(p: Any, o: DouglasRachfordOptions) -> bool:
    return o.parallel or len(p.proximal_maps) > 2


def _copies(p: Any, o: DouglasRachfordOptions, points: list[Any]) -> Any:
    """Lay one point for each part side by side, on an axis after the batch axes."""
    axis = len(o.lane.shape)
    return map_leaves(lambda *parts: torch.stack(parts, axis), *points)


def _first(p: Any, o: DouglasRachfordOptions, lam: Any, s: Any) -> Any:
    """Return the proximal map of the first part, or of each part at its copy."""
    if not _in_product(p, o):
        return p.get_proximal_map(lam, s, 0)
    axis = len(o.lane.shape)
    one = [map_leaves(lambda leaf, j=j: leaf.select(axis, j), s) for j in range(len(p.proximal_maps))]
    return _copies(p, o, [p.get_proximal_map(lam, point, j) for j, point in enumerate(one)])


def _second(p: Any, o: DouglasRachfordOptions, lam: Any, t: Any) -> Any:
    """Return the proximal map of the second part, or the mean of the copies."""
    if not _in_product(p, o):
        return p.get_proximal_map(lam, t, 1)
    # copies that are not finite have no mean, and would end the search for those of all other problems
    axis, ok = len(o.lane.shape), o.lane.finite(t)
    y = mean(p.M, o.lane.pick(ok, t, _copies(p, o, [o.x] * len(p.proximal_maps))))
    return o.lane.pick(ok, y, map_leaves(lambda leaf: leaf.sum(axis), t))


@strict_keywords
def douglas_rachford(
    M: Manifold,
    cost: Callable[..., Any],
    proximal_maps: Sequence[Callable[..., Any]],
    x: Any,
    *,
    data: tuple[Any, ...] = (),
    vectorized: bool = True,
    proximal_parameter: float | Callable[[int], Any] = 1.0,
    relaxation: float | Callable[[int], Any] = 0.9,
    reflection: Callable[..., Any] | None = None,
    parallel: bool = False,
    stop: StoppingCriterion | None = None,
    check_every: int = 1,
    compact: bool = True,
    debug: Any = None,
    record: Any = None,
    return_options: bool = False,
) -> Any:
    r"""Minimise a sum of two or more parts with known proximal maps by reflections.

    Converges on Hadamard manifolds where the reflections do not expand, fast in practice on others; a fixed parameter
    suffices, unlike for `cyclic_proximal_point`.

    Args:
        M: the manifold, with exponential map and logarithm.
        cost: `cost(x, *data)`, returns shape `(*batch,)`.
        proximal_maps: two callables or more, `prox(lam, x, *data) -> y`.
        x: the start, shape `(*batch, *point_shape)`.
        data: tensors with the batch axes in front, handed to the callables last.
        vectorized: False if the callables are written for one point.
        proximal_parameter: see `DouglasRachfordOptions`, as for the following.
        relaxation: how far to go towards the reflected point.
        reflection: the reflection, `reflection(M, centre, x)`.
        parallel: whether two parts are handled in the product space as well.
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
        [BergmannPerschSteidl:2016].

    Examples:
        The midpoint of two points of the sphere:

        >>> import torch
        >>> from manopt_torch import Sphere, douglas_rachford
        >>> M, e = Sphere(3), torch.eye(3, dtype=torch.float64)
        >>> towards = lambda q: lambda lam, x: M.geodesic(x, q, lam / (1 + lam))
        >>> cost = lambda x: 0.5 * (M.squared_dist(x, e[0]) + M.squared_dist(x, e[1]))
        >>> x = douglas_rachford(M, cost, [towards(e[0]), towards(e[1])], e[2])
        >>> bool((x[:2] - 0.5**0.5).abs().max() < 1e-4)
        True
    """
    problem = ProximalProblem(M, cost, proximal_maps, data=data, vectorized=vectorized)
    options = DouglasRachfordOptions(
        x,
        proximal_parameter=proximal_parameter,
        relaxation=relaxation,
        reflection=reflection,
        parallel=parallel,
        stop=stop,
        check_every=check_every,
        compact=compact,
    )
    solve(problem, options, debug=debug, record=record)
    return options if return_options else get_solver_result(options)
