"""Rules at the ends of their ranges, in curved spaces, and the numbers of their draws."""

import math
from typing import Any

import pytest
import torch

from manopt_torch import (
    Euclidean,
    GradientProblem,
    NoiseRule,
    OptionsError,
    PreconditionedDirectionRule,
    RMSPropRule,
    Sphere,
    ZhangSraRule,
)
from manopt_torch.directions.draws import drawn, generator_for
from tests.directions.probing import directions, options

F64 = torch.float64


@pytest.mark.parametrize("wrong", [{"mu": 0.0}, {"gamma": 0.0}, {"shrinkage": -0.1}, {"mu": math.inf}])
def test_two_sequences_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionsError, match=next(iter(wrong))):
        ZhangSraRule(**wrong)
    assert ZhangSraRule(shrinkage=0.0).shrinkage == 0


def test_draws_are_counted_from_nought() -> None:
    """Each is that of seed and count alone, so that a run taken up draws what the uninterrupted one would."""
    found = directions(NoiseRule(0.5, seed=4), *[torch.zeros(3)] * 3)
    for count, d in enumerate(found):
        torch.testing.assert_close(2 * d, drawn("normal", 3, generator_for(4, count)), rtol=1e-15, atol=0)
    (none,) = directions(NoiseRule(0.0), [1.0, 2.0])
    assert none.tolist() == [1.0, 2.0]


def on_the_sphere(rule: Any, *places: tuple[list[float], list[float]]) -> list[torch.Tensor]:
    """Return what a rule makes of gradients at points of the sphere."""
    M = Sphere(3)
    p = GradientProblem(M, lambda x: x.sum(-1))
    o, found = options(torch.tensor(places[0][0], dtype=F64), M=M), []
    for i, (x, gradient) in enumerate(places, 1):
        o.x, o.gradient = torch.tensor(x, dtype=F64), torch.tensor(gradient, dtype=F64)
        found.append(rule(p, o, i))
    return found


def test_mean_squares_on_the_sphere_are_those_of_lengths() -> None:
    places = ([1.0, 0.0, 0.0], [0.0, 3.0, 0.0]), ([0.0, 1.0, 0.0], [4.0, 0.0, 0.0])
    first, second = on_the_sphere(RMSPropRule(0.5, eps=0.0), *places)
    # half of 9, then half of that and half of 16
    torch.testing.assert_close(first, torch.tensor([0.0, 3.0, 0.0], dtype=F64) / math.sqrt(4.5), rtol=1e-14, atol=0)
    torch.testing.assert_close(second, torch.tensor([4.0, 0.0, 0.0], dtype=F64) / math.sqrt(10.25), rtol=1e-14, atol=0)
    # centred: the mean (0, 1.5, 0) is carried by projection, to zero, and becomes (2, 0, 0)
    first, second = on_the_sphere(RMSPropRule(0.5, eps=0.0, centered=True), *places)
    torch.testing.assert_close(first, torch.tensor([0.0, 2.0, 0.0], dtype=F64), rtol=1e-14, atol=0)
    known = torch.tensor([4.0, 0.0, 0.0], dtype=F64) / math.sqrt(10.25 - 2**2)
    torch.testing.assert_close(second, known, rtol=1e-14, atol=1e-14)


def test_an_operator_of_ones_own_is_given_the_data() -> None:
    weights = torch.tensor([[1.0, 4.0], [2.0, 8.0]], dtype=F64)
    u = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=F64)
    p = GradientProblem(Euclidean(2), lambda x, w: 0.5 * (w * x * x).sum(-1), data=(weights,))
    o = options(torch.ones(2, 2, dtype=F64), u, Euclidean(2))
    rule = PreconditionedDirectionRule(lambda x, v, w: x * v / w)
    torch.testing.assert_close(rule(p, o, 1), u / weights, rtol=1e-15, atol=0)
    inner = PreconditionedDirectionRule(
        lambda x, v, w: x * v / w, inner=PreconditionedDirectionRule(lambda x, v, w: -v)
    )
    torch.testing.assert_close(inner(p, o, 1), -u / weights, rtol=1e-15, atol=0)
