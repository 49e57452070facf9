"""Stochastic gradient descent."""

from typing import Any

import pytest
import torch

from manopt_torch import (
    AdamRule,
    ArmijoLinesearch,
    Chain,
    ClipNormRule,
    ConstantStepsize,
    DecreasingStepsize,
    EquilibratedRule,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    HeavyBallRule,
    LinearEvalOrder,
    OptionsError,
    Sphere,
    StochasticGradientDescentOptions,
    StochasticProblem,
    StopAfterIteration,
    StopWhenGradientNormLess,
    StopWhenRepeated,
    ZhangSraRule,
    check_solver,
    get_cost,
    get_record,
    load_state_dict,
    solve,
    state_dict,
    stochastic_gradient_descent,
)

D = torch.float64
GENERATOR = torch.Generator().manual_seed(0)
A = torch.randn(6, 10, 4, dtype=D, generator=GENERATOR)
TRUE = torch.randn(6, 4, dtype=D, generator=GENERATOR)
Y = (A * TRUE[:, None]).sum(-1)
ZERO = torch.zeros(6, 4, dtype=D)


def cost(x: torch.Tensor, a: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return ((a * x.unsqueeze(-2)).sum(-1) - y).square().mean(-1)


def problem(**more: Any) -> StochasticProblem:
    return StochasticProblem(Euclidean(4), cost, data=(A, Y), **more)


def options(x: torch.Tensor = ZERO, n: int = 12, **more: Any) -> StochasticGradientDescentOptions:
    more = {"stepsize": ConstantStepsize(0.05), "stop": StopAfterIteration(n)} | more
    return StochasticGradientDescentOptions(x, **more)


def test_steps_are_those_written_by_hand() -> None:
    x = ZERO
    for k in range(12):
        j = k % 4
        a, y = A[:, 3 * j : 3 * j + 3], Y[:, 3 * j : 3 * j + 3]
        residual = (a * x[:, None]).sum(-1) - y
        x = x - 0.05 * 2 * (residual[..., None] * a).mean(-2)
    o = solve(problem(batch_size=3, order=LinearEvalOrder()), options())
    torch.testing.assert_close(o.x, x, rtol=0, atol=1e-13)
    assert o.evaluations["cost"] == o.evaluations["gradient"] == 13
    # what is kept belongs to the terms whose turn is next
    torch.testing.assert_close(o.cost, cost(o.x, A[:, :3], Y[:, :3]))


def test_consistent_equations_are_solved() -> None:
    criterion = StopWhenRepeated(StopWhenGradientNormLess(1e-8), 10)
    o = solve(problem(), options(n=4000, stop=StopAfterIteration(4000) | criterion))
    torch.testing.assert_close(o.x, TRUE, rtol=0, atol=1e-6)
    assert (o.reason_code == 2).all()


def test_all_terms_make_it_gradient_descent() -> None:
    whole = solve(problem(batch_size=None), options())
    plain = GradientProblem(Euclidean(4), cost, data=(A, Y))
    o = GradientDescentOptions(ZERO, stepsize=ConstantStepsize(0.05), stop=StopAfterIteration(12))
    assert torch.equal(whole.x, solve(plain, o).x)
    assert torch.equal(whole.x, solve(plain, options()).x)


RULES = [
    None,
    AdamRule(),
    Chain([ClipNormRule(1.0), HeavyBallRule(0.5)]),
    EquilibratedRule(),
    ZhangSraRule(),
]


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_laws_of_solvers(rule: Any) -> None:
    check = check_solver(lambda x: options(x, direction=rule), problem(batch_size=None), ZERO)
    assert check.passed, str(check)
    # between its steps a mini-batch shows the terms of the next: that law is for all terms
    check = check_solver(lambda x: options(x, direction=rule), problem(batch_size=3), ZERO)
    assert [outcome.law for outcome in check.failures] == ["point, cost and gradient agree"]


@pytest.mark.parametrize("rule", [None, HeavyBallRule(0.5)], ids=repr)
def test_compaction_and_resume_draw_the_same(rule: Any) -> None:
    many = torch.arange(48) % 6
    p = StochasticProblem(Euclidean(4), cost, data=(A[many], Y[many]), batch_size=3)
    x = TRUE[many] + torch.where(torch.arange(48) < 30, 1e-9, 1.0)[:, None]
    stop = StopAfterIteration(60) | StopWhenGradientNormLess(1e-6)
    compacted, whole = (solve(p, options(x, stop=stop, direction=rule, compact=c)) for c in (True, False))
    assert torch.equal(compacted.x, whole.x) and torch.equal(compacted.iterations, whole.iterations)
    assert (whole.iterations == 0).sum() == 30

    half = solve(p, options(x, n=7, direction=rule))
    rest = load_state_dict(options(x, n=20, direction=rule), state_dict(half))
    assert torch.equal(solve(p, rest).x, solve(p, options(x, n=20, direction=rule)).x)


def test_a_line_search_sees_its_sample() -> None:
    seen: list[Any] = []
    p = problem(batch_size=2)
    o = options(stepsize=ArmijoLinesearch(contraction_factor=0.5), direction=HeavyBallRule(0.3), n=200)
    solve(p, o, record=[":Stepsize"], debug=lambda p, o, i: seen.append(o.sample[1]) if i > 0 else None)
    assert get_cost(p, o.x).max() < 1e-6
    assert seen == list(range(2, 202)) and len(get_record(o)) == 200


def test_the_mean_direction_of_a_cloud() -> None:
    """Robbins and Monro: the iterates of a decreasing step size converge to the minimiser of the mean."""
    generator = torch.Generator().manual_seed(1)
    points = torch.tensor([1.0, 0.0, 0.0], dtype=D) + 0.3 * torch.randn(200, 3, dtype=D, generator=generator)
    o = stochastic_gradient_descent(
        Sphere(3),
        lambda x, index: -(points[index] * x.unsqueeze(-2)).sum(-1).mean(-1),
        torch.tensor([[0.0, 0.6, 0.8], [0.6, 0.8, 0.0]], dtype=D),
        terms=200,
        batch_size=4,
        stepsize=DecreasingStepsize(1.5),
        stop=StopAfterIteration(800),
        return_options=True,
    )
    mean = points.mean(0) / points.mean(0).norm()
    torch.testing.assert_close(o.x, mean.expand(2, 3), rtol=0, atol=1e-2)


def test_defaults_and_refusals() -> None:
    o = StochasticGradientDescentOptions(ZERO)
    assert repr(o.stop) == "StopAfterIteration(10000) | StopWhenGradientNormLess(1e-09)"
    assert o.stepsize.length == 0.01 and o.direction is None
    with pytest.raises(OptionsError, match="stepsize"):
        StochasticGradientDescentOptions(ZERO, stepsize=ConstantStepsize)
    with pytest.raises(OptionsError, match="direction.*0.9"):
        StochasticGradientDescentOptions(ZERO, direction=0.9)
    with pytest.raises(OptionsError, match="line search"):
        StochasticGradientDescentOptions(ZERO, direction=ZhangSraRule(), stepsize=ArmijoLinesearch())
