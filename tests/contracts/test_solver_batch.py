"""A problem comes out the same in every company: in other batches, compacted or not, and (nearly) alone."""

import copy
from typing import Any

import pytest
import torch

from manopt_torch import (
    ConjugateGradientOptions,
    ConstantStepsize,
    GradientDescentOptions,
    GradientProblem,
    HessianProblem,
    Sphere,
    StopAfterIteration,
    StopWhenGradientNormLess,
    get_last_stepsize,
    get_record,
    record_to_dict,
    solve,
    state_dict,
)
from manopt_torch.manifolds.points import leaves, map_leaves
from manopt_torch.testing import problem_named
from tests.contracts.solver_table import (
    ARMIJO,
    CONVERGENT,
    DTYPES,
    PLAIN,
    SOLVERS,
    assert_same_state,
    at,
    every_solver,
    finite,
    over,
    same_bits,
    state_of,
    sub_problem,
)

# where kernels for one matrix and for many differ: costs to 1e-12 (float64), points to the root of that
MATMUL_COST = {torch.float64: 1e-12, torch.float32: 5e-4}
PER_POINT = [(s, c) for s, c in CONVERGENT if c.name == "rayleigh, sums"]
BY_MATMUL = [(s, c) for s, c in CONVERGENT if c.name == "rayleigh, bmm"]


@over(CONVERGENT)
def test_a_problem_comes_out_the_same_in_every_company(solver: Any, case: Any) -> None:
    for dtype in DTYPES if (solver, case) in PLAIN or solver in ARMIJO else DTYPES[:1]:
        compare_companies(solver, case, dtype)


def compare_companies(solver: Any, case: Any, dtype: Any) -> None:
    """Compare a batch of six with a folded one, one with NaN in the data of a problem, two problems, and one alone."""
    problem, x, *_ = solver.pose(case, 6, dtype=dtype)
    stop = StopAfterIteration(8) | StopWhenGradientNormLess(1e-2)  # some end, some go on

    def run(problem: Any, x: Any) -> dict[str, Any]:
        return state_of(solve(problem, solver.options(case, x, stop=stop)))

    six = run(problem, x)
    two = torch.tensor([5, 2])
    assert_same_state({name: at(value, two) for name, value in six.items()}, run(*sub_problem(problem, x, two)))

    folded = copy.copy(problem)
    folded.data = tuple(with_nan(d, 4).unflatten(0, (2, 3)) for d in problem.data)
    met = unfold(run(folded, map_leaves(lambda leaf: leaf.unflatten(0, (2, 3)), x)))
    others = torch.tensor([0, 1, 2, 3, 5])
    assert_same_state(*({name: at(value, others) for name, value in state.items()} for state in (six, met)))
    assert same_bits(at(met["x"], 4), at(x, 4)), "the problem with NaN was to stay at its start"
    assert (int(met["iterations"][4]), int(met["reason_code"][4])) == (0, -1)

    alone = run(*sub_problem(problem, x, 3))
    if case.elementwise:
        assert_same_state({name: at(value, 3) for name, value in six.items()}, alone)
        return
    limit = MATMUL_COST[dtype]
    torch.testing.assert_close(alone["cost"], six["cost"][3], rtol=limit, atol=limit)
    for mine, theirs in zip(leaves(alone["x"]), leaves(at(six["x"], 3)), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=limit**0.5)


def with_nan(d: torch.Tensor, index: int) -> torch.Tensor:
    return torch.where(torch.arange(len(d)).reshape(-1, *(1,) * (d.dim() - 1)) == index, torch.nan, d)


def unfold(state: dict[str, Any]) -> dict[str, Any]:
    return {
        name: map_leaves(lambda leaf: leaf.flatten(0, 1) if isinstance(leaf, torch.Tensor) else leaf, value)
        for name, value in state.items()
    }


@over(PER_POINT + BY_MATMUL)
def test_compaction_changes_no_bit(solver: Any, case: Any) -> None:
    dtype = DTYPES[(solver, case) in BY_MATMUL]
    problem, x, *_ = solver.pose(case, 64, dtype=dtype)
    watched, sizes = watch_sizes(problem)
    stop = solver.converged(dtype)
    compacted = solve(watched, solver.options(case, x, stop=stop))
    assert 2 <= min(sizes) < 32, "the batch was to be compacted"
    entries = [":Iteration", ":Cost", ":Iterate", ":GradientNorm", ":Stepsize"]
    whole, recorded = (
        solve(problem, solver.options(case, x, stop=stop, compact=compact), record=entries) for compact in (False, True)
    )
    assert_same_state(state_of(whole), state_of(compacted))
    assert_same_state(state_of(whole), state_of(recorded))
    rows, rows_whole = record_to_dict(recorded), record_to_dict(whole)
    assert rows.keys() == rows_whole.keys() == set(entries)
    assert all(same_bits(rows[name], rows_whole[name]) for name in rows)
    first_to_end = int(whole.iterations.argmin())
    assert len(get_record(recorded, problem=first_to_end)) == int(whole.iterations.min())


def watch_sizes(problem: Any) -> tuple[Any, list[int]]:
    """Return the problem with a cost that notes how many problems it is asked for."""
    sizes: list[int] = []
    watched = copy.copy(problem)

    def cost(x: Any, *data: torch.Tensor) -> torch.Tensor:
        sizes.append(len(x))
        return problem.cost(x, *data)

    watched.cost = cost
    return watched, sizes


def half_solved(size: int = 64) -> tuple[Any, torch.Tensor, int]:
    """Return Rayleigh quotients of which two thirds start at their minimum."""
    problem, x, *_ = problem_named("rayleigh, sums").pose(size, kind=HessianProblem)
    done = 2 * size // 3
    x = x.clone()
    x[:done] = torch.linalg.eigh(problem.data[0]).eigenvectors[:done, :, 0]
    return problem, x, done


@every_solver
def test_problems_that_start_at_their_minimum_leave_at_once(solver: Any) -> None:
    case = problem_named("rayleigh, sums")
    problem, x, done = half_solved()
    watched, sizes = watch_sizes(problem)
    stop = solver.converged(torch.float64)
    compacted = solve(watched, solver.options(case, x, stop=stop), record=[":Stepsize"])
    whole = solve(problem, solver.options(case, x, stop=stop, compact=False), record=[":Stepsize"])
    assert sizes[1] == len(x) - done
    assert_same_state(state_of(whole), state_of(compacted))
    assert get_last_stepsize(problem, compacted, 1).shape == (64,)
    assert same_bits(record_to_dict(whole)[":Stepsize"], record_to_dict(compacted)[":Stepsize"])
    assert (compacted.iterations[:done] == 0).all() and (compacted.iterations[done:] > 0).all()
    # what functors remember has come back to its place as well
    remembered, remembered_whole = (state_dict(o)["memory"] for o in (compacted, whole))
    for path, memory in remembered_whole.items():
        assert memory is None or all(
            same_bits(at(value, slice(done, None)), at(remembered[path][name], slice(done, None)))
            for name, value in memory.items()
        )


def test_step_sizes_per_problem_are_gathered_along() -> None:
    problem, x, _ = half_solved()
    lengths = torch.linspace(0.05, 0.3, 64, dtype=torch.float64)
    runs = [
        solve(problem, GradientDescentOptions(x, stepsize=ConstantStepsize(lengths), compact=compact))
        for compact in (True, False)
    ]
    assert_same_state(*map(state_of, runs))
    assert same_bits(runs[0].last_stepsize[-1], lengths[-1])


def test_two_batch_axes_are_compacted_as_well() -> None:
    problem, x, *_ = problem_named("rayleigh, sums").pose(8, 8)
    runs = [solve(problem, GradientDescentOptions(x, compact=compact)) for compact in (True, False)]
    assert_same_state(*map(state_of, runs))


@pytest.mark.parametrize("name", ["product", "low rank"])
def test_tuples_are_compacted_as_well(name: str) -> None:
    problem, x, *_ = problem_named(name).pose(32)
    runs = [solve(problem, ConjugateGradientOptions(x, compact=compact)) for compact in (True, False)]
    assert type(runs[0].x) is type(x)
    assert_same_state(*map(state_of, runs))


def test_without_data_nothing_is_gathered() -> None:
    _, x, *_ = problem_named("linear on a sphere").pose(64)
    weights = torch.linspace(0.1, 2.0, 64, dtype=torch.float64)
    sizes = []

    def cost(x: torch.Tensor) -> torch.Tensor:
        sizes.append(len(x))
        return weights * x[..., 0]  # cannot be split: the weights are not data

    o = solve(GradientProblem(Sphere(3), cost), GradientDescentOptions(x, stop=StopWhenGradientNormLess(1e-3)))
    assert set(sizes) == {64}
    assert (o.reason_code == 1).all()


def test_memory_layout_changes_no_bit() -> None:
    problem, x, *_ = problem_named("rayleigh, sums").pose(64)
    strided = copy.copy(problem)
    strided.data = (problem.data[0].permute(2, 1, 0).contiguous().permute(2, 1, 0),)
    runs = [
        solve(p, GradientDescentOptions(start, compact=compact))
        for p, start in ((problem, x), (strided, x.T.contiguous().T))
        for compact in (True, False)
    ]
    for run in runs[1:]:
        assert_same_state(state_of(runs[0]), state_of(run))


@pytest.mark.parametrize("solver", SOLVERS, ids=str)
def test_a_batch_of_none_is_solved_at_once(solver: Any) -> None:
    case = problem_named("rayleigh, sums")
    problem, x, *_ = solver.pose(case, 0)
    o = solve(problem, solver.options(case, x, stop=StopAfterIteration(3)))
    assert o.x.shape == (0, 4) and o.iterations.shape == (0,) and finite(o.x)


@pytest.mark.parametrize("solver", SOLVERS, ids=str)
def test_a_batch_of_one_keeps_its_axis(solver: Any) -> None:
    case = problem_named("rayleigh, sums")
    problem, x, *_ = solver.pose(case, 1)
    o = solve(problem, solver.options(case, x, stop=StopAfterIteration(9)))
    lone, start = sub_problem(problem, x, 0)
    alone = solve(lone, solver.options(case, start, stop=StopAfterIteration(9)))
    assert o.x.shape == (1, 4)
    assert_same_state({name: at(value, 0) for name, value in state_of(o).items()}, state_of(alone))
