"""Frank-Wolfe: steps by number and by problem, and data in the oracle."""

from typing import Any

import pytest
import torch

from manopt_torch import (
    Euclidean,
    FrankWolfeOptions,
    GradientProblem,
    OptionsError,
    ShortStepLinesearch,
    StopAfterIteration,
    get_record,
    solve,
)
from manopt_torch.stepsizes.base import Stepsize

D = torch.float64


class Told(Stepsize):
    """Steps told in advance."""

    def __init__(self, *steps: Any) -> None:
        self.steps = steps

    def __call__(self, p: Any, o: Any, i: int, eta: Any = None) -> Any:
        return self.steps[i - 1]


def to_the_end(x: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """The oracle of the cube from -1 to 1."""
    return -gradient.sign()


SLOPE = GradientProblem(Euclidean(1), lambda x: 2.0 * x.sum(-1))


def test_steps_of_any_form_are_cut_off_at_one() -> None:
    lone = torch.ones(1, dtype=D)
    for step, x in ((0.25, 0.5), (torch.tensor(0.25), 0.5), (torch.tensor(3.0), -1.0), (1, -1.0), (3, -1.0)):
        o = FrankWolfeOptions(lone, oracle=to_the_end, stepsize=Told(step), stop=StopAfterIteration(1))
        assert solve(SLOPE, o).x.item() == x and o.last_stepsize == (1 - x) / 2
    steps = torch.tensor([0.25, 1.0, 3.0], dtype=D)
    o = FrankWolfeOptions(
        torch.ones(3, 1, dtype=D), oracle=to_the_end, stepsize=Told(steps), stop=StopAfterIteration(1)
    )
    assert solve(SLOPE, o).x.flatten().tolist() == [0.5, -1.0, -1.0] and o.last_stepsize.tolist() == [0.25, 1.0, 1.0]


@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_the_classical_steps(batch: Any) -> None:
    """2 / 3, 1 / 2 and 2 / 5 of the way, and the gap is the slope of 2 times the distance to the end."""
    o = FrankWolfeOptions(torch.ones(*batch, 1, dtype=D), oracle=to_the_end, stop=StopAfterIteration(3))
    rows = get_record(solve(SLOPE, o, record=[":Stepsize", ":gap"]))
    left = [2 / 3, 1 / 3, 1 / 5]
    steps, gaps = ([torch.as_tensor(v, dtype=D).max().item() for v in column] for column in zip(*rows, strict=True))
    assert steps == pytest.approx([2 / 3, 1 / 2, 2 / 5], rel=1e-14)
    assert gaps == pytest.approx([2 * d for d in left], rel=1e-14)
    torch.testing.assert_close(o.x, torch.full((*batch, 1), -1 + left[-1], dtype=D), rtol=1e-14, atol=0)
    torch.testing.assert_close(o.direction, torch.full((*batch, 1), -left[-1], dtype=D), rtol=1e-14, atol=0)


def test_a_short_step_is_exact_on_its_parabola() -> None:
    """Each problem has an oracle of its own, that of the interval from -r to r; the minimum lies inside."""
    r, a = torch.tensor([[1.0], [4.0]], dtype=D), torch.tensor([[0.5], [-0.25]], dtype=D)
    problem = GradientProblem(Euclidean(1), lambda x, r, a: (x - a).square().sum(-1), data=(r, a))

    def oracle(x: torch.Tensor, gradient: torch.Tensor, r: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        return -r * gradient.sign()

    search, stop = ShortStepLinesearch(), StopAfterIteration(100)
    o = solve(problem, FrankWolfeOptions(r.clone(), oracle=oracle, stepsize=search, stop=stop))
    torch.testing.assert_close(o.x, a, rtol=0, atol=1e-6)
    # the gap is the slope times the way to the end
    gap = 2 * (o.x - a) * (o.x - oracle(o.x, 2 * (o.x - a), r, a))
    torch.testing.assert_close(o.gap, gap[:, 0], rtol=1e-12, atol=1e-15)
    with pytest.raises(OptionsError, match="check_every"):
        FrankWolfeOptions(r, oracle=oracle, check_every=0)
