"""What every solver keeps, run by run: the known minimum, agreement of the state, decorators, stepping by hand."""

import inspect
import io
import itertools
from typing import Any, NamedTuple

import pytest
import torch

import manopt_torch
from manopt_torch import (
    DebugCost,
    Euclidean,
    FixedRank,
    GradientProblem,
    Grassmann,
    HessianProblem,
    Hyperboloid,
    LeastSquaresProblem,
    Product,
    Sphere,
    Stepsize,
    Stiefel,
    StopAfterIteration,
    StoppingCriterion,
    StopWhenGradientNormLess,
    SymmetricPositiveDefinite,
    get_cost_and_gradient,
    get_options,
    get_record,
    get_solver_result,
    initialize_solver,
    load_state_dict,
    report,
    reset,
    solve,
    state_dict,
    step_solver,
    stop_solver,
)
from manopt_torch.manifolds.points import leaves
from tests.contracts.solver_table import (
    BATCHES,
    CONVERGENT,
    CORNERS,
    DTYPES,
    LEAST_SQUARES,
    PAIRS,
    PLAIN,
    SOLVERS,
    StopAt,
    assert_same_state,
    at,
    every_pair,
    every_plain_pair,
    over,
    same_bits,
    state_of,
)
from tests.together import together

# the cost at a point whose gradient norm is below a solver's accuracy, and rounding of data and start
COST_TOLERANCE = dict(zip(DTYPES, (1e-11, 3e-5), strict=True))
POINT_TOLERANCE = dict(zip(DTYPES, (1e-6, 1e-2), strict=True))


# ---- the answer -----------------------------------------------------------------------------------------------------


@over(CONVERGENT)
def test_the_known_minimum_is_reached(solver: Any, case: Any) -> None:
    for batch, dtype in itertools.product(BATCHES, DTYPES) if (solver, case) in PLAIN else CORNERS:
        reach_the_minimum(solver, case, batch, dtype)


def reach_the_minimum(solver: Any, case: Any, batch: Any, dtype: Any) -> None:
    problem, x, minimum, minimiser = solver.pose(case, *batch, dtype=dtype)
    o = solve(problem, solver.options(case, x, stop=solver.converged(dtype)))
    assert report(o).converged == max(minimum.numel(), 1)
    assert o.cost.dtype == dtype
    assert o.cost.shape == batch
    assert get_solver_result(o) is o.x
    problem.M.check_point(o.x)
    torch.testing.assert_close(o.cost.double(), minimum, rtol=0, atol=COST_TOLERANCE[dtype])
    if minimiser is not None:
        picture = case.picture or (lambda point: point)
        for found, known in zip(leaves(picture(o.x)), leaves(picture(minimiser)), strict=True):
            torch.testing.assert_close(found.double(), known, rtol=0, atol=POINT_TOLERANCE[dtype])


# ---- one run, looked at in every way --------------------------------------------------------------------------------

ENDS = (2, 5, 3)  # of the problems of a batch, in turn
LONE_END = 4


class Run(NamedTuple):
    """A run by hand, and its state after each step."""

    solver: Any
    problem: Any
    options: Any  # fresh options, called without arguments
    states: list[dict[str, Any]]

    @property
    def batch(self) -> tuple[int, ...]:
        return tuple(self.problem.M.batch_shape(self.states[0]["x"]))


@every_pair
def test_one_run_keeps_the_laws(solver: Any, case: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for batch, dtype in CORNERS:
        problem, x, *_ = solver.pose(case, *batch, dtype=dtype)
        given = [*leaves(x), *problem.data]
        former = [(leaf.clone(), leaf._version) for leaf in given]
        run = by_hand(solver, case, problem, x, StopAt(*ENDS) if batch else StopAfterIteration(LONE_END))
        point_cost_and_gradient_agree(run)
        if batch:
            finished_problems_do_not_move(run)
        solving_does_what_stepping_by_hand_does(run)
        hooks_change_nothing_and_a_checkpoint_goes_on(run)
        given_tensors_stay_untouched(run, given, former)
    assert capsys.readouterr().out == ""


def by_hand(solver: Any, case: Any, problem: Any, x: Any, stop: StoppingCriterion) -> Run:
    def options() -> Any:
        return solver.options(case, x, stop=stop)

    o = options()
    initialize_solver(problem, o)
    i, over_ = 0, stop_solver(problem, o, 0)
    states = [state_of(o)]
    while not over_:
        i += 1
        step_solver(problem, o, i)
        over_ = stop_solver(problem, o, i)
        states.append(state_of(o))
    return Run(solver, problem, options, states)


def evaluate(run: Run, x: Any) -> tuple[torch.Tensor, Any]:
    """Return cost and gradient as they follow from the point alone."""
    problem = run.problem
    if run.solver.kind is HessianProblem:  # a gradient that is differentiated again may be computed by other kernels
        cost, context = problem.trial(x)
        return cost, problem.linearize(x, context).gradient
    return get_cost_and_gradient(GradientProblem(problem.M, problem.cost, data=problem.data), x)


def point_cost_and_gradient_agree(run: Run) -> None:
    for i, state in enumerate(run.states):
        x, gradient = state["x"], state["gradient"]
        true_cost, slope = evaluate(run, x)
        assert same_bits(state["cost"], true_cost), f"cost after step {i}"
        if gradient is not None:
            # sums of squares have two: J'r, and the derivative of the cost
            agree = nearly_same if run.solver.kind is LeastSquaresProblem else same_bits
            assert agree(gradient, slope), f"gradient after step {i}"
        run.problem.M.check_point(x)


def nearly_same(a: Any, b: Any) -> bool:
    return all(
        torch.allclose(u, v, rtol=0, atol=64 * torch.finfo(u.dtype).eps * (1 + float(v.abs().max())))
        for u, v in zip(leaves(a), leaves(b), strict=True)
    )


def finished_problems_do_not_move(run: Run) -> None:
    last, moved = run.states[-1], 0
    for j, index in enumerate(itertools.product(*map(range, run.batch))):
        end = ENDS[j % len(ENDS)]
        for name, value in last.items():
            final, when_finished = (at(v, index) for v in (value, run.states[end][name]))
            assert same_bits(final, when_finished), f"{name} of problem {index} changed after its end"
        assert int(last["iterations"][index]) == end
        moved += not same_bits(at(last["x"], index), at(run.states[2]["x"], index))
    third = run.states[2]
    solved = moved or float(run.problem.M.norm(third["x"], third["gradient"]).max()) < 1e-8
    assert solved, "the other problems were to go on, unless two steps solve them"


def solving_does_what_stepping_by_hand_does(run: Run) -> None:
    o = run.options()
    assert solve(run.problem, o) is o
    assert_same_state(run.states[-1], state_of(o))
    assert len(run.states) - 1 == (max(ENDS) if run.batch else LONE_END)


def hooks_change_nothing_and_a_checkpoint_goes_on(run: Run) -> None:
    printed: list[str] = []
    saved: list[Any] = []

    def checkpoint(p: Any, o: Any, i: int) -> None:
        if i == 2:  # where the first problem of a batch is about to end
            saved.append(through_a_file(state_dict(o)))

    last = run.states[-1]
    watched = solve(
        run.problem,
        run.options(),
        debug=[DebugCost(print=printed.append), 2, checkpoint],
        record=[":Iteration", ":Cost", ":Iterate", ":Change", ":GradientNorm"],
    )
    assert_same_state(last, state_of(watched))
    assert sum("F(x)" in text for text in printed) == (len(run.states) + 1) // 2  # at 0, 2, 4, ...
    rows = get_record(watched)
    assert [row[0] for row in rows] == list(range(1, len(run.states)))
    assert same_bits(rows[-1][2], last["x"])

    rest = load_state_dict(run.options(), saved[0])
    assert same_bits(rest.x, run.states[2]["x"])
    solve(run.problem, rest, record=[":Iteration"])
    assert_same_state(last, state_of(rest))
    assert get_record(rest) == [(i,) for i in range(3, len(run.states))]


def through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def given_tensors_stay_untouched(run: Run, given: list[Any], former: list[Any]) -> None:
    for leaf, (values, version) in zip(given, former, strict=True):
        assert torch.equal(leaf, values) and leaf._version == version and not leaf.requires_grad and leaf.grad is None
    last = run.states[-1]
    held = [*leaves(last["x"]), last["cost"], *leaves(last["gradient"])]
    assert all(not leaf.requires_grad for leaf in held if leaf is not None)
    assert all(not (a.data_ptr() == b.data_ptr() and a.numel()) for a in leaves(last["x"]) for b in given)


# ---- runs of the same kind ------------------------------------------------------------------------------------------


@together("batch")
@every_plain_pair
@pytest.mark.parametrize("batch", [(), (2, 3)], ids=str)
def test_fresh_options_give_the_same_and_reset_goes_back(solver: Any, case: Any, batch: Any) -> None:
    problem, x, *_ = solver.pose(case, *batch)
    stop = StopAt(2, 4) if batch else StopAfterIteration(3)
    first, second = (solve(problem, solver.options(case, x, stop=stop)) for _ in range(2))
    assert_same_state(state_of(first), state_of(second))

    assert reset(first) is first
    assert first.x is x
    assert first.cost is None and first.iterations is None and first.iteration == 0
    assert_same_state(state_of(solve(problem, first)), state_of(second))


@together("batch")
@every_plain_pair
@pytest.mark.parametrize("batch", [(), (2, 3)], ids=str)
def test_solving_again_starts_anew_from_where_the_run_ended(solver: Any, case: Any, batch: Any) -> None:
    problem, x, *_ = solver.pose(case, *batch)
    stop = StopAt(2, 4) if batch else StopAfterIteration(3)
    o = solve(problem, solver.options(case, x, stop=stop), record=[":Iteration"])
    middle = o.x
    fresh = solve(problem, solver.options(case, middle, stop=stop))
    solve(problem, o, record=[":Iteration"])
    assert_same_state(state_of(o), state_of(fresh))
    assert o.x0 is middle
    assert get_record(o)[0] == (1,) and len(get_record(o)) == (4 if batch else 3)


@every_plain_pair
def test_n_iterations_are_n_steps_however_late_the_host_reads(solver: Any, case: Any) -> None:
    for batch, n in itertools.product([(), (2, 3)], [0, 1, 7]):
        problem, x, *_ = solver.pose(case, *batch)
        runs = []
        for check_every in (1, 5):
            steps: list[int] = []
            o = solver.options(case, x, stop=StopAfterIteration(n), check_every=check_every)
            solve(problem, o, debug=lambda p, o, i, steps=steps: steps.append(i) if i > 0 else None)
            assert steps == list(range(1, n + 1))
            assert (torch.as_tensor(o.iterations) == n).all()
            assert (torch.as_tensor(o.reason_code) == 1).all()
            runs.append(state_of(o))
        assert_same_state(*runs)
        if n == 0:
            assert same_bits(runs[0]["x"], x)


@every_plain_pair
def test_late_reading_changes_no_result(solver: Any, case: Any) -> None:
    problem, x, *_ = solver.pose(case, 2, 3)
    stop = StopAfterIteration(18) | StopWhenGradientNormLess(1e-3)  # some end, some go on
    every, fifth = (solve(problem, solver.options(case, x, stop=stop, check_every=k)) for k in (1, 5))
    assert_same_state(state_of(every), state_of(fifth))


@every_plain_pair
def test_tensors_that_track_gradients_stay_out_of_the_result(solver: Any, case: Any) -> None:
    problem, x, *_ = solver.pose(case, 2)
    weight = torch.ones((), dtype=torch.float64, requires_grad=True)
    tracked = type(problem)(problem.M, lambda x, *data: weight * problem.cost(x, *data), data=problem.data)
    o = solver.options(case, x, stop=StopAfterIteration(3))
    initialize_solver(tracked, o)
    for i in (1, 2):
        step_solver(tracked, o, i)  # by hand, outside of the no_grad of solve
        stop_solver(tracked, o, i)
    plain = solve(problem, solver.options(case, x, stop=StopAfterIteration(2)))
    assert_same_state(state_of(plain), state_of(o), leave_out=("active", "iterations", "reason_code"))
    assert not get_options(o).cost.requires_grad and all(not leaf.requires_grad for leaf in leaves(o.x))
    assert weight.grad is None


def test_every_solver_meets_every_kind_of_space() -> None:
    kinds = (Sphere, Stiefel, Grassmann, SymmetricPositiveDefinite, Euclidean, Product, FixedRank, Hyperboloid)
    for solver in SOLVERS + LEAST_SQUARES:
        met = {type(case.manifold) for s, case in CONVERGENT if s is solver}
        assert met >= ({Product} if "product" in solver.needs else set(kinds)), solver.name
    assert {s.name for s, _ in CONVERGENT} == {s.name for s, _ in PAIRS}


def test_every_stepsize_is_in_some_configuration() -> None:
    public = {v for v in vars(manopt_torch).values() if inspect.isclass(v) and issubclass(v, Stepsize)}
    met = set()
    for solver, case in PAIRS:
        _, x, *_ = solver.pose(case, 2)
        parts = vars(solver.options(case, x)).values()
        met |= {type(part) for part in parts if isinstance(part, Stepsize)}
    assert {s for s in public if not inspect.isabstract(s)} <= met
