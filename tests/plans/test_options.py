"""Options: parameters, state fields, keywords, memory of functors, decorators around them."""

import copy
import pickle
from dataclasses import dataclass, fields
from typing import Any

import pytest
import torch

from manopt_torch import (
    ArmijoLinesearch,
    ConstantStepsize,
    DebugCost,
    Euclidean,
    Functor,
    GradientDescentOptions,
    GradientProblem,
    LevenbergMarquardtOptions,
    Options,
    OptionsDecorator,
    StopAfterIteration,
    StopWhenChangeLess,
    get_options,
    get_record,
    initialize_solver,
    solve,
    steepest_descent,
    step_solver,
)
from manopt_torch.errors import OptionsError
from manopt_torch.plans.options import (
    Memory,
    check_count,
    check_range,
    fields_of,
    functors_of,
    lane_of,
    memory_of,
    per_problem_fields,
    state,
    state_defaults,
)
from tests.together import together

X = torch.zeros(2)
P = GradientProblem(Euclidean(2), lambda x: (x * x).sum(-1))


@dataclass(eq=False, kw_only=True)
class Own(Options):
    speed: float = 1.0
    velocity: Any = state()
    generation: Any = state(0, per_problem=False)


def test_the_start_is_positional_and_all_else_by_keyword():
    o = GradientDescentOptions(X, stop=StopAfterIteration(3), check_every=2)
    assert o.x is X
    assert (o.stop.n, o.check_every, o.compact, o.retraction_method) == (3, 2, True, None)
    with pytest.raises(TypeError):
        GradientDescentOptions(X, StopAfterIteration(3))


@pytest.mark.parametrize("kind", [GradientDescentOptions, Own])
def test_unknown_keywords_are_answered_with_the_known_ones(kind):
    with pytest.raises(OptionsError, match=rf"^{kind.__name__} got unknown keyword step; it takes x, .*check_every"):
        kind(X, step=1.0)


def test_state_fields_are_no_arguments():
    with pytest.raises(OptionsError, match="unknown keyword cost, velocity"):
        Own(X, cost=1.0, velocity=2.0)
    assert "iterations" not in repr(Own(X))
    assert "speed=1.0" in repr(Own(X))


def test_functors_and_front_functions_know_their_keywords_too():
    with pytest.raises(
        OptionsError, match="ArmijoLinesearch got unknown keyword shrink; it takes initial_stepsize, contr"
    ):
        ArmijoLinesearch(shrink=0.5)
    with pytest.raises(OptionsError, match="StopAfterIteration got unknown keyword steps; it takes n"):
        StopAfterIteration(steps=3)
    with pytest.raises(OptionsError, match="steepest_descent got unknown keyword stepsizes, tol; it takes M, cost, x"):
        steepest_descent(Euclidean(2), P.cost, X, stepsizes=1.0, tol=3)


@together()
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "2", None])
def test_check_every_is_a_positive_int(value):
    with pytest.raises(OptionsError, match="GradientDescentOptions: check_every must be an int >= 1, got"):
        GradientDescentOptions(X, check_every=value)


@together()
@pytest.mark.parametrize("value", ["no", "False", None, 2])
def test_a_flag_is_true_or_false(value):
    with pytest.raises(OptionsError, match="GradientDescentOptions: compact must be True or False, got"):
        GradientDescentOptions(X, compact=value)
    with pytest.raises(OptionsError, match="LevenbergMarquardtOptions: compile must be True or False, got"):
        LevenbergMarquardtOptions(X, compile=value)
    with pytest.raises(OptionsError, match="GradientProblem: vectorized must be True or False, got"):
        GradientProblem(Euclidean(2), P.cost, vectorized=value)


def test_check_range_says_which_ends_are_open():
    class Holder:
        value = 1.0

    check_range(Holder(), "value", 0.0, 1.0, open_high=False)
    check_range(Holder(), "value", 1.0, 2.0, open_low=False)
    with pytest.raises(OptionsError, match=r"Holder: value must lie in \(0.0, 1.0\), got 1.0"):
        check_range(Holder(), "value", 0.0, 1.0)
    with pytest.raises(OptionsError, match=r"must lie in \[2.0, 3.0\], got 1.0"):
        check_range(Holder(), "value", 2.0, 3.0, open_low=False, open_high=False)
    for wrong in ("1", None, torch.tensor(0.5), float("nan")):
        Holder.value = wrong
        with pytest.raises(OptionsError, match="value must lie in"):
            check_range(Holder(), "value", 0.0, 1.0)
        with pytest.raises(OptionsError, match="value must be an int >= 0"):
            check_count(Holder(), "value", 0)


def test_state_fields_by_kind():
    o = Own(X)
    assert "velocity" in set(fields_of(o, per_problem=True))
    assert {"generation", "memory", "lane"} <= set(fields_of(o, per_problem=False))
    assert next(per_problem_fields(o)) == "x"
    assert not {"speed", "stop", "x"} & set(fields_of(o, per_problem=True))
    assert state_defaults(o)["generation"] == 0
    parameters = {f.name for f in fields(o)} - set(state_defaults(o))
    assert parameters == {"x", "stop", "retraction_method", "check_every", "compact", "speed"}


def test_options_are_compared_by_identity():
    assert Own(X) != Own(X)
    assert len({Own(X), Own(X)}) == 2


class Counter(Functor):
    def __init__(self):
        self.made = 0

    def init(self, p, o):
        self.made += 1
        return {"n": torch.zeros(3)}


def test_memory_is_made_on_first_use_and_kept_by_identity():
    o, a, b = Own(X), Counter(), Counter()
    memory_of(a, P, o)["n"] = torch.ones(3)
    assert memory_of(a, P, o)["n"].tolist() == [1.0] * 3
    assert memory_of(b, P, o)["n"].tolist() == [0.0] * 3
    assert (a.made, b.made) == (1, 1)
    o.memory.forget(a)
    o.memory.forget(a)
    assert a not in o.memory and b in o.memory
    assert memory_of(a, P, o)["n"].tolist() == [0.0] * 3


def test_one_functor_serves_two_runs():
    search = ArmijoLinesearch()
    alone = solve(P, GradientDescentOptions(torch.ones(2), stepsize=ArmijoLinesearch(), stop=StopAfterIteration(3)))
    first = GradientDescentOptions(torch.ones(2), stepsize=search, stop=StopAfterIteration(3))
    solve(GradientProblem(Euclidean(4, 2), lambda x: 9 * (x * x).sum((-1, -2))), GradientDescentOptions(
        torch.ones(5, 4, 2), stepsize=search, stop=StopAfterIteration(3)
    ))  # fmt: skip
    assert torch.equal(solve(P, first).x, alone.x)


def test_a_functor_without_memory_has_none():
    o, f = Own(X), StopAfterIteration(3)
    assert memory_of(f, P, o) is None
    assert f in o.memory


def test_mapping_a_memory():
    o, a = Own(X), Counter()
    memory_of(a, P, o)
    twice = o.memory.map(lambda t: t + 1).map(lambda s, t: s + 10 * t, o.memory.map(lambda t: t + 2))
    assert twice[a]["n"].tolist() == [21.0] * 3
    assert o.memory[a]["n"].tolist() == [0.0] * 3


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_copies_of_options_keep_the_memory_of_the_copied_functors(clone):
    o = GradientDescentOptions(torch.ones(2), stop=StopAfterIteration(2) | StopWhenChangeLess(1e-9))
    solve(P, o)
    other = clone(o)
    assert other.stepsize is not o.stepsize
    assert other.memory[other.stepsize]["last"] == o.memory[o.stepsize]["last"]
    assert torch.equal(other.memory[other.stop.criteria[1]]["x"], o.x)
    assert other.stepsize not in o.memory
    assert isinstance(copy.deepcopy(Memory()), Memory)


def test_options_can_be_pickled_after_a_run_that_printed_to_a_local_function():
    o, texts = GradientDescentOptions(torch.ones(2), stop=StopAfterIteration(2)), []
    solve(P, o, debug=[DebugCost(print=lambda text: texts.append(text))], record=[":Cost"])
    other = pickle.loads(pickle.dumps(o))
    assert len(texts) == 3 and torch.equal(other.x, o.x) and get_record(other) == get_record(o)


def test_a_shallow_copy_goes_on_without_the_original():
    o, alone = (GradientDescentOptions(torch.tensor([3.0, 1.0]), stop=StopAfterIteration(9)) for _ in range(2))
    p = GradientProblem(Euclidean(2), lambda x: (x**4).sum(-1))
    solve(p, alone)
    initialize_solver(p, o)
    step_solver(p, o, 1)
    other = copy.copy(o)
    for branch in (other, o):  # the second one from where both were
        for i in range(2, 10):
            step_solver(p, branch, i)
        assert torch.equal(branch.x, alone.x)
    assert other.memory[o.stepsize] is not o.memory[o.stepsize]


def test_functors_are_found_with_their_paths():
    change, budget, step = StopWhenChangeLess(1e-3), StopAfterIteration(3), ConstantStepsize(1.0)
    o = GradientDescentOptions(X, stepsize=step, stop=change | (budget & change))
    paths = dict(functors_of(o))
    assert paths["stepsize"] is step
    assert paths["stop.criteria.0"] is paths["stop.criteria.1.criteria.1"] is change
    assert paths["stop.criteria.1.criteria.0"] is budget


def test_the_lane_is_made_for_functors_called_by_hand():
    o = GradientDescentOptions(torch.zeros(3, 2))
    assert lane_of(P, o).shape == (3,)
    assert o.lane is lane_of(P, o)


class Titled(OptionsDecorator):
    def __init__(self, options, title):
        OptionsDecorator.__init__(self, options)
        self.title = title


def test_decorators_pass_fields_through_and_keep_their_own():
    o = Own(X)
    d = Titled(Titled(o, "inner"), "outer")
    d.speed = 3.0
    d.title = "changed"
    assert (o.speed, d.speed, d.title, d.options.title) == (3.0, 3.0, "changed", "inner")
    assert not hasattr(o, "title")
    assert d.hook_table() is None
    with pytest.raises(AttributeError, match="nothing"):
        _ = d.nothing
    assert get_options(d) is get_options(o) is o
    assert get_options(copy.deepcopy(d)).speed == 3.0


@pytest.mark.parametrize("wrong", [None, 3, "options", {"x": 1}])
def test_get_options_of_anything_else(wrong):
    with pytest.raises(OptionsError, match=f"expected Options .*, got {type(wrong).__name__}"):
        get_options(wrong)
