"""A run taken up from a saved state goes on as if it had not been interrupted."""

import copy
import io
import time
from typing import Any, NamedTuple

import pytest
import torch

from manopt_torch import (
    ArmijoLinesearch,
    ConstantStepsize,
    GradientDescentOptions,
    OptionsError,
    ShapeError,
    StopAfter,
    StopAfterIteration,
    StoppingCriterion,
    StopWhenChangeLess,
    StopWhenCostLess,
    StopWhenGradientNormLess,
    StopWhenRepeated,
    get_reason,
    load_state_dict,
    solve,
    state_dict,
)
from manopt_torch.testing import problem_named
from tests.contracts.solver_table import (
    CORNERS,
    StopAt,
    assert_same_state,
    every_plain_pair,
    same_bits,
    state_of,
)


def through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@every_plain_pair
def test_resume_equals_going_on(solver: Any, case: Any) -> None:
    for batch, dtype in CORNERS:
        resume_and_compare(solver, case, batch, dtype)


def resume_and_compare(solver: Any, case: Any, batch: Any, dtype: Any) -> None:
    """Compare a run of 7 steps with one that ended after 3 and was taken up."""
    problem, x, *_ = solver.pose(case, *batch, dtype=dtype)
    some_end_early = StopAt(2, 100, 5) if batch else StopAt(100)

    def options(n: int) -> Any:
        return solver.options(case, x, stop=StopAfterIteration(n) | some_end_early)

    through = solve(problem, options(7))
    half = solve(problem, options(3))
    rest = options(7)
    assert load_state_dict(rest, through_a_file(state_dict(half))) is rest
    assert same_bits(rest.x, half.x)
    steps: list[int] = []
    solve(problem, rest, debug=lambda p, o, i: steps.append(i) if i > 0 else None)
    assert_same_state(state_of(through), state_of(rest))
    assert steps == [4, 5, 6, 7]
    assert same_bits(rest.x0, through.x0)
    assert get_reason(rest) == get_reason(through)


CRITERIA: list[StoppingCriterion] = [
    StopWhenChangeLess(1e-9),
    StopWhenRepeated(StopWhenCostLess(1e3), 7),
    StopWhenRepeated(StopAfterIteration(2), 5),
    StopWhenChangeLess(1e3) & StopWhenRepeated(StopWhenGradientNormLess(1e3), 6),
    StopAfter(60.0) & StopAfterIteration(7),
]


@pytest.mark.parametrize("criterion", CRITERIA, ids=repr)
@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_criteria_that_remember_go_on_too(criterion: StoppingCriterion, batch: Any) -> None:
    problem, x, *_ = problem_named("quadratic").pose(*batch)

    def options(n: int) -> GradientDescentOptions:
        return GradientDescentOptions(x, stepsize=ConstantStepsize(0.1), stop=StopAfterIteration(n) | criterion)

    through = solve(problem, options(9))
    for n in (1, 3, 4):
        rest = load_state_dict(options(9), through_a_file(state_dict(solve(problem, options(n)))))
        assert_same_state(state_of(through), state_of(solve(problem, rest)))
        assert get_reason(through) == get_reason(rest)


def test_a_state_from_before_the_first_step_starts_the_run() -> None:
    problem, x, *_ = problem_named("quadratic").pose(2)
    untouched = GradientDescentOptions(x)
    rest = load_state_dict(GradientDescentOptions(x), through_a_file(state_dict(untouched)))
    assert_same_state(state_of(solve(problem, untouched)), state_of(solve(problem, rest)))


def test_a_checkpoint_taken_while_the_batch_is_compacted() -> None:
    problem, x, *_ = problem_named("rayleigh, sums").pose(64)
    x = x.clone()
    lowest = torch.linalg.eigh(problem.data[0]).eigenvectors[:40, :, 0]
    x[:40] = torch.nn.functional.normalize(lowest + 1e-4 * x[:40], dim=-1)
    saved: dict[int, Any] = {}

    def checkpoint(p: Any, o: Any, i: int) -> None:
        if i in (1, 20):
            saved[i] = through_a_file(state_dict(o))

    through = solve(problem, GradientDescentOptions(x, stop=StopWhenGradientNormLess(1e-3)), debug=checkpoint)
    for state in saved.values():
        rest = load_state_dict(GradientDescentOptions(x, stop=StopWhenGradientNormLess(1e-3)), state)
        assert_same_state(state_of(through), state_of(solve(problem, rest)))
    assert (saved[20]["state"]["active"].sum() < 32) and len(saved) == 2


def test_a_spent_budget_ends_the_resumed_run_at_once_and_a_larger_one_does_not() -> None:
    problem, x, *_ = problem_named("quadratic").pose(2)
    half = solve(problem, GradientDescentOptions(x, stop=StopAfterIteration(4)))
    same = load_state_dict(GradientDescentOptions(x, stop=StopAfterIteration(4)), state_dict(half))
    assert_same_state(state_of(solve(problem, same)), state_of(half))
    more = load_state_dict(GradientDescentOptions(x, stop=StopAfterIteration(5)), state_dict(half))
    assert solve(problem, more).iterations.tolist() == [5, 5]


def test_a_clock_starts_again() -> None:
    problem, x, *_ = problem_named("quadratic").pose()

    def options() -> GradientDescentOptions:
        return GradientDescentOptions(x, stepsize=ConstantStepsize(1e-9), stop=StopAfter(0.05))

    half = solve(problem, options())
    time.sleep(0.06)
    rest = solve(problem, load_state_dict(options(), state_dict(half)))
    assert rest.iterations > half.iterations + 5


class Pose(NamedTuple):
    direction: torch.Tensor
    place: torch.Tensor


def test_named_points_survive() -> None:
    problem, x, *_ = problem_named("product").pose(2)

    def options(n: int) -> GradientDescentOptions:
        return GradientDescentOptions(Pose(*x), stop=StopAfterIteration(n))

    rest = load_state_dict(options(6), through_a_file(state_dict(solve(problem, options(3)))))
    through = solve(problem, options(6))
    assert_same_state(state_of(through), state_of(solve(problem, rest)))
    assert isinstance(rest.x, Pose) and isinstance(rest.gradient, Pose)


def test_a_copy_of_running_options_goes_on_by_itself() -> None:
    problem, x, *_ = problem_named("quadratic").pose(2)
    half = solve(problem, GradientDescentOptions(x, stop=StopAfterIteration(4)))
    copied = copy.deepcopy(half)
    through = GradientDescentOptions(x, stop=StopAfterIteration(8))
    rest = GradientDescentOptions(x, stop=StopAfterIteration(8))
    load_state_dict(rest, state_dict(copied))
    assert_same_state(state_of(solve(problem, through)), state_of(solve(problem, rest)))


def test_what_does_not_fit_is_refused_before_anything_changes() -> None:
    problem, x, *_ = problem_named("quadratic").pose(2)
    state = state_dict(solve(problem, GradientDescentOptions(x, stop=StopAfterIteration(2))))
    fresh = GradientDescentOptions(x)
    with pytest.raises(OptionsError, match="SomethingElse"):
        load_state_dict(fresh, {**state, "options": "SomethingElse"})
    with pytest.raises(OptionsError, match="momentum"):
        load_state_dict(fresh, {**state, "state": {**state["state"], "momentum": x}})
    with pytest.raises(OptionsError, match="functor"):
        load_state_dict(fresh, {**state, "memory": {"rule": {"last": x}}})
    with pytest.raises(ShapeError, match="shape"):
        load_state_dict(GradientDescentOptions(x[0]), state)
    assert fresh.x is x and fresh.cost is None
    assert isinstance(fresh.stepsize, ArmijoLinesearch)
