"""What `torch.compile` gains: manifold methods and a user's cost, compiled by Inductor, against the same uncompiled."""

import time
import warnings
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.timing import ROUNDS, Row, interleaved
from manopt_torch import (
    ConstantStepsize,
    GradientDescentOptions,
    GradientProblem,
    Sphere,
    StopAfterIteration,
    SymmetricPositiveDefinite,
    solve,
)

CASE = "compilation"


def rows(
    *, problems: int = 20_000, steps: int = 20, rounds: int = ROUNDS, backend: str = "inductor", **_: Any
) -> list[Row]:
    """Return the rows of this case.

    Args:
        problems: batch size.
        steps: iterations of a run.
        rounds: rounds of timing.
        backend: of `torch.compile`.
    """
    g = torch.Generator().manual_seed(0)
    M, S = Sphere(10), SymmetricPositiveDefinite(3)
    x, y = (M.random_point(problems, generator=g, dtype=torch.float64) for _ in range(2))
    u = M.random_tangent(x, g)
    a, b = (S.random_point(problems // 10, generator=g, dtype=torch.float64) for _ in range(2))
    c = torch.randn(problems, 10, generator=g, dtype=torch.float64)

    def descent(f: Callable[..., torch.Tensor]) -> torch.Tensor:
        options = GradientDescentOptions(x, stepsize=ConstantStepsize(0.05), stop=StopAfterIteration(steps))
        return solve(GradientProblem(M, f, data=(c,)), options).cost

    pairs: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
        f"Sphere(10): {problems:,} exponentials": (M.exp, lambda f: f(x, u)),
        f"Sphere(10): {problems:,} logarithms": (M.log, lambda f: f(x, y)),
        f"SymmetricPositiveDefinite(3): {problems // 10:,} distances": (S.dist, lambda f: f(a, b)),
        f"steepest descent, {problems:,} problems, {steps} steps: the cost compiled": (cost, descent),
    }
    return [_row(subject, f, run, rounds, backend) for subject, (f, run) in pairs.items()]


def cost(x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """Return what a user may want to minimise: many small operations that a compiler can join."""
    bumps = torch.exp(-(x - c).square()) * torch.cos(3 * c) + torch.tanh(c * x)
    return (bumps + 0.1 * torch.sin(x + c).square()).sum(-1)


def _row(subject: str, f: Callable[..., Any], run: Callable[..., Any], rounds: int, backend: str) -> Row:
    torch._dynamo.reset()
    compiled = torch.compile(f, fullgraph=True, backend=backend)
    with warnings.catch_warnings():
        # torch warns of its own doings: dynamo instantiates an autograd.Function
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        began = time.perf_counter()
        found = run(compiled)
        seconds = time.perf_counter() - began
    error = float((found - run(f)).abs().max())
    times = interleaved({"compiled": lambda: run(compiled), "eager": lambda: run(f)}, rounds, 3)
    note = f"the first call took {seconds:.0f} s; results differ by {error:.0e} at most"
    return Row(
        CASE, subject, times.figure("compiled", 1e3), "ms", "uncompiled", times.ratio("eager", "compiled"), None, note
    )
