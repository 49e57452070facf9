"""A problem that meets NaN or infinity keeps its last finite point, says so, and leaves the others alone."""

import copy
from typing import Any

import pytest
import torch

from manopt_torch import (
    Euclidean,
    HessianProblem,
    NonFiniteError,
    StopAfterIteration,
    get_cost,
    get_reason,
    solve,
)
from manopt_torch.manifolds.points import map_leaves
from tests.contracts.solver_table import (
    ARMIJO,
    SOLVERS,
    STEPSIZES,
    assert_same_state,
    at,
    every_dtype,
    every_solver,
    finite,
    state_of,
    sub_problem,
)
from tests.together import together

GRADIENT_SOLVERS = [s for s in SOLVERS + STEPSIZES if "gradient" in s.needs]


def test_the_reason_names_the_iteration() -> None:
    problem, x = walled([100.0, float("nan"), 100.0])
    o = solve(problem, SOLVERS[0].options(None, x, stop=StopAfterIteration(2)))
    assert "non-finite at iteration 0" in get_reason(o)[1]
    assert "(2)" in get_reason(o)[0] and "non-finite" not in get_reason(o)[2]


def walled(walls: list[float], dtype: torch.dtype = torch.float64, **more: Any) -> tuple[Any, torch.Tensor]:
    """Return quadratics whose cost is NaN where the first coordinate exceeds the wall, and their start at zero."""
    n = len(walls)
    centre = torch.tensor([[1.6, 1.8], [1.3, 1.1], [1.7, 1.9], [1.2, 1.5]], dtype=dtype)[:n]

    def cost(x: torch.Tensor, c: torch.Tensor, wall: torch.Tensor) -> torch.Tensor:
        return 0.6 * (x - c).square().sum(-1) + 0 * torch.log(wall[..., 0] - x[..., 0])

    data = (centre, torch.tensor(walls, dtype=dtype)[:, None])
    return HessianProblem(Euclidean(2), more.pop("cost", cost), data=data, **more), torch.zeros(n, 2, dtype=dtype)


class _Case:
    """What the table's solvers want to know about a problem."""

    stepsize = 0.5
    provides = frozenset({"mild"})


@together("dtype")
@pytest.mark.parametrize("solver", GRADIENT_SOLVERS, ids=str)
@every_dtype
def test_a_cost_that_becomes_nan_later(solver: Any, dtype: Any) -> None:
    """A search backs off from the wall until it stagnates (or cannot find a finite trial); other steps run into it."""
    clean, x = walled([100.0] * 4, dtype)
    broken, _ = walled([100.0, 100.0, 0.55, 100.0], dtype)
    stop = solver.converged(dtype)
    before, after = (solve(p, solver.options(_Case, x, stop=stop)) for p in (clean, broken))
    others = torch.tensor([0, 1, 3])
    assert_same_state(*({name: at(v, others) for name, v in state_of(o).items()} for o in (before, after)))
    state = state_of(after)
    assert finite((state["x"], state["cost"], state["gradient"]))
    assert state["x"][2, 0] < 0.55
    # searches with slopes creep up to the wall in shorter steps
    assert 0 < int(state["iterations"][2]) < (200 if solver.sees_slopes else 100), "the problem was to end by itself"
    if solver in ARMIJO or solver.searches:
        assert "non-finite" in get_reason(after)[2] or "stagnated" in get_reason(after)[2]
        assert state["x"][2, 0] > 0.5, "the search was to creep up to the wall"
    else:
        assert f"non-finite at iteration {int(state['iterations'][2])}" in get_reason(after)[2]

    assert_same_alone(solver, broken, x, stop, state)


def assert_same_alone(solver: Any, problem: Any, x: Any, stop: Any, state: dict[str, Any]) -> None:
    """Compare problem 2 of a batch with its lone run."""
    lone, start = sub_problem(problem, x, 2)
    alone = state_of(solve(lone, solver.options(_Case, start, stop=stop)))
    # a lone problem that never moved has had no step; in a batch its neighbours have
    unset = tuple(name for name, value in alone.items() if value is None)
    assert_same_state(alone, {name: at(value, 2) for name, value in state.items()}, leave_out=unset)


@together("dtype")
@pytest.mark.parametrize("solver", GRADIENT_SOLVERS, ids=str)
@every_dtype
def test_a_gradient_that_becomes_nan_while_the_cost_is_finite(solver: Any, dtype: Any) -> None:
    def cost(x: torch.Tensor, c: torch.Tensor, wall: torch.Tensor) -> torch.Tensor:
        return 0.6 * (x - c).square().sum(-1)

    def gradient(x: torch.Tensor, c: torch.Tensor, wall: torch.Tensor) -> torch.Tensor:
        return torch.where(x[..., :1] > wall, torch.nan, 1.2 * (x - c))

    stop = solver.converged(dtype)
    runs = []
    for wall in (100.0, 0.55):
        problem, x = walled([100.0, 100.0, wall, 100.0], dtype, cost=cost, gradient=gradient)
        runs.append(solve(problem, solver.options(_Case, x, stop=stop)))
    others = torch.tensor([0, 1, 3])
    assert_same_state(*({name: at(v, others) for name, v in state_of(o).items()} for o in runs))
    state = state_of(runs[1])
    # one that looks at gradients of trials backs off
    reason = "stagnated" if solver.sees_slopes else f"non-finite at iteration {int(state['iterations'][2])}"
    assert reason in get_reason(runs[1])[2]
    assert state["x"][2, 0] <= 0.55 and finite((state["x"], state["gradient"]))
    torch.testing.assert_close(state["cost"], get_cost(problem, state["x"]), rtol=0, atol=0)
    assert_same_alone(solver, problem, x, stop, state)


@every_solver
def test_minus_infinity_is_not_a_minimum(solver: Any) -> None:
    problem, x = walled([100.0] * 3)
    bottomless = HessianProblem(
        Euclidean(2),
        lambda x, c, w: torch.where((x[..., 0] > 0.55) & (w[..., 0] < 50), -torch.inf, problem.cost(x, c, w)),
        data=(problem.data[0], torch.tensor([[100.0], [1.0], [100.0]], dtype=torch.float64)),
    )
    clean = solve(problem, solver.options(_Case, x, stop=solver.converged(torch.float64)))
    met = solve(bottomless, solver.options(_Case, x, stop=solver.converged(torch.float64)))
    others = torch.tensor([0, 2])
    assert_same_state(*({name: at(v, others) for name, v in state_of(o).items()} for o in (clean, met)))
    assert met.x[1, 0] <= 0.55 and finite((met.x, met.cost, met.gradient))
    assert met.reason_code[1] < 0


@together("batch")
@every_solver
@pytest.mark.parametrize("batch", [(), (3,)], ids=str)
def test_if_no_problem_can_start_that_is_an_error(solver: Any, batch: Any) -> None:
    problem = HessianProblem(Euclidean(2), lambda x: x.sum(-1).log())  # the log of -2
    x = torch.full((*batch, 2), -1.0, dtype=torch.float64)
    with pytest.raises(NonFiniteError, match="start"):
        solve(problem, solver.options(_Case, x))


@every_solver
def test_all_problems_may_end_so_later(solver: Any) -> None:
    problem, x = walled([0.55, 0.4, 0.3])
    o = solve(problem, solver.options(_Case, x, stop=solver.converged(torch.float64)))
    assert finite((o.x, o.cost, o.gradient))
    assert (o.reason_code < 0).all() and (o.iterations > 0).all()


@every_solver
def test_one_broken_problem_keeps_no_batch_from_being_compacted(solver: Any) -> None:
    walls = [100.0] * 4
    problem, x = walled(walls)
    many = copy.copy(problem)
    many.data = tuple(d.repeat(16, *(1,) * (d.dim() - 1)) for d in problem.data)
    many.data[1][::3] = torch.nan  # 22 of 64
    start = map_leaves(lambda leaf: leaf.repeat(16, 1), x)
    runs = [
        solve(many, solver.options(_Case, start, stop=solver.converged(torch.float64), compact=compact))
        for compact in (True, False)
    ]
    assert_same_state(*map(state_of, runs))
    assert (runs[0].reason_code[::3] == -1).all() and (runs[0].reason_code == -1).sum() == 22
