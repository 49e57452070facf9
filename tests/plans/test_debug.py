"""Debug actions: what they print, and when."""

import pytest
import torch

from manopt_torch.errors import OptionsError
from manopt_torch.manifolds import Euclidean
from manopt_torch.plans.action import STOP
from manopt_torch.plans.debug import (
    DebugChange,
    DebugCost,
    DebugDivider,
    DebugEntry,
    DebugEntryChange,
    DebugEvery,
    DebugGradient,
    DebugGradientNorm,
    DebugIterate,
    DebugIteration,
    DebugProximalParameter,
    DebugStepsize,
    DebugStoppingCriterion,
    DebugTime,
)
from manopt_torch.plans.debug import clock as clock_module
from manopt_torch.plans.stopping import StopAfterIteration
from manopt_torch.problems import GradientProblem
from manopt_torch.solvers.steepest_descent import GradientDescentOptions
from manopt_torch.stepsizes import ConstantStepsize
from tests.together import together

M = Euclidean(2)
F64 = torch.float64
START = torch.tensor([4.0, 2.0], dtype=F64)


def squared_distance(x):
    return ((x - START) ** 2).sum(-1)


P = GradientProblem(M, squared_distance, lambda x: 2 * (x - START))


def lone(x=START):
    return GradientDescentOptions(x, stepsize=ConstantStepsize(1.0), stop=StopAfterIteration(20))


def said(action, o, i, p=P):
    """Return what an action prints in one call."""
    out = []
    action.print = out.append
    action(p, o, i)
    assert all(isinstance(text, str) for text in out)
    return "".join(out)


# ---- the strings of Manopt ------------------------------------------------------------------------------------------


def test_cost():
    assert said(DebugCost(), lone(), 0) == "F(x): 0.0"
    assert said(DebugCost(), lone(), -1) == ""
    assert said(DebugCost(long=True), lone(), 1) == "Cost Function: 0.0"
    assert said(DebugCost(prefix="f="), lone(), 1) == "f=0.0"


def test_entry():
    o = lone()
    assert said(DebugEntry("x", "x:"), o, 0) == f"x: {o.x}"
    assert said(DebugEntry(":x"), o, 3) == f"x: {o.x}"
    assert said(DebugEntry("check_every"), o, 1) == "check_every: 1"


def test_change():
    action, o = DebugChange(prefix="Last: "), lone()
    assert said(action, o, 1) == ""
    o.x = torch.tensor([3.0, 2.0], dtype=F64)
    assert said(action, o, 1) == "Last: 1.0"
    assert said(DebugChange(x0=START), o, 1) == "Last Change: 1.0"


def test_iteration():
    assert said(DebugIteration(), lone(), 0) == "Initial"
    assert said(DebugIteration(), lone(), 23) == "# 23"


def test_stepsize():
    assert said(DebugStepsize(), lone(), 1) == "s:1.0"
    o = lone()
    o.last_stepsize = 0.25
    assert said(DebugStepsize(long=True), o, 1) == "step size:0.25"


def test_gradient_and_its_norm():
    o = lone()
    o.gradient = torch.tensor([1.0, 0.0], dtype=F64)
    assert said(DebugGradientNorm(), o, 1) == "|∇F(x)|:1.0"
    assert said(DebugGradientNorm(long=True), o, 1) == "Norm of the Gradient: 1.0"
    assert said(DebugGradient(), o, 1) == f"∇F(x):{o.gradient}"
    assert said(DebugGradient(long=True), o, 1) == f"Gradient: {o.gradient}"


def test_iterate_and_proximal_parameter():
    o = lone()
    assert said(DebugIterate(), o, 0) == f"x:{o.x}"
    assert said(DebugIterate(long=True), o, 0) == f"current Iterate:{o.x}"
    o.proximal_parameter = 0.5
    assert said(DebugProximalParameter(), o, 1) == "λ:0.5"
    o.proximal_parameter = lambda i: 1.0 / i
    assert said(DebugProximalParameter(long=True), o, 4) == "Proximal Map Parameter λ(i):0.25"


def test_stopping_criterion():
    o = lone()
    assert said(DebugStoppingCriterion(), o, 19) == ""
    # after n steps, not n + 1
    assert said(DebugStoppingCriterion(), o, 20) == "The algorithm reached its maximal number of iterations (20).\n"
    assert said(DebugStoppingCriterion(), o, -1) == ""


def test_entry_change():
    action = DebugEntryChange("cost", lambda p, o, present, former: present - former)
    o = lone()
    o.cost = 3.0
    assert said(action, o, 0) == ""
    o.cost = 1.0
    assert said(action, o, 1) == "Change of cost:-2.0"
    seeded = DebugEntryChange(":cost", lambda p, o, present, former: present - former, prefix="d", start=5.0)
    assert said(seeded, o, 1) == "d-4.0"


def test_the_divider_has_a_default():
    assert said(DebugDivider(), lone(), 1) == " | "
    assert said(DebugDivider("\n"), None, 0) == "\n"


# ---- when -----------------------------------------------------------------------------------------------------------

FROM_ZERO = [DebugCost, DebugIteration, DebugIterate, DebugDivider, lambda: DebugEntry("x")]
FROM_ONE = [DebugGradient, DebugGradientNorm, DebugStepsize, DebugTime, lambda: DebugChange(x0=START)]


@pytest.mark.parametrize("make", FROM_ZERO)
def test_these_print_at_the_start_too(make):
    assert [bool(said(make(), lone(), i)) for i in (-20, -1, 0, 1, 7)] == [False, False, True, True, True]
    assert said(make(), lone(), STOP) == ""


@pytest.mark.parametrize("make", FROM_ONE)
def test_these_print_after_steps_only(make):
    assert [bool(said(make(), lone(), i)) for i in (-20, -1, 0, 1, 7)] == [False, False, False, True, True]
    assert said(make(), lone(), STOP) == ""


def test_every():
    for always in (False, True):
        out = []
        every = DebugEvery(DebugIteration(print=out.append), 10, always)
        for i in (0, 9, 10, -1, -10, 11, 20):
            assert every(P, lone(), i) is None
        assert out == ["Initial", "# 10", "# 20"]


def test_every_updates_in_between_if_asked_to():
    for always, expected in ((True, "1.0"), (False, "10.0")):
        out, o = [], lone()
        every = DebugEvery(DebugChange(prefix="", print=out.append), 10, always)
        for i in range(11):
            o.x = torch.tensor([float(i), 0.0], dtype=F64)
            every(P, o, i)
        assert out == [expected]


def test_every_tells_children_to_update_and_passes_the_stop_on():
    calls = []
    every = DebugEvery(lambda p, o, i: calls.append(i), 3)
    for i in (0, 1, 2, 3, 4, STOP):
        every(P, lone(), i)
    assert calls == [0, -1, -1, 3, -1, STOP]


@pytest.mark.parametrize("every", [0, -1, 2.0, True])
def test_every_wants_a_positive_int(every):
    with pytest.raises(OptionsError, match="every must be an int >= 1"):
        DebugEvery(DebugCost(), every)


def test_time(monkeypatch):
    now = iter([10.0, 11.5, 12.0, 12.25])
    monkeypatch.setattr(clock_module.time, "perf_counter", lambda: next(now))
    total = DebugTime(prefix="t=")
    assert [said(total, lone(), i) for i in (0, 1, -1, 3)] == ["", "t=1.5", "", "t=2.25"]
    now = iter([10.0, 11.5, 12.0, 12.25])
    single = DebugTime(mode="iterative", format="{:.2f} s")
    assert [said(single, lone(), i) for i in (0, 1, -1, 3)] == ["", "1.50 s", "", "0.25 s"]
    with pytest.raises(OptionsError, match="'cumulative' or 'iterative'"):
        DebugTime(mode="total")


# ---- formats --------------------------------------------------------------------------------------------------------


def test_a_format_replaces_the_default_prefix_but_not_a_given_one():
    o = lone()
    o.cost = 0.125
    assert said(DebugCost(format="f = {:.3e}"), o, 1) == "f = 1.250e-01"
    assert said(DebugCost(format="{:.2f}", prefix="F "), o, 1) == "F 0.12"
    assert said(DebugIteration(format="{:4d}"), o, 7) == "   7"
    assert said(DebugEntry("cost", format="c={:.1f}"), o, 1) == "c=0.1"
    assert said(DebugIterate(format="x = {:.1f}"), o, 1) == "x = [4.0, 2.0]"


@pytest.mark.parametrize(
    ("dtype", "texts"),
    [
        (torch.float64, ("F(x): 0.1", "F(x): min 0.1 median 0.25 max 0.4")),
        (torch.float32, ("F(x): 0.1", "F(x): min 0.1 median 0.25 max 0.4")),
        (torch.float16, ("F(x): 0.1", "F(x): min 0.1 median 0.25 max 0.4")),
    ],
)
def test_numbers_have_as_many_digits_as_their_dtype_carries(dtype, texts):
    for cost, text in zip((torch.tensor(0.1, dtype=dtype), torch.tensor([0.4, 0.1], dtype=dtype)), texts, strict=True):
        o = GradientDescentOptions(torch.zeros(*cost.shape, 2, dtype=dtype))
        o.cost = cost
        assert said(DebugCost(), o, 1) == text
    o.cost = torch.tensor([1 / 3, float("nan")], dtype=torch.float32)
    assert said(DebugCost(index=0), o, 1) == "F(x): 0.33333334"
    assert said(DebugCost(index=1), o, 1) == "F(x): nan"


@together()
@pytest.mark.parametrize("template", ["no place", "{:q}", "{} {}", "{name}", 3])
@pytest.mark.parametrize("kind", [DebugCost, DebugIteration, DebugIterate, DebugChange, DebugTime])
def test_a_format_that_cannot_write_the_value_is_refused_at_once(kind, template):
    with pytest.raises(OptionsError, match="cannot write the value"):
        kind(format=template)


def test_a_format_for_counts_is_refused_where_values_are_no_counts():
    for kind in (DebugCost, DebugIterate, DebugGradientNorm, DebugStepsize):
        with pytest.raises(OptionsError, match="cannot write the value"):
            kind(format="{:d}")
    assert said(DebugEntry("check_every", format="{:d}"), lone(), 1) == "1"


def test_a_format_meets_a_field_that_is_not_set_yet():
    o = lone()
    assert said(DebugEntry("last_stepsize", format="s = {:.1e}"), o, 0) == "s = None"
    o.last_stepsize = 0.5
    assert said(DebugEntry("last_stepsize", format="s = {:.1e}"), o, 1) == "s = 5.0e-01"
    with pytest.raises(OptionsError, match=r"format='\{:.1f\}' cannot write StopAfterIteration\(20\)"):
        said(DebugEntry("stop", format="{:.1f}"), o, 0)
