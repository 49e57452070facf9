r"""The evolution strategy with covariance matrix adaptation, CMA-ES.

In each generation $\lambda$ points are drawn around the mean $m$ and the mean moves towards the better half,

$$x_k = \operatorname{retr}_m(\sigma\, y_k), \quad y_k \sim \mathcal N(0, C), \qquad
m \leftarrow \operatorname{retr}_m\Bigl(\sigma \sum_k w_k^+ y_k\Bigr),$$

with the covariance $C$ in an orthonormal basis of the tangent space at the mean; it is learnt from the steps that paid
and carried along by a transport, as are the paths from which $\sigma$ is set. References: [Hansen:2023];
[ColuttoFruhaufFuchsScherzer:2010].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from manopt_torch._host import uploaded
from manopt_torch.directions.draws import draw_seed, generator_for
from manopt_torch.functional.covariance_adaptation import (
    Distribution,
    adapt,
    draw,
    population_size,
    rates,
    recombined,
    root_of,
    weights_by_rank,
)
from manopt_torch.functional.masked import Batch
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.geodesics import carry
from manopt_torch.manifolds.points import first_leaf, new_axis, take_one
from manopt_torch.plans.begin import begin, cost_at_start
from manopt_torch.plans.commit import commit
from manopt_torch.plans.dispatch import get_solver_result, initialize_solver, step_solver
from manopt_torch.plans.options import Options, check_count, check_range, state, strict_keywords
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import (
    StopAfterIteration,
    StoppingCriterion,
    StopWhenBestCostInGenerationConstant,
    StopWhenCovarianceIllConditioned,
    StopWhenEvolutionStagnates,
    StopWhenPopulationCostConcentrated,
    StopWhenPopulationDiverges,
    StopWhenPopulationStronglyConcentrated,
)
from manopt_torch.problems.cost import CostProblem


@dataclass(eq=False, kw_only=True)
class CMAESOptions(Options):
    r"""Options of CMA-ES.

    All problems of a batch see the same random numbers, so that none depends on its neighbours; mean, covariance, paths
    and step width are each problem's own. `x` is the best point met so far, `mean` the centre of the distribution.

    Args:
        x: the start, shape `(*batch, *point_shape)`: the first mean.
        population_size: $\lambda$, the number of points of a generation; None is $4 + \lfloor 3 \ln d\rfloor$.
        sigma: the first step width $\sigma > 0$, about a third of the distance over which a minimum is looked for.
        generator: where the run's seed comes from; None is torch's own.
        stop: the stopping criterion; None is `StopAfterIteration(50000)` or one of the criteria of the literature, see
            the page of the solver.
        retraction_method: name of the manifold's retraction; None is its default.
        check_every: how often (in iterations) the host asks whether any problem of a batch still runs.
        compact: whether finished problems of a batch with `data=` leave the working set.

    Raises:
        OptionsError: if a parameter is out of its range.

    Examples:
        >>> import torch
        >>> from manopt_torch import CMAESOptions
        >>> CMAESOptions(torch.zeros(2)).sigma
        1.0
    """

    needs: ClassVar[tuple[str, ...]] = ("cost",)

    population_size: int | None = None
    sigma: float = 1.0
    generator: torch.Generator | None = None

    # updated every step
    mean: Any = state()
    costs: Any = state()  # of the last generation
    width: Any = state()  # the running sigma
    covariance: Any = state()
    deviations: Any = state()  # square roots of the eigenvalues of the covariance, ascending
    root: Any = state()
    path: Any = state()
    sigma_path: Any = state()
    seed: int = state(0, per_problem=False)

    def __post_init__(self) -> None:
        """Fill in the defaults and check the ranges."""
        Options.__post_init__(self)
        if self.population_size is not None:
            check_count(self, "population_size", 3)
        check_range(self, "sigma", 0.0, float("inf"))
        if self.stop is None:
            self.stop = (
                StopAfterIteration(50000)
                | StopWhenCovarianceIllConditioned()
                | StopWhenBestCostInGenerationConstant()
                | StopWhenEvolutionStagnates()
                | StopWhenPopulationDiverges()
                | StopWhenPopulationCostConcentrated()
                | StopWhenPopulationStronglyConcentrated()
            )


@initialize_solver.register(CMAESOptions)
def _initialize(p: Any, o: CMAESOptions) -> None:
    begin(p, o)
    o.seed = draw_seed(o.generator)
    cost_at_start(p, o)
    lane, dim = _lane(o, o.lane.shape), p.M.dim
    o.mean, o.width = o.x, lane.full(float(o.sigma))
    ones = lane.full(1.0).unsqueeze(-1).expand(*lane.shape, dim)
    o.covariance = torch.diag_embed(ones)
    o.root, o.deviations = o.covariance, ones
    o.path, o.sigma_path = 0 * ones, 0 * ones
    o.costs = lane.scalar(o.cost).unsqueeze(-1).expand(*lane.shape, _count(p.M, o)).clone()


@step_solver.register(CMAESOptions)
def _step(p: Any, o: CMAESOptions, i: int) -> None:
    M, shape, count = p.M, o.lane.shape, _count(p.M, o)
    r = rates(M.dim, count)
    draws = torch.randn(count, M.dim, generator=generator_for(o.seed, i), dtype=torch.float64, device="cpu")
    z = uploaded(draws, o.width)
    sample = draw(o.root, z.mT.contiguous())
    centre = new_axis(o.mean, M.point_shape)
    steps = o.width.unsqueeze(-1).unsqueeze(-1) * sample.y.mT
    points = M.retract(centre, _tangent(M, centre, steps), None, o.retraction_method)
    values = p.spread(count, len(shape)).get_cost(points)
    lane = _lane(o, (*shape, count))
    costs = torch.where(lane.finite(points), lane.trial_cost(values), torch.inf)
    # a generation without a single cost tells of no direction: the next one is drawn nearer to the mean
    informed = (costs < torch.inf).any(-1)
    weights = weights_by_rank(costs, r)
    now = Distribution(o.covariance, o.path, o.sigma_path, o.width)
    new = adapt(now, sample, weights, r, i)
    move = o.width.unsqueeze(-1) * recombined(sample.y, weights)
    mean = M.retract(o.mean, _tangent(M, o.mean, move), None, o.retraction_method)
    new = _carried(M, o.mean, mean, new)
    inner = _lane(o, shape)
    good = informed & inner.finite(mean) & inner.finite(new)
    new = Distribution(*inner.pick(good, tuple(new), tuple(now)))
    root, deviations = root_of(new.covariance)
    x, cost = _best(o, points, values, costs)
    commit(
        o,
        x=x,
        cost=cost,
        mean=inner.pick(good, mean, o.mean),
        costs=costs,
        width=torch.where(informed, new.sigma, 0.5 * o.width),
        covariance=new.covariance,
        deviations=deviations,
        root=root,
        path=new.path,
        sigma_path=new.sigma_path,
    )


def _lane(o: CMAESOptions, shape: tuple[int, ...]) -> Batch:
    """Return the lane for tensors of this many numbers, also in a lone run."""
    return Batch(shape, first_leaf(o.x))


def _count(M: Manifold, o: CMAESOptions) -> int:
    return population_size(M.dim) if o.population_size is None else o.population_size


def _tangent(M: Manifold, x: Any, c: torch.Tensor) -> Any:
    """Return the tangent vector with coordinates that may be of a finer dtype than the point."""
    return M.from_coordinates(x, c.to(first_leaf(x).real.dtype))


def _best(o: CMAESOptions, points: Any, values: torch.Tensor, costs: torch.Tensor) -> tuple[Any, Any]:
    """Return the better one of the best point so far and the best of the generation."""
    least = costs.argmin(-1, keepdim=True)
    better = costs.gather(-1, least).squeeze(-1) < o.cost
    x = _lane(o, o.lane.shape).pick(better, take_one(points, least), o.x)
    return x, torch.where(better, values.gather(-1, least).squeeze(-1), o.cost)


def _carried(M: Manifold, x: Any, y: Any, d: Distribution) -> Distribution:
    """Return covariance and paths in the basis at `y`, transported from `x`."""
    if M.is_flat and M.is_embedded:  # the same basis everywhere
        return d
    old, new = new_axis(x, M.point_shape), new_axis(y, M.point_shape)
    # row j: where the basis vector j goes
    turn = M.to_coordinates(new, carry(M, old, new, M.basis(x))).to(d.covariance).mT.contiguous()

    def apply(rows: torch.Tensor) -> torch.Tensor:
        return (rows.unsqueeze(-2) * turn.unsqueeze(-3)).sum(-1)

    covariance = apply(apply(d.covariance).mT.contiguous())
    paths = apply(torch.stack((d.path, d.sigma_path), -2))
    return d._replace(covariance=0.5 * (covariance + covariance.mT), path=paths[..., 0, :], sigma_path=paths[..., 1, :])


@strict_keywords
def cma_es(
    M: Manifold,
    cost: Callable[..., Any],
    x: Any,
    *,
    data: tuple[Any, ...] = (),
    vectorized: bool = True,
    population_size: int | None = None,
    sigma: float = 1.0,
    generator: torch.Generator | None = None,
    stop: StoppingCriterion | None = None,
    retraction_method: str | None = None,
    check_every: int = 1,
    compact: bool = True,
    debug: Any = None,
    record: Any = None,
    return_options: bool = False,
) -> Any:
    r"""Minimise a cost without derivatives by CMA-ES, each problem of the batch with a distribution of its own.

    For costs of up to a hundred variables or so that are rugged, noisy or badly scaled. The cost is evaluated for all
    points of all problems in one call, so it must take batch axes also where there is one problem only (or pass
    `vectorized=False`).

    Args:
        M: the manifold.
        cost: `cost(x, *data)`, returns shape `(*batch, k)` for points with an axis of samples.
        x: the start, shape `(*batch, *point_shape)`.
        data: tensors with the batch axes in front, handed to the cost after the point.
        vectorized: False if the cost is written for one point.
        population_size: $\lambda$, see `CMAESOptions`, as for the following.
        sigma: the first step width.
        generator: where the run's seed comes from.
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
        [Hansen:2023].

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, cma_es
        >>> cost = lambda x: (x - 1).square().sum(-1)
        >>> start, g = torch.zeros(3, dtype=torch.float64), torch.Generator().manual_seed(0)
        >>> x = cma_es(Euclidean(3), cost, start, generator=g)
        >>> bool((x - 1).abs().max() < 1e-5)
        True
    """
    problem = CostProblem(M, cost, data=data, vectorized=vectorized)
    options = CMAESOptions(
        x,
        population_size=population_size,
        sigma=sigma,
        generator=generator,
        stop=stop,
        retraction_method=retraction_method,
        check_every=check_every,
        compact=compact,
    )
    solve(problem, options, debug=debug, record=record)
    return options if return_options else get_solver_result(options)
