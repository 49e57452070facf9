"""The bend foretold along conjugate directions: exact on quadratics where the quotient is known, and fewer trials."""

import math
from types import SimpleNamespace

import pytest
import torch

from manopt_torch import (
    BealeRestartCoefficient,
    ConjugateGradientOptions,
    DaiYuanCoefficient,
    Euclidean,
    GradientProblem,
    HestenesStiefelCoefficient,
    ParabolicLinesearch,
    PolakRibiereCoefficient,
    Sphere,
    StopAfterIteration,
    StopWhenGradientNormLess,
    solve,
)
from manopt_torch.functional.masked import lane_for
from manopt_torch.stepsizes.conjugate_bend import expected_bend, learn_bend, nothing_seen

D = torch.float64


def symmetric(seed, n=60):
    g = torch.randn(n, n, generator=torch.Generator().manual_seed(seed), dtype=D)
    x = torch.randn(n, generator=torch.Generator().manual_seed(100 + seed), dtype=D)
    return (g + g.mT) / (2 * math.sqrt(n)), x / x.norm()


def lanes():
    return [lane_for(Euclidean(4), torch.zeros(*batch, 4, dtype=D)) for batch in ((), (2,))]


@pytest.mark.parametrize("lane", lanes(), ids=["lone", "batch"])
def test_the_relation_gives_the_bend_of_the_next_direction_after_any_step(lane):
    H = torch.diag(torch.tensor([1.0, 3.0, 7.0, 20.0], dtype=D))
    g, d = torch.tensor([[1.0, -2.0, 0.5, 3.0], [-1.0, 1.0, 2.0, -0.5]], dtype=D)
    after = g + 0.3 * (H @ d)  # the gradient after a step that is nowhere near the minimum along d
    y = after - g
    beta = (after @ y) / (d @ y)
    ahead = -after + beta * d
    o = SimpleNamespace(beta=lane.full(beta.item()), square=lane.full((after @ after).item()))
    memory = {
        "quotient": lane.full((after @ H @ after / (after @ after)).item()),
        "bend": lane.full((d @ H @ d).item()),
    }
    true = (ahead @ H @ ahead).item()
    found = torch.as_tensor(expected_bend(lane, o, memory, lane.full(true)), dtype=D)
    torch.testing.assert_close(found, torch.full(lane.shape, true, dtype=D), rtol=1e-12, atol=0.0)
    half = torch.as_tensor(expected_bend(lane, o, memory, lane.full(3 * true)), dtype=D)  # the mean of both guesses
    torch.testing.assert_close(half, torch.full(lane.shape, 2 * true, dtype=D), rtol=1e-12, atol=0.0)
    # and what has been met says which quotient went with it
    learn_bend(lane, o, memory, lane.full(true), lane.full(True))
    kept = torch.as_tensor(memory["quotient"], dtype=D)
    torch.testing.assert_close(kept, (after @ H @ after / (after @ after)).expand(lane.shape), rtol=1e-12, atol=0.0)


@pytest.mark.parametrize("lane", lanes(), ids=["lone", "batch"])
def test_without_a_sensible_search_the_curvature_alone_counts(lane):
    o = SimpleNamespace(beta=lane.full(0.5), square=lane.full(2.0))
    memory = nothing_seen(lane)
    five = torch.full(lane.shape, 5.0, dtype=D)
    torch.testing.assert_close(torch.as_tensor(expected_bend(lane, o, memory, lane.full(5.0)), dtype=D), five)
    for quotient in (1.0, 40.0):  # a relation that has nearly cancelled; one from where the cost bends much more
        memory = {"quotient": lane.full(quotient), "bend": lane.full(7.9)}
        torch.testing.assert_close(torch.as_tensor(expected_bend(lane, o, memory, lane.full(5.0)), dtype=D), five)
    learn_bend(lane, o, memory, lane.full(math.nan), lane.full(False))
    assert torch.as_tensor(memory["quotient"]).isnan().all()
    assert not torch.as_tensor(memory["bend"]).any()


@pytest.mark.parametrize("rule", [HestenesStiefelCoefficient, PolakRibiereCoefficient])
def test_searches_of_conjugate_gradients_take_about_three_evaluations_in_two_iterations(rule):
    stop, counts = StopAfterIteration(500) | StopWhenGradientNormLess(1e-6), [0, 0]
    for seed in range(8):
        a, x = symmetric(seed)
        o = ConjugateGradientOptions(x, coefficient=rule(), stepsize=ParabolicLinesearch(), stop=stop)
        solve(GradientProblem(Sphere(60), lambda x, a=a: -torch.dot(x, a @ x)), o)
        assert o.cost.item() == pytest.approx(-torch.linalg.eigvalsh(a)[-1].item(), abs=1e-10)
        counts[0], counts[1] = counts[0] + o.iteration, counts[1] + o.evaluations["cost"]
    assert counts[1] < 1.55 * counts[0], counts  # by the last curvature alone 1.7


def test_a_problem_of_a_batch_foretells_as_it_does_alone():
    a, x = map(torch.stack, zip(*(symmetric(seed, 10) for seed in range(3)), strict=True))

    def run(a, x):
        rule, stop = HestenesStiefelCoefficient(), StopAfterIteration(12)
        o = ConjugateGradientOptions(x, coefficient=rule, stepsize=ParabolicLinesearch(), stop=stop)
        return solve(
            GradientProblem(Sphere(10), lambda x, a: -(x * (a * x[..., None, :]).sum(-1)).sum(-1), data=(a,)), o
        )

    batch = run(a, x)
    for k in range(3):
        alone = run(a[k], x[k])
        torch.testing.assert_close(batch.x[k], alone.x, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(batch.cost[k], alone.cost, rtol=1e-12, atol=0.0)


def test_directions_that_grow_parallel_are_left_out():
    assert ConjugateGradientOptions(torch.ones(2)).directions_are_conjugate
    assert not BealeRestartCoefficient(DaiYuanCoefficient()).makes_conjugate
    o = ConjugateGradientOptions(
        torch.ones(2, dtype=D),
        coefficient=DaiYuanCoefficient(),
        stepsize=ParabolicLinesearch(),
        stop=StopAfterIteration(3),
    )
    assert not o.directions_are_conjugate
    solve(GradientProblem(Euclidean(2), lambda x: (x * x).sum(-1) + x[..., 0] ** 4), o)
    assert set(o.memory[o.stepsize]) == {"curvature"}


@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_what_rounding_has_hidden_is_not_learnt(batch):
    x = torch.ones(*batch, 1, dtype=D)
    bends = torch.tensor([1e-12, 1.0], dtype=D)[: x.numel()].reshape(batch)  # the first is lost in a cost of 100
    search = ParabolicLinesearch()
    o = ConjugateGradientOptions(x, stepsize=search, stop=StopAfterIteration(1))
    solve(GradientProblem(Euclidean(1), lambda x, a: 100 + 0.4 * a * (x * x).sum(-1), data=(bends,)), o)
    quotients = torch.as_tensor(o.memory[search]["quotient"], dtype=D).reshape(-1)
    assert quotients[0].isnan()
    torch.testing.assert_close(quotients[1:], torch.full((x.numel() - 1,), 0.8, dtype=D), rtol=1e-9, atol=0.0)


def test_a_search_by_hand_before_the_run_knows_the_curvature_only():
    p = GradientProblem(Euclidean(2), lambda x: 4 * (x * x).sum(-1))
    search = ParabolicLinesearch()
    o = ConjugateGradientOptions(torch.ones(2, dtype=D), stepsize=search)
    assert float(search(p, o, 1)) == 0.125
