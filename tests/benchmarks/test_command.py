"""`python -m benchmarks`: a process for each case, what is written, and the page made from it; nothing is timed."""

import json
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import benchmark_table
import pytest
import torch

from benchmarks import __main__ as command
from benchmarks import machine, manifolds, one, table
from benchmarks.timing import Figure, Row

ROOT = Path(__file__).parents[2]


def row(case, ratio, note="a note"):
    target = None if ratio is None else ("<=", 1.25)
    ratio = None if ratio is None else Figure(ratio, 0, 9)
    return Row(case, "ours", Figure(2.0, 1.0, 3.0), "ms", "bare", ratio, target, note).as_dict()


@pytest.fixture
def cases(monkeypatch):
    """Put rows in the place of cases, and note how each was asked for."""
    asked = []

    def run_case(case, settings):
        asked.append((case, settings))
        if case == "memory":
            raise command.CaseError("MemoryError: <none> left")
        return [row(case, 1.5), row(f"{case}: a | part", 1.0, "norm <= 1e-6")]

    monkeypatch.setattr(command, "run_case", run_case)
    return asked


def test_the_command_prints_a_table_and_writes_both_files(cases, capsys, tmp_path):
    figures, tables = tmp_path / "figures.json", tmp_path / "tables.md"
    asked = ["overhead", "riemannian:means", "memory", "--rounds", "2", "--no-peers"]
    assert command.main([*asked, "--json", str(figures), "--markdown", str(tables)]) == 1
    assert cases == [
        ("overhead", {"peers": False, "rounds": 2}),
        ("riemannian", {"peers": False, "rounds": 2, "only": "means"}),
        ("memory", {"peers": False, "rounds": 2}),
    ]
    out = capsys.readouterr().out
    assert "torch" in out and "<= 1.25: MISSED" in out and "<= 1.25: met" in out and "a note" in out
    content = json.loads(figures.read_text(encoding="utf-8"))
    assert content["machine"]["torch"] == torch.__version__ and re.fullmatch(r"\d{4}-\d\d-\d\d", content["date"])
    assert [entry["met"] for entry in content["rows"]] == [False, True, False, True]
    assert content["rows"][0]["figure"] == {"median": 2.0, "least": 1.0, "most": 3.0}
    assert content["failed"] == {"memory": "MemoryError: <none> left"}
    assert tables.read_text(encoding="utf-8") == table.markdown(content)


def test_the_tables_show_what_fell_short(monkeypatch):
    versions = {"torch": "2.0", "geoopt": machine.MISSING}
    rows = [row("spd", 1.5), row("spd: a | part", 1.0, "norm <= 1e-6"), row("spd: a | part", None, "")]
    content = {
        "date": "2026-01-02",
        "commit": "abc",
        "rounds": 6,
        "machine": versions,
        "rows": rows,
        "failed": {"memory": "a<b"},
    }
    made = table.markdown(content)
    assert made.startswith("1 of 2 targets are met. **MISSED**: spd (ours, &lt;= 1.25).")
    assert "| commit | abc |" in made and "| date | 2026-01-02 |" in made
    assert "from 7 rounds on" in made and "from 7 rounds on" not in table.markdown({**content, "rounds": 7})
    assert "Not installed, so not compared with: geoopt." in made and "FAILED: memory: a&lt;b" in made
    assert re.findall(r"^### .*", made, re.MULTILINE) == ["### spd", "### spd: a | part"]
    assert "| ours<br><small>a note</small> | 2 ms (1 - 3) | 1.5 (0 - 9) | bare | ≤ 1.25: **MISSED** |" in made
    assert "| ours<br><small>norm &lt;= 1e-6</small> | 2 ms (1 - 3) | 1 (0 - 9) | bare | ≤ 1.25: met |" in made
    assert "| ours | 2 ms (1 - 3) |  | bare |  |" in made
    lines = table.text(content).splitlines()
    assert len({line.index("2 ms") for line in lines if "2 ms" in line}) == 1


def test_a_case_runs_in_a_process_of_its_own_with_one_thread(monkeypatch):
    def run(arguments, env, **_):
        assert arguments[1:] == ["-m", "benchmarks.one", "spd", '{"rounds": 3}']
        assert env["OMP_NUM_THREADS"] == env["MKL_NUM_THREADS"] == "1" and "PATH" in env
        return subprocess.CompletedProcess(arguments, 0, json.dumps([row("spd", 1.0)]), "")

    monkeypatch.setattr(command.subprocess, "run", run)
    assert command.run_case("spd", {"rounds": 3}) == json.loads(json.dumps([row("spd", 1.0)]))


def test_a_case_that_fails_says_why(capsys):
    with pytest.raises(command.CaseError, match="ModuleNotFoundError: No module named 'benchmarks.no_such_case'"):
        command.run_case("no_such_case", {})
    assert "Traceback" in capsys.readouterr().err


def test_that_process_prints_the_rows_and_nothing_else(monkeypatch, capsys):
    def rows(rounds):
        print("some talk")
        return [Row("spd", f"{rounds} rounds", Figure(2.0, 1.0, 3.0), "ms")]

    monkeypatch.setattr(manifolds, "rows", rows)
    one.main("manifolds", '{"rounds": 3}')
    printed = capsys.readouterr()
    assert json.loads(printed.out)[0]["subject"] == "3 rounds" and printed.err == "some talk\n"


def test_the_machine_is_described_without_its_name():
    facts = machine.facts()
    assert facts["torch"] == torch.__version__ and "cores" in facts["processor"]
    assert machine.platform.node() not in " ".join(facts.values()).split()
    assert re.fullmatch(r"[0-9a-f]{12}( with changes)?|unknown", machine.commit())


@pytest.mark.parametrize(("arguments", "says"), [(["speed"], "there are overhead"), (["--rounds", "0"], "at least 1")])
def test_the_command_names_wrong_arguments(arguments, says, capsys):
    with pytest.raises(SystemExit) as exit_:
        command.main(arguments)
    assert exit_.value.code == 2 and says in capsys.readouterr().err


def test_the_page_shows_the_committed_figures():
    content = json.loads(benchmark_table.FIGURES.read_text(encoding="utf-8"))
    source = (ROOT / "docs" / benchmark_table.PAGE).read_text(encoding="utf-8")
    page = SimpleNamespace(file=SimpleNamespace(src_uri=benchmark_table.PAGE))
    made = benchmark_table.on_page_markdown(source, page)
    assert table.markdown(content) in made and content["commit"] in made and "<!--" not in made
    assert "## How it is timed" in made and "## What the figures mean" in made
    for case in command.CASES:
        assert f"**{case}**" in made, f"benchmarks/README.md is to explain {case}"
