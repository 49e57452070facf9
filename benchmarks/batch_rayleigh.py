"""Many small problems at once: 1,000 Rayleigh quotients against pymanopt, which solves them one after the other.

Minimise $x^\\top A_k x$ over the sphere in ten dimensions, each problem with its own symmetric Gaussian $A_k$, by
steepest descent with a line search to a gradient norm of 1e-6, from the same starts; and the same for the greatest
eigenvalue, $-x^\\top A_k x$. The loop over pymanopt runs the first fifty problems, and its time is scaled to all.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.timing import ROUNDS, Row, Times, installed, interleaved
from manopt_torch import (
    ArmijoLinesearch,
    GradientDescentOptions,
    GradientProblem,
    Sphere,
    StopAfterIteration,
    StopWhenGradientNormLess,
    get_options,
    report,
    solve,
)

CASE = "batch_rayleigh"
TOLERANCE = 1e-6
BOUND = 5000  # iterations; far beyond what any of the problems needs


def rows(
    *, problems: int = 1000, size: int = 10, looped: int = 50, rounds: int = ROUNDS, peers: bool = True
) -> list[Row]:
    """Return the rows of this case.

    Args:
        problems: how many problems the batch holds.
        size: entries of a point.
        looped: how many of them the peer solves, one after the other.
        rounds: rounds of timing.
        peers: whether to time pymanopt.
    """
    a, x = data(problems, size)
    quick = ArmijoLinesearch(contraction_factor=0.5, sufficient_decrease=0.3)
    contenders: dict[str, Callable[[], Any]] = {
        "least": lambda: _note(batched(a, x, ArmijoLinesearch())),
        "greatest": lambda: _note(batched(-a, x, ArmijoLinesearch())),
        "quick": lambda: _note(batched(a, x, quick)),
    }
    pymanopt = installed("pymanopt") if peers else ""
    if pymanopt:
        contenders["pymanopt, least"] = lambda: looped_pymanopt(a[:looped], x[:looped])
        contenders["pymanopt, greatest"] = lambda: looped_pymanopt(-a[:looped], x[:looped])
    return _table(interleaved(contenders, rounds), problems, looped, pymanopt)


def _table(times: Times, problems: int, looped: int, pymanopt: str) -> list[Row]:
    table = []
    share = problems / looped
    target = (">=", 10.0)
    for name, against, subject, bound in (
        ("least", "least", "manopt_torch, ArmijoLinesearch()", target),
        ("greatest", "greatest", "the same for the greatest eigenvalue", target),
        ("quick", "least", "manopt_torch, contraction 0.5, decrease 0.3", target),
    ):
        ratio = times.ratio(f"pymanopt, {against}", name, share) if pymanopt else None
        note = times.results[name]
        table.append(Row(CASE, subject, times.figure(name, 1e3), "ms", "pymanopt" * bool(pymanopt), ratio, bound, note))
    for which in ("least", "greatest") if pymanopt else ():
        steps, worst = times.results[f"pymanopt, {which}"]
        figure = times.figure(f"pymanopt, {which}", 1e3 * share)
        note = f"{looped} problems x {share:g}; {steps / looped:.0f} iterations a problem, gradient norm <= {worst:.1e}"
        table.append(Row(CASE, f"pymanopt {pymanopt} SteepestDescent, torch, {which}", figure, "ms", note=note))
    return table


def _note(options: Any) -> str:
    summary = report(options)
    total, mean = int(options.iterations.numel()), float(options.iterations.double().mean())
    return (
        f"{summary.converged}/{total} converged; {options.iteration} rounds (a problem {mean:.0f}), "
        f"{options.evaluations['cost']} evaluations of the batch"
    )


def data(problems: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return symmetric matrices with eigenvalues of about [-1, 1], and starts on the sphere."""
    random = np.random.default_rng(11)
    g = random.standard_normal((problems, size, size))
    x = random.standard_normal((problems, size))
    a = (g + g.transpose(0, 2, 1)) / (2 * np.sqrt(size))
    return torch.from_numpy(a), torch.from_numpy(x / np.linalg.norm(x, axis=1, keepdims=True))


def rayleigh(x: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    """Return the quotient of each problem."""
    return (x * torch.bmm(a, x.unsqueeze(-1)).squeeze(-1)).sum(-1)


def batched(a: torch.Tensor, x: torch.Tensor, search: ArmijoLinesearch) -> Any:
    """Solve all problems at once."""
    problem = GradientProblem(Sphere(x.shape[-1]), rayleigh, data=(a,))
    stop = StopAfterIteration(BOUND) | StopWhenGradientNormLess(TOLERANCE)
    return get_options(solve(problem, GradientDescentOptions(x, stepsize=search, stop=stop)))


def looped_pymanopt(a: torch.Tensor, x: torch.Tensor) -> tuple[int, float]:
    """Solve the problems one after the other; return all iterations and the largest gradient norm."""
    import pymanopt

    sphere = pymanopt.manifolds.Sphere(x.shape[-1])
    steps, worst = 0, 0.0
    for matrix, start in zip(a, x.numpy(), strict=True):

        @pymanopt.function.pytorch(sphere)
        def cost(point: torch.Tensor, matrix: torch.Tensor = matrix) -> torch.Tensor:
            return torch.dot(point, matrix @ point)

        optimizer = pymanopt.optimizers.SteepestDescent(verbosity=0, max_iterations=BOUND, min_gradient_norm=TOLERANCE)
        result = optimizer.run(pymanopt.Problem(sphere, cost), initial_point=start)
        steps, worst = steps + result.iterations, max(worst, float(result.gradient_norm))
    return steps, worst
