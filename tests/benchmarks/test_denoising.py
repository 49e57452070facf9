"""The benchmark of denoising runs, on a tiny image."""

from benchmarks import denoising


def test_rows() -> None:
    rows = denoising.rows(size=6, cycles=1, rounds=1, peers=False)
    assert [row.target for row in rows if row.target] == [("<=", 10.0)]
    assert all(row.figure.least > 0 for row in rows)
    # the data map takes one of each, a sweep a logarithm and two exponential maps of half the entries at most
    calls = float(rows[1].note.split()[0])
    assert 2 < calls <= 8
