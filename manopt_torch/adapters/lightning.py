"""Training modules for Lightning."""

import sys
from functools import lru_cache
from importlib import import_module
from typing import Any

import torch

_PACKAGES = ("lightning.pytorch", "pytorch_lightning")


def lightning_module(module: Any, metrics: dict[str, Any] | None = None, package: str | None = None) -> Any:
    """Make a `LightningModule` of a training module, to be trained by `Trainer(...).fit(...)`.

    Each step logs `loss_step`, `loss_epoch`, `damping_factor`, `attempts` and the metrics. The trainer is stopped when
    the module raises its stop flag. Checkpoints hold the parameters and the damping. Optimizers are not involved:
    `configure_optimizers` returns none, and no gradients are accumulated or clipped.

    Args:
        module: a `LevenbergMarquardtModule`, or any `torch.nn.Module` with its method `training_step`.
        metrics: functions of outputs and targets, or metrics of torchmetrics, by name.
        package: `"lightning.pytorch"` or `"pytorch_lightning"`, the one that the trainer comes from: they know nothing
            of each other. None is the one that is imported already, else the one that is installed.

    Raises:
        ImportError: if Lightning is missing.

    Examples:
        ```text
        from lightning.pytorch import Trainer

        Trainer(max_epochs=50).fit(lightning_module(module), train_loader)
        ```
    """
    return _class(_package(package))(module, metrics or {})


def _package(name: str | None) -> str:
    names = [name] if name is not None else sorted(_PACKAGES, key=lambda n: n not in sys.modules)
    for candidate in names:
        try:
            import_module(candidate)
        except ImportError:
            continue
        return candidate
    raise ImportError(f"lightning_module needs {' or '.join(names)}: pip install manopt_torch[lightning]")


@lru_cache
def _class(package: str) -> Any:
    base: Any = import_module(package).LightningModule

    class LightningTraining(base):
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
            size = len(targets) if isinstance(targets, torch.Tensor) else None
            self.log("loss", loss, on_step=True, on_epoch=True, prog_bar=True, batch_size=size)
            numbers = {name: metric(outputs, targets) for name, metric in self.metrics.items()}
            numbers |= {name: float(value) for name, value in logs.items()}
            self.log_dict(numbers, on_step=True, on_epoch=False, prog_bar=True, batch_size=size)
            if stop:
                self.trainer.should_stop = True
            return loss

        def configure_optimizers(self) -> list[Any]:
            return []

    return LightningTraining
