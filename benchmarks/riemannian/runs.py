"""One run of a case by each package, as a callable that returns an `Outcome`."""

from collections.abc import Callable
from typing import Any

import torch

from benchmarks.riemannian import floor, floor_batch
from benchmarks.riemannian.case import Case
from benchmarks.riemannian.floor import Outcome
from manopt_torch import (
    ConjugateGradientOptions,
    GradientDescentOptions,
    GradientProblem,
    HessianProblem,
    HestenesStiefelCoefficient,
    NonmonotoneLinesearch,
    ParabolicLinesearch,
    ShortStepLinesearch,
    StopAfterIteration,
    StopWhenGradientNormLess,
    TrustRegionsOptions,
    solve,
)
from manopt_torch.plans.gradient_norm import gradient_norm

Run = Callable[[], Outcome]
# what pymanopt's class is called, by the first letters of a solver's name
PEERS = {"SD": "SteepestDescent", "CG": "ConjugateGradient", "TR": "TrustRegions"}


def ours(case: Case, solver: str, *, given: bool = False) -> Run:
    """Return a run of this package."""
    kind = HessianProblem if solver == "TR" else GradientProblem
    cost, more = case.cost, {}
    if given and case.derivatives is not None:
        cost = case.derivatives.cost or cost
        more = {key: fn for key, fn in case.derivatives.ours.items() if solver == "TR" or "hessian" not in key}
    problem = kind(case.M, cost, data=case.data, **more)

    def run() -> Outcome:
        stop = StopAfterIteration(case.bound) | StopWhenGradientNormLess(case.tolerance)
        o = solve(problem, options(case, solver, stop))
        cost, norm, counts = o.cost, gradient_norm(problem, o), o.evaluations
        if case.batched:
            cost, norm = cost.sum(), float(norm.max())
        return Outcome(o.x, cost.item(), norm, o.iteration, counts["cost"], counts["hessian"])

    return run


def options(case: Case, solver: str, stop: Any) -> Any:
    """Return fresh options; where pymanopt has a rule of its own, the nearest of ours."""
    M = case.M
    if solver == "SD":  # backtracking by halves from a first trial that learns, as there
        return GradientDescentOptions(case.x, stepsize=ShortStepLinesearch(1.0, max_stepsize=1e6), stop=stop)
    if solver == "SD, BB":
        return GradientDescentOptions(case.x, stepsize=NonmonotoneLinesearch(), stop=stop)
    if solver == "CG":  # pymanopt halves the last step or its double; this one makes fewer trials, see the counts
        search = ParabolicLinesearch(max_stepsize=float("inf"))
        return ConjugateGradientOptions(case.x, coefficient=HestenesStiefelCoefficient(), stepsize=search, stop=stop)
    radius = M.typical_dist
    return TrustRegionsOptions(
        case.x, max_trust_region_radius=radius, trust_region_radius=radius / 8, reduction_threshold=0.25,
        # pymanopt's inner iterations make two products at least; where one comes close, this asks for the second too
        kappa=0.03 if case.name == "means" else 0.1, stop=stop,
    )  # fmt: skip


def bare(case: Case, solver: str, *, given: bool = False) -> Run | None:
    """Return a run of the floor, or None where it has none."""
    make = case.derivatives.floor if given and case.derivatives is not None else case.objective
    batch = {"SD, BB": floor_batch.descend_batch, "TR": floor_batch.trust_batch}
    lone = {"SD": floor.descend, "CG": floor.conjugate, "TR": floor.trust}
    algorithm = (batch if case.batched else lone).get(solver)
    if make is None or algorithm is None:
        return None
    x = case.x if isinstance(case.x, torch.Tensor) else (case.x[0], torch.diagonal(case.x[1]), case.x[2])
    return lambda: algorithm(case.bare, make(), x, case.tolerance, case.bound)


def pymanopt(case: Case, solver: str, looped: int = 1) -> Run:
    """Return a run of pymanopt, over the first `looped` problems of a batch."""
    import pymanopt as package

    kind, sizes = case.peer
    manifold = getattr(package.manifolds, kind)(*sizes)
    count = [0]

    def problem(k: int) -> Any:
        cost = case.peer_cost(k)

        def counted(*x: torch.Tensor) -> torch.Tensor:
            count[0] += 1
            return cost(*x)

        return package.Problem(manifold, package.function.pytorch(manifold)(counted))

    problems = [problem(k) for k in range(looped)]
    starts = [_start(case, k) for k in range(looped)]
    optimizer = getattr(package.optimizers, PEERS[solver[:2]])

    def run() -> Outcome:
        count[0], cost, norm, iterations = 0, 0.0, 0.0, 0
        for one, start in zip(problems, starts, strict=True):
            runner = optimizer(verbosity=0, max_iterations=case.bound, max_time=120, min_gradient_norm=case.tolerance)
            result = runner.run(one, initial_point=start)
            iterations, cost = iterations + result.iterations, cost + float(result.cost)
            norm = max(norm, float(result.gradient_norm))
        return Outcome(None, cost, norm, iterations, count[0])

    return run


def _start(case: Case, k: int) -> Any:
    """Return pymanopt's start; its points of fixed rank are of a class of its own."""
    x = case.peer_start(k)
    if case.peer[0] != "FixedRankEmbedded":
        return x
    from pymanopt.manifolds.fixed_rank import _FixedRankPoint

    return _FixedRankPoint(*(part.copy() for part in x))
