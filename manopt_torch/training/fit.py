"""The loop over epochs and batches."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch

from manopt_torch.adapters.tqdm import EpochBar
from manopt_torch.errors import OptionsError
from manopt_torch.plans.options import strict_keywords
from manopt_torch.training.batch_tree import pair_of, samples
from manopt_torch.training.fit_validation import FitValidation
from manopt_torch.training.metrics import metrics_of, number_of


class TrainingModule(Protocol):
    """What can be fitted: `LevenbergMarquardtModule`, or anything with the same method."""

    def training_step(self, inputs: Any, targets: Any) -> tuple[Any, torch.Tensor, bool, dict[str, Any]]:
        """Move the parameters; return outputs, loss, the stop flag and further numbers for the log."""
        ...


class FitProgress(NamedTuple):
    """What a callback of `fit` is given after each step.

    `logs` holds `loss_step`, `loss_epoch` (the mean over the samples of the epoch so far), the metrics, and what the
    step logs: `damping_factor` and `attempts`. With data for validation, there are `validation_loss` and the metrics
    under such names, too: those of the last validation.
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
    *,
    validation: Any = None,
    validate_every: int = 1,
    patience: float | None = None,
    min_improvement: float = 0.0,
) -> list[dict[str, float]]:
    r"""Train a module on the batches of a loader.

    Ends early, after the step, when the module raises its stop flag or a callback returns True.

    With data for validation, the loss on them is found before the first epoch, every few epochs, and at the end, in
    evaluation mode. At the end parameters and buffers are those of the best validation; if an exception ends the run,
    they stay as they are then.

    Args:
        module: a `LevenbergMarquardtModule`, or anything with its `training_step`.
        loader: yields pairs of inputs and targets, in each epoch anew; they are moved to the device of the module.
        epochs: how often to go through the loader.
        progress: whether to show a bar, if tqdm is installed.
        overwrite_progress_bar: whether the bar of an epoch takes the place of the former.
        callbacks: called with a `FitProgress` after each step.
        metrics: functions of outputs and targets whose means over the epoch are logged, by name; or metrics of
            torchmetrics, which are reset after each epoch.
        validation: the tuple `(inputs, targets)`, or a loader of such pairs that can be walked again and again; None
            is no validation. The module needs a `loss_fn`, as `LevenbergMarquardtModule` and `OptimizerModule` have.
        validate_every: how many epochs there are between two validations.
        patience: how many validations in a row may fail to improve on the best; one more ends the run. None is any
            number.
        min_improvement: a validation loss $f$ improves on the best $f^*$ if $f^* - f > r\,\lvert f^*\rvert$ with this
            $r \ge 0$.

    Returns:
        The logs of each epoch's last step, one dict an epoch, with `epoch` and `steps`.

    Raises:
        OptionsError: if an argument has the wrong kind, or a loader yields something else than pairs, or nothing.

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
    _check(module, loader, epochs, callbacks)
    averages, held = metrics_of(metrics), None
    if validation is not None:
        held = FitValidation(module, validation, validate_every, patience, min_improvement, metrics)
    elif patience is not None or validate_every != 1 or min_improvement:
        raise OptionsError("patience, validate_every and min_improvement need data: give validation=(inputs, targets)")
    history: list[dict[str, float]] = []
    with EpochBar(progress, overwrite_progress_bar) as bar:
        for epoch in range(1, epochs + 1):
            bar.begin(epoch, epochs, len(loader) if hasattr(loader, "__len__") else None)  # pyright: ignore
            last, ended = None, False
            for last in _epoch(module, loader, epoch, averages, held):
                bar.show(last.logs, last.epoch_ended)
                stop = [bool(callback(last)) for callback in callbacks]
                ended = last.stop or any(stop)
                if ended:
                    break
            if last is None:
                raise OptionsError(f"the loader yields no batch in epoch {epoch}: a generator can be used up only once")
            history.append({"epoch": epoch, "steps": last.step, **last.logs})
            if ended:
                break
    if held is not None:
        held.finish(history)
    return history


def _epoch(
    module: Any, loader: Iterable[Any], epoch: int, metrics: Mapping[str, Any], held: FitValidation | None
) -> Iterator[FitProgress]:
    """Yield the state after each step of an epoch."""
    total, seen, step = 0.0, 0, 0
    device = getattr(module, "device", None)
    batches = iter(loader)
    batch = next(batches, None)
    while batch is not None:
        inputs, targets = pair_of(batch, device, "the loader")
        outputs, loss, stop, logs = module.training_step(inputs, targets)
        size, value, step = samples(inputs, targets), float(loss), step + 1
        total, seen = total + value * size, seen + size
        for metric in metrics.values():
            metric.update(outputs, targets)
        numbers = {name: number_of(name, metric.compute()) for name, metric in metrics.items()}
        batch = None if stop else next(batches, None)
        if held is not None:
            stop = held.after(epoch, batch is None, stop)
            numbers |= held.numbers
        logs = {"loss_step": value, "loss_epoch": total / seen, **numbers, **logs}
        yield FitProgress(epoch, step, logs, outputs, stop, batch is None)
    for metric in metrics.values():
        metric.reset()


def _check(module: Any, loader: Any, epochs: Any, callbacks: Any) -> None:
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
