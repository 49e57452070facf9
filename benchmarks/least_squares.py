"""Many curve fits at once: exponential decays and peaks in images, against SciPy one after the other, and peers.

Exponentials: $a e^{-b t} + c$ at 50 times in [0, 5], noise of 0.05. Peaks: a Gaussian of two widths on 11 x 11 pixels
with Poisson noise, six parameters. Double precision; derivatives are given but where a row says otherwise. Every row
must have reached SciPy's minimum to 1e-6 of the cost in the fits that SciPy solves, else there is no figure.
torchimize, where it is installed, gets signed residuals and its own tolerances; it leaves some fits unsolved, and the
note says how many. Compiled steps are timed once compiled; the note says how long that took, most of it the compiler's
own time, which `torch` saves on disk.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.timing import ROUNDS, Figure, Row, Times, installed, interleaved
from manopt_torch import Euclidean, levenberg_marquardt

CASE = "least_squares"
TOLERANCE = 1e-6


class Fits(NamedTuple):
    """A family of fits: residuals and Jacobian of one or many, data and starts."""

    name: str
    residuals: Callable[..., Any]  # of the numbers' own library
    jacobian: Callable[..., Any]
    y: torch.Tensor  # shape: (problems, m)
    x: torch.Tensor  # shape: (problems, n)


def rows(
    *,
    problems: int = 10_000,
    many: int = 100_000,
    looped: int = 200,
    alone: int = 50,
    rounds: int = ROUNDS,
    peers: bool = True,
    compiled: bool = True,
) -> list[Row]:
    """Return the rows of this case.

    Args:
        problems: how many problems a batch holds.
        many: how many the large batch of exponentials holds.
        looped: how many of them SciPy solves, one after the other.
        alone: how many lone runs make a sample.
        rounds: rounds of timing.
        peers: whether to time SciPy and torchimize.
        compiled: whether to time `compile=True` too.
    """
    table = []
    for fits, gain, wanted in ((exponentials(problems), 1.5, 60_000), (peaks(problems), 3.0, 20_000)):
        table += _batch_rows(fits, looped, rounds, peers, gain if compiled else None)
        table.append(_two_threads(fits, wanted, rounds))
    table += _large_rows(exponentials(problems), exponentials(many), rounds)
    return table + _lone_rows(exponentials(max(alone, 2)), alone, rounds, peers)


def _batch_rows(fits: Fits, looped: int, rounds: int, peers: bool, gain: float | None) -> list[Row]:
    contenders: dict[str, Callable[[], Any]] = {
        "given": lambda: fit(fits, fits.jacobian),
        "autograd": lambda: fit(fits, None),
    }
    began = time.perf_counter()
    if gain is not None:
        contenders["compiled"] = lambda: fit(fits, fits.jacobian, compile=True)
        contenders["compiled"]()
    compiling = time.perf_counter() - began
    scipy, torchimize = (installed(name) if peers else "" for name in ("scipy", "torchimize"))
    if scipy:
        contenders["scipy"] = lambda: scipy_loop(fits, looped)
    if torchimize:
        contenders["torchimize"] = lambda: torchimize_batch(fits)
    times = interleaved(contenders, rounds)
    count = len(fits.x)
    table = []
    for name in ("given", "autograd"):
        ratio = times.ratio("scipy", name, count / min(looped, count)) if scipy else None
        note = _judged(fits, times.results[name], times.results.get("scipy"))
        bound = (">=", 3.0) if name == "given" else None
        subject = f"{count:,} {fits.name}, Jacobian {name}"
        table.append(Row(CASE, subject, _rate(times, name, count), "fits/s", "scipy" * bool(scipy), ratio, bound, note))
    if gain is not None:
        judged = _judged(fits, times.results["compiled"], times.results.get("scipy"))
        note = "; ".join(filter(None, (judged, f"compiled in {compiling:.0f} s")))
        subject, figure = f"{count:,} {fits.name}, compiled", _rate(times, "compiled", count)
        ratio = times.ratio("given", "compiled")
        table.append(Row(CASE, subject, figure, "fits/s", "given", ratio, (">=", gain), note))
    if scipy:
        subject = f"SciPy {scipy} least_squares(method='lm'), {fits.name}"
        table.append(Row(CASE, subject, _rate(times, "scipy", min(looped, count)), "fits/s"))
    if torchimize:
        note = _judged(fits, times.results["torchimize"], times.results.get("scipy"), strict=False)
        subject = f"{count:,} {fits.name}, Jacobian given"
        figure, ratio = _rate(times, "given", count), times.ratio("torchimize", "given")
        table.append(Row(CASE, subject, figure, "fits/s", "torchimize", ratio, (">=", 15.0)))
        subject = f"torchimize {torchimize} lsq_lma_parallel, {fits.name}"
        table.append(Row(CASE, subject, _rate(times, "torchimize", count), "fits/s", note=note))
    return table


def _two_threads(fits: Fits, wanted: int, rounds: int) -> Row:
    """Time the fits on two threads, by the clock on the wall: what a user waits for."""
    threads, rates = torch.get_num_threads(), []
    torch.set_num_threads(2)
    try:
        for _ in range(rounds):
            began = time.perf_counter()
            fit(fits, fits.jacobian)
            rates.append(len(fits.x) / (time.perf_counter() - began))
    finally:
        torch.set_num_threads(threads)
    subject, figure = f"{len(fits.x):,} {fits.name}, Jacobian given, two threads", Figure.of(rates)
    ratio = Figure.of([rate / wanted for rate in rates])
    return Row(CASE, subject, figure, "fits/s", f"{wanted:,} fits/s", ratio, (">=", 1.0), "by wall time")


def _large_rows(fits: Fits, large: Fits, rounds: int) -> list[Row]:
    times = interleaved(
        {"some": lambda: fit(fits, fits.jacobian), "many": lambda: fit(large, large.jacobian)}, max(1, rounds // 3)
    )
    ratio = times.ratio("many", "some", len(fits.x) / len(large.x))
    subject = f"{len(large.x):,} {large.name}, time for a fit"
    return [Row(CASE, subject, _rate(times, "many", len(large.x)), "fits/s", f"{len(fits.x):,}", ratio, ("<=", 1.1))]


def _lone_rows(fits: Fits, alone: int, rounds: int, peers: bool) -> list[Row]:
    scipy = installed("scipy") if peers else ""
    contenders: dict[str, Callable[[], Any]] = {"ours": lambda: lone_runs(fits, alone)}
    if scipy:
        contenders["scipy"] = lambda: scipy_loop(fits, alone)
    times = interleaved(contenders, rounds)
    ratio = times.ratio("ours", "scipy") if scipy else None
    figure = times.figure("ours", 1e3 / alone)
    return [Row(CASE, f"a lone fit, {fits.name}", figure, "ms", "scipy" * bool(scipy), ratio, ("<=", 12.0))]


def fit(fits: Fits, jacobian: Callable[..., Any] | None, **keywords: Any) -> torch.Tensor:
    """Return the parameters of all fits."""
    M = Euclidean(fits.x.shape[-1])
    return levenberg_marquardt(M, fits.residuals, fits.x, jacobian=jacobian, data=(fits.y,), **keywords)


def lone_runs(fits: Fits, count: int) -> torch.Tensor:
    """Return the parameters of the first fits, solved one after the other."""
    M = Euclidean(fits.x.shape[-1])

    def one(k: int) -> torch.Tensor:
        y = fits.y[k]
        return levenberg_marquardt(M, lambda x: fits.residuals(x, y), fits.x[k], jacobian=lambda x: fits.jacobian(x, y))

    return torch.stack([one(k) for k in range(count)])


def scipy_loop(fits: Fits, count: int) -> torch.Tensor:
    """Return the parameters of the first fits as SciPy finds them."""
    from scipy.optimize import least_squares

    numbers = fits._replace(y=fits.y[:count].numpy(), x=fits.x[:count].numpy())  # pyright: ignore[reportArgumentType]
    found = [
        least_squares(
            lambda p, y=y: fits.residuals(p, y),
            x,
            lambda p, y=y: fits.jacobian(p, y),
            method="lm",
            ftol=1e-14,
            xtol=1e-14,
        ).x
        for x, y in zip(numbers.x, numbers.y, strict=True)
    ]
    return torch.from_numpy(np.stack(found))


def torchimize_batch(fits: Fits) -> torch.Tensor:
    """Return the parameters of all fits by torchimize; it writes into its start."""
    from torchimize.functions import lsq_lma_parallel  # pyright: ignore[reportMissingImports]

    return lsq_lma_parallel(
        fits.x.clone(),
        lambda p: fits.residuals(p, fits.y)[:, None],
        jac_function=lambda p: fits.jacobian(p, fits.y)[:, None],
        wvec=torch.ones(1, dtype=fits.x.dtype),
    )[-1]


def _rate(times: Times, name: str, count: int) -> Any:
    seconds = times.figure(name)
    return type(seconds)(count / seconds.median, count / seconds.most, count / seconds.least)


def _judged(fits: Fits, x: torch.Tensor, best: torch.Tensor | None, strict: bool = True) -> str:
    """Say how many fits reached SciPy's cost; raise if one of ours did not."""
    if best is None:
        return ""
    count = len(best)
    ours, least = (0.5 * fits.residuals(p, fits.y[:count]).square().sum(-1) for p in (x[:count], best))
    reached = int((ours <= least * (1 + TOLERANCE)).sum())
    if strict and reached < count:
        raise AssertionError(f"{count - reached} of {count} {fits.name} were not solved")
    return f"{reached} of {count} at SciPy's minimum"


# ---- the data -------------------------------------------------------------------------------------------------------


def _library(x: Any) -> Any:
    return torch if isinstance(x, torch.Tensor) else np


def exponentials(problems: int) -> Fits:
    """Return noisy decays."""
    g = torch.Generator().manual_seed(0)
    u = torch.rand(problems, 3, generator=g, dtype=torch.float64)
    a, b, c = (1 + 4 * u[:, :1], 0.3 + 1.7 * u[:, 1:2], 0.5 + u[:, 2:])
    times = torch.linspace(0, 5, 50, dtype=torch.float64)
    y = a * torch.exp(-b * times) + c + 0.05 * torch.randn(problems, 50, generator=g, dtype=torch.float64)
    start = torch.stack([y.amax(1) - y.amin(1), torch.ones(problems, dtype=y.dtype), y.amin(1)], 1)
    at = {torch: times, np: times.numpy()}

    def residuals(p: Any, y: Any) -> Any:
        lib = _library(p)
        return p[..., 0:1] * lib.exp(-p[..., 1:2] * at[lib]) + p[..., 2:3] - y

    def jacobian(p: Any, y: Any) -> Any:
        lib = _library(p)
        e = lib.exp(-p[..., 1:2] * at[lib])
        return lib.stack([e, -p[..., 0:1] * at[lib] * e, lib.ones_like(e)], -1)

    return Fits("exponentials", residuals, jacobian, y, start)


def peaks(problems: int) -> Fits:
    """Return peaks in images of 11 x 11 pixels."""
    g = torch.Generator().manual_seed(0)
    low = torch.tensor([300, 4, 4, 1, 1, 10], dtype=torch.float64)
    span = torch.tensor([700, 2, 2, 1, 1, 10], dtype=torch.float64)
    truth = low + span * torch.rand(problems, 6, generator=g, dtype=torch.float64)
    grid = torch.arange(11, dtype=torch.float64)
    down, across = (t.flatten() for t in torch.meshgrid(grid, grid, indexing="ij"))
    at = {torch: (across, down), np: (across.numpy(), down.numpy())}

    def parts(p: Any) -> Any:
        lib = _library(p)
        across, down = at[lib]
        A, i, j, s, t, b = (p[..., k : k + 1] for k in range(6))
        u, v = (across - i) / s, (down - j) / t
        e = lib.exp(-0.5 * (u * u + v * v))
        return lib, A * e, e, u, v, s, t, b

    def residuals(p: Any, y: Any) -> Any:
        _, f, *_, b = parts(p)
        return f + b - y

    def jacobian(p: Any, y: Any) -> Any:
        lib, f, e, u, v, s, t, _ = parts(p)
        return lib.stack([e, f * u / s, f * v / t, f * u * u / s, f * v * v / t, lib.ones_like(e)], -1)

    y = torch.poisson(residuals(truth, 0.0), generator=g)
    middle = torch.tensor([5, 5, 1.5, 1.5], dtype=torch.float64).expand(problems, 4)
    start = torch.cat([(y.amax(1) - y.amin(1))[:, None], middle, y.amin(1)[:, None]], 1)
    return Fits("peaks", residuals, jacobian, y, start)
