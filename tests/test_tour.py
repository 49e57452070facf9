import subprocess
import sys
from pathlib import Path

import pytest
import torch

import manopt_torch.__main__ as tour

ROOT = Path(__file__).parents[1]


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(tour, "DIRECTIONS", 60)
    monkeypatch.setattr(tour, "AXES", 90)
    monkeypatch.setattr(tour, "RESAMPLED", 8)


def run(*arguments, cwd=ROOT):
    return subprocess.run([sys.executable, "-m", "manopt_torch", *arguments], cwd=cwd, capture_output=True, text=True)


@pytest.mark.slow
def test_the_tour_as_a_command_in_full():
    done = run("--quiet")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith("6 of 6 checks passed in ") and done.stdout.count("\n") == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_station_prints_what_it_does(short, capsys, dtype):
    assert tour.main(["--dtype", dtype]) == 0
    out = capsys.readouterr().out
    assert "1. The centre of 60 directions" in out and "# 10  cost " in out and "gradient norm" in out
    assert "2. The leading axes of 90" in out and "90 (90,), 90 converged" in out and "active 90/90" in out
    assert "3. The geometric means of 8" in out and "virginica" in out and "residual" in out
    assert "GradientDescentOptions" in out and "The algorithm reached a gradient norm below" in out
    assert "no picture was saved; --save DIR" in out
    assert out.count("check passed") == 6 and "FAILED" not in out


def test_quiet_leaves_the_last_line_only(short, capsys):
    assert tour.main(["--quiet"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("6 of 6 checks passed") and out.count("\n") == 1 and err == ""


def test_save_draws_pictures(short, capsys, tmp_path):
    folder = tmp_path / "new" / "folder"
    assert tour.main(["--save", str(folder)]) == 0
    out = capsys.readouterr().out
    assert sorted(path.name for path in folder.iterdir()) == ["convergence.png", "tour.png"]
    for path in folder.iterdir():
        assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 10_000
        assert f"saved {path}" in out


def test_a_failed_check_shows_in_the_exit_status(short, capsys, monkeypatch):
    # the arithmetic mean of covariance matrices is not their geometric mean
    monkeypatch.setattr(tour, "mean", lambda M, x: x.mean(1))
    assert tour.main(["--quiet"]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("4 of 6 checks passed")
    assert err.count("check FAILED") == 2 and "log det" in err


def test_a_nan_keeps_no_bound():
    assert not tour.Check("nothing", float("nan"), 1.0).passed


@pytest.mark.parametrize("device", ["nonsense", "meta"])
def test_an_unusable_device_is_refused_with_those_there_are(device, capsys):
    with pytest.raises(SystemExit) as exit_:
        tour.main(["--device", device])
    assert exit_.value.code == 2
    assert f"--device {device} with float64 does not work here; there is cpu" in capsys.readouterr().err


def test_without_matplotlib_the_extra_is_named(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(tour, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as exit_:
        tour.main(["--save", str(tmp_path)])
    assert exit_.value.code == 2
    assert 'pip install "manopt_torch[plot]"' in capsys.readouterr().err


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path, capsys):
    path = tmp_path / "taken"
    path.write_text("")
    with pytest.raises(SystemExit):
        tour.main(["--save", str(path)])
    assert str(path) in capsys.readouterr().err


def test_the_tour_sees_the_same_numbers_each_time(short, capsys):
    def costs():
        tour.main([])
        lines = capsys.readouterr().out.splitlines()
        return [line for line in lines if "cost " in line or "residual" in line]

    threads = torch.get_num_threads()
    assert costs() == costs()
    assert torch.get_num_threads() == threads
