import sys

import numpy as np
import pytest
import torch

from manopt_torch import (
    ConstantStepsize,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    OptionsError,
    StopAfterIteration,
    StopWhenCostLess,
    get_record,
    solve,
)
from manopt_torch.adapters import DebugTensorBoard

FIELDS = [":Cost", ":GradientNorm", ":Stepsize", ":Change", ":active"]
PROBLEM = GradientProblem(Euclidean(2), lambda x: x.square().sum(-1))


class Writer:
    """What the action asks of a `SummaryWriter`."""

    def __init__(self):
        self.curves, self.flushed = {}, 0

    def add_scalar(self, tag, value, step):
        assert type(value) is float
        self.curves.setdefault(tag, {})[step] = value

    def flush(self):
        self.flushed += 1


def run(x, debug, **more):
    stop = StopAfterIteration(6) | StopWhenCostLess(1.0)
    options = GradientDescentOptions(x, stepsize=ConstantStepsize(0.1), stop=stop, **more)
    return solve(PROBLEM, options, debug=debug, record=FIELDS)


STARTS = torch.tensor([[0.1, 0.0], [1.1, 0.0], [2.0, 1.0], [4.0, 3.0], [5.0, 5.0]], dtype=torch.float64)


@pytest.mark.parametrize("check_every", [1, 4])
def test_curves_of_a_batch_are_quantiles_of_its_record(check_every):
    writer = Writer()
    o = run(STARTS, [DebugTensorBoard(writer, FIELDS, quantiles=(0.25, 1.0), tag="fit")], check_every=check_every)
    rows = get_record(o)
    assert len(rows) == 6 and writer.flushed == 1
    for k, name in enumerate(("Cost", "GradientNorm", "Stepsize", "Change")):
        for curve, q in {"median": 0.5, "q25": 0.25, "q100": 1.0}.items():
            wanted = [np.quantile(row[k], q) for row in rows]
            np.testing.assert_allclose(list(writer.curves[f"fit/{name}/{curve}"].values()), wanted, rtol=1e-14)
    assert writer.curves["fit/active/share"] == {i + 1: row[4].double().mean().item() for i, row in enumerate(rows)}
    assert len(writer.curves) == 13


def test_a_lone_run_writes_its_numbers_and_every_kth_of_them():
    writer = Writer()
    o = run(STARTS[4], [DebugTensorBoard(writer, FIELDS[:4]), 3])
    rows = get_record(o)
    # the change is that of the last step, though the steps between are not written
    assert writer.curves == {name[1:]: {i: float(rows[i - 1][k]) for i in (3, 6)} for k, name in enumerate(FIELDS[:4])}


def test_the_files_are_those_that_tensorboard_reads(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    o = run(STARTS, [DebugTensorBoard(tmp_path / "first")])
    found = EventAccumulator(str(tmp_path / "first")).Reload()
    events = found.Scalars("Cost/median")
    assert [e.step for e in events] == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose([e.value for e in events], [row[0].median() for row in get_record(o)], rtol=1e-6)
    assert set(found.Tags()["scalars"]) == {
        f"{n}/{q}" for n in ("Cost", "GradientNorm") for q in ("median", "q10", "q90")
    }


def test_what_is_no_number_is_refused():
    for entry in (":Iterate", ":x0"):
        with pytest.raises(OptionsError, match="no number per problem"):
            run(STARTS, [DebugTensorBoard(Writer(), [entry])])
    with pytest.raises(OptionsError, match="add_scalar"):
        DebugTensorBoard(print)
    with pytest.raises(OptionsError, match="between 0 and 1"):
        DebugTensorBoard(Writer(), quantiles=(50,))


def test_a_missing_package_names_its_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match=r"manopt_torch\[tensorboard\]"):
        DebugTensorBoard(tmp_path)
    DebugTensorBoard(Writer())  # needs no package
