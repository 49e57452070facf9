"""What modules cost: Adam with a learning rate on many small tensors, against torch's loop over them and torchzero.

300 tensors of 32 x 32 entries in single precision, with gradients that stay: a step is all optimizer. torch's Adam runs
with `foreach=False`; `foreach=True` is the default on GPUs only.
"""

from collections.abc import Callable
from typing import Any

import torch

from benchmarks.timing import ROUNDS, Row, installed, interleaved
from manopt_torch.training import LR, Adam, ClipNorm, ModularOptimizer, WeightDecay

CASE = "modular"
RATE = 1e-3


def rows(
    *, tensors: int = 300, size: int = 32, rounds: int = 2 * ROUNDS + 1, calls: int = 5, peers: bool = True
) -> list[Row]:
    """Return the rows of this case.

    Args:
        tensors: how many parameters.
        size: rows and columns of each.
        rounds: rounds of timing.
        calls: steps in one sample.
        peers: whether to time other packages.
    """
    makers: dict[str, Callable[[Any], Any]] = {
        "torch": lambda q: torch.optim.Adam(q, RATE, foreach=False),
        "ours": lambda q: ModularOptimizer(q, [Adam(), LR(RATE)]),
        "longer": lambda q: ModularOptimizer(q, [ClipNorm(4), Adam(), WeightDecay(1e-2), LR(RATE)]),
    }
    if peers and installed("torchzero"):
        makers["torchzero"] = _torchzero
    trained = {name: parameters(tensors, size) for name in makers}
    steps = {name: make(trained[name]).step for name, make in makers.items()}
    times = interleaved(steps, rounds, calls)
    # torchzero scales eps otherwise, which shows where a gradient is as small
    for name, atol in (("ours", 1e-5), ("torchzero", 0.05)):
        if name in trained:
            told = f"{name} went elsewhere"
            torch.testing.assert_close(trained[name], trained["torch"], rtol=1e-4, atol=atol, msg=told)

    def row(name: str, subject: str, against: str = "", peer: str = "", target: Any = None) -> Row:
        ratio = times.ratio(name, against) if against else None
        return Row(CASE, subject, times.figure(name, 1e3), "ms/step", peer, ratio, target)

    table = [
        row("torch", "torch.optim.Adam, foreach=False"),
        row("ours", "ModularOptimizer, Adam and LR", "torch", "torch", ("<=", 1.15)),
        row("longer", "ModularOptimizer, clipping, Adam, decay and LR", "torch", "torch"),
    ]
    if "torchzero" in times.results:
        version = f"torchzero {installed('torchzero')}"
        table.append(row("torchzero", f"{version}, Adam and LR"))
        table.append(row("ours", "ModularOptimizer, Adam and LR", "torchzero", version, ("<=", 1.0)))
    return table


def parameters(tensors: int, size: int) -> list[torch.nn.Parameter]:
    """Return the parameters, with gradients."""
    generator = torch.Generator().manual_seed(0)
    found = [torch.nn.Parameter(torch.randn(size, size, generator=generator)) for _ in range(tensors)]
    for q in found:
        q.grad = torch.randn(size, size, generator=generator)
    return found


def _torchzero(q: Any) -> Any:
    import torchzero  # pyright: ignore[reportMissingImports]

    return torchzero.Optimizer(q, torchzero.m.Adam(), torchzero.m.LR(RATE))
