"""The loop over epochs and batches."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch

from manopt_torch.adapters.tqdm import EpochBar
from manopt_torch.errors import OptionsError
from manopt_torch.plans.options import strict_keywords
from manopt_torch.training.batch_tree import mapped, samples


class TrainingModule(Protocol):
    """What can be fitted: `LevenbergMarquardtModule`, or anything with the same method."""

    def training_step(self, inputs: Any, targets: Any) -> tuple[Any, torch.Tensor, bool, dict[str, Any]]:
        """Move the parameters; return outputs, loss, the stop flag and further numbers for the log."""
        ...


class FitProgress(NamedTuple):
    """What a callback of `fit` is given after each step.

    `logs` holds `loss_step`, `loss_epoch` (the mean over the samples of the epoch so far), the metrics, and what the
    step logs: `damping_factor` and `attempts`.
    """

    epoch: int  # from 1 on
    step: int  # within the epoch, from 1 on
    logs: dict[str, float]
    outputs: Any
    stop: bool
    epoch_ended: bool


@strict_keywords
def fit(
    module: TrainingModule,
    loader: Iterable[Any],
    epochs: int,
    progress: bool = True,
    overwrite_progress_bar: bool = True,
    callbacks: Sequence[Callable[[FitProgress], bool | None]] = (),
    metrics: Mapping[str, Any] | None = None,
) -> list[dict[str, float]]:
    """Train a module on the batches of a loader.

    Ends early, after the step, when the module raises its stop flag or a callback returns True.

    Args:
        module: a `LevenbergMarquardtModule`, or anything with its `training_step`.
        loader: yields pairs of inputs and targets, in each epoch anew; they are moved to the device of the module.
        epochs: how often to go through the loader.
        progress: whether to show a bar, if tqdm is installed.
        overwrite_progress_bar: whether the bar of an epoch takes the place of the former.
        callbacks: called with a `FitProgress` after each step.
        metrics: functions of outputs and targets whose means over the epoch are logged, by name; or metrics of
            torchmetrics, which are reset after each epoch.

    Returns:
        The logs of each epoch's last step, one dict an epoch, with `epoch` and `steps`.

    Raises:
        OptionsError: if an argument has the wrong kind, or the loader yields something else than pairs, or nothing.

    Examples:
        >>> import torch
        >>> from manopt_torch.training import LevenbergMarquardtModule
        >>> x = torch.linspace(-1, 1, 60)[:, None]
        >>> batches = [(x[k::3], 2 * x[k::3] + 1) for k in range(3)]
        >>> module = LevenbergMarquardtModule(torch.nn.Linear(1, 1))
        >>> history = fit(module, batches, epochs=2, progress=False)
        >>> len(history), history[-1]["loss_epoch"] < 1e-6
        (2, True)
    """
    _check(module, loader, epochs, callbacks, metrics)
    averages = {name: _metric(name, metric) for name, metric in (metrics or {}).items()}
    history: list[dict[str, float]] = []
    with EpochBar(progress, overwrite_progress_bar) as bar:
        for epoch in range(1, epochs + 1):
            bar.begin(epoch, epochs, len(loader) if hasattr(loader, "__len__") else None)  # pyright: ignore
            last = None
            for last in _epoch(module, loader, epoch, averages):
                bar.show(last.logs, last.epoch_ended)
                stop = [bool(callback(last)) for callback in callbacks]
                if last.stop or any(stop):
                    history.append({"epoch": epoch, "steps": last.step, **last.logs})
                    return history
            if last is None:
                raise OptionsError(f"the loader yields no batch in epoch {epoch}: a generator can be used up only once")
            history.append({"epoch": epoch, "steps": last.step, **last.logs})
    return history


def _epoch(module: Any, loader: Iterable[Any], epoch: int, metrics: Mapping[str, Any]) -> Any:
    """Yield the state after each step of an epoch."""
    total, seen, step = 0.0, 0, 0
    device = getattr(module, "device", None)
    batches = iter(loader)
    batch = next(batches, None)
    while batch is not None:
        inputs, targets = _pair(batch)
        if device is not None:
            inputs, targets = mapped(lambda t: t.to(device), inputs), mapped(lambda t: t.to(device), targets)
        outputs, loss, stop, logs = module.training_step(inputs, targets)
        size, value, step = samples(inputs, targets), float(loss), step + 1
        total, seen = total + value * size, seen + size
        for metric in metrics.values():
            metric.update(outputs, targets)
        numbers = {name: _number(name, metric.compute()) for name, metric in metrics.items()}
        batch = None if stop else next(batches, None)
        logs = {"loss_step": value, "loss_epoch": total / seen, **numbers, **logs}
        yield FitProgress(epoch, step, logs, outputs, stop, batch is None)
    for metric in metrics.values():
        metric.reset()


def _pair(batch: Any) -> Any:
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        size = f" of {len(batch)}" if isinstance(batch, (tuple, list)) else ""
        raise OptionsError(f"the loader must yield pairs of inputs and targets, got a {type(batch).__name__}{size}")
    return batch


class _Average:
    """The mean of a function over the samples of an epoch."""

    def __init__(self, name: str, function: Callable[[Any, Any], Any]) -> None:
        self.name, self.function, self.total, self.seen = name, function, 0.0, 0

    def update(self, outputs: Any, targets: Any) -> None:
        size = samples(outputs, targets)
        value = _number(self.name, self.function(outputs, targets))
        self.total, self.seen = self.total + value * size, self.seen + size

    def compute(self) -> float:
        return self.total / self.seen

    def reset(self) -> None:
        self.total, self.seen = 0.0, 0


def _metric(name: str, metric: Any) -> Any:
    if all(callable(getattr(metric, method, None)) for method in ("update", "compute", "reset")):
        return metric
    if not callable(metric):
        raise OptionsError(f"metric {name!r} must be a function of outputs and targets, got {type(metric).__name__}")
    return _Average(name, metric)


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        got = f"shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
        raise OptionsError(f"metric {name!r} must return one number, got {got}") from None


def _check(module: Any, loader: Any, epochs: Any, callbacks: Any, metrics: Any) -> None:
    if not callable(getattr(module, "training_step", None)):
        raise OptionsError(
            f"fit needs a module with a training_step, got {type(module).__name__}: wrap the network into "
            "LevenbergMarquardtModule(network)"
        )
    if not (hasattr(loader, "__iter__") or hasattr(loader, "__getitem__")):
        raise OptionsError(f"loader must yield pairs of inputs and targets, got {type(loader).__name__}")
    if not isinstance(epochs, int) or isinstance(epochs, bool) or epochs < 0:
        raise OptionsError(f"epochs must be an int >= 0, got {epochs!r}")
    if not isinstance(callbacks, (tuple, list)) or not all(map(callable, callbacks)):
        raise OptionsError(f"callbacks must be a list of functions of a FitProgress, got {callbacks!r}")
    if metrics is not None and not isinstance(metrics, Mapping):
        raise OptionsError(f'metrics must be a dict such as {{"mae": function}}, got {type(metrics).__name__}')
