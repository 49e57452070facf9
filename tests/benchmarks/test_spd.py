"""The benchmark of positive definite matrices runs, in a tiny configuration and without other packages."""

from benchmarks import spd
from manopt_torch.linalg import definite_pencil, spectral


def test_rows() -> None:
    closed_forms = spectral.eigh_in_closed_form, definite_pencil.is_small
    rows = spd.rows(pairs=3, rounds=1, peers=False)
    names = [f"{name}, {who}" for name in ("sym_eigh", "dist", "log") for who in ("manopt_torch", "ours with LAPACK")]
    assert [row.subject for row in rows] == names
    assert [row.target for row in rows if row.target] == [(">=", 2.0)] * 2
    assert all("agree to" in row.note for row in rows[::2])
    assert (spectral.eigh_in_closed_form, definite_pencil.is_small) == closed_forms
