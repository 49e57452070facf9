"""Losses of networks: values against PyTorch, residuals whose squares they are, derivatives at zero."""

from typing import Any

import pytest
import torch
from torch.nn import functional

from manopt_torch import OptionsError, ShapeError
from manopt_torch.training import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HuberLoss,
    L1Loss,
    LevenbergMarquardtModule,
    MSELoss,
    PoissonNLLLoss,
    ResidualLoss,
)
from tests.together import together


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


W = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
LABELS = torch.tensor([0, 2, 1, 1, 0])
ZEROS_AND_ONES = (draw(5, 3, seed=1) > 0).double()

CASES = {
    "mse": (MSELoss(), functional.mse_loss, draw(5, 3), draw(5, 3, seed=1)),
    "l1": (L1Loss(), functional.l1_loss, draw(5, 3), draw(5, 3, seed=1)),
    "huber": (
        HuberLoss(0.7),
        lambda *a, **k: functional.huber_loss(*a, delta=0.7, **k),
        draw(5, 3),
        draw(5, 3, seed=1),
    ),
    "cross entropy": (CrossEntropyLoss(), functional.cross_entropy, draw(5, 3), LABELS),
    "weighted": (CrossEntropyLoss(W), lambda *a, **k: functional.cross_entropy(*a, weight=W, **k), draw(5, 3), LABELS),
    "smoothed": (
        CrossEntropyLoss(label_smoothing=0.2),
        lambda *a, **k: functional.cross_entropy(*a, label_smoothing=0.2, **k),
        draw(5, 3),
        LABELS,
    ),
    "ignored": (
        CrossEntropyLoss(ignore_index=1),
        lambda *a, **k: functional.cross_entropy(*a, ignore_index=1, **k),
        draw(5, 3),
        LABELS,
    ),
    "bce": (BCELoss(), functional.binary_cross_entropy, draw(5, 3).sigmoid(), ZEROS_AND_ONES),
    "bce with logits": (BCEWithLogitsLoss(), functional.binary_cross_entropy_with_logits, draw(5, 3), ZEROS_AND_ONES),
    "positive": (
        BCEWithLogitsLoss(W),
        lambda *a, **k: functional.binary_cross_entropy_with_logits(*a, pos_weight=W, **k),
        draw(5, 3),
        ZEROS_AND_ONES,
    ),
    "own": (
        ResidualLoss(torch.nn.SmoothL1Loss(reduction="none")),
        functional.smooth_l1_loss,
        draw(5, 3),
        draw(5, 3, seed=1),
    ),
}


@together()
@pytest.mark.parametrize("name", CASES)
def test_values_are_those_of_torch_and_residuals_their_roots(name):
    loss, torch_loss, y, t = CASES[name]
    torch.testing.assert_close(loss(y, t), torch_loss(y, t), rtol=1e-14, atol=0)
    torch.testing.assert_close(loss.residuals(y, t) ** 2, torch_loss(y, t, reduction="none"), rtol=1e-13, atol=1e-15)


@together()
@pytest.mark.parametrize("name", CASES)
def test_gradient_of_the_squares_is_that_of_the_loss(name):
    loss, torch_loss, y, t = CASES[name]
    got = torch.func.grad(lambda y: (loss.residuals(y, t) ** 2).sum())(y)
    wanted = torch.func.grad(lambda y: torch_loss(y, t, reduction="none").sum())(y)
    torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-13)


@together()
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("transform", [torch.func.jacrev, torch.func.jacfwd])
@pytest.mark.parametrize(
    ("loss", "y", "t"),
    [
        (L1Loss(), [[1.0, 2.0]], [[1.0, 2.0]]),
        (HuberLoss(), [[1.0, 2.0]], [[1.0, 2.0]]),
        (CrossEntropyLoss(), [[200.0, 0.0, 0.0]], [0]),
        (BCEWithLogitsLoss(), [[1000.0]], [[1.0]]),
        (BCELoss(), [[1.0]], [[1.0]]),
        (ResidualLoss(lambda y, t: (y - t) ** 4), [[1.0]], [[1.0]]),
    ],
    ids=["l1", "huber", "cross entropy", "logits", "bce", "own"],
)
def test_derivatives_at_zero_loss(loss, y, t, transform, dtype):
    # torch-levenberg-marquardt: NaN, since the root has no derivative at zero
    y = torch.tensor(y, dtype=dtype)
    t = torch.tensor(t) if isinstance(loss, CrossEntropyLoss) else torch.tensor(t, dtype=dtype)
    jacobian = transform(lambda y: loss.residuals(y, t))(y)
    assert loss.residuals(y, t).abs().max() == 0
    slope = 0.5**0.5 if isinstance(loss, HuberLoss) else 0.0  # of a square, but for the factor
    diagonal = jacobian.reshape(-1, y.numel())
    wanted = slope * torch.eye(*diagonal.shape) if slope else torch.zeros(diagonal.shape)
    torch.testing.assert_close(diagonal, wanted.to(dtype))


def test_huber_is_smooth_at_zero():
    e = torch.tensor([-1e-3, 0.0, 1e-3], dtype=torch.float64)
    slopes = torch.func.vmap(torch.func.grad(lambda y: HuberLoss().residuals(y, torch.zeros_like(y))))(e)
    torch.testing.assert_close(slopes, torch.full((3,), 0.5**0.5, dtype=torch.float64))


def test_a_negative_loss_has_no_residual():
    assert ResidualLoss(lambda y, t: y - t).residuals(torch.tensor([0.0]), torch.tensor([1.0])).isnan().all()


def test_arguments_are_checked():
    with pytest.raises(OptionsError, match="delta must be positive, got 0"):
        HuberLoss(0)
    with pytest.raises(OptionsError, match="losses must be a function"):
        ResidualLoss(1.0)


def test_absolute_differences_want_half_a_step():
    """Newton's step on a root goes twice too far: a full one turns the errors around, half of one ends."""
    x = torch.linspace(-1, 1, 21, dtype=torch.float64)[:, None]
    losses = {}
    for rate in (1.0, 0.5):
        model = torch.nn.Linear(1, 1).double()
        with torch.no_grad():
            model.weight.fill_(0.0)
            model.bias.fill_(0.0)
        module = LevenbergMarquardtModule(model, L1Loss(), learning_rate=rate)
        losses[rate] = [float(module.training_step(x, 2 * x + 1).loss) for _ in range(4)]
    assert losses[0.5][-1] < 1e-4 and losses[1.0][-1] > 0.5


COUNTS = torch.tensor([[0.0, 1.0, 2.0], [3.0, 7.0, 0.0]], dtype=torch.float64)


def test_poisson_against_torch():
    """PyTorch's loss less its least value, which may be zero or close to it."""
    for y in (draw(2, 3, seed=3), COUNTS.clamp(1).log() + 1e-7 * draw(2, 3), COUNTS.clamp(1).log()):
        least = torch.special.xlogy(COUNTS, COUNTS) - COUNTS
        wanted = functional.poisson_nll_loss(y, COUNTS, reduction="none") + least
        loss = PoissonNLLLoss()
        dual: Any = torch.func.jvp(lambda y: loss.residuals(y, COUNTS), (y,), (torch.ones_like(y),))  # noqa: B023
        residuals, slope = dual
        torch.testing.assert_close(residuals**2, wanted, rtol=1e-12, atol=2e-14)
        torch.testing.assert_close(loss(y, COUNTS), (residuals**2).mean())
        torch.testing.assert_close(2 * residuals * slope, y.exp() - COUNTS, rtol=1e-7, atol=1e-14)
    # at zero loss the square of the slope is half the curvature, which is the count
    some = COUNTS > 0
    torch.testing.assert_close((2 * slope**2)[some], COUNTS[some], rtol=1e-14, atol=0)
    exposed = loss.residuals(y - 0.5, (COUNTS, torch.full_like(COUNTS, 0.5).exp()))
    torch.testing.assert_close(exposed, residuals, atol=1e-15, rtol=1e-7)
    assert torch.equal(loss.residuals(y, COUNTS.long()), residuals)
    with pytest.raises(ShapeError, match=r"shape \(2, 3\) and targets of shape \(3,\)"):
        loss(y, COUNTS[0])


@together()
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_poisson_digits_near_zero(dtype):
    """The residual is sqrt(t / 2) e (1 + e / 6 + e^2 / 72 + ...), on both sides of the series' end."""
    mpmath = pytest.importorskip("mpmath")
    for e in (1e-9, -1e-5, 3e-3, -0.2499, 0.2499, -0.2501, 0.2501, 3.0):
        exact = mpmath.sqrt(mpmath.expm1(mpmath.mpf(e)) - mpmath.mpf(e)) * (1 if e > 0 else -1)
        got = PoissonNLLLoss().residuals(torch.tensor([e], dtype=dtype), torch.ones(1, dtype=dtype))
        assert float(got) == pytest.approx(float(exact), rel=60 * torch.finfo(dtype).eps)


def test_poisson_regression_is_that_of_reweighted_least_squares():
    x, seconds = draw(80, 3), draw(80, 1, seed=5).exp()
    x[:, 0] = 1.0
    rates = seconds * (x @ torch.tensor([[0.5], [0.8], [-0.6]], dtype=torch.float64)).exp()
    counts = torch.poisson(rates, generator=torch.Generator().manual_seed(2))
    beta = torch.zeros(3, 1, dtype=torch.float64)
    for _ in range(30):
        mean = seconds * (x @ beta).exp()
        beta = beta + torch.linalg.solve(x.mT @ (mean * x), x.mT @ (counts - mean))
    model = torch.nn.Linear(3, 1, bias=False).double()
    torch.nn.init.zeros_(model.weight)
    module = LevenbergMarquardtModule(model, PoissonNLLLoss())
    for _ in range(60):
        module.training_step(x, (counts, seconds))
    assert (counts == 0).any()
    torch.testing.assert_close(model.weight.detach().mT, beta, rtol=1e-6, atol=1e-6)
