"""A step of an embedding in hyperbolic space: distances along the edges of a graph, their gradient, and a move.

10,000 points of the ball in ten dimensions and 100,000 edges drawn by chance, each with a length that its distance is
to have: the mean of $(d(x_i, x_j) - t_{ij})^2$, `backward()`, and a step of Riemannian gradient descent. A hundred
edges lead from a point to itself; geoopt, whose derivative there is no number, gets others in their place.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from benchmarks.timing import ROUNDS, Row, Times, installed, interleaved
from manopt_torch import ManifoldParameter, PoincareBall
from manopt_torch.training import LR, Adam, ModularOptimizer

CASE = "poincare"
RATE = 1e-2
TARGETS = {torch.float64: 3.5, torch.float32: 2.8}


class Graph(NamedTuple):
    """Where the points start, the ends of the edges, and the lengths they are to have."""

    x: torch.Tensor  # shape: (points, size)
    i: torch.Tensor  # shape: (edges,)
    j: torch.Tensor  # shape: (edges,)
    lengths: torch.Tensor  # shape: (edges,)


def rows(
    *,
    points: int = 10_000,
    size: int = 10,
    edges: int = 100_000,
    rounds: int = 2 * ROUNDS + 1,
    calls: int = 1,
    peers: bool = True,
) -> list[Row]:
    """Return the rows of this case.

    Args:
        points: how many points.
        size: entries of each.
        edges: how many edges.
        rounds: rounds of timing.
        calls: steps in one sample.
        peers: whether to time other packages.
    """
    version = installed("geoopt") if peers else ""
    table: list[Row] = []
    for dtype in TARGETS:
        data = graph(points, size, edges, dtype)
        steps = {
            "edges": _ours(data, PoincareBall.edge_dist),
            "pairs": _ours(data, lambda M, x, i, j: M.dist(x[i], x[j])),
            "adam": _ours(data, PoincareBall.edge_dist, adam=True),
        }
        if version:
            steps |= {"geoopt": _geoopts(data, "SGD"), "geoopt adam": _geoopts(data, "Adam")}
        times = interleaved(steps, rounds, calls)
        for name, x in times.results.items():
            if not bool(torch.isfinite(x).all()):
                raise AssertionError(f"{name}: a point is not finite")
        torch.testing.assert_close(times.results["edges"], times.results["pairs"], rtol=0, atol=1e-5)
        table += _table(times, dtype, version)
    return table


def graph(points: int, size: int, edges: int, dtype: torch.dtype) -> Graph:
    """Return the graph; every thousandth edge leads from a point to itself."""
    generator = torch.Generator().manual_seed(3)
    x = 0.05 * torch.randn(points, size, generator=generator, dtype=torch.float64)
    i, j = torch.randint(points, (2, edges), generator=generator)
    j = torch.where(i == j, (j + 1) % points, j)
    j[::1000] = i[::1000]
    lengths = 1 + torch.rand(edges, generator=generator, dtype=torch.float64)
    return Graph(x.to(dtype), i, j, lengths.to(dtype))


def _ours(data: Graph, distances: Callable[..., torch.Tensor], *, adam: bool = False) -> Callable[[], Any]:
    M = PoincareBall(data.x.shape[-1])
    x = ManifoldParameter(data.x.clone(), M)
    optimizer = ModularOptimizer([x], [Adam(), LR(RATE)] if adam else [LR(RATE)])

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        (distances(M, x, data.i, data.j) - data.lengths).square().mean().backward()
        optimizer.step()
        return x.detach()

    return step


def _geoopts(data: Graph, method: str) -> Callable[[], Any]:
    import geoopt  # pyright: ignore[reportMissingImports]

    ball = geoopt.PoincareBall(c=torch.ones((), dtype=data.x.dtype))
    x = geoopt.ManifoldParameter(data.x.clone(), manifold=ball)
    optimizer = getattr(geoopt.optim, f"Riemannian{method}")([x], lr=RATE)
    j = torch.where(data.i == data.j, (data.j + 1) % len(data.x), data.j)

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        (ball.dist(x[data.i], x[j]) - data.lengths).square().mean().backward()
        optimizer.step()
        return x.detach()

    return step


def _table(times: Times, dtype: torch.dtype, version: str) -> list[Row]:
    kind = str(dtype).removeprefix("torch.")

    def row(name: str, subject: str, against: str = "", **more: Any) -> Row:
        ratio = times.ratio(against, name) if against in times.seconds else None
        peer = f"geoopt {version}" if ratio else "geoopt is not installed" if against else ""
        return Row(CASE, f"{kind}: {subject}", times.figure(name, 1e3), "ms/step", peer, ratio, **more)

    table = [
        row("edges", "edge_dist", "geoopt", target=(">=", TARGETS[dtype]) if version else None),
        row("pairs", "dist of gathered points", "geoopt"),
        row("adam", "edge_dist, Adam", "geoopt adam"),
    ]
    if version:
        table += [
            row("geoopt", f"geoopt {version}, RiemannianSGD"),
            row("geoopt adam", f"geoopt {version}, RiemannianAdam"),
        ]
    return table
