"""Debug actions from symbols, strings and numbers."""

import pytest
import torch

from manopt_torch.errors import OptionsError, UnknownSymbolError
from manopt_torch.manifolds import Euclidean
from manopt_torch.plans.debug import (
    DebugActionFactory,
    DebugChange,
    DebugCost,
    DebugEntry,
    DebugEvery,
    DebugFactory,
    DebugGradient,
    DebugGradientNorm,
    DebugGroup,
    DebugIterate,
    DebugIteration,
    DebugProgress,
    DebugProximalParameter,
    DebugStepsize,
    DebugStoppingCriterion,
    DebugTime,
)
from manopt_torch.plans.stopping import StopAfterIteration
from manopt_torch.plans.symbols import S
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


def test_factory_of_stop_and_divider():
    places = DebugFactory([":Stop", "|"])
    assert isinstance(places[":Stop"], DebugStoppingCriterion)
    assert isinstance(places[":All"], DebugGroup) and len(places[":All"].group) == 1
    assert places[":All"].group[0].divider == "|"
    assert isinstance(DebugFactory([":Stop", "|", 20])[":All"], DebugEvery)


def test_factory_keeps_the_order():
    group = DebugFactory([":Change", ":Iteration", ":Iterate", ":Cost", ":x"])[":All"].group
    assert [type(a) for a in group] == [DebugChange, DebugIteration, DebugIterate, DebugCost, DebugEntry]
    assert group[-1].field == "x"


def test_the_last_number_wins():
    every = DebugFactory([":Cost", 5, "\n", 7])[":All"]
    assert every.every == 7 and len(every.action.group) == 2
    assert DebugFactory([5]) == {} and DebugFactory([]) == {}


@together()
@pytest.mark.parametrize(
    ("symbol", "kind"),
    [
        (S.Gradient, DebugGradient),
        (S.GradientNorm, DebugGradientNorm),
        (S.Stepsize, DebugStepsize),
        (S.ProximalParameter, DebugProximalParameter),
        (S.Time, DebugTime),
        (S.Progress, DebugProgress),
        (S.Stop, DebugStoppingCriterion),
    ],
)
def test_every_symbol_has_its_action(symbol, kind):
    assert type(DebugActionFactory(symbol)) is kind


def test_other_entries():
    action = DebugCost()
    assert DebugActionFactory(action) is action
    assert DebugActionFactory(": ").divider == ": "
    assert DebugActionFactory((":Cost", "f = {:.3e}")).format == "f = {:.3e}"
    assert DebugActionFactory((":radius", "r {:.1f}")).field == "radius"
    for wrong in (None, ("Cost", "{}"), (":Cost",), (":Progress", "{}"), {}):
        with pytest.raises(OptionsError):
            DebugActionFactory(wrong)
    with pytest.raises(OptionsError, match=r"write DebugCost\(\)"):
        DebugFactory([DebugCost])
    for number in (0, -3, 2.5, True):
        with pytest.raises(OptionsError, match="every k-th"):
            DebugFactory([":Cost", number])
    with pytest.raises(OptionsError, match="a list such as"):
        DebugFactory(":Cost")


def test_white_space_beside_the_reason_alone_prints_no_empty_lines():
    assert set(DebugFactory([":Stop", "\n"])) == {S.Stop}
    assert set(DebugFactory([".", ":Stop"])) == {S.All, S.Stop}  # a dot a step
    assert set(DebugFactory(["\n"])) == {S.All}


def test_an_entry_that_is_no_field_says_which_there_are():
    with pytest.raises(UnknownSymbolError, match="fields are x, stop"):
        said(DebugEntry("radius"), lone(), 1)
