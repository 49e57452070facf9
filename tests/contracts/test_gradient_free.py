"""What solvers keep that work without a gradient: a new one joins by a line in SOLVERS."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from manopt_torch import (
    ChambollePockOptions,
    CMAESOptions,
    CompositeProblem,
    ConstantStepsize,
    ConvexBundleMethodOptions,
    CostProblem,
    CyclicProximalPointOptions,
    DecreasingStepsize,
    DifferenceOfConvexOptions,
    DifferenceOfConvexProblem,
    DifferenceOfConvexProximalOptions,
    DouglasRachfordOptions,
    GradientDescentOptions,
    GradientProblem,
    HarmonicParameter,
    MeshAdaptiveDirectSearchOptions,
    NelderMeadOptions,
    ParticleSwarmOptions,
    PrimalDualProblem,
    PrimalDualSemismoothNewtonOptions,
    ProximalBundleMethodOptions,
    ProximalGradientOptions,
    ProximalPointOptions,
    ProximalProblem,
    StopAfterIteration,
    StoppingCriterion,
    SubGradientMethodOptions,
    SubGradientProblem,
    get_record,
    get_solver_result,
    initialize_solver,
    load_state_dict,
    solve,
    state_dict,
    step_solver,
    stop_solver,
)
from manopt_torch.manifolds.points import leaves, map_shaped, scale
from manopt_torch.testing import PROBLEMS
from tests.contracts.solver_table import (
    DTYPES,
    SOME_OF_EACH_KIND,
    StopAt,
    assert_same_state,
    at,
    finite,
    same_bits,
    state_of,
    sub_problem,
)
from tests.contracts.watch import Watch
from tests.together import together


def linearly_proximal(M: Any, cost: Callable[..., Any], *, data: tuple, vectorized: bool) -> ProximalProblem:
    """Pose a problem with two maps in place of proximal ones: steps along minus the gradient of half the cost each."""
    p = GradientProblem(M, cost, data=data, vectorized=vectorized)

    def step(lam: Any, x: Any, *data: Any) -> Any:
        part = copy.copy(p)
        part.data = data
        return M.retract(x, part.get_gradient(x), -0.5 * lam)

    return ProximalProblem(M, p.cost, [step, step], data=data)


def half_proximal(M: Any, cost: Callable[..., Any], *, data: tuple, vectorized: bool) -> CompositeProblem:
    """Pose a problem as a smooth one with nothing besides."""
    return CompositeProblem(M, cost, lambda lam, x, *data: x, data=data, vectorized=vectorized)


def more_minus_less(M: Any, cost: Callable[..., Any], *, data: tuple, vectorized: bool) -> DifferenceOfConvexProblem:
    """Pose a problem as the difference of one and a half times the cost and a half of it."""
    g, h = (lambda x, *data, s=s: s * cost(x, *data) for s in (1.5, 0.5))
    return DifferenceOfConvexProblem(M, cost, g, h=h, data=data, vectorized=vectorized)


def short_descent(x: Any) -> GradientDescentOptions:
    return GradientDescentOptions(x, stepsize=ConstantStepsize(1e-3), stop=StopAfterIteration(2))


def coupled(M: Any, cost: Callable[..., Any], *, data: tuple, vectorized: bool) -> PrimalDualProblem:
    """Pose a problem with gradient steps for proximal maps, held to its start by a weak spring as the second part."""
    one = GradientProblem(M, cost, data=data, vectorized=vectorized).cost

    def step(lam: Any, x: Any, *data: Any) -> Any:
        g = torch.func.grad(lambda x: one(x, *data).sum())(x)
        return M.retract(x, M.egrad2rgrad(x, g), -lam)

    def spring(n: Any, lam: Any, xi: Any, *data: Any) -> Any:
        weight = 1 / (1 + 100 * lam)
        return map_shaped(lambda ndim, leaf: scale(leaf, weight, ndim), M.point_shape, xi)

    return PrimalDualProblem(M, M, one, step, spring, forward_operator=lambda x, *data: x, data=data)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(5)


@dataclass(frozen=True)
class Solver:
    """A solver under contract: how its options are made, and of which kind its problems are."""

    name: str
    options: Callable[..., Any]
    kind: Callable[..., Any]
    # names of the problems it is tried on, where all would take too long or ask too much of the manifold
    problems: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name


# all kinds of points but frames: bundle methods take some hundred logarithms in these tests
WITH_CHEAP_LOGARITHMS = (
    "exponential",
    "rayleigh, sums",
    "leading plane",
    "mean of two matrices",
    "product",
    "low rank",
    "hyperbolic chord",
)

SOLVERS = [
    Solver(
        "subgradient",
        lambda x, **k: SubGradientMethodOptions(x, stepsize=DecreasingStepsize(1e-3), **k),
        SubGradientProblem,
    ),
    # places for a few subgradients only, so that they merge within the steps of these tests
    Solver(
        "convex bundle",
        lambda x, **k: ConvexBundleMethodOptions(x, bundle_size=3, initial_stepsize=0.2, **k),
        SubGradientProblem,
        problems=WITH_CHEAP_LOGARITHMS,
    ),
    Solver(
        "proximal bundle",
        lambda x, **k: ProximalBundleMethodOptions(x, bundle_size=3, initial_parameter=5.0, parameter_growth=0.0, **k),
        SubGradientProblem,
        problems=WITH_CHEAP_LOGARITHMS,
    ),
    Solver(
        "cyclic proximal point",
        lambda x, **k: CyclicProximalPointOptions(x, proximal_parameter=HarmonicParameter(1e-3), **k),
        linearly_proximal,
    ),
    Solver("proximal point", lambda x, **k: ProximalPointOptions(x, proximal_parameter=1e-3, **k), linearly_proximal),
    Solver(
        "douglas-rachford",
        lambda x, **k: DouglasRachfordOptions(x, proximal_parameter=1e-3, **k),
        linearly_proximal,
    ),
    Solver(
        "proximal gradient",
        lambda x, **k: ProximalGradientOptions(x, initial_stepsize=0.01, **k),
        half_proximal,
    ),
    Solver(
        "accelerated proximal gradient",
        lambda x, **k: ProximalGradientOptions(x, initial_stepsize=0.01, acceleration=True, **k),
        half_proximal,
    ),
    Solver(
        "difference of convex",
        lambda x, **k: DifferenceOfConvexOptions(x, sub_options=short_descent(x), **k),
        more_minus_less,
    ),
    Solver(
        "difference of convex, proximal",
        lambda x, **k: DifferenceOfConvexProximalOptions(
            x, proximal_parameter=1e-3, sub_options=short_descent(x), stepsize=ConstantStepsize(0.5), **k
        ),
        more_minus_less,
    ),
    Solver(
        "chambolle-pock",
        lambda x, **k: ChambollePockOptions(x, primal_stepsize=1e-3, relax="dual", **k),
        coupled,
        ("exponential", "rayleigh, sums", "product", "low rank"),
    ),
    Solver(
        "semismooth newton",
        lambda x, **k: PrimalDualSemismoothNewtonOptions(
            x, primal_stepsize=0.1, regularization_parameter=0.1, update_primal_base=lambda p, o, i: o.x, **k
        ),
        coupled,
        ("exponential", "product"),
    ),
    Solver("cma-es", lambda x, **k: CMAESOptions(x, population_size=6, generator=seeded(), **k), CostProblem),
    Solver("mesh search", lambda x, **k: MeshAdaptiveDirectSearchOptions(x, generator=seeded(), **k), CostProblem),
    Solver("nelder-mead", lambda x, **k: NelderMeadOptions(x, **k), CostProblem),
    Solver(
        "particle swarm", lambda x, **k: ParticleSwarmOptions(x, swarm_size=7, generator=seeded(), **k), CostProblem
    ),
]
# a scalar, a valley, spheres, a tuple, matrices; kernels that differ between lone problems and batches
PAIRS = [(s, c) for s in SOLVERS for c in PROBLEMS if c.name in (s.problems or SOME_OF_EACH_KIND)]
every_pair = pytest.mark.parametrize(("solver", "case"), PAIRS, ids=[f"{s}-{c}" for s, c in PAIRS])
PLAIN = [(s, c) for s, c in PAIRS if c.name in ("rayleigh, sums", "exponential", "product")]
every_plain_pair = pytest.mark.parametrize(("solver", "case"), PLAIN, ids=[f"{s}-{c}" for s, c in PLAIN])


@together("batch")
@every_pair
@pytest.mark.parametrize(("batch", "dtype"), [((), DTYPES[1]), ((2,), DTYPES[0]), ((2, 3), DTYPES[0])], ids=str)
def test_each_problem_runs_for_itself(solver: Any, case: Any, batch: Any, dtype: Any) -> None:
    """Stepping by hand is solving; a finished problem does not move; cost and point agree after each step."""
    problem, x, *_ = case.pose(*batch, dtype=dtype, kind=solver.kind)
    given = [*leaves(x), *problem.data]
    former = [leaf.clone() for leaf in given]
    stop = StopAt(3, 6, 4) if batch else StopAfterIteration(4)
    solved, by_hand = (solver.options(x, stop=stop) for _ in range(2))
    solve(problem, solved)
    seen = []
    initialize_solver(problem, by_hand)
    i = 0
    while not stop_solver(problem, by_hand, i):
        seen.append(state_of(by_hand))
        with torch.no_grad():  # as a run evaluates it
            cost, _ = problem.trial(by_hand.x)
        # a lone point and the particles of a lone problem may go through different kernels
        torch.testing.assert_close(by_hand.cost, cost)
        assert same_bits(by_hand.cost, cost) or not batch
        problem.M.check_point(by_hand.x)
        i += 1
        step_solver(problem, by_hand, i)
    assert_same_state(state_of(solved), state_of(by_hand))
    assert i == (4 if not batch else 6)
    if batch:
        first = (0,) * len(batch)
        for name in ("x", "cost"):
            assert same_bits(at(state_of(solved)[name], first), at(seen[4][name], first))
        assert int(solved.iterations[first]) == 3
    assert all(torch.equal(a, b) for a, b in zip(given, former, strict=True))
    assert all(not leaf.requires_grad for leaf in leaves(get_solver_result(solved)))


@every_pair
def test_a_problem_comes_out_the_same_in_every_batch(solver: Any, case: Any) -> None:
    problem, x, *_ = case.pose(5, kind=solver.kind)
    stop = StopAfterIteration(8)
    whole = state_of(solve(problem, solver.options(x, stop=stop)))
    rows = torch.tensor([1, 3, 4])
    part = state_of(solve(*_posed(solver, problem, x, rows, stop)))
    assert_same_state({name: at(value, rows) for name, value in whole.items()}, part)
    alone = solve(*_posed(solver, problem, x, 2, stop))
    if case.elementwise and solver.kind is not CostProblem:  # sums over several points depend on how they lie
        assert_same_state({"x": at(whole["x"], 2)}, {"x": alone.x})
    else:
        torch.testing.assert_close(alone.cost, whole["cost"][2], rtol=1e-12, atol=1e-14)


def _posed(solver: Any, problem: Any, x: Any, rows: Any, stop: Any) -> tuple[Any, Any]:
    part, start = sub_problem(problem, x, rows)
    return part, solver.options(start, stop=stop)


@every_plain_pair
def test_a_problem_without_numbers_leaves_the_others_alone(solver: Any, case: Any) -> None:
    problem, x, *_ = case.pose(4, kind=solver.kind)
    broken = copy.copy(problem)
    shape = lambda d: (4, *(1,) * (d.dim() - 1))  # noqa: E731
    broken.data = tuple(torch.where(torch.arange(4).reshape(shape(d)) == 2, torch.nan, d) for d in problem.data)
    stop = StopAfterIteration(6)
    clean, met = (state_of(solve(p, solver.options(x, stop=stop))) for p in (problem, broken))
    others = torch.tensor([0, 1, 3])
    assert_same_state(*({name: at(value, others) for name, value in state.items()} for state in (clean, met)))
    assert_same_state({"x": at(met["x"], 2)}, {"x": at(x, 2)})
    assert met["iterations"].tolist() == [6, 6, 0, 6] and met["reason_code"].tolist()[2] == -1


@pytest.mark.parametrize("solver", SOLVERS, ids=str)
def test_a_cost_that_becomes_nan_ends_at_a_finite_point(solver: Any) -> None:
    def cost(x: torch.Tensor, wall: torch.Tensor) -> torch.Tensor:
        return (x - 1).square().sum(-1) + 0 * torch.log(wall[..., 0] - x[..., 0])

    M = PROBLEMS[0].manifold
    x = torch.zeros(3, *M.point_shape, dtype=torch.float64)
    walls = torch.tensor([[9.0], [1e-4], [9.0]], dtype=torch.float64)
    problem = solver.kind(M, cost, data=(walls,), vectorized=True)
    o = solve(problem, solver.options(x, stop=StopAfterIteration(100)))
    assert finite((o.x, o.cost)) and bool((o.x[1, 0] <= 1e-4).all())
    assert bool((o.cost[::2] < problem.cost(x, walls)[::2]).all())


@together("n")
@every_plain_pair
@pytest.mark.parametrize("n", [0, 1, 7])
def test_n_iterations_are_n_steps_however_late_the_host_reads(solver: Any, case: Any, n: int) -> None:
    problem, x, *_ = case.pose(2, kind=solver.kind)
    runs = [solve(problem, solver.options(x, stop=StopAfterIteration(n), check_every=k)) for k in (1, 5)]
    assert (runs[0].iterations == n).all()
    assert_same_state(*map(state_of, runs))


@together("batch")
@every_plain_pair
@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_resume_equals_going_on_and_records_change_nothing(solver: Any, case: Any, batch: Any) -> None:
    problem, x, *_ = case.pose(*batch, kind=solver.kind)
    whole = solve(problem, solver.options(x, stop=StopAfterIteration(9)), record=[":Iteration", ":Cost", ":Change"])
    part = solve(problem, solver.options(x, stop=StopAfterIteration(4)))
    rest = load_state_dict(solver.options(x, stop=StopAfterIteration(9)), state_dict(part))
    assert_same_state(state_of(whole), state_of(solve(problem, rest)))
    assert [row[0] for row in get_record(whole)] == list(range(1, 10))


@pytest.mark.parametrize("solver", SOLVERS, ids=str)
def test_finished_problems_leave_the_batch(solver: Any) -> None:
    case = next(c for c in PROBLEMS if c.name == "rayleigh, sums")
    problem, x, *_ = case.pose(40, kind=solver.kind)
    early = problem.data[0][:, 0, 0].median()
    runs = [
        solve(problem, solver.options(x, stop=Early(early) | StopAfterIteration(12), compact=compact))
        for compact in (True, False)
    ]
    assert_same_state(*map(state_of, runs))
    assert sorted(set(runs[0].iterations.tolist())) == [2, 12]


class Early(StoppingCriterion):
    """Stop after 2 iterations the problems whose data begin with a number below the bound."""

    def __init__(self, bound: torch.Tensor) -> None:
        self.bound = bound

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        return (p.data[0][..., 0, 0] <= self.bound) & (i >= 2)


@every_plain_pair
def test_nothing_is_read_behind_the_back(solver: Any, case: Any) -> None:
    problem, x, *_ = case.pose(3, kind=solver.kind)
    on_meta, start, *_ = case.pose(3, kind=solver.kind, device="meta")
    with Watch() as watch:
        solve(problem, solver.options(x, stop=StopAfterIteration(5)))
        # kernels of the meta device are written in Python: as many steps on points that are scalars only
        o = solve(on_meta, solver.options(start, stop=StopAfterIteration(5 if case.name == "exponential" else 3)))
    assert not watch.host_reads
    assert all(leaf.is_meta for leaf in leaves(o.x))
