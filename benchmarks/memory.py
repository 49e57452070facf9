"""Memory of a large batch: how much the peak grows, in units of the batch's own size.

Steepest descent with a constant step on a million points of the sphere in three dimensions, in a process of its own,
against the same run on one point. `python -m benchmarks.memory POINTS STEPS` is such a process.
"""

import subprocess
import sys
from pathlib import Path

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
        peers: not used, no other package is measured.
    """
    growth = [peak(points, steps) - peak(1, steps) for _ in range(rounds)]
    own = points * SIZE * BYTES
    figure = Figure.of([g / 1e6 for g in growth])
    ratio = Figure.of([g / own for g in growth])
    note = f"{points:,} points, {steps} steps"
    return [Row(CASE, "manopt_torch, growth of the peak", figure, "MB", f"{own / 1e6:g} MB", ratio, ("<=", 12.0), note)]


def peak(points: int, steps: int) -> int:
    """Return the peak memory, in bytes, of a fresh process that runs the case."""
    command = [sys.executable, "-m", "benchmarks.memory", str(points), str(steps)]
    home = Path(__file__).resolve().parent.parent
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:])} failed:\n{done.stderr}")
    return int(done.stdout)


def run(points: int, steps: int) -> None:
    """Run the case in this process."""
    import torch

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
    problem = GradientProblem(M, lambda x: (x * x).sum(-1))
    solve(problem, GradientDescentOptions(x, stepsize=ConstantStepsize(0.1), stop=StopAfterIteration(steps)))


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
    run(int(sys.argv[1]), int(sys.argv[2]))
    print(own_peak())
