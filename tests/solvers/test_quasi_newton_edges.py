"""Quasi-Newton methods: how much they keep, and what they keep where a step tells nothing."""

from typing import Any

import pytest
import torch

from manopt_torch import (
    ConstantStepsize,
    Euclidean,
    GradientProblem,
    InverseBFGS,
    InverseDFP,
    OptionsError,
    QuasiNewtonOptions,
    StopAfterIteration,
    StopWhenGradientNormLess,
    solve,
)

D = torch.float64


@pytest.mark.parametrize("wrong", [True, False, 2.0, "3"], ids=repr)
def test_a_memory_size_is_a_whole_number(wrong: Any) -> None:
    with pytest.raises(OptionsError, match="memory_size must be an int"):
        QuasiNewtonOptions(torch.zeros(2), memory_size=wrong)


@pytest.mark.parametrize("size", [0, 1])
def test_updates_that_need_a_matrix_say_so(size: int) -> None:
    with pytest.raises(OptionsError, match="needs a full matrix"):
        QuasiNewtonOptions(torch.zeros(2), direction_update=InverseDFP(), memory_size=size)
    assert QuasiNewtonOptions(torch.zeros(2), direction_update=InverseDFP(), memory_size=-1).memory_size == -1


def run(cost: Any, x: torch.Tensor, n: int, **more: Any) -> QuasiNewtonOptions:
    o = QuasiNewtonOptions(x, stepsize=ConstantStepsize(0.5), stop=StopAfterIteration(n), **more)
    return solve(GradientProblem(Euclidean(2), cost), o)


@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_without_memory_it_goes_along_the_gradient(batch: Any, scale: float) -> None:
    a = torch.tensor([1.0, 0.25], dtype=D)
    x = torch.full((*batch, 2), 0.5, dtype=D)  # gradients shorter than one: no step is shortened
    o = run(lambda x: 0.5 * (a * x * x).sum(-1), x, 3, memory_size=0, initial_scale=scale)
    torch.testing.assert_close(o.x, x * (1 - 0.5 * scale * a) ** 3, rtol=1e-14, atol=0)


@pytest.mark.parametrize("size", [3, -1], ids=["memory", "matrix"])
@pytest.mark.parametrize(("bound", "learns"), [(2.0, True), (2.0 + 1e-9, False)])
def test_a_cautious_update_asks_for_curvature(size: int, bound: float, learns: bool) -> None:
    """With Hessian 2 every step has <s, y> = 2 <s, s>; once that is learned a step of 1/2 halves the point."""
    x = torch.tensor([0.25, 0.0], dtype=D)
    more = {"direction_update": InverseBFGS(), "memory_size": size, "initial_scale": 0.5}
    lengths: list[float] = []

    def theta(length: Any) -> Any:
        lengths.append(float(length))
        return bound

    o = run(lambda x: x.square().sum(-1), x, 2, cautious_update=True, cautious_function=theta, **more)
    assert o.pairs == (2 if learns else 0)
    # the lengths of the gradient where the steps began: at 1/4, and half way to the minimum
    assert lengths == pytest.approx([0.5, 0.25], rel=1e-12)


def test_the_default_caution_is_a_ten_thousandth_of_the_gradient() -> None:
    # <s, y> = <s, s> in both, and the gradients are nearly 0.9e4 and 1.1e4 long
    x = torch.tensor([[1.0, 0.0], [1.0, 0.0]], dtype=D)
    slope = torch.tensor([0.9e4, 1.1e4], dtype=D)
    problem = GradientProblem(
        Euclidean(2), lambda x, slope: slope * x[..., 1] + 0.5 * x.square().sum(-1), data=(slope,)
    )
    o = QuasiNewtonOptions(x, stepsize=ConstantStepsize(0.5), stop=StopAfterIteration(1), cautious_update=True)
    assert solve(problem, o).pairs.tolist() == [1, 0]


@pytest.mark.parametrize("size", [3, -1], ids=["memory", "matrix"])
def test_a_finished_problem_keeps_what_it_has_learned(size: int) -> None:
    """Of the curvatures 1 and 1/2 the first is done in one step, where its gradient is zero, the second in two."""
    curvature = torch.tensor([[1.0], [0.5]], dtype=D)
    problem = GradientProblem(Euclidean(1), lambda x, c: 0.5 * (c * x * x).sum(-1), data=(curvature,))
    stop = StopAfterIteration(9) | StopWhenGradientNormLess(1e-12)
    x = torch.full((2, 1), 0.5, dtype=D)
    o = solve(problem, QuasiNewtonOptions(x, stepsize=ConstantStepsize(1.0), memory_size=size, stop=stop))
    assert not o.x.any() and o.iterations.tolist() == [1, 2] and o.pairs.tolist() == [1, 2]
