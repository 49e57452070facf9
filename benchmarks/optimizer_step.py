"""What a step of an optimizer costs on a parameter so small that bookkeeping shows: a point of the sphere in R^3.

A step is `zero_grad()`, the cost $\\sum_i w_i x_i^2$, `backward()` and `step()`, in double precision. Ours and geoopt's
move on the sphere, those of `torch.optim` (with `foreach=False`; `foreach=True` is the default on GPUs only) in space.
"""

from collections.abc import Callable
from typing import Any

import torch

from benchmarks.timing import ROUNDS, Figure, Row, Times, installed, interleaved
from manopt_torch import ManifoldParameter, Sphere
from manopt_torch.training import LR, SGD, Adam, ModularOptimizer

CASE = "optimizer_step"
RATE = 1e-2
# microseconds a step; or 1.05 times the time of torch's optimizer, where that is more
LIMITS = {"SGD": 45.0, "Adam": 65.0}
SLACK = 1.05


def rows(*, steps: int = 200, rounds: int = 3 * ROUNDS, calls: int = 1, peers: bool = True) -> list[Row]:
    """Return the rows of this case.

    Args:
        steps: in one run.
        rounds: rounds of timing.
        calls: runs in one sample.
        peers: whether to time other packages.
    """
    makers: dict[str, Callable[[], Any]] = {}
    version = installed("geoopt") if peers else ""
    for method in LIMITS:
        makers |= {f"{who} {method}": make for who, make in _makers(method, version).items()}
    runs = {name: _run(make, steps) for name, make in makers.items()}
    times = interleaved(runs, rounds, calls)
    for method in LIMITS:
        _compare(times, method)
    return [row for method in LIMITS for row in _table(times, method, steps, version)]


def start() -> torch.Tensor:
    """Return the point to start from."""
    return torch.nn.functional.normalize(torch.tensor([0.3, 0.5, 1.0], dtype=torch.float64), dim=-1)


def cost(x: torch.Tensor) -> torch.Tensor:
    """Return the cost."""
    return torch.sum(_WEIGHTS * x * x)


_WEIGHTS = torch.tensor([1.0, 1.5, 3.0], dtype=torch.float64)


def _makers(method: str, version: str) -> dict[str, Callable[[], tuple[torch.Tensor, Any]]]:
    """Return what makes a parameter and its optimizer, by who is timed."""

    def ours() -> tuple[torch.Tensor, Any]:
        x = ManifoldParameter(start(), Sphere(3))
        return x, ModularOptimizer([x], [LR(RATE)] if method == "SGD" else [Adam(), LR(RATE)])

    def named() -> tuple[torch.Tensor, Any]:
        x = ManifoldParameter(start(), Sphere(3))
        return x, ModularOptimizer([x], [(SGD if method == "SGD" else Adam)(RATE)])

    def torchs() -> tuple[torch.Tensor, Any]:
        x = start().requires_grad_()
        return x, getattr(torch.optim, method)([x], lr=RATE, foreach=False)

    def geoopts() -> tuple[torch.Tensor, Any]:
        import geoopt  # pyright: ignore[reportMissingImports]

        x = geoopt.ManifoldParameter(start(), manifold=geoopt.Sphere())
        return x, getattr(geoopt.optim, f"Riemannian{method}")([x], lr=RATE)

    return {"torch": torchs, "ours": ours, "named": named} | ({"geoopt": geoopts} if version else {})


def _run(make: Callable[[], tuple[torch.Tensor, Any]], steps: int) -> Callable[[], torch.Tensor]:
    def run() -> torch.Tensor:
        x, optimizer = make()
        for _ in range(steps):
            optimizer.zero_grad()
            cost(x).backward()
            optimizer.step()
        return x.detach()

    return run


def _compare(times: Times, method: str) -> None:
    """Raise unless ours and geoopt's have gone the same way (their Adam adds eps elsewhere)."""
    ours = times.results[f"ours {method}"]
    for who in ("named", "geoopt"):
        there = times.results.get(f"{who} {method}", ours)
        torch.testing.assert_close(there, ours, rtol=0, atol=1e-4, msg=f"{who} {method} went elsewhere")


def _table(times: Times, method: str, steps: int, version: str) -> list[Row]:
    def row(who: str, subject: str, against: str = "", peer: str = "", **more: Any) -> Row:
        ratio = times.ratio(f"{who} {method}", f"{against} {method}") if against else None
        return Row(CASE, subject, times.figure(f"{who} {method}", 1e6 / steps), "us/step", peer, ratio, **more)

    ours, title = f"ModularOptimizer, {'' if method == 'SGD' else 'Adam and '}LR on Sphere(3)", f"torch.optim.{method}"
    allowed = [max(LIMITS[method] * 1e-6 * steps, SLACK * s) for s in times.seconds[f"torch {method}"]]
    shares = [mine / most for mine, most in zip(times.seconds[f"ours {method}"], allowed, strict=True)]
    table = [
        row("torch", title),
        row("ours", ours, "torch", title),
        row("named", f"ModularOptimizer, {method} on Sphere(3)", "torch", title),
    ]
    bound = f"the larger of {LIMITS[method]:g} us and {SLACK:g} x torch's"
    table.append(table[1]._replace(peer=bound, ratio=Figure.of(shares), target=("<=", 1.0)))
    if version:
        table.append(row("geoopt", f"geoopt {version} Riemannian{method}", "ours", "manopt_torch"))
    return table
