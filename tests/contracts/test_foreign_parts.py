"""What users write themselves takes part like what is ours: stepsizes, criteria, options, decorators, points."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from manopt_torch import (
    ConstantStepsize,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    OptionsDecorator,
    OptionsError,
    Sphere,
    Stepsize,
    StopAfterIteration,
    StoppingCriterion,
    StopWhenGradientNormLess,
    get_options,
    get_reason,
    get_record,
    get_solver_result,
    initialize_solver,
    solve,
    step_solver,
    stop_solver,
)
from manopt_torch.plans.begin import begin, first_evaluation
from manopt_torch.plans.commit import commit
from manopt_torch.plans.options import Options, memory_of, state
from manopt_torch.testing import check_solver, problem_named
from tests.contracts.solver_table import assert_same_state, state_of

BATCHES = pytest.mark.parametrize("batch", [(), (2,), (2, 3)], ids=str)


def quadratic(*batch: int) -> tuple[Any, torch.Tensor]:
    return problem_named("quadratic").pose(*batch)[:2]


# ---- stepsizes ------------------------------------------------------------------------------------------------------


class Halving(Stepsize):
    """A step size that halves from step to step, and remembers it in the run."""

    def init(self, p: Any, o: Any) -> Any:
        return {"next": o.lane.full(0.4)}

    def __call__(self, p: Any, o: Any, i: int, eta: Any = None) -> Any:
        memory = memory_of(self, p, o)
        s, memory["next"] = memory["next"], memory["next"] * 0.5
        return s


@BATCHES
@pytest.mark.parametrize("form", ["float", "0-d", "per problem", "float32"])
def test_a_plain_function_is_a_stepsize(batch: Any, form: str) -> None:
    forms = {
        "float": 0.25,
        "0-d": torch.tensor(0.25, dtype=torch.float64),
        "per problem": torch.full(batch, 0.25, dtype=torch.float64),
        "float32": torch.tensor(0.25),
    }
    problem, x = quadratic(*batch)
    ours, theirs = (
        solve(problem, GradientDescentOptions(x, stepsize=stepsize, stop=StopAfterIteration(4)))
        for stepsize in (ConstantStepsize(0.25), lambda p, o, i: forms[form])
    )
    assert_same_state(state_of(ours), state_of(theirs))


@BATCHES
def test_a_stepsize_that_remembers(batch: Any) -> None:
    problem, x = quadratic(*batch)
    halving, table = Halving(), (None, 0.4, 0.2, 0.1, 0.05)
    ours, theirs = (
        solve(problem, GradientDescentOptions(x, stepsize=stepsize, stop=StopAfterIteration(4)))
        for stepsize in (lambda p, o, i: table[i], halving)
    )
    assert_same_state(state_of(ours), state_of(theirs))
    # one functor serves two runs: what it remembers lives in the options
    again = solve(problem, GradientDescentOptions(x, stepsize=halving, stop=StopAfterIteration(4)))
    assert_same_state(state_of(ours), state_of(again))
    assert check_solver(lambda x: GradientDescentOptions(x, stepsize=halving), problem, x)


# ---- criteria -------------------------------------------------------------------------------------------------------


class After(StoppingCriterion):
    """Stop after three steps, answering in one of the forms allowed."""

    def __init__(self, form: str) -> None:
        self.form = form

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        over = i >= 3
        return {
            "bool": over,
            "numpy": np.bool_(over),
            "0-d": torch.tensor(over),
            "per problem": torch.full(p.M.batch_shape(o.x), over),
        }[self.form]


@BATCHES
@pytest.mark.parametrize("form", ["bool", "numpy", "0-d", "per problem"])
@pytest.mark.parametrize("combined", ["alone", "or", "and"])
def test_a_criterion_may_answer_in_any_form(batch: Any, form: str, combined: str) -> None:
    problem, x = quadratic(*batch)
    stop = {
        "alone": After(form),
        "or": StopWhenGradientNormLess(1e-12) | After(form),
        "and": After(form) & StopWhenGradientNormLess(1e12),
    }[combined]
    o = solve(problem, GradientDescentOptions(x, stepsize=ConstantStepsize(0.1), stop=stop))
    plain = solve(problem, GradientDescentOptions(x, stepsize=ConstantStepsize(0.1), stop=StopAfterIteration(3)))
    assert_same_state(state_of(plain), state_of(o), leave_out=("reason_code",))
    assert "After" in str(get_reason(o))


# ---- options --------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class HeavyBallOptions(Options):
    """Descent with momentum, written as a user would."""

    needs: ClassVar[tuple[str, ...]] = ("cost", "gradient")

    length: float = 0.1
    momentum: float = 0.5

    velocity: Any = state()


@initialize_solver.register(HeavyBallOptions)
def _start(p: Any, o: HeavyBallOptions) -> None:
    begin(p, o)
    first_evaluation(p, o)
    o.velocity = p.M.zero_tangent(o.x)


@step_solver.register(HeavyBallOptions)
def _step(p: Any, o: HeavyBallOptions, i: int) -> None:
    velocity = o.lane.axpy(o.lane.scale(o.momentum, o.velocity), -o.length, o.gradient)
    x = p.M.retract(o.x, velocity)
    cost, context = p.trial(x)
    gradient = p.gradient_from(x, context)
    commit(o, x=x, cost=cost, gradient=gradient, velocity=p.M.transport(o.x, x, velocity))


@pytest.mark.parametrize("name", ["quadratic", "exponential", "product", "linear on a sphere", "rayleigh, bmm"])
@pytest.mark.parametrize("batch", [(), (2, 3)], ids=str)
def test_a_solver_from_outside_keeps_all_laws(name: str, batch: Any) -> None:
    problem, x, minimum, _ = problem_named(name).pose(*batch)
    check_solver(HeavyBallOptions, problem, x, raise_on_failure=True)
    o = solve(problem, HeavyBallOptions(x, stop=StopAfterIteration(500) | StopWhenGradientNormLess(1e-6)))
    torch.testing.assert_close(o.cost, minimum, rtol=0, atol=1e-11)


def test_a_solver_from_outside_is_printed_recorded_and_compacted() -> None:
    problem, x, *_ = problem_named("rayleigh, sums").pose(64)
    stop = StopWhenGradientNormLess(1e-5)
    texts: list[str] = []
    plain = solve(problem, HeavyBallOptions(x, stop=stop, compact=False))
    o = solve(
        problem,
        HeavyBallOptions(x, stop=stop),
        record=[":Cost", ":velocity"],
        debug=[(":Cost", "{:.3f}"), lambda p, o, i: texts.append(type(o).__name__)],
    )
    assert_same_state(state_of(plain), state_of(o))
    assert get_record(o)[0][1].shape == (64, 4)
    assert set(texts) == {"HeavyBallOptions"}


def test_options_may_have_a_constructor_of_their_own() -> None:
    class PlainOptions(Options):
        def __init__(self, x: torch.Tensor, steps: int) -> None:
            self.x, self.stop = x, StopAfterIteration(steps)

    @initialize_solver.register(PlainOptions)
    def start(p: Any, o: PlainOptions) -> None:
        o.cost, o.gradient = p.get_cost_and_gradient(o.x)

    @step_solver.register(PlainOptions)
    def step(p: Any, o: PlainOptions, i: int) -> None:
        o.x = p.M.retract(o.x, o.gradient, -0.25)
        o.cost, o.gradient = p.get_cost_and_gradient(o.x)

    problem, x = quadratic()
    o = GradientDescentOptions(x, stepsize=ConstantStepsize(0.25), stop=StopAfterIteration(4))
    torch.testing.assert_close(solve(problem, PlainOptions(x, 4)).x, solve(problem, o).x)


def test_options_without_verbs_say_how_to_add_them() -> None:
    @dataclass(eq=False)
    class Nothing(Options):
        pass

    problem, x = quadratic(2)
    with pytest.raises(OptionsError, match=r"initialize_solver.register\(Nothing\)"):
        solve(problem, Nothing(x))


def test_a_subclass_inherits_the_verbs_and_may_replace_one() -> None:
    class Rounded(GradientDescentOptions):
        pass

    @get_solver_result.register(Rounded)
    def _rounded(o: Rounded) -> torch.Tensor:
        return o.x.round(decimals=2)

    problem, x = quadratic(2)
    o = solve(problem, Rounded(x, stepsize=ConstantStepsize(0.4)))
    assert torch.equal(get_solver_result(o), o.x.round(decimals=2)) and not torch.equal(o.x, o.x.round(decimals=2))


# ---- decorators -----------------------------------------------------------------------------------------------------


class Counting(OptionsDecorator):
    """A decorator with a verb of its own: it counts the steps that it passes on."""

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self.steps = 0


@step_solver.register(Counting)
def _counted(p: Any, o: Counting, i: int) -> None:
    o.steps += 1
    step_solver(p, o.options, i)


@BATCHES
def test_a_decorator_from_outside_takes_part(batch: Any) -> None:
    problem, x = quadratic(*batch)
    plain = solve(problem, GradientDescentOptions(x, stop=StopAfterIteration(5)))
    counting = Counting(GradientDescentOptions(x, stop=StopAfterIteration(5)))
    o = solve(problem, counting, record=[":Iteration", ":Cost"])
    assert o is counting and counting.steps == 5 and get_options(o) is counting.options
    assert_same_state(state_of(plain), state_of(o))
    assert [row[0] for row in get_record(o)] == [1, 2, 3, 4, 5]
    assert torch.equal(get_solver_result(o), plain.x)

    by_hand = Counting(GradientDescentOptions(x, stop=StopAfterIteration(5)))
    initialize_solver(problem, by_hand)
    i = 0
    while not stop_solver(problem, by_hand, i):
        i += 1
        step_solver(problem, by_hand, i)
    assert by_hand.steps == 5
    assert_same_state(state_of(plain), state_of(by_hand))


# ---- callables ------------------------------------------------------------------------------------------------------


@BATCHES
def test_a_cost_written_for_one_point_is_mapped_over_the_batch(batch: Any) -> None:
    problem, x = quadratic(*batch)

    def for_one(x: torch.Tensor, w: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        assert x.shape == c.shape == (3,)
        return 0.5 * (w * (x - c).square()).sum()

    mapped = GradientProblem(Euclidean(3), for_one, data=problem.data, vectorized=False)
    ours, theirs = (solve(p, GradientDescentOptions(x, stop=StopAfterIteration(8))) for p in (problem, mapped))
    torch.testing.assert_close(theirs.x, ours.x, rtol=1e-12, atol=1e-12)


@BATCHES
@pytest.mark.parametrize("form", ["gradient", "euclidean_gradient"])
def test_a_given_gradient_takes_the_place_of_autograd(batch: Any, form: str) -> None:
    problem, x, *_ = problem_named("linear on a sphere").pose(*batch)
    forms = {
        "gradient": lambda x, c: Sphere(3).project_tangent(x, c),
        "euclidean_gradient": lambda x, c: c,
    }

    def forward_only(x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        assert not x.requires_grad
        return problem.cost(x, c)

    given = GradientProblem(problem.M, forward_only, data=problem.data, **{form: forms[form]})
    ours, theirs = (solve(p, GradientDescentOptions(x, stop=StopAfterIteration(8))) for p in (problem, given))
    assert_same_state(state_of(ours), state_of(theirs))
