"""What every solver keeps, run by run: the known minimum, agreement of the state, decorators, stepping by hand."""

import itertools
from typing import Any

import pytest
import torch

from manopt_torch import (
    DebugCost,
    GradientProblem,
    LeastSquaresProblem,
    StopAfterIteration,
    get_cost_and_gradient,
    get_options,
    get_record,
    get_solver_result,
    initialize_solver,
    report,
    reset,
    solve,
    step_solver,
    stop_solver,
)
from manopt_torch.manifolds.points import leaves
from tests.contracts.solver_table import (
    CONVERGENT,
    DTYPES,
    PAIRS,
    StopAt,
    assert_same_state,
    at,
    every_batch,
    every_corner,
    every_dtype,
    every_pair,
    every_plain_pair,
    over,
    same_bits,
    state_of,
)

# the cost at a point whose gradient norm is below a solver's accuracy, and rounding of data and start
COST_TOLERANCE = dict(zip(DTYPES, (1e-11, 3e-5), strict=True))
POINT_TOLERANCE = dict(zip(DTYPES, (1e-6, 1e-2), strict=True))


@over(CONVERGENT)
@every_batch
@every_dtype
def test_the_known_minimum_is_reached(solver: Any, case: Any, batch: Any, dtype: Any) -> None:
    problem, x, minimum, minimiser = solver.pose(case, *batch, dtype=dtype)
    o = solve(problem, solver.options(case, x, stop=solver.converged(dtype)))
    assert report(o).converged == max(minimum.numel(), 1)
    assert o.cost.dtype == dtype
    assert o.cost.shape == batch
    assert get_solver_result(o) is o.x
    problem.M.check_point(o.x)
    torch.testing.assert_close(o.cost.double(), minimum, rtol=0, atol=COST_TOLERANCE[dtype])
    if minimiser is not None:
        for found, known in zip(leaves(o.x), leaves(minimiser), strict=True):
            torch.testing.assert_close(found.double(), known, rtol=0, atol=POINT_TOLERANCE[dtype])


@every_pair
@every_batch
@every_dtype
def test_point_cost_and_gradient_agree_after_each_step(solver: Any, case: Any, batch: Any, dtype: Any) -> None:
    problem, x, *_ = solver.pose(case, *batch, dtype=dtype)
    o = solver.options(case, x, stop=StopAt(3, 5, 7) if batch else StopAfterIteration(5))
    initialize_solver(problem, o)
    i, over_ = 0, stop_solver(problem, o, 0)
    while True:
        cost, gradient = get_cost_and_gradient(GradientProblem(problem.M, problem.cost, data=problem.data), o.x)
        assert same_bits(o.cost, cost), f"cost after step {i}"
        if o.gradient is not None:
            # sums of squares have two: J'r, and the derivative of the cost
            agree = nearly_same if solver.kind is LeastSquaresProblem else same_bits
            assert agree(o.gradient, gradient), f"gradient after step {i}"
        problem.M.check_point(o.x)
        if over_:
            break
        i += 1
        step_solver(problem, o, i)
        over_ = stop_solver(problem, o, i)
    assert i == (5 if not batch else 5 if batch == (2,) else 7)


def nearly_same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.allclose(a, b, rtol=0, atol=64 * torch.finfo(a.dtype).eps * (1 + float(b.abs().max())))


@every_pair
@pytest.mark.parametrize("batch", [(2,), (2, 3)], ids=str)
def test_a_finished_problem_does_not_move(solver: Any, case: Any, batch: Any) -> None:
    problem, x, *_ = solver.pose(case, *batch)
    o = solver.options(case, x, stop=StopAt(2, 7, 4))
    seen: list[dict[str, Any]] = []
    solve(problem, o, debug=lambda p, o, i: seen.append(state_of(o)) if i >= 0 else None)
    last = state_of(o)
    moved = 0
    for j, index in enumerate(itertools.product(*map(range, batch))):
        end = (2, 7, 4)[j % 3]
        for name in last.keys() - {"active", "iterations", "reason_code"}:  # written after the actions have looked
            final, when_finished = (at(state[name], index) for state in (last, seen[end]))
            assert same_bits(final, when_finished), f"{name} of problem {index} changed after its end"
        assert int(last["iterations"][index]) == end
        moved += not same_bits(at(last["x"], index), at(seen[2]["x"], index))
    solved = moved or float(problem.M.norm(seen[2]["x"], seen[2]["gradient"]).max()) < 1e-8
    assert solved, "the other problems were to go on, unless two steps solve them"


@every_pair
@every_corner
def test_debug_and_record_change_no_iterate(
    solver: Any, case: Any, batch: Any, dtype: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    problem, x, *_ = solver.pose(case, *batch, dtype=dtype)
    printed: list[str] = []
    stop = (StopAt(3, 5) if batch else StopAfterIteration(3)) | StopAfterIteration(6)
    plain = solve(problem, solver.options(case, x, stop=stop))
    watched = solve(
        problem,
        solver.options(case, x, stop=stop),
        debug=[DebugCost(print=printed.append), 2],
        record=[":Iteration", ":Cost", ":Iterate", ":Change", ":GradientNorm"],
    )
    assert_same_state(state_of(plain), state_of(watched))
    assert len(printed) == 3 if batch else 2  # 0, 2 and 4; or 0 and 2
    rows = get_record(watched)
    assert [row[0] for row in rows] == list(range(1, 6 if batch else 4))
    assert same_bits(rows[-1][2], plain.x)
    assert capsys.readouterr().out == ""


@every_pair
@every_corner
def test_solve_does_what_stepping_by_hand_does(solver: Any, case: Any, batch: Any, dtype: Any) -> None:
    problem, x, *_ = solver.pose(case, *batch, dtype=dtype)
    stop = StopAt(3, 5) if batch else StopAfterIteration(4)
    solved, by_hand = (solver.options(case, x, stop=stop) for _ in range(2))
    assert solve(problem, solved) is solved
    initialize_solver(problem, by_hand)
    i = 0
    while not stop_solver(problem, by_hand, i):
        i += 1
        step_solver(problem, by_hand, i)
    assert_same_state(state_of(solved), state_of(by_hand))
    assert i == (5 if batch else 4)
    assert all(not leaf.requires_grad for leaf in leaves(by_hand.x))


@every_plain_pair
@pytest.mark.parametrize("batch", [(), (2, 3)], ids=str)
def test_fresh_options_give_the_same_and_reset_goes_back(solver: Any, case: Any, batch: Any) -> None:
    problem, x, *_ = solver.pose(case, *batch)
    stop = StopAt(3, 5) if batch else StopAfterIteration(4)
    first, second = (solve(problem, solver.options(case, x, stop=stop)) for _ in range(2))
    assert_same_state(state_of(first), state_of(second))

    assert reset(first) is first
    assert first.x is x
    assert first.cost is None and first.iterations is None and first.iteration == 0
    assert_same_state(state_of(solve(problem, first)), state_of(second))


@every_plain_pair
@pytest.mark.parametrize("batch", [(), (2, 3)], ids=str)
def test_solving_again_starts_anew_from_where_the_run_ended(solver: Any, case: Any, batch: Any) -> None:
    problem, x, *_ = solver.pose(case, *batch)
    stop = StopAt(3, 5) if batch else StopAfterIteration(4)
    o = solve(problem, solver.options(case, x, stop=stop), record=[":Iteration"])
    middle = o.x
    fresh = solve(problem, solver.options(case, middle, stop=stop))
    solve(problem, o, record=[":Iteration"])
    assert_same_state(state_of(o), state_of(fresh))
    assert o.x0 is middle
    assert get_record(o)[0] == (1,) and len(get_record(o)) == (5 if batch else 4)


@every_plain_pair
@every_batch
@pytest.mark.parametrize("n", [0, 1, 7])
def test_n_iterations_are_n_steps_however_late_the_host_reads(solver: Any, case: Any, batch: Any, n: int) -> None:
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
@every_dtype
def test_late_reading_changes_no_result(solver: Any, case: Any, dtype: Any) -> None:
    problem, x, *_ = solver.pose(case, 2, 3, dtype=dtype)
    every, fifth = (
        solve(problem, solver.options(case, x, stop=solver.converged(dtype), check_every=k)) for k in (1, 5)
    )
    assert_same_state(state_of(every), state_of(fifth))


@every_pair
@every_corner
def test_start_and_data_stay_untouched(solver: Any, case: Any, batch: Any, dtype: Any) -> None:
    problem, x, *_ = solver.pose(case, *batch, dtype=dtype)
    given = [*leaves(x), *problem.data]
    former = [(leaf.clone(), leaf._version) for leaf in given]
    o = solve(problem, solver.options(case, x, stop=StopAfterIteration(3)))
    for leaf, (values, version) in zip(given, former, strict=True):
        assert torch.equal(leaf, values) and leaf._version == version and not leaf.requires_grad and leaf.grad is None
    held = [*leaves(o.x), o.cost, *leaves(o.gradient)]
    assert all(not leaf.requires_grad for leaf in held)
    assert all(not (a.data_ptr() == b.data_ptr() and a.numel()) for a in leaves(o.x) for b in given)


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


def test_every_solver_meets_a_convergent_problem() -> None:
    assert {s.name for s, _ in CONVERGENT} == {s.name for s, _ in PAIRS}
