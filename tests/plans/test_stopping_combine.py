"""Criteria made of criteria, and criteria of outsiders."""

import numpy as np
import pytest
import torch

from manopt_torch import (
    ConstantStepsize,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    StopAfter,
    StopAfterIteration,
    StoppingCriterion,
    StopWhenAll,
    StopWhenAny,
    StopWhenChangeLess,
    StopWhenCostLess,
    StopWhenGradientNormLess,
    StopWhenNonFinite,
    StopWhenRepeated,
    StopWhenStepsizeLess,
    get_reason,
    solve,
)
from manopt_torch.errors import OptionsError
from tests.together import together

D = torch.float64
M = Euclidean(2)
P = GradientProblem(M, lambda x: 0.5 * (x * x).sum(-1))


def halving(x, stop, **options):
    """Solve 1/2 |x|^2 by gradient steps of 1/2: every step halves x."""
    x = torch.as_tensor(x, dtype=D)
    return solve(P, GradientDescentOptions(x, stepsize=ConstantStepsize(0.5), stop=stop, **options))


def by_hand(x=(1.0, 0.0)):
    return GradientDescentOptions(torch.tensor(x, dtype=D), stepsize=ConstantStepsize(0.5))


A, B, C = StopAfterIteration(3), StopWhenCostLess(1.0), StopWhenGradientNormLess(0.1)


def test_nesting_of_the_same_kind_is_flattened():
    for made in ((A & B) & C, A & (B & C), StopWhenAll(A, B, C)):
        assert isinstance(made, StopWhenAll)
        assert made.criteria == (A, B, C)
    for made in ((A | B) | C, A | (B | C), StopWhenAny(A, B, C)):
        assert isinstance(made, StopWhenAny)
        assert made.criteria == made.members == (A, B, C)
    d = A & B & C
    assert len((d & d).criteria) == 6
    mixed = A | (B & C)
    assert mixed.members == mixed.criteria and isinstance(mixed.criteria[1], StopWhenAll)
    assert d.members == (d,)


class Fixed(StoppingCriterion):
    """A criterion of an outsider that knows its answers."""

    def __init__(self, *answers):
        self.answers, self.asked = answers, []

    def __call__(self, p, o, i):
        self.asked.append(i)
        return self.answers[min(i, len(self.answers) - 1)]


T, F = torch.tensor([True, False]), torch.tensor([False, False])


@together()
@pytest.mark.parametrize(("a", "b"), [(True, T), (False, T), (T, F), (T, T), (True, False), (F, F)])
def test_any_and_all_over_bools_and_tensors(a, b):
    full = [torch.as_tensor(v).expand(2) for v in (a, b)]
    for made, truth in ((StopWhenAny, full[0] | full[1]), (StopWhenAll, full[0] & full[1])):
        for pair in ((a, b), (b, a)):
            answer = made(*map(Fixed, pair))(P, by_hand(), 0)
            assert torch.equal(torch.as_tensor(answer).expand(2), truth)


@pytest.mark.parametrize("made", [StopWhenAny, StopWhenAll])
def test_all_members_are_asked_whatever_the_first_say(made):
    members = [Fixed(True), Fixed(False), Fixed(True)]
    made(*members)(P, by_hand(), 4)
    assert [m.asked for m in members] == [[4]] * 3


def test_all_waits_for_all():
    # cost below 1 from i = 2, at least 4 steps
    o = halving([3.0, 4.0], StopWhenCostLess(1.0) & StopAfterIteration(4))
    assert o.iterations == 4
    assert "cost below 1" in get_reason(o) and "(4)" in get_reason(o)


def test_all_holds_per_problem():
    # |x| < 1 at i = 3 and 1, |change| < 2 at i = 2 and 1
    o = halving([[3.0, 4.0], [0.0, 1.5]], StopWhenGradientNormLess(1.0) & StopWhenChangeLess(2.0))
    assert o.iterations.tolist() == [3, 1]


def test_the_first_member_that_holds_is_the_reason():
    both = StopAfterIteration(2), StopWhenCostLess(1.0)
    for x in ([3.0, 4.0], [[3.0, 4.0]]):
        assert "(2)" in str(get_reason(halving(x, both[0] | both[1])))
        assert "cost" in str(get_reason(halving(x, both[1] | both[0])))
    tensors = StopWhenGradientNormLess(1.5), StopWhenCostLess(1.0)  # both hold at i = 2 for the first time
    assert "gradient" in get_reason(halving([[3.0, 4.0]], tensors[0] | tensors[1]))[0]
    assert "cost" in get_reason(halving([[3.0, 4.0]], tensors[1] | tensors[0]))[0]


def test_any_inside_all_lists_what_may_have_been_met():
    nested = (StopWhenCostLess(1.0) | StopWhenChangeLess(1.0)) & StopAfterIteration(3)
    reason = get_reason(halving([3.0, 4.0], nested))
    assert reason.startswith("One of these: ") and "cost" in reason and "change" in reason and "(3)" in reason


def test_reasons_of_a_batch_are_nested_as_its_axes():
    stop = StopWhenCostLess(1.0) | StopAfterIteration(2)
    o = halving([[[3.0, 4.0], [0.0, 0.1]], [[0.0, 1.0], [8.0, 8.0]], [[9.0, 9.0], [0.0, 0.0]]], stop)
    cost, steps = "The algorithm reached a cost below 1 after {} iterations.", A.reason(None, 2).replace("3", "2")
    assert get_reason(o) == [[cost.format(2), cost.format(1)], [cost.format(1), steps], [steps, cost.format(1)]]


@pytest.mark.parametrize("wrong", [3, None, StopAfterIteration, lambda p, o, i: True])
def test_only_criteria_combine(wrong):
    for attempt in (
        lambda: A | wrong,
        lambda: A & wrong,
        lambda: StopWhenAny(A, wrong),
        lambda: StopWhenRepeated(wrong, 2),
    ):
        with pytest.raises(OptionsError, match="takes stopping criteria, got"):
            attempt()


@pytest.mark.parametrize("made", [StopWhenAny, StopWhenAll])
def test_combinations_of_nothing(made):
    with pytest.raises(OptionsError, match=f"{made.__name__} needs at least one criterion"):
        made()


def test_budgets_and_convergence_of_combinations():
    assert (A | B).is_budget and (A & B).is_budget and not (B | C).is_budget
    assert StopWhenRepeated(A, 2).is_budget and not StopWhenRepeated(C, 2).is_budget
    assert C.indicates_convergence and not A.indicates_convergence and not (A | C).indicates_convergence
    assert (A & C).indicates_convergence and StopWhenRepeated(C, 2).indicates_convergence


def test_criteria_can_be_read():
    made = StopWhenRepeated(A, 2) | (B & (C | StopWhenChangeLess(1e-9)) & StopWhenNonFinite())
    assert repr(made) == (
        "StopWhenRepeated(StopAfterIteration(3), 2) | StopWhenCostLess(1) & (StopWhenGradientNormLess(0.1) | "
        "StopWhenChangeLess(1e-09)) & StopWhenNonFinite()"
    )
    assert (repr(StopAfter(60)), repr(StopWhenStepsizeLess(0.5))) == ("StopAfter(60)", "StopWhenStepsizeLess(0.5)")


# ---- repetition -----------------------------------------------------------------------------------------------------


def test_repeated_case_51():
    o, c = by_hand(), StopWhenRepeated(StopAfterIteration(2), 3)
    assert [c(P, o, i) for i in (1, 2, 2, 3)] == [False, False, False, True]
    assert [c(P, o, i) for i in (0, 2, 3, 4)] == [False, False, False, True]


def test_repeated_counts_per_problem_and_in_a_row():
    answers = [torch.tensor(v) for v in ([0, 0], [1, 1], [1, 0], [1, 1], [0, 1], [0, 1])]
    o = GradientDescentOptions(torch.ones(2, 2, dtype=D), stop=StopWhenRepeated(Fixed(*(a.bool() for a in answers)), 3))
    solve(P, o)
    assert o.iterations.tolist() == [3, 5]
    assert get_reason(o)[0] == "3 times in a row: The criterion Fixed was met after step 3."


@pytest.mark.parametrize("n", [0, -1, 1.5, None])
def test_repeated_takes_a_positive_int(n):
    with pytest.raises(OptionsError, match="StopWhenRepeated: n must be an int >= 1, got"):
        StopWhenRepeated(A, n)


# ---- criteria of outsiders ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [(), (3,)])
@pytest.mark.parametrize("true", [True, 1, np.bool_(True), torch.tensor(True)])
def test_any_kind_of_truth_will_do(batch, true):
    false = type(true)(0) if not isinstance(true, torch.Tensor) else torch.tensor(False)
    for stop in (
        Fixed(false, false, true),
        StopWhenRepeated(Fixed(false, true, true), 2),
        Fixed(false, false, true) | C,
    ):
        o = halving(torch.ones(*batch, 2), stop)
        assert torch.equal(torch.as_tensor(o.iterations), torch.full(batch, 2))


class StopWhenOutside(StoppingCriterion):
    """A criterion with a memory: the largest norm so far."""

    def init(self, p, o):
        return {"largest": o.lane.full(0.0)}

    def __call__(self, p, o, i):
        memory = self.remembered(p, o, i)
        memory["largest"] = o.lane.max(memory["largest"], o.lane.scalar(p.M.norm(o.x, o.x)))
        return memory["largest"] > 4.0


def test_a_criterion_with_memory():
    o = halving([[3.0, 4.0], [0.5, 0.0]], StopWhenOutside() | StopAfterIteration(7))
    assert o.iterations.tolist() == [0, 7]
    assert get_reason(o)[0] == "The criterion StopWhenOutside was met after step 0."
    assert "(7)" in get_reason(halving([0.5, 0.0], StopWhenOutside() | StopAfterIteration(7)))


def test_the_base_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        StoppingCriterion()
