"""Lightning modules, with the real package."""

import sys

import pytest
import torch
from torch import nn

from manopt_torch import OptionsError
from manopt_torch.adapters.lightning import lightning_module
from manopt_torch.training import HuberLoss, LevenbergMarquardtModule, OptimizerModule, StandardDampingStrategy

# of torch to Lightning 2.6
pytestmark = [
    pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning"),
    # most fits here are without validation data
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`"),
]


class Batches:
    """A loader; of a plain list, Lightning takes each entry for one."""

    def __iter__(self):
        x = torch.linspace(-1, 1, 128)[:, None]
        return ((x[k::4], 2 * x[k::4] + 1) for k in range(4))

    def __len__(self):
        return 4


def trainer(tmp_path, **keywords):
    from lightning.pytorch import Trainer

    quiet = {
        "accelerator": "cpu",
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
    }
    return Trainer(**{**quiet, "default_root_dir": tmp_path, **keywords})


def test_trains_logs_and_saves(tmp_path):
    model = nn.Linear(1, 1)
    module = LevenbergMarquardtModule(model, damping_strategy=StandardDampingStrategy(1.0))
    worst = lambda outputs, targets: (outputs - targets).abs().max()  # noqa: E731
    run, wrapped = trainer(tmp_path, max_epochs=3), lightning_module(module, {"worst": worst})
    run.fit(wrapped, Batches())
    torch.testing.assert_close([model.weight.item(), model.bias.item()], [2.0, 1.0], rtol=0, atol=1e-3)
    logged = run.callback_metrics
    assert {"loss_step", "loss_epoch", "damping_factor", "attempts", "worst"} <= set(logged)
    assert float(logged["loss_epoch"]) < 1e-4 and float(logged["damping_factor"]) != 1.0
    run.save_checkpoint(tmp_path / "run.ckpt")

    other = lightning_module(LevenbergMarquardtModule(nn.Linear(1, 1)))
    state = torch.load(tmp_path / "run.ckpt", weights_only=True)["state_dict"]
    other.load_state_dict(state)
    assert torch.equal(other(torch.ones(1, 1)), model(torch.ones(1, 1)))
    assert other.training_module.damping_strategy.damping_factor == module.damping_strategy.damping_factor


@pytest.mark.filterwarnings("ignore:The dirpath has changed:UserWarning")
def test_steps_are_counted(tmp_path):
    """Limits and checkpoints of Lightning go by the number of optimizer steps."""
    from lightning.pytorch.callbacks import ModelCheckpoint

    endless = StandardDampingStrategy(conditional_stopping=False)
    make = lambda: lightning_module(LevenbergMarquardtModule(nn.Linear(1, 1), damping_strategy=endless))  # noqa: E731
    saves = ModelCheckpoint(dirpath=tmp_path, monitor="loss_epoch")
    run = trainer(tmp_path, max_steps=8, enable_checkpointing=True, callbacks=[saves])
    run.fit(make(), Batches())
    assert run.global_step == 8
    saved = torch.load(saves.best_model_path, weights_only=True)
    assert "training_module.model.weight" in saved["state_dict"] and saved["global_step"] in (4, 8)
    again = ModelCheckpoint(dirpath=tmp_path / "again", monitor="loss_epoch")
    longer = trainer(tmp_path, max_steps=12, enable_checkpointing=True, callbacks=[again])
    longer.fit(make(), Batches(), ckpt_path=saves.best_model_path)
    assert longer.global_step == 12


def test_predicts_and_tests(tmp_path):
    """Pairs are inputs and targets, a batch of inputs alone is one."""
    model = nn.Linear(1, 1)
    worst = lambda outputs, targets: (outputs - targets).abs().max()  # noqa: E731
    wrapped = lightning_module(LevenbergMarquardtModule(model), {"worst": worst})
    x = torch.linspace(-1, 1, 12)[:, None]
    load = lambda *tensors: torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*tensors), 4)  # noqa: E731
    run = trainer(tmp_path, max_epochs=2)
    for loader in (load(x, 2 * x), load(x), torch.utils.data.DataLoader(x, 4)):
        found = run.predict(wrapped, loader)
        assert len(found) == 3 and torch.equal(torch.cat(found), model(x).detach())
    expected = (model(x) - 2 * x).square().mean().item()
    (logged,) = run.test(wrapped, load(x, 2 * x), verbose=False)
    assert logged["test_loss"] == pytest.approx(expected) and "test_worst" in logged


def test_validates(tmp_path):
    """The loss over all samples, each counting once; nothing of the module moves."""
    layers = nn.Sequential(nn.Linear(1, 3), nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 1)).double()
    worst = lambda outputs, targets: (outputs - targets).abs().max()  # noqa: E731
    wrapped = lightning_module(LevenbergMarquardtModule(layers, HuberLoss(0.5)), {"worst": worst})
    before = {name: torch.as_tensor(t).clone() for name, t in layers.state_dict().items()}
    damping = wrapped.training_module.damping_strategy.get_current_damping()
    x = torch.linspace(-1, 3, 10, dtype=torch.float64)[:, None]
    data = torch.utils.data.TensorDataset(x, x.square())
    loader = torch.utils.data.DataLoader(data, 4)  # the last batch is of two
    (logged,) = trainer(tmp_path).validate(wrapped, loader, verbose=False)
    outputs = layers.eval()(x).detach()
    expected = nn.functional.huber_loss(outputs, x.square(), delta=0.5).item()
    assert set(logged) == {"val_loss", "val_worst"} and logged["val_loss"] == pytest.approx(expected, rel=1e-6)
    errors = (outputs - x.square()).abs().flatten()
    share = sum(len(part) / 10 * part.max().item() for part in errors.split(4))
    assert logged["val_worst"] == pytest.approx(share, rel=1e-6)
    assert all(torch.equal(t, before[name]) for name, t in layers.state_dict().items())
    assert wrapped.training_module.damping_strategy.get_current_damping() == damping
    both = trainer(tmp_path).validate(wrapped, [loader, loader], verbose=False)
    assert [entry[f"val_loss/dataloader_idx_{k}"] for k, entry in enumerate(both)] == [logged["val_loss"]] * 2


def test_fits_by_the_validation_loss(tmp_path):
    """Callbacks see it, and the fit is the one without validation, bit for bit."""
    from lightning.pytorch.callbacks import EarlyStopping

    model, plain = nn.Linear(1, 1), nn.Linear(1, 1)
    plain.load_state_dict(model.state_dict())
    wrap = lambda net: lightning_module(LevenbergMarquardtModule(net, damping_strategy=StandardDampingStrategy(1.0)))  # noqa: E731
    x = torch.tensor([[0.5], [2.0]])
    run = trainer(tmp_path, max_epochs=9, callbacks=[EarlyStopping("val_loss", stopping_threshold=1e-3)])
    run.fit(wrap(model), Batches(), torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, 2 * x + 1), 2))
    assert 0 < run.current_epoch < 9 and float(run.callback_metrics["val_loss"]) < 1e-3
    alone = trainer(tmp_path, max_epochs=run.current_epoch)
    alone.fit(wrap(plain), Batches())
    assert torch.equal(model.weight, plain.weight) and torch.equal(model.bias, plain.bias)
    assert "val_loss" not in alone.callback_metrics


def test_other_optimizers_train_and_are_saved(tmp_path):
    make = lambda net: OptimizerModule(net, torch.optim.SGD(net.parameters(), 0.1, momentum=0.9))  # noqa: E731
    model, plain = nn.Linear(1, 1), nn.Linear(1, 1)
    plain.load_state_dict(model.state_dict())
    run, wrapped = trainer(tmp_path, max_epochs=3), lightning_module(make(model))
    run.fit(wrapped, Batches())
    optimizer = torch.optim.SGD(plain.parameters(), 0.1, momentum=0.9)
    for x, y in [*Batches()] * 3:
        optimizer.zero_grad()
        (plain(x) - y).square().mean().backward()
        optimizer.step()
    assert torch.equal(model.weight, plain.weight) and run.global_step == 12
    other = lightning_module(make(nn.Linear(1, 1)))
    other.load_state_dict(wrapped.state_dict())
    step = next(iter(Batches()))
    assert torch.equal(
        other.training_module.training_step(*step).loss, wrapped.training_module.training_step(*step).loss
    )
    assert torch.equal(other.training_module.model.weight, model.weight)
    with pytest.raises(OptionsError, match="made, such as"):
        OptimizerModule(model, torch.optim.SGD)


def test_ends_at_the_stop_flag(tmp_path):
    module = LevenbergMarquardtModule(nn.Linear(1, 1), damping_strategy=StandardDampingStrategy(max_value=1.0))
    run = trainer(tmp_path, max_epochs=200)
    run.fit(lightning_module(module), Batches())
    assert run.current_epoch < 50


def test_says_what_is_missing(monkeypatch):
    for name in ("lightning.pytorch", "pytorch_lightning"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"pip install manopt_torch\[lightning\]"):
        lightning_module(None)


def test_arguments_are_checked():
    with pytest.raises(OptionsError, match="training_step, got Linear: wrap the network"):
        lightning_module(nn.Linear(1, 1))
    with pytest.raises(OptionsError, match="metrics must be a dict"):
        lightning_module(LevenbergMarquardtModule(nn.Linear(1, 1)), [torch.mean])
