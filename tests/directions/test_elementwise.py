"""Rules that change entries, by numbers worked out by hand."""

import math

import pytest
import torch

from manopt_torch import (
    AdamRule,
    AverageGradientRule,
    CautiousRule,
    Chain,
    ClipNormRule,
    ClipValueRule,
    CoordinateMomentumRule,
    DropoutRule,
    GradientRule,
    HeavyBallRule,
    LambdaRule,
    LaplacianSmoothingRule,
    NesterovRule,
    NoiseRule,
    NormalizeRule,
    RpropRule,
    ScaleRule,
    SignRule,
    WeightDecayRule,
)
from manopt_torch.training import LaplacianSmoothing, NesterovMomentum, PolyakMomentum
from tests.directions.probing import directions
from tests.together import together

D = torch.float64


def close(found: torch.Tensor, known: object, atol: float = 1e-12) -> None:
    torch.testing.assert_close(found, torch.as_tensor(known, dtype=D), rtol=0, atol=atol)


def test_heavy_ball_starts_with_the_gradient_undampened() -> None:
    first, second = directions(HeavyBallRule(0.5, 0.25), [4.0], [8.0])
    close(first, [4.0])
    close(second, [0.5 * 4 + 0.75 * 8])


def test_the_velocity_is_damped_as_in_torchzero() -> None:
    gradients, mu, tau = ([4.0], [8.0], [-1.0]), 0.5, 0.25
    heavy, ahead, v = [], [], 0.0
    for (g,) in gradients:
        heavy.append(g + (1 - tau) * v)
        v = mu * (v + g)
        ahead.append(g + (1 - tau) * v)
    close(torch.cat(directions(HeavyBallRule(mu, tau, damped="velocity"), *gradients)), heavy)
    close(torch.cat(directions(NesterovRule(mu, tau, damped="velocity"), *gradients)), ahead)
    close(torch.cat(directions(PolyakMomentum(mu, tau), *gradients)), heavy)
    close(torch.cat(directions(NesterovMomentum(mu, tau), *gradients)), ahead)


def test_small_tensors_are_smoothed_as_asked() -> None:
    def smoothed(u: list[float], sigma: float) -> torch.Tensor:
        n, L = len(u), torch.zeros(len(u), len(u), dtype=D)
        for j in range(n):
            L[j, j] -= 2
            L[j, (j - 1) % n] += 1
            L[j, (j + 1) % n] += 1
        return torch.linalg.solve(torch.eye(n, dtype=D) - sigma * L, torch.tensor(u, dtype=D))

    for u in ([1.0, -2.0], [1.0, 5.0, 0.0], [1.0, -2.0, 3.0, 0.5], [3.0, 1.0, 4.0, 1.0, 5.0]):
        (every,) = directions(LaplacianSmoothingRule(0.7), u)
        close(every, smoothed(u, 0.7))
        (named,) = directions(LaplacianSmoothing(0.7), u)  # torchzero's least number of entries is 4
        close(named, smoothed(u, 0.7) if len(u) >= 4 else u)


def test_clipping_and_signs() -> None:
    (d,) = directions(ClipNormRule(1.0), [3.0, 4.0])
    close(d, [0.6, 0.8])
    (d,) = directions(ClipNormRule(5.0), [3.0, 4.0])
    close(d, [3.0, 4.0])
    (d,) = directions(ClipNormRule(4.0), [1.0, 10.0])
    assert d.norm().item() == pytest.approx(4.0, rel=1e-15)  # torch.nn.utils.clip_grad_norm_ gives 3.9999996
    (d,) = directions(ClipValueRule(1.0), [0.5, -7.0])
    close(d, [0.5, -1.0])
    (d,) = directions(SignRule(), [0.5, -7.0, 0.0])
    close(d, [1.0, -1.0, 0.0])
    (d,) = directions(NormalizeRule(10.0), [3.0, -4.0])
    close(d, [6.0, -8.0])
    (d,) = directions(NormalizeRule(), [0.0, 0.0])
    close(d, [0.0, 0.0])
    (d,) = directions(NormalizeRule(min_norm=6.0), [3.0, 4.0])
    close(d, [3.0, 4.0])
    (d,) = directions(ClipNormRule(1.0), [0.0, 0.0])
    close(d, [0.0, 0.0])
    for order, norm in ((1, 7.0), (3, 91.0 ** (1 / 3)), (math.inf, 4.0)):
        (d,) = directions(NormalizeRule(order=order), [3.0, -4.0])
        close(d, [3.0 / norm, -4.0 / norm])
        (d,) = directions(ClipNormRule(0.5 * norm, order=order), [3.0, -4.0])
        close(d, [1.5, -2.0])


def test_order_matters_around_clipping() -> None:
    """Seed values of torchzero's chain on 0.5 (x^2 + 10 y^2) from (1, 1), of which the gradient is (1, 10)."""
    g = [1.0, 10.0]
    (a,) = directions(Chain([ClipNormRule(4.0), ScaleRule(1e-3), NesterovRule(0.9)]), g)
    (b,) = directions(Chain([ScaleRule(1e-3), ClipNormRule(4.0), NesterovRule(0.9)]), g)
    (c,) = directions(Chain([NesterovRule(0.9), ClipNormRule(4.0), ScaleRule(1e-3)]), g)
    close(1 - a, [0.999243771735, 0.992437717354])
    close(1 - b, [0.9981, 0.981])
    close(1 - c, [0.999601985124, 0.996019851239])


def test_nesting_is_chaining() -> None:
    gradients = ([1.0, 2.0], [-1.0, 3.0], [0.5, 0.5])
    nested = directions(HeavyBallRule(0.9, inner=ClipNormRule(1.0, inner=GradientRule())), *gradients)
    chained = directions(Chain([ClipNormRule(1.0), HeavyBallRule(0.9)]), *gradients)
    assert torch.equal(torch.stack(nested), torch.stack(chained))
    assert torch.equal(directions(Chain([]), [1.0])[0], torch.ones(1, dtype=D))


ADAM_GRADIENTS = ([1.0, -1.0, 0.5, 2.0], [-0.1, -1.0, 0.5, -3.0])
ADAM = [0.5926485059, -0.99999999, 0.99999998, -0.2477018152]


@pytest.mark.parametrize(
    ("rule", "known"),
    [
        (AdamRule(), ADAM),
        (CautiousRule(inner=AdamRule()), [0.0, *ADAM[1:]]),
        (CautiousRule("mean", inner=AdamRule()), [0.0, -1.33333332, 1.3333333067, -0.3302690869]),
    ],
    ids=["adam", "cautious", "cautious, mean"],
)
def test_cautious_adam(rule: object, known: list[float]) -> None:
    first, second = directions(rule, *ADAM_GRADIENTS)
    assert (first != 0).all()
    close(second, known, atol=1e-9)


def test_rprop_forgets_where_the_sign_turns() -> None:
    rule = RpropRule(1.0, increase=2.0, decrease=0.5, max_length=3.0)
    found = directions(rule, [1.0, 1.0], [1.0, -1.0], [1.0, -1.0], [1.0, -1.0])
    close(torch.stack(found), [[1.0, 1.0], [2.0, 0.0], [3.0, -0.5], [3.0, -1.0]])


def test_average_of_the_last_ones() -> None:
    gradients = ([1.0], [2.0], [6.0], [7.0])
    close(torch.cat(directions(AverageGradientRule(3), *gradients)), [1.0, 1.5, 3.0, 5.0])
    # torchzero's sum of two, dampened
    weighted = directions(AverageGradientRule(2, weights=(1.0, 0.5)), *gradients)
    close(torch.cat(weighted), [1.0, 2.5, 7.0, 10.0])


def test_dropout_drops_with_the_probability_it_says() -> None:
    (d,) = directions(DropoutRule(0.3), torch.ones(100_000))
    assert d.mean().item() == pytest.approx(0.69978, abs=1e-12)
    (d,) = directions(DropoutRule(0.9), torch.ones(100_000))
    assert 0.095 < d.mean() < 0.105
    (d,) = directions(DropoutRule(0.75, rescale=True), torch.ones(100_000))
    assert set(d.unique().tolist()) == {0.0, 4.0} and 0.98 < d.mean() < 1.02
    first, second = directions(DropoutRule(0.5), torch.ones(100), torch.ones(100))
    assert not torch.equal(first, second)
    other, again = (directions(DropoutRule(0.5, seed=seed), torch.ones(100))[0] for seed in (1, 0))
    assert torch.equal(again, first) and not torch.equal(other, first)


def test_dropout_before_adam_changes_what_it_remembers_and_after_it_does_not() -> None:
    gradients = [torch.randn(50, dtype=D, generator=torch.Generator().manual_seed(k)) for k in range(4)]
    plain = directions(AdamRule(), *gradients)[-1]
    after = directions(Chain([AdamRule(), DropoutRule(0.3)]), *gradients)[-1]
    before = directions(Chain([DropoutRule(0.3), AdamRule()]), *gradients)[-1]
    kept = after != 0
    assert torch.equal(after[kept], plain[kept]) and 20 < kept.sum() < 45
    assert not torch.equal(before[before != 0], plain[before != 0])


def test_noise_has_its_size() -> None:
    (d,) = directions(NoiseRule(0.5, seed=3), torch.zeros(100_000))
    assert d.std().item() == pytest.approx(0.5, rel=0.02) and abs(d.mean().item()) < 0.01


def test_coordinate_momentum() -> None:
    # all entries renewed: the velocity is the former gradient, or with nesterov the present one
    gradients = ([2.0], [4.0], [8.0])
    close(torch.cat(directions(CoordinateMomentumRule(1.0, decay=0.5), *gradients)), [2.0, 6.0, 12.0])
    eager = CoordinateMomentumRule(1.0, decay=0.5, dampening=0.5, nesterov=True)
    close(torch.cat(directions(eager, *gradients)), [2.5, 5.0, 10.0])
    # none: no velocity ever
    close(torch.cat(directions(CoordinateMomentumRule(0.0), *gradients)), [2.0, 4.0, 8.0])
    *_, late = directions(CoordinateMomentumRule(0.1, decay=1.0), *[torch.ones(10_000)] * 4)
    assert (late > 1).double().mean().item() == pytest.approx(1 - 0.9**3, abs=0.01)


@together()
@pytest.mark.parametrize("n", [1, 2, 3, 6, 7])
@pytest.mark.parametrize("sigma", [0.0, 0.5, 3.0])
def test_smoothing_solves_its_equation(n: int, sigma: float) -> None:
    u = torch.randn(n, dtype=D, generator=torch.Generator().manual_seed(n))
    (d,) = directions(LaplacianSmoothingRule(sigma), u)
    laplacian = torch.roll(d, 1) - 2 * d + torch.roll(d, -1)
    torch.testing.assert_close(d - sigma * laplacian, u, rtol=0, atol=1e-12)


def test_weights_decay() -> None:
    rule = Chain([LambdaRule(torch.nan_to_num), WeightDecayRule(0.5)])
    (d,) = directions(rule, [1.0, float("nan")])
    close(d, [1.0, 0.0])  # at the origin nothing pulls


WRONG = [
    (lambda: HeavyBallRule(1.0), "momentum.*1.0"),
    (lambda: HeavyBallRule(0.9, 2.0), "dampening.*2.0"),
    (lambda: HeavyBallRule(0.9, damped="both"), "damped.*both"),
    (lambda: LaplacianSmoothingRule(min_numel=0), "min_numel.*0"),
    (lambda: NesterovRule(0.9, variant="lookahead"), "variant.*lookahead"),
    (lambda: NesterovRule(0.9, 0.5, "downhill"), "dampening"),
    (lambda: ScaleRule(float("nan")), "factor"),
    (lambda: ClipNormRule(0.0), "max_norm"),
    (lambda: ClipNormRule(1.0, scope="layer"), "scope.*layer"),
    (lambda: ClipNormRule(1.0, order=0.5), "order must be a number >= 1, got 0.5"),
    (lambda: NormalizeRule(-1.0), "length"),
    (lambda: ClipValueRule(-1.0), "max_value"),
    (lambda: AdamRule(1.0), "beta1"),
    (lambda: AdamRule(beta2=-0.1), "beta2"),
    (lambda: RpropRule(increase=0.5), "increase"),
    (lambda: RpropRule(min_length=2.0, max_length=1.0), "min_length"),
    (lambda: AverageGradientRule(0), "n must"),
    (lambda: AverageGradientRule(3, weights=(1.0,)), "weights"),
    (lambda: CautiousRule("max"), "scale.*max"),
    (lambda: DropoutRule(1.0), "drop"),
    (lambda: NoiseRule(-1.0), "scale"),
    (lambda: WeightDecayRule(0.1, 3), "order.*3"),
    (lambda: LaplacianSmoothingRule(-1.0), "sigma"),
    (lambda: LambdaRule(3), "function"),
    (lambda: CoordinateMomentumRule(1.5), "probability"),
    (lambda: Chain([0.9]), "rules.*0.9"),
    (lambda: AdamRule(lr=0.1), "lr.*beta1"),
]


@together()
@pytest.mark.parametrize(("make", "message"), WRONG, ids=[message for _, message in WRONG])
def test_wrong_parameters_are_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
