"""The loop over epochs, and the sinc fit of torch-levenberg-marquardt's page."""

import io

import pytest
import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

from manopt_torch import OptionsError
from manopt_torch.training import LevenbergMarquardtModule, StandardDampingStrategy, fit
from tests.together import together

# what version 1.2.3 of that package ends at, from the same starts and with the same batches
PEER = [0.00252299725774556, 0.0021452122703124223, 0.002571529058072836, 0.0015918032682738397, 0.0017075332328303707]


class Logged:
    """A training module whose losses are given, to see what is made of them."""

    def __init__(self, losses, stop_at=None):
        self.losses, self.stop_at, self.step = losses, stop_at, 0

    def training_step(self, inputs, targets):
        loss = torch.tensor(self.losses[self.step])
        self.step += 1
        return inputs, loss, self.step == self.stop_at, {"attempts": self.step}


BATCHES = [(torch.zeros(3, 1), torch.ones(3, 1)), (torch.zeros(1, 1), torch.ones(1, 1))]


def test_history_weighs_by_samples():
    history = fit(Logged([1.0, 5.0, 2.0, 6.0]), BATCHES, 2, progress=False)
    assert [row["epoch"] for row in history] == [1, 2] and [row["steps"] for row in history] == [2, 2]
    assert [row["loss_epoch"] for row in history] == [2.0, 3.0]
    assert [row["loss_step"] for row in history] == [5.0, 6.0]


def test_ends_at_the_stop_flag():
    module, seen = Logged([1.0] * 9, stop_at=3), []
    history = fit(module, BATCHES, 4, progress=False, callbacks=[seen.append])
    assert module.step == 3 and [row["steps"] for row in history] == [2, 1]
    assert [(p.epoch, p.step, p.stop, p.epoch_ended) for p in seen] == [
        (1, 1, False, False),
        (1, 2, False, True),
        (2, 1, True, True),
    ]


def test_ends_when_a_callback_says_so():
    module = Logged([1.0] * 9)
    fit(module, BATCHES, 4, progress=False, callbacks=[lambda p: p.logs["attempts"] == 2, lambda p: None])
    assert module.step == 2


class Metric:
    """As those of torchmetrics: a sum of targets."""

    def __init__(self):
        self.total, self.resets = 0.0, 0

    def update(self, outputs, targets):
        self.total += float(targets.sum())

    def compute(self):
        return torch.tensor(self.total)

    def reset(self):
        self.total, self.resets = 0.0, self.resets + 1


def test_metrics_of_both_kinds():
    metric = Metric()
    history = fit(
        Logged([1.0] * 4),
        BATCHES,
        2,
        progress=False,
        metrics={"count": metric, "size": lambda outputs, targets: len(targets)},
    )
    assert [row["count"] for row in history] == [4.0, 4.0] and metric.resets == 2
    assert [row["size"] for row in history] == [2.5, 2.5]  # 3 samples of 3, one of 1


@pytest.mark.parametrize("overwrite", [True, False])
def test_bars(overwrite, monkeypatch):
    import tqdm.auto

    out = io.StringIO()
    make = tqdm.auto.tqdm
    monkeypatch.setattr(tqdm.auto, "tqdm", lambda **keywords: make(**keywords, file=out))
    fit(Logged([1.0, 5.0, 2.0, 6.0]), BATCHES, 2, overwrite_progress_bar=overwrite)
    text = out.getvalue()
    assert "Epoch 2/2: 100%" in text and "loss_epoch=3" in text and "attempts=4" in text
    assert text.count("\n") == (1 if overwrite else 2)


def test_loaders_are_checked():
    with pytest.raises(OptionsError, match="got a Tensor"):
        fit(Logged([1.0]), [torch.zeros(2)], 1, progress=False)
    with pytest.raises(OptionsError, match="got a tuple of 3"):
        fit(Logged([1.0]), [(1, 2, 3)], 1, progress=False)
    with pytest.raises(OptionsError, match="no batch in epoch 2"):
        fit(Logged([1.0] * 4), iter(BATCHES), 2, progress=False)
    with pytest.raises(OptionsError, match="metric 'm'"):
        fit(Logged([1.0]), BATCHES, 1, progress=False, metrics={"m": 1})
    with pytest.raises(OptionsError, match=r"metric 'm' must return one number, got shape \(3, 1\)"):
        fit(Logged([1.0]), BATCHES, 1, progress=False, metrics={"m": lambda outputs, targets: outputs})


@together()
@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((nn.Linear(1, 1), BATCHES, 1), "training_step, got Linear: wrap the network"),
        ((Logged([1.0]), None, 1), "loader must yield pairs .* got NoneType"),
        ((Logged([1.0]), BATCHES, 1.5), "epochs must be an int >= 0, got 1.5"),
        ((Logged([1.0]), BATCHES, -1), "epochs"),
        ((Logged([1.0]), BATCHES, 1, False, True, print), "callbacks must be a list"),
        ((Logged([1.0]), BATCHES, 1, False, True, (), [print]), "metrics must be a dict"),
    ],
)
def test_arguments_are_checked(arguments, match):
    with pytest.raises(OptionsError, match=match):
        fit(*arguments)


def test_fit_of_a_network_until_the_stop_flag():
    x = torch.linspace(-1, 1, 64, dtype=torch.float64)[:, None]
    data = TensorDataset(x, 3 * x - 1)
    loader = DataLoader(data, sampler=BatchSampler(RandomSampler(data), 16, False), batch_size=None)
    module = LevenbergMarquardtModule(nn.Linear(1, 1).double(), damping_strategy=StandardDampingStrategy(max_value=1e4))
    history = fit(module, loader, 100, progress=False)
    assert len(history) < 20 and history[-1]["loss_epoch"] < 1e-20
    assert history[-1]["damping_factor"] == 1e4


def sinc(seed):
    """Return model, data and batches of the small sinc fit."""
    x = torch.linspace(-1, 1, 2000, dtype=torch.float64)[:, None]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(1, 20), nn.Tanh(), nn.Linear(20, 1)).double()
    generator = torch.Generator().manual_seed(seed)
    return model, x, torch.sinc(10 * x), generator


def test_sinc_takes_the_steps_of_torch_levenberg_marquardt():
    ends = []
    for seed in range(len(PEER)):
        model, x, y, generator = sinc(seed)
        module = LevenbergMarquardtModule(model)
        for _ in range(6):
            batches = [(x[k], y[k]) for k in torch.randperm(2000, generator=generator).split(250)]
            fit(module, batches, 1, progress=False)
        ends.append(float(nn.functional.mse_loss(model(x), y).detach()))
    assert ends == pytest.approx(PEER, rel=1e-6)


class Walk(nn.Module):
    """A parameter that is led along given places, with a mode and a buffer; its loss is the square of the place."""

    def __init__(self, places):
        super().__init__()
        self.places, self.x = iter(places), nn.Parameter(torch.zeros(1), requires_grad=False)
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, inputs):
        return self.x * inputs + float(self.training)

    def loss_fn(self, outputs, targets):
        return (outputs - targets).square().mean()

    def training_step(self, inputs, targets):
        self.x.data.fill_(next(self.places))
        self.steps += 1
        return inputs, self.x[0], False, {}


ONES = (torch.ones(4, 1), torch.zeros(4, 1))


def walk(places, start=9.0, epochs=None, **keywords):
    module = Walk(places)
    module.x.data.fill_(start)
    keywords = {"validation": ONES, **keywords}
    history = fit(module, [ONES], len(places) if epochs is None else epochs, progress=False, **keywords)
    return module, history


def test_validation_keeps_the_best_parameters_and_buffers():
    module, history = walk([3.0, 1.0, 2.0, 4.0])
    assert [row["validation_loss"] for row in history] == [9.0, 1.0, 4.0, 16.0]
    assert float(module.x) == 1.0 and float(module.steps) == 2.0 and module.training
    # the start is one of the candidates, and NaN never is better
    module, history = walk([3.0, torch.nan], start=0.5)
    assert float(module.x) == 0.5 and history[0]["validation_loss"] == 9.0


def test_patience_ends_the_run():
    seen = []
    _, history = walk([3.0, 2.0, 2.1, 2.2, 2.3], patience=1, callbacks=[seen.append])
    assert len(history) == 4 and [p.stop for p in seen] == [False] * 3 + [True]
    _, history = walk([3.0, 2.9, 2.8, 1.0], patience=1, min_improvement=0.2)
    assert len(history) == 3  # 8.41 and 7.84 are less than a fifth below 9
    assert len(walk([9.0] * 6)[1]) == 6


def test_validation_every_few_epochs_and_at_the_end():
    module, history = walk([3.0, 2.0, 4.0, 5.0, 1.0], validate_every=2)
    assert [row["validation_loss"] for row in history] == [81.0, 4.0, 4.0, 25.0, 1.0]
    assert float(module.x) == 1.0
    # a callback that ends the run between two validations: the last is made up for
    module, history = walk([3.0] * 5, validate_every=3, callbacks=[lambda p: True])
    assert len(history) == 1 and history[0]["validation_loss"] == 9.0 and float(module.x) == 3.0
    assert walk([], epochs=0)[1] == []


def test_validation_weighs_by_samples_and_has_metrics_of_its_own():
    sums, batches = Metric(), [ONES, (torch.full((1, 1), 2.0), torch.ones(1, 1))]
    mean = {"mean": lambda outputs, targets: outputs.mean(), "sum": sums}
    _, history = walk([3.0, 1.0], validation=batches, metrics=mean)
    assert history[0]["validation_loss"] == (4 * 9 + 25) / 5 and history[0]["validation_mean"] == (4 * 3 + 6) / 5
    assert [row["validation_sum"] for row in history] == [1.0, 1.0] and [row["sum"] for row in history] == [0.0, 0.0]
    assert sums.resets == 2


def test_validation_ends_before_a_curve_is_overfitted():
    generator = torch.Generator().manual_seed(0)
    x = torch.linspace(-1, 1, 41, dtype=torch.float64)[:, None]
    y = torch.sin(3 * x) + 0.3 * torch.randn(x.shape, generator=generator, dtype=torch.float64)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(1, 12), nn.Tanh(), nn.Linear(12, 1)).double()
    module = LevenbergMarquardtModule(model)
    train, held = (x[::2], y[::2]), (x[1::2], y[1::2])
    history = fit(module, [train], 200, progress=False, validation=held, patience=10)
    losses = [row["validation_loss"] for row in history]
    end = float(module.loss_fn(model(held[0]), held[1]).detach())
    assert len(history) < 200 and end == pytest.approx(min(losses), rel=1e-12) and losses[-1] > end


@together()
@pytest.mark.parametrize(
    ("keywords", "match"),
    [
        ({"validation": None, "patience": 3}, r"give validation=\(inputs, targets\)"),
        ({"validation": iter([ONES])}, "walked only once"),
        ({"validation": []}, "validation= yields no batch"),
        ({"validation": torch.ones(2)}, "got Tensor"),
        ({"validation": (*ONES, 1)}, "validation must yield pairs .* got a tuple of 3"),
        ({"validate_every": 0}, "validate_every must be an int >= 1, got 0"),
        ({"patience": -1}, "patience must be a number >= 0, got -1"),
        ({"metrics": {"loss": len}}, "choose another"),
    ],
)
def test_arguments_of_validation_are_checked(keywords, match):
    with pytest.raises(OptionsError, match=match):
        walk([1.0], **keywords)


def test_validation_needs_a_loss():
    with pytest.raises(OptionsError, match="with a loss_fn, got Logged"):
        fit(Logged([1.0]), BATCHES, 1, progress=False, validation=BATCHES)
