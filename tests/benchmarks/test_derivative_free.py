"""The benchmark without derivatives runs, in a tiny configuration; all contenders evaluate as often as they may."""

import torch

from benchmarks import derivative_free


def test_rows():
    rows = derivative_free.rows(
        size=3,
        evaluations=60,
        swarm_evaluations=120,
        simplices=2,
        swarms=2,
        problems=4,
        looped=2,
        iterations={"Nelder-Mead": 9, "particle swarm": 2, "CMA-ES": 3},
        rounds=1,
        peers=False,
    )
    assert [row.target for row in rows if row.target] == [
        (">=", 40.0),
        ("<=", 1.0),
        (">=", 15.0),
        ("<=", 1.0),
        (">=", 25.0),
    ]
    assert [row.subject for row in rows if row.peer == "a loop"] == [
        "Nelder-Mead, 4 at once",
        "particle swarm, 4 at once",
        "CMA-ES, 4 at once",
    ]
    assert all("costs agree to" in row.note for row in rows if row.peer == "a loop")
    assert all(row.figure.least > 0 for row in rows)


def test_lone_runs_use_up_their_evaluations_and_come_closer():
    given = derivative_free.data(3, 2)
    torch.testing.assert_close(given.simplices.norm(dim=-1), torch.ones(2, 3, dtype=torch.float64))
    for run, ours in ((derivative_free.simplex, True), (derivative_free.simplex_pymanopt, False)):
        few, many = run(given, 1, 15), run(given, 1, 60)
        assert 0 <= many.error < few.error and 60 <= many.evaluations <= 62, ours
    for run in (derivative_free.swarm, derivative_free.swarm_pymanopt):
        few, many = run(given, 1, 80), run(given, 1, 240)
        assert 0 <= many.error < few.error and many.evaluations == 240


def test_batches_find_what_loops_find():
    given = derivative_free.data(3, 3)
    for method in derivative_free.METHODS:
        together = derivative_free.at_once(given, method, 3, 40)
        torch.testing.assert_close(together, derivative_free.one_by_one(given, method, 3, 40), rtol=0, atol=1e-9)
        assert bool((together - given.least >= -1e-12).all() and (together - given.least < 0.05).all())
