"""What `torch.compile` gains: methods, a user's cost and a whole loop, compiled by Inductor, against the same as it is.

The loop is a try at a solver that is compiled as a whole: of fixed steps and number, without records and reasons.
"""

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
LOOP, LENGTH = 10, 0.05  # steps of a loop that is compiled as a whole; twice as many take twice as long to compile
M = Sphere(10)


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
    S = SymmetricPositiveDefinite(3)
    x, y = (M.random_point(problems, generator=g, dtype=torch.float64) for _ in range(2))
    u = M.random_tangent(x, g)
    a, b = (S.random_point(problems // 10, generator=g, dtype=torch.float64) for _ in range(2))
    c = torch.randn(problems, 10, generator=g, dtype=torch.float64)
    few = max(problems // 20, 1)
    h = torch.randn(few, 10, 10, generator=g, dtype=torch.float64)
    h = h + h.mT

    def descent(f: Callable[..., torch.Tensor]) -> torch.Tensor:
        options = GradientDescentOptions(x, stepsize=ConstantStepsize(0.05), stop=StopAfterIteration(steps))
        return solve(GradientProblem(M, f, data=(c,)), options).cost

    # what is compiled, how it is run, and what does the same without a compiler
    tries: dict[str, tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]] = {
        f"Sphere(10): {problems:,} exponentials": (M.exp, lambda f: f(x, u), lambda: M.exp(x, u)),
        f"Sphere(10): {problems:,} logarithms": (M.log, lambda f: f(x, y), lambda: M.log(x, y)),
        f"SymmetricPositiveDefinite(3): {problems // 10:,} distances": (
            S.dist,
            lambda f: f(a, b),
            lambda: S.dist(a, b),
        ),
        f"descent, {problems:,} problems, {steps} steps: the cost compiled": (cost, descent, lambda: descent(cost)),
        f"descent, {few:,} problems, {LOOP} steps: the whole loop compiled, against solve": (
            *(loop, lambda f: f(x[:few], h), lambda: solved(x[:few], h)),
        ),
        f"descent, one problem, {LOOP} steps: the whole loop compiled, against solve": (
            *(loop, lambda f: f(x[0], h[0]), lambda: solved(x[0], h[0])),
        ),
    }
    return [_row(subject, f, run, plain, rounds, backend) for subject, (f, run, plain) in tries.items()]


def cost(x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """Return what a user may want to minimise: many small operations that a compiler can join."""
    bumps = torch.exp(-(x - c).square()) * torch.cos(3 * c) + torch.tanh(c * x)
    return (bumps + 0.1 * torch.sin(x + c).square()).sum(-1)


def loop(x: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    """Return the Rayleigh quotients after some steps of steepest descent: a run as one function of tensors."""
    slope = torch.func.grad(lambda x, a: quotient(x, a).sum())
    for _ in range(LOOP):
        x = M.retract(x, M.egrad2rgrad(x, slope(x, a)), -LENGTH)
    return quotient(x, a)


def solved(x: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    """Return the same by `solve`."""
    options = GradientDescentOptions(x, stepsize=ConstantStepsize(LENGTH), stop=StopAfterIteration(LOOP))
    return solve(GradientProblem(M, quotient, data=(a,)), options).cost


def quotient(x: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    """Return the products x'Ax."""
    return (x * (a @ x.unsqueeze(-1)).squeeze(-1)).sum(-1)


def _row(
    subject: str, f: Callable[..., Any], run: Callable[..., Any], plain: Callable[..., Any], rounds: int, backend: str
) -> Row:
    torch._dynamo.reset()
    compiled = torch.compile(f, fullgraph=True, backend=backend)
    with warnings.catch_warnings():
        # torch warns of its own doings: dynamo instantiates an autograd.Function
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        began = time.perf_counter()
        found = run(compiled)
        seconds = time.perf_counter() - began
    error = float((found - plain()).abs().max())
    times = interleaved({"compiled": lambda: run(compiled), "plain": plain}, rounds, 3)
    note = f"the first call took {seconds:.0f} s; results differ by {error:.0e} at most"
    return Row(
        CASE, subject, times.figure("compiled", 1e3), "ms", "uncompiled", times.ratio("plain", "compiled"), None, note
    )
