"""How solvers and rules fit together."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from manopt_torch import (
    AdamRule,
    ArmijoLinesearch,
    Chain,
    ConstantStepsize,
    DirectionRule,
    DropoutRule,
    EquilibratedRule,
    Euclidean,
    GradientDescentOptions,
    GradientRule,
    HeavyBallRule,
    HessianProblem,
    NesterovRule,
    OptionsError,
    ScaleRule,
    StopAfterIteration,
    StopWhenGradientNormLess,
    ZhangSraRule,
    solve,
    steepest_descent,
)
from manopt_torch.testing import problem_named
from tests.contracts.watch import Watch

D = torch.float64


@dataclass(eq=False)
class UphillFor(DirectionRule):
    """Go uphill in the problems of a mask."""

    mask: torch.Tensor
    inner: DirectionRule | None = None

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        return torch.where(self.mask[:, None], -u, 2 * u) if u.dim() > 1 else -u


def test_a_line_search_falls_back_to_the_gradient_problem_by_problem() -> None:
    problem, x, *_ = problem_named("quadratic").pose(4)
    mask = torch.tensor([True, False, True, False])
    stop = StopAfterIteration(5)
    plain, doubled, mixed = (
        solve(problem, GradientDescentOptions(x, direction=rule, stop=stop))
        for rule in (None, ScaleRule(2.0), UphillFor(mask))
    )
    assert torch.equal(mixed.x[mask], plain.x[mask])
    assert torch.equal(mixed.x[~mask], doubled.x[~mask])
    lone, start, *_ = problem_named("quadratic").pose()
    runs = [solve(lone, GradientDescentOptions(start, direction=r, stop=stop)) for r in (None, UphillFor(mask))]
    assert torch.equal(runs[0].x, runs[1].x)


def test_a_constant_step_goes_where_it_is_told() -> None:
    problem, x, *_ = problem_named("quadratic").pose(2)
    o = GradientDescentOptions(
        x,
        direction=UphillFor(torch.tensor([True, False])),
        stepsize=ConstantStepsize(0.1),
        stop=StopAfterIteration(1),
    )
    before = problem.cost(x, *problem.data)
    after = solve(problem, o).cost
    assert after[0] > before[0] and after[1] < before[1]


@pytest.mark.parametrize("rule", [HeavyBallRule(0.5), AdamRule(), NesterovRule(0.5)], ids=repr)
def test_searches_along_rules_converge(rule: Any) -> None:
    problem, x, minimum, _ = problem_named("rayleigh, sums").pose(5)
    search = ArmijoLinesearch(contraction_factor=0.5)
    stop = StopAfterIteration(300) | StopWhenGradientNormLess(1e-4)
    o = solve(problem, GradientDescentOptions(x, direction=rule, stepsize=search, stop=stop))
    torch.testing.assert_close(o.cost, minimum, rtol=0, atol=1e-7)


def test_the_rule_of_the_gradient_changes_nothing() -> None:
    problem, x, *_ = problem_named("product").pose(3)
    plain, ruled = (
        solve(problem, GradientDescentOptions(x, direction=rule, stop=StopAfterIteration(8)))
        for rule in (None, Chain([GradientRule()]))
    )
    assert all(map(torch.equal, plain.x, ruled.x)) and plain.evaluations == ruled.evaluations


def test_front_function_and_memory() -> None:
    weights = torch.tensor([1.0, 100.0], dtype=D)
    x = steepest_descent(
        Euclidean(2),
        lambda x: 0.5 * (weights * x * x).sum(-1),
        torch.ones(3, 2, dtype=D),
        direction=HeavyBallRule(0.8),
        stepsize=ConstantStepsize(0.02),
        stop=StopAfterIteration(400),
    )
    assert x.abs().max() < 1e-12


def test_one_rule_serves_two_runs() -> None:
    problem, x, *_ = problem_named("quadratic").pose(2)
    rule = AdamRule()
    runs = [
        solve(
            problem,
            GradientDescentOptions(x, direction=r, stepsize=ConstantStepsize(0.1), stop=StopAfterIteration(4)),
        )
        for r in (rule, rule, AdamRule())
    ]
    assert torch.equal(runs[0].x, runs[1].x) and torch.equal(runs[0].x, runs[2].x)


def test_finished_problems_keep_what_they_remember() -> None:
    problem, x, *_ = problem_named("quadratic").pose(2)
    x = torch.stack([problem.data[1][0] + 1e-3, x[1]])

    def run(n: int) -> Any:
        o = GradientDescentOptions(
            x,
            direction=HeavyBallRule(0.3),
            stepsize=ConstantStepsize(0.3),
            stop=StopAfterIteration(n) | StopWhenGradientNormLess(1e-4),
        )
        return solve(problem, o)

    o = run(30)
    first, second = o.iterations.tolist()
    assert first < second
    early = run(first)
    assert torch.equal(o.memory[o.direction]["velocity"][0], early.memory[early.direction]["velocity"][0])


@pytest.mark.parametrize("rule", [AdamRule(), DropoutRule(), EquilibratedRule(), ZhangSraRule()], ids=repr)
def test_nothing_is_read_on_the_host(rule: Any) -> None:
    problem, x, *_ = problem_named("product").pose(3, kind=HessianProblem)
    o = GradientDescentOptions(x, direction=rule, stepsize=ConstantStepsize(0.1), stop=StopAfterIteration(4))
    with Watch() as watch:
        solve(problem, o)
    assert not watch.host_reads
    problem, x, *_ = problem_named("product").pose(3, kind=HessianProblem, device="meta")
    o = GradientDescentOptions(x, direction=rule, stepsize=ConstantStepsize(0.1), stop=StopAfterIteration(4))
    assert solve(problem, o).x[0].is_meta


@pytest.mark.parametrize(
    ("direction", "message"),
    [
        (0.9, "direction must be a rule.*0.9"),
        (AdamRule, "direction must be a rule"),
        (HeavyBallRule(0.9, 0.0, 0.5), "inner must be a direction rule, got 0.5"),
        (ZhangSraRule(), "ZhangSraRule asks for the step size"),
    ],
)
def test_what_is_no_rule_is_refused(direction: Any, message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        GradientDescentOptions(torch.zeros(2), direction=direction)


def test_a_rule_may_stand_in_one_place_only() -> None:
    rule = HeavyBallRule(0.9)
    with pytest.raises(OptionsError, match="occurs twice"):
        GradientDescentOptions(torch.zeros(2), direction=Chain([rule, rule]))


def test_a_rule_that_starts_from_scratch_comes_first() -> None:
    with pytest.raises(OptionsError, match="ZhangSraRule would discard"):
        Chain([HeavyBallRule(0.9), ZhangSraRule()])
    with pytest.raises(OptionsError, match="would discard"):
        Chain([HeavyBallRule(0.9), Chain([ZhangSraRule()])])
    assert Chain([ZhangSraRule(), HeavyBallRule(0.9)]).replaces


def test_how_rules_print() -> None:
    rule = Chain([ScaleRule(0.5), AdamRule(beta1=0.5, inner=HeavyBallRule())])
    assert repr(rule) == "Chain([ScaleRule(factor=0.5), AdamRule(beta1=0.5, inner=HeavyBallRule())])"
