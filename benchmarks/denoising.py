"""Total variation of an image of positive definite matrices: what a cycle of the cyclic proximal point algorithm costs.

64 x 64 matrices of three rows, float64, affine-invariant metric: the proximal map of the data and the four sweeps of
that of the total variation, in units of one exponential map or logarithm of the whole image.
"""

from typing import Any

import torch

from benchmarks.timing import ROUNDS, Figure, Row, interleaved
from manopt_torch import (
    Power,
    StopAfterIteration,
    SymmetricPositiveDefinite,
    add_noise,
    artificial_spd_image,
    cost_l2_tv,
    cyclic_proximal_point,
    prox_distance,
    prox_tv,
)

CASE = "denoising"
TARGET = ("<=", 10.0)
WEIGHT = 0.3


class Counted(SymmetricPositiveDefinite):
    """Matrices that count how many exponential maps and logarithms are taken."""

    count = 0

    def exp(self, x: torch.Tensor, u: torch.Tensor, t: Any = None) -> torch.Tensor:
        found = SymmetricPositiveDefinite.exp(self, x, u, t)
        self.count += found.shape[:-2].numel()
        return found

    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        found = SymmetricPositiveDefinite.log(self, x, y)
        self.count += found.shape[:-2].numel()
        return found


def rows(*, size: int = 64, cycles: int = 5, rounds: int = ROUNDS, peers: bool = True) -> list[Row]:
    """Return the rows of this case.

    Args:
        size: rows and columns of the image.
        cycles: cycles of a run.
        rounds: rounds of timing.
        peers: no other package is asked.
    """
    base = SymmetricPositiveDefinite(3)
    M = Power(base, size, size)
    truth = artificial_spd_image(size)
    f = add_noise(M, truth, 0.2, generator=torch.Generator().manual_seed(0))
    u = M.log(f, truth)

    def cycle(on: Power = M) -> torch.Tensor:
        return prox_tv(on, WEIGHT, prox_distance(on, 1.0, f, truth))

    def run() -> float:
        maps = [lambda lam, x: prox_distance(M, lam, f, x), lambda lam, x: prox_tv(M, WEIGHT * lam, x)]
        stop = StopAfterIteration(cycles)
        o = cyclic_proximal_point(M, lambda x: cost_l2_tv(M, f, WEIGHT, x), maps, f, stop=stop, return_options=True)
        return float(o.cost)

    with torch.no_grad():
        counting = Counted(3)
        cycle(Power(counting, size, size))
        calls = counting.count / size**2
        maps = {"exp": lambda: M.exp(f, u), "log": lambda: M.log(f, truth)}
        times = interleaved({"cycle": cycle, "run": run, **maps}, rounds)
        start, end = float(cost_l2_tv(M, f, WEIGHT, f)), times.results["run"]
    of_both = [0.5 * (a + b) for a, b in zip(times.seconds["exp"], times.seconds["log"], strict=True)]
    ratio = Figure.of([a / b for a, b in zip(times.seconds["cycle"], of_both, strict=True)])
    image = f"{size} x {size}"
    return [
        Row(CASE, f"{image}, exp or log", Figure.of([1e3 * s for s in of_both]), "ms"),
        Row(
            CASE,
            f"{image}, proximal maps of a cycle",
            times.figure("cycle", 1e3),
            "ms",
            "exp or log",
            ratio,
            TARGET,
            f"{calls:.3g} exp and log of the whole image a cycle",
        ),
        Row(
            CASE,
            f"{image}, a cycle of cyclic_proximal_point",
            times.figure("run", 1e3 / cycles),
            "ms",
            note=f"with the cost, {start:.5g} at the start and {end:.5g} after {cycles} cycles",
        ),
    ]
