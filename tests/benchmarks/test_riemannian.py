"""The table of the smooth solvers runs, in tiny configurations; the floor and pymanopt end where our solvers end."""

import pytest
import torch

from benchmarks import __main__ as command
from benchmarks import riemannian
from benchmarks.riemannian import cases, runs

rows = riemannian.rows
SMALL = {
    "trivial": cases.trivial,
    "rayleigh": lambda: cases.rayleigh((8,)),
    "subspaces": lambda: cases.subspaces(12, 2),
    "means": lambda: cases.means((3,), 6),
    "completion": lambda: cases.completion(20, 15, 2, 0.7),
    "rayleigh_batch": lambda: cases.rayleigh_batch(5, 4),
    "means_batch": lambda: cases.means_batch(5, 2, 4),
}
# the least cost of each part's first case, by an eigenproblem, or None
LEAST = {
    "rayleigh": lambda case: -torch.linalg.eigvalsh(riemannian.cases.data.symmetric(8))[-1],
    "rayleigh_batch": lambda case: -torch.linalg.eigvalsh(case.data[0])[:, -1].sum(),
    "subspaces": lambda case: -0.5 * torch.linalg.eigvalsh(riemannian.cases.data.covariance(12))[-2:].sum(),
    "completion": lambda case: torch.zeros((), dtype=torch.float64),
}


def test_every_part_has_a_small_twin():
    assert SMALL.keys() == cases.CASES.keys()


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # in pymanopt, at the end of a run
@pytest.mark.parametrize("name", SMALL)
def test_all_contenders_end_at_the_same_cost(name):
    for n, case in enumerate(SMALL[name]()):
        for solver in riemannian._solvers(case):
            contenders = [runs.ours(case, solver), runs.ours(case, solver, given=True), runs.bare(case, solver)]
            contenders += [runs.bare(case, solver, given=True)] if case.derivatives else []
            if solver in case.targets:
                contenders.append(runs.pymanopt(case, solver, len(case.x) if case.batched else 1))
            outcomes = [run() for run in contenders if run is not None]
            if name == "trivial":  # 200 iterations do not always suffice, as one eigenvalue is close to the least
                assert all(o.cost < 1.001 and o.iterations <= 200 for o in outcomes)
                continue
            truth = LEAST[name](case) if name in LEAST and n == 0 else outcomes[0].cost
            for o in outcomes:
                assert o.gradient_norm < 1e-6 and o.iterations > 0 and o.evaluations >= o.iterations
                assert abs(o.cost - float(truth)) < 1e-9, (case.title, solver)


def test_rows():
    table = rows(rounds=1, peers=False, lasting=0.0, cases=[*SMALL["rayleigh"](), *SMALL["means_batch"]()])
    subjects = [row.subject for row in table]
    assert subjects[:3] == ["SD, manopt_torch", "SD, manopt_torch", "SD, floor"]
    assert "TR, manopt_torch, derivatives given" in subjects and "SD, BB, manopt_torch" in subjects
    targets = {(row.subject, row.peer): row.target for row in table}
    assert targets["TR, manopt_torch", ""] == (">=", 16.0), "the last case's"
    assert targets["TR, manopt_torch", "floor"] == (">=", 0.85)
    assert all("evaluations" in row.note for row in table if not row.peer)
    assert table[0].unit == "us/iteration" and table[-1].unit == "ms"


def test_with_the_peer():
    table = rows(rounds=1, looped=2, lasting=0.0, cases=[SMALL["rayleigh_batch"]()[0]])
    ours = next(row for row in table if row.subject == "TR, manopt_torch")
    assert ours.peer.startswith("pymanopt") and ours.ratio.median > 0 and ours.met is not None
    assert "of 2 problems" in table[-1].note


def test_parts_are_chosen_by_name(monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(command, "run_case", lambda case, settings: seen.append((case, settings)) or [])
    assert command.main(["riemannian:means", "--no-peers"]) == 0
    assert seen == [("riemannian", {"only": "means", "peers": False})]
    with pytest.raises(ValueError, match="no part 'mean'"):
        rows(only="mean")
