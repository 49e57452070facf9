"""What the framework costs: a tiny problem, where everything but bookkeeping is nearly free.

Steepest descent with a constant step on $f(x) = \\sum x_i^2$ over the sphere in three dimensions, one problem, gradient
by autograd, against a torch loop that evaluates the same cost, gradient and retraction; and the same run with debug and
record lists against itself without.
"""

from collections.abc import Callable
from typing import Any

import torch

from benchmarks.timing import ROUNDS, Row, Times, installed, interleaved
from manopt_torch import (
    ConstantStepsize,
    DebugCost,
    DebugDivider,
    DebugIteration,
    GradientDescentOptions,
    GradientProblem,
    Sphere,
    StopAfterIteration,
    solve,
)

CASE = "overhead"
STEP = 0.1


def rows(*, steps: int = 300, rounds: int = ROUNDS, calls: int = 2, peers: bool = True) -> list[Row]:
    """Return the rows of this case.

    Args:
        steps: iterations of a run.
        rounds: rounds of timing, five times: a sample takes some hundredths of a second.
        calls: runs in one sample.
        peers: whether to time other packages.
    """
    x = torch.tensor([0.3, 0.5, 1.0], dtype=torch.float64)
    x = x / torch.linalg.vector_norm(x)
    contenders = _contenders(x, steps)
    if peers and installed("geoopt"):
        contenders["geoopt"] = lambda: _geoopt(x, steps)
    times = interleaved(contenders, 5 * rounds, calls)
    for name, end in times.results.items():
        torch.testing.assert_close(end, times.results["bare"], atol=1e-12, rtol=0, msg=f"{name} went elsewhere")
    return _table(times, steps)


def _table(times: Times, steps: int) -> list[Row]:
    def row(name: str, subject: str, against: str = "", peer: str = "", target: Any = None) -> Row:
        ratio = times.ratio(name, against) if against else None
        return Row(CASE, subject, times.figure(name, 1e6 / steps), "us/step", peer, ratio, target)

    table = [
        row("bare", "bare torch loop"),
        row("tuned", "bare torch loop, tuned by hand", "bare", "bare loop"),
        row("ours", "manopt_torch", "bare", "bare loop", ("<=", 1.25)),
        row("ours", "manopt_torch", "tuned", "tuned loop"),
        row("decorated", "manopt_torch, debug every 100 and record", "ours", "undecorated", ("<=", 1.1)),
    ]
    if "geoopt" in times.results:
        version = f"geoopt {installed('geoopt')}"
        table.append(row("geoopt", f"{version} RiemannianSGD", "ours", "manopt_torch"))
    return table


def _contenders(x: torch.Tensor, steps: int) -> dict[str, Callable[[], torch.Tensor]]:
    problem = GradientProblem(Sphere(3), cost)

    def discard(text: str) -> None:
        pass

    debug = [DebugIteration(print=discard), DebugDivider(" ", print=discard), DebugCost(print=discard)]
    debug += [DebugDivider("\n", print=discard), 100]

    def ours(**lists: Any) -> torch.Tensor:
        options = GradientDescentOptions(x, stepsize=ConstantStepsize(STEP), stop=StopAfterIteration(steps))
        return solve(problem, options, **lists).x

    return {
        "bare": lambda: bare_loop(x, steps),
        "tuned": lambda: tuned_loop(x, steps),
        "ours": ours,
        "decorated": lambda: ours(debug=debug, record=[":Cost"]),
    }


def cost(x: torch.Tensor) -> torch.Tensor:
    """Return the sum of squares."""
    return (x * x).sum(-1)


@torch.no_grad()
def bare_loop(x: torch.Tensor, steps: int) -> torch.Tensor:
    """Do what a user would write without a framework."""
    for _ in range(steps):
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            f = cost(leaf)
        g = torch.autograd.grad(f, leaf)[0]
        g = g - (x * g).sum() * x
        x = x - STEP * g
        x = x / torch.linalg.vector_norm(x)
    return x


def tuned_loop(x: torch.Tensor, steps: int) -> torch.Tensor:
    """Do the same with the cheapest call that torch has for each line; the cost is the user's and stays."""
    switch = torch._C._set_grad_enabled
    switch(False)
    try:
        for _ in range(steps):
            switch(True)
            leaf = x.detach().requires_grad_()
            f = cost(leaf)
            switch(False)
            g = torch.autograd.grad(f, leaf)[0]
            g = torch.addcmul(g, torch.dot(x, g), x, value=-1)
            x = torch.add(x, g, alpha=-STEP)
            x = x / torch.linalg.vector_norm(x)
    finally:
        switch(True)
    return x


def _geoopt(x: torch.Tensor, steps: int) -> torch.Tensor:
    import geoopt

    point = geoopt.ManifoldParameter(x.clone(), manifold=geoopt.Sphere())
    optimizer = geoopt.optim.RiemannianSGD([point], lr=STEP)
    for _ in range(steps):
        optimizer.zero_grad()
        cost(point).backward()
        optimizer.step()
    return point.detach()
