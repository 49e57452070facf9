"""Rules that draw: distributions by their moments, probes of known products, masks of known shares."""

import math
from typing import Any

import pytest
import torch

from manopt_torch import CoordinateMomentumRule, EquilibratedRule, Euclidean, HessianProblem, NoiseRule, OptionsError
from manopt_torch.directions.draws import drawn, generator_for
from manopt_torch.errors import ShapeError
from tests.directions.probing import directions, options

N = 100_000
F64 = torch.float64


@pytest.mark.parametrize(
    ("distribution", "fourth", "largest"),
    [("normal", 3.0, math.inf), ("uniform", 9 / 5, math.sqrt(3)), ("sphere", 3.0, math.inf), ("rademacher", 1.0, 1.0)],
)
def test_moments_of_the_distributions(distribution: str, fourth: float, largest: float) -> None:
    """The noise of a rule has mean zero, variance one, and the fourth moment of its distribution."""
    (d,) = directions(NoiseRule(2.0, seed=1, distribution=distribution), torch.zeros(N))
    c = d / 2
    assert c.mean().abs() < 5 / math.sqrt(N)
    assert c.square().mean().item() == pytest.approx(1.0, abs=5 * math.sqrt(2 / N))
    assert c.pow(4).mean().item() == pytest.approx(fourth, abs=5 * math.sqrt(96 / N))
    assert c.abs().max() <= largest


def test_a_draw_on_the_sphere_has_one_length() -> None:
    for n in (1, 2, 30):
        c = [drawn("sphere", n, generator_for(0, k)) for k in range(4)]
        assert [v.norm().item() for v in c] == pytest.approx([math.sqrt(n)] * 4, rel=1e-14)
        assert n == 1 or not torch.equal(c[0], c[1])
    rows = drawn("rademacher", 50, generator_for(0, 0))
    assert set(rows.tolist()) == {-1.0, 1.0}


def test_a_distribution_of_ones_own() -> None:
    asked: list[int] = []

    def mine(n: int, generator: torch.Generator) -> torch.Tensor:
        asked.append(n)
        return torch.arange(n, dtype=F64)

    rule = NoiseRule(0.5, distribution=mine)
    first, second = directions(rule, [1.0, 1.0, 1.0], [0.0, 0.0, 0.0])
    assert first.tolist() == [1.0, 1.5, 2.0] and second.tolist() == [0.0, 0.5, 1.0] and asked == [3, 3]
    for wrong, got in ((torch.zeros(2), r"shape \(2,\)"), ([0.0] * 3, "list")):
        with pytest.raises(ShapeError, match=got):
            directions(NoiseRule(0.5, distribution=lambda n, generator, c=wrong: c), torch.zeros(3))
    with pytest.raises(OptionsError, match="distribution"):
        NoiseRule(distribution="cauchy")


def scaled_by(rule: Any, curvature: torch.Tensor, *gradients: torch.Tensor) -> list[torch.Tensor]:
    """Return what a rule makes of gradients at the origin of a quadratic with this diagonal Hessian."""
    problem = HessianProblem(Euclidean(*curvature.shape), lambda x: 0.5 * (curvature * x * x).sum(-1))
    o = options(torch.zeros_like(curvature))
    found = []
    for i, o.gradient in enumerate(gradients, 1):
        found.append(rule(problem, o, i))
    return found


def test_probes_of_signs_find_a_diagonal_hessian() -> None:
    a, u = torch.tensor([3.0, -4.0, 0.5], dtype=F64), torch.tensor([1.0, 2.0, -1.0], dtype=F64)
    signs = EquilibratedRule(decay=0.0, eps=0.25, probe="rademacher")
    for d in scaled_by(signs, a, u, u):
        torch.testing.assert_close(d, u / (a.abs() + 0.25), rtol=1e-14, atol=0)
    # D = a^2 / 2, then 3 a^2 / 4
    first, second = scaled_by(EquilibratedRule(decay=0.5, eps=1e-300, probe="rademacher"), a, u, 2 * u)
    torch.testing.assert_close(first, u / (a.abs() * math.sqrt(0.5)), rtol=1e-14, atol=0)
    torch.testing.assert_close(second, 2 * u / (a.abs() * math.sqrt(0.75)), rtol=1e-14, atol=0)


def test_normal_probes_have_normal_products() -> None:
    u = torch.ones(N, dtype=F64)
    (d,) = scaled_by(EquilibratedRule(decay=0.0, eps=1e-300), 3 * u, u)
    squares = (3 * d).reciprocal().square()  # of the coordinates of the probe
    assert squares.mean().item() == pytest.approx(1.0, abs=5 * math.sqrt(2 / N))
    assert squares.square().mean().item() == pytest.approx(3.0, abs=5 * math.sqrt(96 / N))


@pytest.mark.parametrize("wrong", [{"decay": 1.0}, {"decay": -0.1}, {"eps": 0.0}, {"seed": -1}, {"probe": "uniform"}])
def test_parameters_of_probes_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionsError, match=next(iter(wrong))):
        EquilibratedRule(**wrong)


def test_momentum_that_takes_up_nothing_is_none() -> None:
    gradients = [torch.full((3,), g) for g in (2.0, 4.0, 8.0)]
    for d, g in zip(directions(CoordinateMomentumRule(0.0, nesterov=True), *gradients), gradients, strict=True):
        assert torch.equal(d, g.double())


def test_momentum_takes_up_a_share_of_the_entries() -> None:
    # v = 0.5 u where an entry is renewed, and d = u + 0.75 v
    (d,) = directions(CoordinateMomentumRule(0.3, decay=0.5, dampening=0.25, nesterov=True), torch.ones(N))
    assert set(d.tolist()) == {1.0, 1.375}
    assert (d > 1).double().mean().item() == pytest.approx(0.3, abs=5 * math.sqrt(0.21 / N))
