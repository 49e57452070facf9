"""Memory of a large batch: how much the peak grows, in units of the batch's own size.

Steepest descent with a constant step on a million points of the sphere in three dimensions, in a process of its own,
against the same run on one point; and a bare torch loop for comparison.

The peak of a process holds more than its tensors: glibc keeps freed blocks of up to 32 MB in its heap, and because
torch asks for aligned blocks it can seldom use them again. So each run is repeated with blocks above 1 MB given back
when they are freed, which shows what is held. `python -m benchmarks.memory WHAT POINTS STEPS` is one such process.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.timing import Figure, Row

CASE = "memory"
SIZE = 3  # entries of a point
BYTES = 8  # of a float64


def rows(*, points: int = 1_000_000, steps: int = 100, rounds: int = 3, peers: bool = True) -> list[Row]:
    """Return the rows of this case.

    Args:
        points: how many points the batch holds.
        steps: iterations of a run.
        rounds: pairs of processes.
        peers: not used; no other package is measured.
    """
    own = points * SIZE * BYTES
    table = []
    for what, subject, target in (("ours", "manopt_torch", ("<=", 12.0)), ("bare", "bare torch loop", None)):
        for give_back in (False, True):
            growth = [peak(what, points, steps, give_back) - peak(what, 1, steps, give_back) for _ in range(rounds)]
            figure, ratio = Figure.of([g / 1e6 for g in growth]), Figure.of([g / own for g in growth])
            name = f"{subject}, blocks given back" if give_back else f"{subject}, growth of the peak"
            table.append(Row(CASE, name, figure, "MB", f"batch of {own / 1e6:g} MB", ratio, target))
    return table


def peak(what: str, points: int, steps: int, give_back: bool) -> int:
    """Return the peak memory, in bytes, of a fresh process that runs the case."""
    command = [sys.executable, "-m", "benchmarks.memory", what, str(points), str(steps)]
    home = Path(__file__).resolve().parent.parent
    # read by glibc; other C libraries do not keep blocks of this size
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "1000000"} if give_back else dict(os.environ)
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:])} failed:\n{done.stderr}")
    return int(done.stdout)


def run(what: str, points: int, steps: int) -> None:
    """Run the case in this process."""
    import torch

    from benchmarks.overhead import STEP, cost
    from manopt_torch import (
        ConstantStepsize,
        GradientDescentOptions,
        GradientProblem,
        Sphere,
        StopAfterIteration,
        solve,
    )

    torch.set_num_threads(1)
    M = Sphere(SIZE)
    x = M.random_point(points, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    if what == "bare":
        _bare_loop(x, steps)
    else:
        options = GradientDescentOptions(x, stepsize=ConstantStepsize(STEP), stop=StopAfterIteration(steps))
        solve(GradientProblem(M, cost), options)


def _bare_loop(start: Any, steps: int) -> None:
    """Do the same for all points at once, as a user would without a framework."""
    import torch

    from benchmarks.overhead import STEP, cost

    x = start
    with torch.no_grad():
        for _ in range(steps):
            with torch.enable_grad():
                leaf = x.detach().requires_grad_()
                f = cost(leaf)
            g = torch.autograd.grad(f, leaf, torch.ones_like(f))[0]
            g = g - (x * g).sum(-1, keepdim=True) * x
            x = x - STEP * g
            x = x / torch.linalg.vector_norm(x, dim=-1, keepdim=True)


def own_peak() -> int:
    """Return the peak memory of this process in bytes.

    Linux hands the peak of the parent down to `ru_maxrss` of a child, so its own record is read where there is one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    print(own_peak())
