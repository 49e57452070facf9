"""Host reads and evaluations are counted: one read an iteration, one fused evaluation a step, no point twice.

Two detectors look for hidden reads of device values, since each finds what the other misses: runs on the meta device,
where nothing can be read, and runs on real values under a dispatch mode. Faults are planted to show that they would be
found.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from manopt_torch import (
    CountedProblem,
    DebugCost,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    Sphere,
    StopAfterIteration,
    StopWhenChangeLess,
    StopWhenCostLess,
    StopWhenGradientNormLess,
    StopWhenRepeated,
    StopWhenStepsizeLess,
    solve,
)
from manopt_torch.functional import masked
from manopt_torch.manifolds.points import leaves
from manopt_torch.testing import problem_named
from tests.contracts.solver_table import (
    ARMIJO,
    CONSTANT,
    PAIRS,
    PLAIN,
    every_plain_pair,
    every_solver,
    over,
)
from tests.contracts.watch import Watch
from tests.together import together

# the line search on all problems, the other stepsizes on the plain ones
WATCHED = [(s, c) for s, c in PAIRS if s is ARMIJO[1] or (s not in ARMIJO and (s, c) in PLAIN)]
CRITERIA = (
    StopAfterIteration(3)
    | StopWhenGradientNormLess(1e-9)
    | StopWhenChangeLess(1e-12)
    | StopWhenRepeated(StopWhenCostLess(-1e9), 3)
    | StopWhenStepsizeLess(0.0)
)


@contextmanager
def no_hidden_reads() -> Iterator[None]:
    with Watch() as watch:
        yield
    assert not watch.host_reads, f"read on the host: {watch.host_reads}"


# ---- hidden reads ---------------------------------------------------------------------------------------------------


@over(WATCHED)
def test_a_run_on_the_meta_device_reads_nothing(solver: Any, case: Any, few_rounds: None) -> None:
    for batch in [(3,), ()] if case.name == "product" else [(3,)]:
        problem, x, *_ = solver.pose(case, *batch, device="meta")
        with no_hidden_reads():  # on this device, also uploads for which the host would wait
            o = solve(problem, solver.options(case, x, stop=CRITERIA))
        assert all(leaf.is_meta for leaf in [*leaves(o.x), o.cost, *leaves(o.gradient)])
        assert o.cost.shape == batch


@over(WATCHED)
def test_a_batch_on_real_values_reads_nothing_hidden(solver: Any, case: Any) -> None:
    problem, x, *_ = solver.pose(case, 3)
    with no_hidden_reads():
        solve(problem, solver.options(case, x, stop=CRITERIA))


@every_solver
def test_compaction_and_records_read_nothing_hidden(solver: Any) -> None:
    case = problem_named("rayleigh, sums")
    problem, x, *_ = solver.pose(case, 40)
    x = x.clone()
    x[:25] = torch.linalg.eigh(problem.data[0]).eigenvectors[:25, :, 0]
    entries = [":Iteration", ":Cost", ":Change", ":GradientNorm", ":Stepsize", 2]
    with no_hidden_reads():
        solve(
            problem,
            solver.options(case, x, stop=StopAfterIteration(6) | StopWhenGradientNormLess(1e-6)),
            record=entries,
        )


FAULTS: dict[str, Callable[[torch.Tensor], Any]] = {
    "if tensor": lambda v: 1 if v.sum() > 0 else 2,
    "float(t)": lambda v: float(v.sum()),
    "t.item()": lambda v: v.sum().item(),
    "torch.equal": lambda v: torch.equal(v, v),
    "nonzero": lambda v: torch.nonzero(v),
    "masked_select": lambda v: v[v > 0],
    "put by mask": lambda v: v.clone().index_put_((v > 0,), v.new_zeros(())),
    "tolist": lambda v: v.tolist(),
    "cpu constant": lambda v: v + torch.ones(3, dtype=v.dtype),
    "cholesky": lambda v: torch.linalg.cholesky(torch.diag_embed(v * v + 1)),
    "solve": lambda v: torch.linalg.solve(torch.diag_embed(v * v + 1), v[..., None]),
}
SEEN_BY_META = {name for name in FAULTS if name not in ("cholesky", "solve", "put by mask")}
SEEN_BY_WATCH = {name for name in FAULTS if name not in ("tolist", "cpu constant")}


def with_fault(fault: str) -> GradientProblem:
    def cost(x: torch.Tensor) -> torch.Tensor:
        FAULTS[fault](x[..., 0].detach())
        return x.square().sum(-1)

    return GradientProblem(Euclidean(2), cost)


@pytest.mark.parametrize("fault", sorted(SEEN_BY_META))
def test_the_meta_device_finds_planted_faults(fault: str) -> None:
    x = torch.ones(3, 2, device="meta")
    with pytest.raises((RuntimeError, NotImplementedError)):
        solve(with_fault(fault), GradientDescentOptions(x, stop=StopAfterIteration(2)))


@pytest.mark.parametrize("fault", sorted(SEEN_BY_WATCH))
def test_the_dispatch_mode_finds_planted_faults(fault: str) -> None:
    x = torch.ones(3, 2, dtype=torch.float64)
    with pytest.raises(AssertionError, match="read on the host"), no_hidden_reads():
        solve(with_fault(fault), GradientDescentOptions(x, stop=StopAfterIteration(2)))


def test_every_planted_fault_is_found_by_one_of_the_two() -> None:
    assert FAULTS.keys() == SEEN_BY_META | SEEN_BY_WATCH


# ---- counted reads --------------------------------------------------------------------------------------------------


@contextmanager
def reads(expected: int) -> Iterator[None]:
    before = masked.reads()
    yield
    assert masked.reads() - before == expected


@pytest.mark.parametrize(
    "stop", [StopAfterIteration(20), StopAfterIteration(20) | StopWhenGradientNormLess(0.0)], ids=repr
)
def test_a_constant_step_reads_once_an_iteration_and_less_often_if_asked(stop: Any) -> None:
    case = problem_named("quadratic")
    problem, x, *_ = CONSTANT.pose(case, 3)
    with reads(20):  # after steps 0 to 19; that step 20 is the last is known
        solve(problem, CONSTANT.options(case, x, stop=stop))
    with reads(4):  # after steps 0, 5, 10 and 15
        solve(problem, CONSTANT.options(case, x, stop=stop, check_every=5))


def test_recording_reads_nothing_and_debug_only_where_it_prints() -> None:
    case = problem_named("quadratic")
    problem, x, *_ = CONSTANT.pose(case, 3)
    with reads(20):
        solve(problem, CONSTANT.options(case, x, stop=StopAfterIteration(20)), record=[":Cost", ":Change", ":Iterate"])
    texts: list[str] = []
    with reads(20), Watch() as watch:
        solve(
            problem, CONSTANT.options(case, x, stop=StopAfterIteration(20)), debug=[DebugCost(print=texts.append), 10]
        )
    assert len(texts) == 3 and not watch.host_reads


def test_a_lone_run_asks_the_host_for_nothing_in_its_loop() -> None:
    case = problem_named("quadratic")
    problem, x, *_ = CONSTANT.pose(case)
    with reads(0):
        solve(problem, CONSTANT.options(case, x, stop=StopAfterIteration(20)))


@pytest.mark.parametrize("solver", ARMIJO, ids=str)
def test_a_line_search_reads_once_a_trial(solver: Any) -> None:
    case = problem_named("quadratic")
    problem, x, *_ = solver.pose(case, 3)
    before = masked.reads()
    o = solve(problem, solver.options(case, x, stop=StopAfterIteration(8)))
    trials = o.evaluations["cost"] - 1
    # a read before each step; in a search one for each trial, and one that ends the shrinking loop
    assert masked.reads() - before <= 8 + trials + 8


# ---- evaluations ----------------------------------------------------------------------------------------------------


@together("batch")
@every_plain_pair
@pytest.mark.parametrize("batch", [(), (3,)], ids=str)
def test_one_gradient_a_step_and_one_at_the_start(solver: Any, case: Any, batch: Any) -> None:
    problem, x, *_ = solver.pose(case, *batch)
    counted = CountedProblem(problem)
    o = solve(counted, solver.options(case, x, stop=StopAfterIteration(6)))
    assert counted.count(":Gradient") == o.evaluations["gradient"]
    assert counted.count(":Cost") == o.evaluations["cost"] >= 7
    if solver.sees_slopes:
        assert o.evaluations["gradient"] <= o.evaluations["cost"]
        return
    assert o.evaluations["gradient"] == 7
    if solver not in ARMIJO and not solver.searches:
        assert counted.count(":Cost") == 7
    again = solve(counted, solver.options(case, x, stop=StopAfterIteration(2)))
    assert again.evaluations["gradient"] == 3 and counted.count(":Gradient") == 10


def test_a_constant_step_evaluates_value_and_gradient_together() -> None:
    forward, backward = [], []

    def cost(x: torch.Tensor) -> torch.Tensor:
        forward.append(x.requires_grad)
        x.register_hook(lambda g: backward.append(1))
        return x.square().sum(-1)

    x = torch.ones(2, 3, dtype=torch.float64)
    solve(
        GradientProblem(Euclidean(3), cost), CONSTANT.options(problem_named("quadratic"), x, stop=StopAfterIteration(5))
    )
    assert forward == [True] * 6 and len(backward) == 6


@every_plain_pair
def test_no_point_is_evaluated_twice_in_a_lone_run(solver: Any, case: Any) -> None:
    problem, x, *_ = solver.pose(case)
    asked: list[tuple] = []
    watched = copy.copy(problem)

    def cost(x: Any, *data: torch.Tensor) -> torch.Tensor:
        asked.append(tuple(tuple(leaf.detach().flatten().tolist()) for leaf in leaves(x)))
        return problem.cost(x, *data)

    watched.cost = cost
    # up to where a step of a fast solver no longer moves the point
    o = solve(watched, solver.options(case, x, stop=StopAfterIteration(12) | StopWhenGradientNormLess(1e-6)))
    assert len(set(asked)) == len(asked) == o.evaluations["cost"] > 1


def test_with_given_gradient_cost_and_gradient_are_asked_for_once_a_step() -> None:
    calls: list[str] = []

    def cost(x: torch.Tensor) -> torch.Tensor:
        calls.append("cost")
        return x[..., 0]

    def gradient(x: torch.Tensor) -> torch.Tensor:
        calls.append("gradient")
        return Sphere(3).project_tangent(x, torch.eye(3, dtype=x.dtype)[0].expand_as(x))

    x = torch.eye(3, dtype=torch.float64)[1:]
    options = CONSTANT.options(problem_named("quadratic"), x, stop=StopAfterIteration(3))
    solve(GradientProblem(Sphere(3), cost, gradient), options, record=[":Cost", ":GradientNorm"])
    assert calls == ["cost", "gradient"] * 4
