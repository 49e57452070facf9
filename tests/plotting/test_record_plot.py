"""Records as tables and pictures."""

import builtins
import math

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from manopt_torch.errors import OptionsError
from manopt_torch.manifolds import Euclidean, Product
from manopt_torch.plans.record import RecordAction, RecordCost, RecordEvery, RecordIteration, get_record
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration, StopWhenGradientNormLess
from manopt_torch.plotting import plot_record, record_to_frame
from manopt_torch.problems import GradientProblem
from manopt_torch.solvers.steepest_descent import GradientDescentOptions
from manopt_torch.stepsizes import ConstantStepsize

F64 = torch.float64
WEIGHTS = torch.tensor([0.2, 0.5, 0.9], dtype=F64)


def run(record, batch=(3,), stop=None, check_every=1, shift=0.0):
    """With step one, the cost of problem w after k steps is w (1 - w)^(2k) + shift."""
    stop = StopWhenGradientNormLess(1e-2) if stop is None else stop
    weights = WEIGHTS[1] if batch == () else WEIGHTS[: math.prod(batch)].reshape(batch)
    p = GradientProblem(Euclidean(2), lambda x: 0.5 * weights * (x * x).sum(-1) + shift)
    o = GradientDescentOptions(
        torch.ones(*batch, 2, dtype=F64), stepsize=ConstantStepsize(1.0), stop=stop, check_every=check_every
    )
    return solve(p, o, record=record)


# ---- frames ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check_every", [1, 16])
@pytest.mark.parametrize("batch", [(3,), (3, 1)])
def test_a_frame_has_the_rows_of_each_problem_up_to_its_own_end(batch, check_every):
    o = run([":Cost", ":Iterate", ":Time"], batch, check_every=check_every)
    frame = record_to_frame(o)
    assert list(frame.columns) == ["iteration", "problem", ":Cost", ":Iterate", ":Time"]
    for j, end in enumerate(o.iterations.flatten().tolist()):
        rows = frame[frame["problem"] == j]
        assert rows["iteration"].tolist() == list(range(1, end + 1))
        w = WEIGHTS[j].item()
        np.testing.assert_allclose(rows[":Cost"], [w * (1 - w) ** (2 * k) for k in range(1, end + 1)])
        np.testing.assert_allclose(rows[":Iterate"].iloc[-1], [(1 - w) ** end] * 2)


def test_a_frame_of_a_lone_problem():
    frame = record_to_frame(run([":Iteration", ":Cost"], (), StopAfterIteration(3)))
    assert frame["problem"].tolist() == [0, 0, 0]
    assert frame[":Iteration"].tolist() == frame["iteration"].tolist() == [1, 2, 3]
    np.testing.assert_allclose(frame[":Cost"], [0.125, 0.03125, 0.0078125])


def test_columns_of_different_rhythm_meet_by_iteration():
    frame = record_to_frame(run([RecordIteration(), RecordEvery(RecordCost(), 2)], (), StopAfterIteration(4)))
    assert frame["iteration"].tolist() == [1, 2, 3, 4]
    assert frame[":Cost"].isna().tolist() == [True, False, True, False]


def test_points_with_parts_are_tuples_and_words_stay_words():
    class Words(RecordAction):
        symbol = ":Word"

        def __init__(self):
            self.recorded_values = []

        def __call__(self, p, o, i):
            if i > 0:
                self.recorded_values.append(f"step {i}")

    p = GradientProblem(Product(Euclidean(2), Euclidean()), lambda x: (x[0] * x[0]).sum(-1) + x[1] ** 2)
    start = (torch.ones(2, 2, dtype=F64), torch.ones(2, dtype=F64))
    o = GradientDescentOptions(start, stepsize=ConstantStepsize(0.25), stop=StopAfterIteration(2))
    frame = record_to_frame(solve(p, o, record=[":Iterate", Words()]))
    x, scale = frame[":Iterate"].iloc[-1]
    assert x.tolist() == [0.25, 0.25] and scale == 0.25
    assert frame[":Word"].tolist() == ["step 1", "step 1", "step 2", "step 2"]


def test_the_reasons_fit_into_a_frame():
    o = run([":Stop"], stop=StopWhenGradientNormLess(1e-2) | StopAfterIteration(4))
    frame = record_to_frame(o, ":Stop")
    assert [int(get_record(o, ":Stop", problem=j)[0]) for j in range(3)] == o.reason_code.tolist() == [2, 2, 1]
    assert dict(zip(frame["problem"], frame[":Stop"], strict=True)) == dict(enumerate(o.reason_code.tolist()))


def test_empty_records_give_empty_frames():
    assert len(record_to_frame(run([":Cost"], stop=StopAfterIteration(0)))) == 0
    assert len(record_to_frame(run([], stop=StopAfterIteration(2)))) == 0


# ---- pictures -------------------------------------------------------------------------------------------------------


def test_cost_and_gradient_norm_of_a_lone_problem():
    o = run([":Cost", ":GradientNorm", ":Time"], (), StopAfterIteration(5))
    figure = plot_record(o)
    assert isinstance(figure, Figure)
    cost, norm = figure.axes
    assert (cost.get_ylabel(), norm.get_ylabel()) == ("cost", "gradient norm")
    assert cost.get_yscale() == norm.get_yscale() == "log"
    assert cost.get_xlabel() == "iteration" and cost.get_title() and norm.get_title()
    k, values = cost.lines[0].get_data()
    np.testing.assert_allclose(values, 0.5 * 0.25 ** np.asarray(k))
    assert not cost.collections


def test_a_batch_has_median_and_band():
    o = run([":Cost", 2], stop=StopAfterIteration(6))
    (axes,) = plot_record(o).axes
    k, median = axes.lines[0].get_data()
    assert list(k) == [2, 4, 6]
    rows = np.stack([np.asarray(row) for row in get_record(o, ":Cost")])
    np.testing.assert_allclose(median, np.median(rows, axis=1))
    corners = axes.collections[0].get_paths()[0].vertices
    at_two = corners[corners[:, 0] == 2][:, 1]
    np.testing.assert_allclose([at_two.min(), at_two.max()], np.quantile(rows[0], [0.1, 0.9]))
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["median of 3 problems", "10 % to 90 %"]


def test_an_axis_with_negative_values_is_linear_and_says_so():
    (axes,) = plot_record(run([":Cost"], shift=-0.1, stop=StopAfterIteration(4))).axes
    assert axes.get_yscale() == "linear" and "linear" in axes.get_ylabel()


def test_the_figure_can_be_saved(tmp_path):
    plot_record(run([":Cost", ":GradientNorm"])).savefig(tmp_path / "trace.svg")
    assert (tmp_path / "trace.svg").stat().st_size > 1000


def test_nothing_to_draw_is_an_error():
    for o in (run([":Time"]), run([":Cost"], stop=StopAfterIteration(0))):
        with pytest.raises(OptionsError, match="':Cost', ':GradientNorm'"):
            plot_record(o)
    with pytest.raises(OptionsError, match="nothing has been recorded"):
        record_to_frame(GradientDescentOptions(torch.zeros(2)))


@pytest.mark.parametrize(
    ("module", "call", "extra"),
    [
        ("pandas", lambda: record_to_frame(RecordCost()), "manopt_torch[pandas]"),
        ("matplotlib", lambda: plot_record(RecordCost()), "manopt_torch[plot]"),
        (
            "tqdm",
            lambda: __import__("manopt_torch.adapters", fromlist=["tqdm_bar"]).tqdm_bar(),
            "manopt_torch[progress]",
        ),
    ],
)
def test_a_missing_package_names_its_extra(module, call, extra, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == module and not (args and (args[0] or {}).get("__name__", "").startswith(module)):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError) as caught:
        call()
    assert f"pip install {extra}" in str(caught.value)
