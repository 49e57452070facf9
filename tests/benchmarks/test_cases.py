"""The benchmarks run, in tiny configurations and without other packages: nothing here is timed in earnest."""

import os
from statistics import median

import pytest
import torch

from benchmarks import batch_rayleigh, least_squares, manifolds, memory, overhead
from benchmarks.timing import Figure, Row, Times, installed, interleaved


def test_overhead():
    rows = overhead.rows(steps=5, rounds=2, calls=1, peers=False)
    assert [row.subject for row in rows] == [
        "bare torch loop",
        "bare torch loop, tuned by hand",
        "manopt_torch",
        "manopt_torch",
        "manopt_torch, debug every 100 and record",
    ]
    assert [row.target for row in rows if row.target] == [("<=", 1.25), ("<=", 1.1)]
    assert all(row.figure.least > 0 for row in rows)


def test_the_bare_loops_do_what_a_step_is():
    x = torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64)
    w = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    g = 2 * w * x
    y = x - overhead.STEP * (g - (g * x).sum() * x)
    expected = y / y.norm()
    original, overhead.cost = overhead.cost, lambda z: (w * z * z).sum(-1)
    try:
        for loop in (overhead.bare_loop, overhead.tuned_loop):
            torch.testing.assert_close(loop(x, 1), expected, atol=1e-15, rtol=0)
    finally:
        overhead.cost = original
    assert torch.is_grad_enabled()


def test_batch_rayleigh():
    rows = batch_rayleigh.rows(problems=12, size=3, looped=4, rounds=1, peers=False)
    assert len(rows) == 3 and all("12/12 converged" in row.note and "evaluations" in row.note for row in rows)
    assert rows[0].target == (">=", 10.0) and rows[0].ratio is None and rows[0].met is None


def test_batch_rayleigh_finds_the_least_eigenvalues():
    a, x = batch_rayleigh.data(12, 3)
    options = batch_rayleigh.batched(a, x, batch_rayleigh.ArmijoLinesearch())
    least = torch.linalg.eigvalsh(a)[:, 0]
    torch.testing.assert_close(options.cost, least, atol=batch_rayleigh.TOLERANCE**1.5, rtol=0)


def test_memory(monkeypatch):
    monkeypatch.setattr(memory, "peak", lambda what, points, steps, give_back: 1000 + 48 * points)
    rows = memory.rows(points=1001, steps=2, rounds=1)
    assert [row.subject.split(",")[0] for row in rows] == ["manopt_torch"] * 2 + ["bare torch loop"] * 2
    assert [row.target for row in rows] == [("<=", 12.0)] * 2 + [None] * 2
    assert rows[0].ratio.median == pytest.approx(2.0, rel=0.01)  # 48 bytes a point of 24 bytes


@pytest.mark.slow
def test_memory_is_measured_in_a_process_of_its_own():
    assert memory.peak("ours", 10, 2, give_back=True) > 10_000_000


def test_memory_in_this_process():
    memory.run("ours", 10, 2)
    memory.run("bare", 10, 2)
    assert memory.own_peak() > 10_000_000


def test_manifolds():
    rows = manifolds.rows(points=7, size=4, frames=3, columns=2, rounds=2, calls=1, peers=False)
    assert [row.subject.split(":")[0] for row in rows] == ["Sphere", "Stiefel"]
    assert [row.target for row in rows] == [("<=", 1.3), (">=", 12.0)]
    assert all(row.figure.least > 0 and row.ratio is None and row.met is None for row in rows)


def test_manifolds_compute_what_they_are_timed_for():
    u = manifolds._on_the_sphere(7, 4, peer=False)["ours"]()
    x = manifolds.Sphere(4).random_point(7, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    torch.testing.assert_close(u.norm(dim=-1), torch.ones(7, dtype=u.dtype), atol=1e-12, rtol=0)
    torch.testing.assert_close((x * u).sum(-1), torch.zeros(7, dtype=u.dtype), atol=1e-12, rtol=0)
    y = manifolds._on_frames(3, 4, 2, peer=False)["ours"]()
    torch.testing.assert_close(y.mT @ y, torch.eye(2, dtype=y.dtype).expand(3, 2, 2), atol=1e-12, rtol=0)


def test_interleaved_turns_the_order():
    order = []
    times = interleaved({name: lambda name=name: order.append(name) or name for name in "abc"}, rounds=3, calls=2)
    assert "".join(order) == "abc" + "aabbcc" + "bbccaa" + "ccaabb"
    assert times.results == {"a": "a", "b": "b", "c": "c"}
    assert all(len(seconds) == 3 for seconds in times.seconds.values())


def test_ratios_are_taken_round_by_round():
    times = Times({"a": [2.0, 4.0, 9.0], "b": [1.0, 4.0, 3.0]}, {})
    assert times.ratio("a", "b") == Figure(2.0, 1.0, 3.0)
    assert times.figure("a", 10.0) == Figure(median([20.0, 40.0, 90.0]), 20.0, 90.0)


@pytest.mark.parametrize(
    ("ratio", "target", "met"),
    [(1.0, ("<=", 1.25), True), (1.3, ("<=", 1.25), False), (9.0, (">=", 10.0), False), (9.0, None, None)],
)
def test_a_target_is_judged_by_the_median(ratio, target, met):
    assert Row("case", "what", Figure(1, 1, 1), "ms", "peer", Figure(ratio, 0, 99), target).met is met


def test_installed_knows_what_is_not():
    assert installed("torch") and installed("no-such-package-at-all") == ""


def test_least_squares():
    rows = least_squares.rows(problems=20, many=40, looped=4, alone=2, rounds=1, peers=False, compiled=False)
    assert len(rows) == 8 and all(row.figure.least > 0 for row in rows)
    each = [(">=", 3.0), (">=", 1.0)]
    assert [row.target for row in rows if row.target] == [*each, *each, ("<=", 1.1), ("<=", 12.0)]


def test_least_squares_agree_with_scipy():
    for fits in (least_squares.exponentials(5), least_squares.peaks(5)):
        best = least_squares.scipy_loop(fits, 5)
        for x in (least_squares.fit(fits, fits.jacobian), least_squares.fit(fits, None)):
            torch.testing.assert_close(x, best, rtol=1e-5, atol=1e-6)


def test_contenders_run_in_processes_of_their_own():
    def two() -> tuple[int, torch.Tensor]:
        return os.getpid(), torch.tensor(2.0)

    times = interleaved({"a": two, "b": two}, rounds=2, apart=True)
    (a, two_there), (b, _) = times.results["a"], times.results["b"]
    assert len({a, b, os.getpid()}) == 3 and float(two_there) == 2.0
    assert all(len(seconds) == 2 for seconds in times.seconds.values())


def test_a_contender_that_fails_elsewhere_says_why():
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        interleaved({"a": lambda: 1 // 0}, rounds=1, apart=True)
