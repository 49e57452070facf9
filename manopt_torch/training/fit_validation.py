"""What `fit` does with data that it does not train on."""

import copy
import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.training.batch_tree import call, pair_of
from manopt_torch.training.evaluation import evaluating, restore, snapshot
from manopt_torch.training.metrics import Average, metrics_of
from manopt_torch.training.validation import Patience


class FitValidation:
    """Validate a module every so many epochs, and keep the parameters and buffers of the best validation.

    Args:
        module: what is trained, with a `loss_fn`.
        data: a tuple of inputs and targets, or what yields such pairs again and again.
        every: how many epochs there are between two validations.
        patience: how many validations in a row may fail to improve on the best; None is any number.
        min_improvement: see `Patience`.
        metrics: as those of `fit`.

    Raises:
        OptionsError: if an argument is out of its range, or the module cannot be validated.
    """

    def __init__(
        self,
        module: Any,
        data: Any,
        every: int,
        patience: float | None,
        min_improvement: float,
        metrics: Mapping[str, Any] | None,
    ) -> None:
        loss_fn: Any = getattr(module, "loss_fn", None)
        if not isinstance(module, torch.nn.Module) or not callable(loss_fn):
            raise OptionsError(
                f"validation= needs a torch.nn.Module with a loss_fn, got {type(module).__name__}: LevenbergMarquardt"
                "Module and OptimizerModule are such"
            )
        if not isinstance(every, int) or isinstance(every, bool) or every < 1:
            raise OptionsError(f"validate_every must be an int >= 1, got {every!r}")
        if "loss" in (metrics or {}):
            raise OptionsError("metrics: 'loss' is the name of the validation loss, choose another")
        self.module, self.every, self.batches = module, every, _batches(data)
        # metrics with a memory are in the midst of an epoch of training when validation comes
        own = copy.deepcopy({name: m for name, m in metrics_of(metrics).items() if not isinstance(m, Average)})
        self.metrics = {"loss": Average("loss", loss_fn), **metrics_of(metrics), **own}
        self.watch = Patience(math.inf if patience is None else patience, min_improvement)
        self.watch.best = snapshot(module)
        self.validate()

    @torch.no_grad()
    def validate(self) -> None:
        """Find loss and metrics at the present parameters.

        Raises:
            OptionsError: if there is no batch.
        """
        for metric in self.metrics.values():
            metric.reset()
        batch = None
        with evaluating(self.module):
            for batch in self.batches:
                inputs, targets = pair_of(batch, getattr(self.module, "device", None), "validation")
                outputs = call(self.module, inputs)
                for metric in self.metrics.values():
                    metric.update(outputs, targets)
        if batch is None:
            raise OptionsError("validation= yields no batch")
        numbers = {name: float(metric.compute()) for name, metric in self.metrics.items()}
        self.watch.see(numbers, snapshot(self.module))
        self.numbers = {f"validation_{name}": value for name, value in numbers.items()}
        self.stale = False

    def after(self, epoch: int, ended: bool, stop: bool) -> bool:
        """Validate after a step if it is time to; return whether training is to stop."""
        self.stale = True
        if stop or (ended and epoch % self.every == 0):
            self.validate()
            return stop or self.watch.elapsed
        return False

    def finish(self, history: list[dict[str, float]]) -> None:
        """Validate what has not been validated yet, and go back to the best."""
        if history and self.stale:
            self.validate()
            history[-1].update(self.numbers)
        restore(self.module, self.watch.best)


def _batches(data: Any) -> Iterable[Any]:
    if isinstance(data, tuple):
        return [data]
    if not (hasattr(data, "__iter__") or hasattr(data, "__getitem__")) or isinstance(data, (torch.Tensor, dict)):
        raise OptionsError(f"validation must be (inputs, targets), or yield such pairs, got {type(data).__name__}")
    if hasattr(data, "__iter__") and iter(data) is data:
        raise OptionsError(
            f"validation= of type {type(data).__name__} can be walked only once: give a list or a DataLoader"
        )
    return data
