"""Many small positive definite matrices at once: distances and logarithms of 10,000 pairs of three rows, float64.

Small matrices are treated entry by entry, and the eigenproblem in the middle is solved in closed form. Peers are the
same functions as they run for larger matrices, by products of matrices and LAPACK, and geoopt; a row of its own tells
the eigenproblem alone. Without derivatives, affine-invariant metric.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from benchmarks.timing import ROUNDS, Row, installed, interleaved
from manopt_torch import SymmetricPositiveDefinite
from manopt_torch.linalg import definite_pencil, spectral

CASE = "spd"
# of the whole operation, of which the eigenproblem is a part
TARGET = (">=", 2.0)


def rows(
    *, pairs: int = 10_000, size: int = 3, larger: tuple[int, ...] = (5, 20), rounds: int = ROUNDS, peers: bool = True
) -> list[Row]:
    """Return the rows of this case.

    Args:
        pairs: how many pairs of matrices the batch holds.
        size: rows of a matrix, at most three.
        larger: rows of larger matrices, a tenth as many, which are compared with geoopt's.
        rounds: rounds of timing.
        peers: whether to time geoopt.
    """
    M = SymmetricPositiveDefinite(size)
    generator = torch.Generator().manual_seed(5)
    x, y = M.random_point(2, pairs, generator=generator, dtype=torch.float64).unbind(0)
    operations: dict[str, Callable[[], Any]] = {
        "sym_eigh": lambda: spectral.sym_eigh(x),
        "dist": lambda: M.dist(x, y),
        "log": lambda: M.log(x, y),
    }
    geoopt = installed("geoopt") if peers else ""
    table: list[Row] = []
    with torch.no_grad():
        for name, operation in operations.items():
            contenders = {"ours": operation, "lapack": _by_lapack(operation)}
            if geoopt and name != "sym_eigh":
                contenders["geoopt"] = _by_geoopt(name, x, y)
            table += _table(name, contenders, rounds, geoopt)
        for n in larger if geoopt else ():
            table += _larger(n, max(pairs // 10, 1), rounds, geoopt)
    return table


def _larger(n: int, pairs: int, rounds: int, geoopt: str) -> list[Row]:
    M = SymmetricPositiveDefinite(n)
    generator = torch.Generator().manual_seed(5)
    x, y = M.random_point(2, pairs, generator=generator, dtype=torch.float64).unbind(0)
    table = []
    for name, ours in {"dist": lambda: M.dist(x, y), "log": lambda: M.log(x, y)}.items():
        times = interleaved({"ours": ours, "geoopt": _by_geoopt(name, x, y)}, rounds)
        note = _gap(name, times.results["ours"], times.results["geoopt"])
        subject, figure = f"{name}, {pairs:,} pairs {n} x {n}", times.figure("ours", 1e3)
        ratio = times.ratio("geoopt", "ours")
        table.append(Row(CASE, subject, figure, "ms", f"geoopt {geoopt}", ratio, (">=", 1.0), note))
    return table


def _table(name: str, contenders: dict[str, Callable[[], Any]], rounds: int, geoopt: str) -> list[Row]:
    times = interleaved(contenders, rounds)
    target = None if name == "sym_eigh" else TARGET
    table = [
        Row(
            CASE,
            f"{name}, manopt_torch",
            times.figure("ours", 1e3),
            "ms",
            "ours with LAPACK",
            times.ratio("lapack", "ours"),
            target,
            _gap(name, times.results["ours"], times.results["lapack"]),
        ),
        Row(CASE, f"{name}, ours with LAPACK", times.figure("lapack", 1e3), "ms"),
    ]
    if "geoopt" in contenders:
        ratio = times.ratio("geoopt", "ours")
        note = _gap(name, times.results["ours"], times.results["geoopt"])
        figure = times.figure("geoopt", 1e3)
        table.append(Row(CASE, f"{name}, geoopt {geoopt}", figure, "ms", "over manopt_torch", ratio, note=note))
    return table


def _gap(name: str, ours: Any, theirs: Any) -> str:
    """Say how far the results are apart."""
    if name == "sym_eigh":
        ours, theirs = ours[0], theirs[0]
    worst = float(((ours - theirs).abs() / (1 + theirs.abs())).max())
    return f"results agree to {worst:.0e}"


def _by_lapack(operation: Callable[[], Any]) -> Callable[[], Any]:
    def run() -> Any:
        with _lapack():
            return operation()

    return run


@contextmanager
def _lapack() -> Iterator[None]:
    """Put LAPACK in the place of the closed forms."""
    closed_form, is_small = spectral.eigh_in_closed_form, definite_pencil.is_small
    spectral.eigh_in_closed_form = _sanitised_eigh
    definite_pencil.is_small = lambda x, y: False
    try:
        yield
    finally:
        spectral.eigh_in_closed_form, definite_pencil.is_small = closed_form, is_small


def _sanitised_eigh(X: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    # what `sym_eigh` does for larger matrices
    not_a_number = (X * 0).sum((-2, -1), keepdim=True).abs()
    eigenvalues, eigenvectors = torch.linalg.eigh(torch.where(not_a_number == 0, X, 0.0))
    return eigenvalues + not_a_number[..., 0], eigenvectors


def _by_geoopt(name: str, x: torch.Tensor, y: torch.Tensor) -> Callable[[], Any]:
    import geoopt

    manifold = geoopt.manifolds.SymmetricPositiveDefinite("AIM")
    return (lambda: manifold.dist(x, y)) if name == "dist" else (lambda: manifold.logmap(x, y))
