"""Without derivatives: Rayleigh quotients over the sphere in ten dimensions, by a simplex, a swarm and an evolution.

Lone runs against pymanopt, from the same simplices and swarms and with as many evaluations of the cost; and many
problems at once against the same problems one after another.
"""

from collections.abc import Callable
from statistics import geometric_mean
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.timing import ROUNDS, Figure, Row, Times, installed, interleaved
from manopt_torch import (
    CMAESOptions,
    CostProblem,
    NelderMeadOptions,
    ParticleSwarmOptions,
    Sphere,
    StopAfterIteration,
    StoppingCriterion,
    solve,
)

CASE = "derivative_free"
SWARM = 40  # particles, pymanopt's number
# iterations of the batches: as many as 1,000 evaluations give a lone problem, about
ITERATIONS = {"Nelder-Mead": 660, "particle swarm": 24, "CMA-ES": 90}
METHODS: dict[str, Callable[..., Any]] = {
    "Nelder-Mead": lambda x, **k: NelderMeadOptions(x, **k),
    "particle swarm": lambda x, **k: ParticleSwarmOptions(x, swarm_size=SWARM, **seeded(k)),
    "CMA-ES": lambda x, **k: CMAESOptions(x, sigma=0.5, **seeded(k)),
}
ROUNDING = 1e-15  # errors below it are taken as equal
LONE_TARGETS = {"Nelder-Mead": 40.0, "particle swarm": 15.0}
BATCH_TARGETS = {"Nelder-Mead": 25.0}


def rows(
    *,
    size: int = 10,
    evaluations: int = 1000,
    swarm_evaluations: int = 5000,
    simplices: int = 4,
    swarms: int = 20,
    problems: int = 100,
    looped: int = 5,
    iterations: dict[str, int] | None = None,
    rounds: int = ROUNDS,
    peers: bool = True,
) -> list[Row]:
    """Return the rows of this case.

    Args:
        size: entries of a point.
        evaluations: how often a simplex may evaluate the cost.
        swarm_evaluations: how often a swarm may, each particle counted; pymanopt's default.
        simplices: how many problems are solved by a simplex, to compare what is left of the errors; one is timed.
        swarms: likewise by a swarm.
        problems: how many problems a batch holds.
        looped: how many of them are solved one after another.
        iterations: how many iterations each method takes on the batches.
        rounds: rounds of timing.
        peers: whether to time pymanopt.
    """
    given = data(size, max(problems, simplices, swarms))
    iterations = iterations or ITERATIONS
    runs: dict[str, Callable[[int], Outcome]] = {
        "Nelder-Mead": lambda n: simplex(given, n, evaluations),
        "particle swarm": lambda n: swarm(given, n, swarm_evaluations),
    }
    pymanopt = installed("pymanopt") if peers else ""
    if pymanopt:
        runs["pymanopt, Nelder-Mead"] = lambda n: simplex_pymanopt(given, n, evaluations)
        runs["pymanopt, particle swarm"] = lambda n: swarm_pymanopt(given, n, swarm_evaluations)
    contenders: dict[str, Callable[[], Any]] = {name: lambda run=run: run(0) for name, run in runs.items()}
    for method, steps in iterations.items():
        contenders[f"{method}, at once"] = lambda method=method, steps=steps: at_once(given, method, problems, steps)
        contenders[f"{method}, looped"] = lambda method=method, steps=steps: one_by_one(given, method, looped, steps)
    times = interleaved(contenders, rounds)
    several = {"Nelder-Mead": simplices, "particle swarm": swarms}
    errors = {name: _error(run, several[name.removeprefix("pymanopt, ")]) for name, run in runs.items()}
    table = _lone(times, errors, several, pymanopt)
    return table + [row for method in iterations for row in _batches(times, method, problems, looped)]


class Data(NamedTuple):
    """The problems."""

    matrices: torch.Tensor  # shape: (problems, size, size)
    simplices: torch.Tensor  # shape: (problems, size, size), points of the sphere
    swarms: torch.Tensor  # shape: (problems, SWARM, size), likewise
    least: torch.Tensor  # shape: (problems,), the least eigenvalues


class Outcome(NamedTuple):
    """What a lone run came to."""

    error: float  # cost above the least eigenvalue
    evaluations: int
    iterations: int


class After(StoppingCriterion):
    """Stop when the cost has been evaluated so often, each point of a swarm counted."""

    def __init__(self, evaluations: int, together: int = 1) -> None:
        self.evaluations, self.together = evaluations, together

    def __call__(self, p: Any, o: Any, i: int) -> bool:
        return p.counts.cost * self.together >= self.evaluations


def data(size: int, problems: int) -> Data:
    """Return symmetric matrices with eigenvalues of about [-1, 1], and points of the sphere to start from."""
    random = np.random.default_rng(11)
    g = random.standard_normal((problems, size, size))
    points = random.standard_normal((problems, size + SWARM, size))
    points /= np.linalg.norm(points, axis=-1, keepdims=True)
    a = torch.from_numpy((g + g.transpose(0, 2, 1)) / (2 * np.sqrt(size)))
    starts = torch.from_numpy(points)
    return Data(a, starts[:, :size], starts[:, size:], torch.linalg.eigvalsh(a)[:, 0])


def seeded(keywords: dict[str, Any]) -> dict[str, Any]:
    """Add a generator, the same in every run."""
    return {"generator": torch.Generator().manual_seed(7), **keywords}


def rayleigh(x: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    """Return the quotient of each problem."""
    return ((x.unsqueeze(-2) @ a).squeeze(-2) * x).sum(-1)


# ---- lone runs ------------------------------------------------------------------------------------------------------


def lone_problem(a: torch.Tensor) -> CostProblem:
    """Return one quotient as a user writes it; it takes several points at once too."""
    return CostProblem(Sphere(a.shape[-1]), lambda x: (x @ a * x).sum(-1))


def simplex(given: Data, n: int, evaluations: int) -> Outcome:
    """Solve a problem by our Nelder-Mead method."""
    x = given.simplices[n]
    o = NelderMeadOptions(x[0], population=x, stop=After(evaluations))
    solve(lone_problem(given.matrices[n]), o)
    return Outcome(float(o.cost - given.least[n]), o.evaluations["cost"], o.iteration)


def swarm(given: Data, n: int, evaluations: int) -> Outcome:
    """Solve a problem by our particle swarm."""
    x = given.swarms[n]
    o = ParticleSwarmOptions(x[0], swarm=x, **seeded({"stop": After(evaluations, SWARM)}))
    solve(lone_problem(given.matrices[n]), o)
    return Outcome(float(o.cost - given.least[n]), SWARM * o.evaluations["cost"], o.iteration)


def simplex_pymanopt(given: Data, n: int, evaluations: int) -> Outcome:
    """Solve a problem by pymanopt's Nelder-Mead method.

    It refuses a simplex of the right size (its test is the wrong way round), so ours is handed to it as the random
    points that it draws first.
    """
    import pymanopt

    problem, points = _posed(given, n), iter(given.simplices[n].numpy())
    drawn = problem.manifold.random_point

    def random_point() -> np.ndarray:
        point = next(points, None)
        return drawn() if point is None else point.copy()

    problem.manifold.random_point = random_point
    np.random.seed(n)  # it draws there: the start of every centroid
    optimizer = pymanopt.optimizers.NelderMead(verbosity=0, max_cost_evaluations=evaluations)
    return _outcome(optimizer.run(problem), given.least[n])


def swarm_pymanopt(given: Data, n: int, evaluations: int) -> Outcome:
    """Solve a problem by pymanopt's particle swarm."""
    import pymanopt

    np.random.seed(n)  # it draws its factors there
    optimizer = pymanopt.optimizers.ParticleSwarm(verbosity=0, max_cost_evaluations=evaluations)
    result = optimizer.run(_posed(given, n), initial_point=list(given.swarms[n].numpy().copy()))
    return _outcome(result, given.least[n])


def _posed(given: Data, n: int) -> Any:
    import pymanopt

    sphere, a = pymanopt.manifolds.Sphere(given.matrices.shape[-1]), given.matrices[n]

    @pymanopt.function.pytorch(sphere)
    def cost(x: torch.Tensor) -> torch.Tensor:
        return torch.dot(x, a @ x)

    return pymanopt.Problem(sphere, cost)


def _outcome(result: Any, least: torch.Tensor) -> Outcome:
    return Outcome(float(result.cost) - float(least), int(result.cost_evaluations), int(result.iterations))


def _error(run: Callable[[int], Outcome], problems: int) -> float:
    return geometric_mean(max(run(n).error, ROUNDING) for n in range(problems))


def _lone(times: Times, errors: dict[str, float], several: dict[str, int], pymanopt: str) -> list[Row]:
    table = []
    for name, bound in LONE_TARGETS.items():
        peer, against = f"pymanopt, {name}", "pymanopt" * bool(pymanopt)
        ratio = times.ratio(peer, name) if pymanopt else None
        ours = times.figure(name, 1e3)
        table.append(
            Row(CASE, f"manopt_torch, {name}", ours, "ms", against, ratio, (">=", bound), _told(times.results[name]))
        )
        left = Figure.of([errors[name]])
        quotient = Figure.of([errors[name] / errors[peer]]) if pymanopt else None
        subject = f"{name}, error left in {several[name]} problems"
        table.append(Row(CASE, subject, left, "", against, quotient, ("<=", 1.0)))
        if pymanopt:
            note = f"{_told(times.results[peer])}; error left {errors[peer]:.1e}"
            table.append(Row(CASE, f"pymanopt {pymanopt}, {name}", times.figure(peer, 1e3), "ms", note=note))
    return table


def _told(outcome: Outcome) -> str:
    return f"{outcome.evaluations} evaluations, {outcome.iterations} iterations"


# ---- batches --------------------------------------------------------------------------------------------------------


def at_once(given: Data, method: str, problems: int, iterations: int) -> Any:
    """Solve the first problems together; return their costs."""
    a, x = given.matrices[:problems], given.swarms[:problems, 0]
    problem = CostProblem(Sphere(x.shape[-1]), rayleigh, data=(a,))
    return solve(problem, METHODS[method](x, stop=StopAfterIteration(iterations))).cost


def one_by_one(given: Data, method: str, problems: int, iterations: int) -> Any:
    """Solve the first problems one after another; return their costs."""
    found = []
    for a, x in zip(given.matrices[:problems], given.swarms[:problems, 0], strict=True):
        o = solve(lone_problem(a), METHODS[method](x, stop=StopAfterIteration(iterations)))
        found.append(o.cost)
    return torch.stack(found)


def _batches(times: Times, method: str, problems: int, looped: int) -> list[Row]:
    together, alone, share = f"{method}, at once", f"{method}, looped", problems / looped
    worst = (times.results[together][:looped] - times.results[alone]).abs().max()
    target = (">=", BATCH_TARGETS[method]) if method in BATCH_TARGETS else None
    ratio = times.ratio(alone, together, share)
    note = f"costs agree to {float(worst):.0e} with those found one after another"
    first = Row(CASE, f"{method}, {problems} at once", times.figure(together, 1e3), "ms", "a loop", ratio, target, note)
    loop = times.figure(alone, 1e3 * share)
    return [first, Row(CASE, f"{method}, a loop", loop, "ms", note=f"{looped} problems x {share:g}")]
