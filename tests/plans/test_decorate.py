"""Decorators: what their constructors take, and the lists that `solve` takes."""

import re

import pytest
import torch

from manopt_torch.errors import OptionsError, UnknownSymbolError
from manopt_torch.manifolds import Euclidean
from manopt_torch.plans.debug import (
    DebugCost,
    DebugDivider,
    DebugEvery,
    DebugGroup,
    DebugIteration,
    DebugStoppingCriterion,
)
from manopt_torch.plans.decorate import DebugOptions, RecordOptions, decorate_options, record_places_of
from manopt_torch.plans.options import get_options
from manopt_torch.plans.record import RecordCost, RecordEvery, RecordGroup, RecordIteration
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration
from manopt_torch.plans.symbols import S
from manopt_torch.problems import GradientProblem
from manopt_torch.solvers.steepest_descent import GradientDescentOptions
from manopt_torch.stepsizes import ConstantStepsize

M = Euclidean(2)
F64 = torch.float64
P = GradientProblem(M, lambda x: 0.5 * (x * x).sum(-1))


def lone(steps=3):
    return GradientDescentOptions(
        torch.tensor([4.0, 2.0], dtype=F64), stepsize=ConstantStepsize(0.5), stop=StopAfterIteration(steps)
    )


# ---- constructors ---------------------------------------------------------------------------------------------------


def test_debug_takes_an_action_a_list_of_actions_a_dict_or_a_list_of_symbols():
    a = DebugDivider("|")
    assert DebugOptions(lone(), a).debug_dictionary == {":All": a}
    assert DebugOptions(lone(), [a]).debug_dictionary[":All"].group == [a]
    assert DebugOptions(lone(), {":Step": a}).debug_dictionary == {":Step": a}
    assert DebugOptions(lone(), ["|"]).debug_dictionary[":All"].group[0].divider == "|"
    assert isinstance(DebugOptions(lone(), [":Cost", 10]).debug_dictionary[":All"], DebugEvery)
    assert DebugOptions(lone(), []).debug_dictionary == {}
    assert DebugOptions(lone(), ":Cost").debug_dictionary[":All"].group[0].prefixes == DebugCost.prefixes


def test_record_takes_the_same_four():
    a = RecordCost()
    assert RecordOptions(lone(), a).record_dictionary == {":All": a}
    assert RecordOptions(lone(), [a]).record_dictionary[":All"].group == [a]
    assert RecordOptions(lone(), {":Step": a}).record_dictionary == {":Step": a}
    assert isinstance(RecordOptions(lone(), [":Cost"]).record_dictionary[":All"], RecordGroup)
    assert isinstance(RecordOptions(lone(), [":Cost", 10]).record_dictionary[":All"], RecordEvery)


def test_dicts_may_hold_lists():
    places = DebugOptions(lone(), {":Stop": [":Cost", ":Stop"], ":Start": "hello\n"}).debug_dictionary
    assert [type(a) for a in places[":Stop"].group] == [DebugCost, DebugStoppingCriterion]
    assert places[":Start"].group[0].divider == "hello\n"
    assert isinstance(RecordOptions(lone(), {":Step": [":Cost"]}).record_dictionary[":Step"], RecordGroup)


@pytest.mark.parametrize("wrong", [3, None, 2.5])
def test_anything_else_is_an_error(wrong):
    with pytest.raises(OptionsError):
        DebugOptions(lone(), wrong)
    with pytest.raises(OptionsError):
        RecordOptions(lone(), wrong)


def test_an_unknown_place_is_an_error():
    for kind, action in ((DebugOptions, DebugCost()), (RecordOptions, RecordCost())):
        with pytest.raises(UnknownSymbolError, match=":Start, :Step, :Stop, :All"):
            kind(lone(), {":Iteration": action})


def test_a_class_instead_of_an_action_is_an_error():
    with pytest.raises(OptionsError, match=r"write DebugCost\(\)"):
        DebugOptions(lone(), DebugCost)
    with pytest.raises(OptionsError, match=r"write RecordCost\(\)"):
        RecordOptions(lone(), {":Step": RecordCost})


def test_only_options_can_be_decorated():
    for kind in (DebugOptions, RecordOptions):
        with pytest.raises(OptionsError, match="expected Options"):
            kind(3, [])


def test_decorators_pass_fields_on():
    o = lone()
    d = RecordOptions(DebugOptions(o, [":Cost"]), [":Cost"])
    assert get_options(d) is o and d.options.options is o
    d.check_every = 5
    assert o.check_every == 5 and d.x is o.x
    assert record_places_of(d) == d.record_dictionary
    assert record_places_of(DebugOptions(d, [])) == d.record_dictionary
    assert record_places_of(DebugOptions(o, [])) is None
    assert repr(d).startswith("RecordOptions(DebugOptions(GradientDescentOptions(")


# ---- decorate_options -----------------------------------------------------------------------------------------------


def test_debug_is_inside_record():
    o = decorate_options(lone(), debug=[":Cost"], record=[":Cost"])
    assert isinstance(o, RecordOptions) and isinstance(o.options, DebugOptions)
    bare = lone()
    assert decorate_options(bare) is bare


def lines(debug):
    """Return what the group of `debug` holds besides its own entries."""
    made = decorate_options(lone(), debug=debug).debug_dictionary.get(":All")
    group = made.action.group if isinstance(made, DebugEvery) else made.group if made else []
    return [a.divider for a in group if isinstance(a, DebugDivider)]


def test_a_list_that_ends_no_line_gets_a_newline():
    assert lines([":Iteration", " | ", ":Cost", 10]) == [" | ", "\n"]
    assert lines([":Iteration", " | ", ":Cost", "\n", 10]) == [" | ", "\n"]
    assert lines([":Cost", ".\n"]) == [".\n"]
    assert lines([(":Cost", "f = {:.1e}\n")]) == []
    assert lines(":Cost") == ["\n"]
    assert lines([DebugCost()]) == ["\n"]
    assert lines([DebugGroup([DebugCost(), DebugDivider("\n")])]) == []
    assert lines([DebugEvery(DebugGroup([DebugCost(), DebugDivider("\n")]), 2)]) == []


def test_what_prints_lines_of_its_own_gets_none():
    assert lines([":Stop"]) == lines([]) == lines([5]) == []
    assert lines([":Progress", 10]) == []
    assert lines([StopAfterIteration(3)]) == lines([lambda p, o, i: None]) == []


def test_the_factories_append_nothing():
    assert len(DebugOptions(lone(), [":Cost"]).debug_dictionary[":All"].group) == 1


def test_the_newline_follows_the_last_entry(capsys):
    out = []
    solve(P, lone(2), debug=[DebugIteration(print=out.append)])
    assert out == ["Initial\n", "# 1\n", "# 2\n"]
    assert capsys.readouterr().out == ""


def test_lines_of_a_run(capsys):
    # x_k = x_0 / 2^k, f = |x|^2 / 2
    solve(P, lone(4), debug=[":Iteration", " | ", (":Cost", "f = {:.3e}"), 2, ":Stop"])
    assert capsys.readouterr().out.splitlines() == [
        "Initial | f = 1.000e+01",
        "# 2 | f = 6.250e-01",
        "# 4 | f = 3.906e-02",
        "The algorithm reached its maximal number of iterations (4).",
    ]


@pytest.mark.parametrize("lists", [{"debug": [":Iteration", ":radius"]}, {"record": [":Cost", ":radius"]}])
def test_an_unknown_symbol_is_an_error_before_anything_happens(lists, capsys):
    o = lone()
    with pytest.raises(UnknownSymbolError, match=r"symbols are :Cost.*fields are x, stop"):
        solve(P, o, debug=lists.get("debug", [":Cost"]), record=lists.get("record"))
    assert capsys.readouterr().out == "" and o.x0 is None


def test_a_misspelt_symbol_gets_a_hint():
    with pytest.raises(UnknownSymbolError, match=r"did you mean :GradientNorm\?"):
        decorate_options(lone(), debug=[":gradientnrom"])
    with pytest.raises(UnknownSymbolError, match=r"did you mean :Iteration\?"):
        decorate_options(lone(), debug=[(":iteratio", "{}")])


def test_a_symbol_of_a_field_that_these_options_lack_is_an_error():
    with pytest.raises(UnknownSymbolError, match="needs the field proximal_parameter"):
        decorate_options(lone(), debug=[":ProximalParameter"])


def test_symbols_are_constants_too():
    assert (S.Cost, S.GradientNorm, S.All) == (":Cost", ":GradientNorm", ":All")
    values = "Cost Change Gradient GradientNorm Iterate Iteration Stepsize ProximalParameter Time Progress Stop"
    assert all(getattr(S, name) == f":{name}" for name in [*values.split(), "Start", "Step", "All"])


def test_debug_and_record_change_no_iterate():
    plain = solve(P, lone())
    busy = solve(
        P,
        lone(),
        debug=[DebugGroup([DebugCost(), DebugIteration()], print=lambda text: None)],
        record=[RecordIteration(), ":Iterate", ":Change", ":GradientNorm"],
    )
    assert torch.equal(plain.x, busy.x)


# ---- names of symbols without the colon -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("debug", "told"),
    [
        (["Cost"], r"'Cost' as text: for the value write ':Cost'"),
        ("GradientNorm", r"'GradientNorm' as text: for the value write ':GradientNorm'"),
        ([":Iteration", "Cost", " | ", "Stop", "Cost", 2], r"'Cost', 'Stop' as text: .* ':Cost', ':Stop'"),
        ({":Start": ["Time"], ":Step": "Cost"}, r"'Time', 'Cost' as text"),
    ],
)
def test_a_name_without_its_colon_is_printed_with_one_warning_a_run(debug, told, capsys):
    with pytest.warns(UserWarning, match=told) as caught:
        o = solve(P, lone(), debug=debug)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert o.iteration == 3 and told.split("'")[1] in capsys.readouterr().out


@pytest.mark.parametrize(
    "debug",
    [[" | "], ["cost "], ["Cost: "], ["Cost", " = ", ":Cost"], ["Cost", (":Cost", " {:.1f}")], [DebugDivider("Cost")]],
)
def test_other_texts_and_labels_are_printed_without_a_warning(debug, recwarn):
    solve(P, lone(), debug=debug)
    assert not recwarn.list


def test_a_name_without_its_colon_in_a_record_list_is_told_the_symbol():
    for name in ("Cost", "x", "Iterate"):
        with pytest.raises(UnknownSymbolError, match=f"got '{name}': write ':{name}'$"):
            solve(P, lone(), record=[name])
    for text in ("Costs", " | ", "Progress"):
        with pytest.raises(UnknownSymbolError, match=rf"got '{re.escape(text)}'$"):
            solve(P, lone(), record=[text])
