"""Training modules for Lightning."""

import sys
from functools import lru_cache
from importlib import import_module
from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.plans.options import strict_keywords

_PACKAGES = ("lightning.pytorch", "pytorch_lightning")


@strict_keywords
def lightning_module(module: Any, metrics: dict[str, Any] | None = None, package: str | None = None) -> Any:
    """Make a `LightningModule` of a training module, to be trained by `Trainer(...).fit(...)`.

    Each step logs `loss_step`, `loss_epoch`, `damping_factor`, `attempts` and the metrics. The trainer is stopped when
    the module raises its stop flag. Given validation data, it logs `val_loss`, the module's own loss in evaluation
    mode, and the metrics as `val_...`, and leaves parameters and damping alone. `Trainer.test` logs `test_loss`, and
    the metrics under such names; `Trainer.predict` returns outputs, for batches of inputs and for pairs of inputs and
    targets. Checkpoints hold the parameters and the damping. `configure_optimizers` returns an optimizer that does
    nothing, whose steps Lightning counts: `max_steps` and checkpoint callbacks go by that number. No gradients are
    accumulated or clipped.

    Args:
        module: a `LevenbergMarquardtModule`, or any `torch.nn.Module` with its method `training_step`.
        metrics: functions of outputs and targets, or metrics of torchmetrics, by name.
        package: `"lightning.pytorch"` or `"pytorch_lightning"`, the one that the trainer comes from: they know nothing
            of each other. None is the one that is imported already, else the one that is installed.

    Raises:
        OptionsError: if the module has no `training_step`, or metrics are no dict of functions.
        ImportError: if Lightning is missing.

    Examples:
        ```text
        from lightning.pytorch import Trainer

        Trainer(max_epochs=50).fit(lightning_module(module), train_loader)
        ```
    """
    make, metrics = _class(_package(package)), metrics or {}
    if not isinstance(module, torch.nn.Module) or not callable(getattr(module, "training_step", None)):
        raise OptionsError(
            f"lightning_module needs a module with a training_step, got {type(module).__name__}: wrap the network into "
            "LevenbergMarquardtModule(network)"
        )
    if not isinstance(metrics, dict) or not all(map(callable, metrics.values())):
        raise OptionsError(f'metrics must be a dict such as {{"mae": function}}, got {metrics!r}')
    return make(module, metrics)


def _package(name: str | None) -> str:
    names = [name] if name is not None else sorted(_PACKAGES, key=lambda n: n not in sys.modules)
    for candidate in names:
        try:
            import_module(candidate)
        except ImportError:
            continue
        return candidate
    raise ImportError(f"lightning_module needs {' or '.join(names)}: pip install manopt_torch[lightning]")


class StepCounter(torch.optim.Optimizer):
    """Leave the parameters alone: a step is counted by Lightning, and made by the training module."""

    def __init__(self, module: torch.nn.Module) -> None:
        trained = [p for p in module.parameters() if p.requires_grad]
        torch.optim.Optimizer.__init__(self, trained, {"lr": float(getattr(module, "learning_rate", 1.0))})

    def step(self, closure: Any = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Do nothing."""


class Evaluation:
    """What a trainer asks of a trained module; the `LightningModule` beside it is that of the package in use."""

    training_module: Any
    metrics: dict[str, Any]
    log_dict: Any

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Log `val_loss` and metrics; in a `fit` without validation data Lightning warns that it leaves them out."""
        self._log_evaluation("val", batch)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Log `test_loss` and metrics."""
        self._log_evaluation("test", batch)

    def predict_step(self, batch: Any, batch_idx: int = 0, dataloader_idx: int = 0) -> Any:
        """Return the outputs of a batch: a pair is inputs and targets, as in training, a list of one its inputs."""
        listed = isinstance(batch, (tuple, list)) and len(batch) in (1, 2)
        return self._outputs(batch[0] if listed else batch)

    @torch.no_grad()
    def _log_evaluation(self, stage: str, batch: Any) -> None:
        inputs, targets = batch
        outputs = self._outputs(inputs)
        numbers = {name: metric(outputs, targets) for name, metric in self.metrics.items()}
        if hasattr(self.training_module, "loss_fn"):
            numbers["loss"] = self.training_module.loss_fn(outputs, targets)
        named = {f"{stage}_{name}": float(value) for name, value in numbers.items()}
        self.log_dict(named, on_step=False, on_epoch=True, prog_bar=True, batch_size=_size(targets))

    def _outputs(self, inputs: Any) -> Any:
        if isinstance(inputs, dict):
            return self.training_module(**inputs)
        return self.training_module(*inputs) if isinstance(inputs, (tuple, list)) else self.training_module(inputs)


def _size(targets: Any) -> int | None:
    return len(targets) if isinstance(targets, torch.Tensor) else None


@lru_cache
def _class(package: str) -> Any:
    base: Any = import_module(package).LightningModule

    class LightningTraining(Evaluation, base):
        """A training module in the hands of a Lightning trainer."""

        def __init__(self, training_module: Any, metrics: dict[str, Any]) -> None:
            base.__init__(self)
            self.automatic_optimization = False
            self.training_module = training_module
            # those with a state of their own move with the module, plain functions have none
            self.metrics = metrics
            self.stateful = torch.nn.ModuleList(m for m in metrics.values() if isinstance(m, torch.nn.Module))

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return self.training_module(*args, **kwargs)

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            inputs, targets = batch
            outputs, loss, stop, logs = self.training_module.training_step(inputs, targets)
            size = _size(targets)
            self.log("loss", loss, on_step=True, on_epoch=True, prog_bar=True, batch_size=size)
            self.optimizers().step()
            numbers = {name: metric(outputs, targets) for name, metric in self.metrics.items()}
            numbers |= {name: float(value) for name, value in logs.items()}
            self.log_dict(numbers, on_step=True, on_epoch=False, prog_bar=True, batch_size=size)
            if stop:
                self.trainer.should_stop = True
            return loss

        def configure_optimizers(self) -> Any:
            return StepCounter(self.training_module)

    return LightningTraining
