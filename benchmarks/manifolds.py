"""Maps of manifolds on many points: the sphere against geoopt, retractions of frames against pymanopt's stack.

An exponential and a logarithm of 100,000 points of the sphere in ten dimensions, and the retraction by QR of 1,000
frames of three vectors in ten dimensions, each in double precision and without derivatives.
"""

import warnings
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.timing import ROUNDS, Row, Times, installed, interleaved
from manopt_torch import Sphere
from manopt_torch.manifolds.stiefel import Stiefel

CASE = "manifolds"


def rows(
    *,
    points: int = 100_000,
    size: int = 10,
    frames: int = 1000,
    columns: int = 3,
    rounds: int = 2 * ROUNDS + 1,
    calls: int = 3,
    peers: bool = True,
) -> list[Row]:
    """Return the rows of this case.

    Args:
        points: how many points of the sphere.
        size: entries of a point, and rows of a frame.
        frames: how many frames.
        columns: vectors in a frame.
        rounds: rounds of timing.
        calls: calls in one sample.
        peers: whether to time geoopt and pymanopt.
    """
    versions = {name: installed(name) if peers else "" for name in ("geoopt", "pymanopt")}
    with torch.no_grad():
        sphere = interleaved(_on_the_sphere(points, size, bool(versions["geoopt"])), rounds, calls)
        stiefel = interleaved(_on_frames(frames, size, columns, bool(versions["pymanopt"])), rounds, calls)
    return _sphere_rows(sphere, versions["geoopt"], points) + _frame_rows(stiefel, versions["pymanopt"], frames)


def _sphere_rows(times: Times, geoopt: str, points: int) -> list[Row]:
    def row(name: str, subject: str, ratio: Any = None, target: Any = None) -> Row:
        peer = f"geoopt {geoopt}" if ratio else ""
        return Row(CASE, subject, times.figure(name, 1e3), "ms", peer, ratio, target)

    ratio = times.ratio("ours", "geoopt") if geoopt else None
    table = [row("ours", f"Sphere: exp and log of {points:,} points", ratio, ("<=", 1.3))]
    if geoopt:
        _same(times, "geoopt", 1e-10)
        table.append(row("geoopt", f"geoopt {geoopt} Sphere"))
    return table


def _frame_rows(times: Times, pymanopt: str, frames: int) -> list[Row]:
    peer = f"pymanopt {pymanopt}" if pymanopt else ""
    ratio = times.ratio("pymanopt", "ours") if pymanopt else None
    subject = f"Stiefel: retraction by QR of {frames:,} frames"
    table = [Row(CASE, subject, times.figure("ours", 1e3), "ms", peer, ratio, (">=", 12.0))]
    if pymanopt:
        _same(times, "pymanopt", 1e-12)
        table.append(Row(CASE, f"{peer} Stiefel(k={frames})", times.figure("pymanopt", 1e3), "ms"))
    return table


def _same(times: Times, peer: str, atol: float) -> None:
    got, expected = times.results["ours"], torch.as_tensor(times.results[peer])
    torch.testing.assert_close(got, expected, atol=atol, rtol=0, msg=f"{peer} went elsewhere")


def _on_the_sphere(points: int, size: int, peer: bool) -> dict[str, Callable[[], torch.Tensor]]:
    M, generator = Sphere(size), torch.Generator().manual_seed(5)
    x = M.random_point(points, generator=generator, dtype=torch.float64)
    u = M.random_tangent(x, generator)
    contenders: dict[str, Callable[[], torch.Tensor]] = {"ours": lambda: M.log(x, M.exp(x, u))}
    if peer:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit.script
            import geoopt
        other = geoopt.Sphere()
        contenders["geoopt"] = lambda: other.logmap(x, other.expmap(x, u))
    return contenders


def _on_frames(frames: int, size: int, columns: int, peer: bool) -> dict[str, Callable[[], Any]]:
    M, generator = Stiefel(size, columns), torch.Generator().manual_seed(5)
    x = M.random_point(frames, generator=generator, dtype=torch.float64)
    u = M.random_tangent(x, generator)
    contenders: dict[str, Callable[[], Any]] = {"ours": lambda: M.retract(x, u, method="qr")}
    if peer:
        import pymanopt

        stack = pymanopt.manifolds.Stiefel(size, columns, k=frames)
        contenders["pymanopt"] = lambda: stack.retraction(x.numpy(), u.numpy())
    return contenders
