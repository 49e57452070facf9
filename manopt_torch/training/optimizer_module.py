"""Any optimizer in the place of Levenberg-Marquardt steps, to compare with."""

import copy
from collections.abc import Callable
from typing import Any

import torch

from manopt_torch._keywords import KnownKeywords
from manopt_torch.errors import OptionsError
from manopt_torch.training.batch_tree import call, mapped
from manopt_torch.training.levenberg_marquardt import StepResult
from manopt_torch.training.losses import MSELoss


class OptimizerModule(KnownKeywords, torch.nn.Module):
    """Train a network by an optimizer, in `fit` and `lightning_module` as `LevenbergMarquardtModule` does.

    Args:
        model: the network, called with the inputs: a tuple or list holds arguments, a dict keywords.
        optimizer: of its parameters, such as `torch.optim.Adam` or a `ModularOptimizer`; it is stepped with a
            `closure(backward=True)`.
        loss_fn: a `Loss`, or any function of outputs and targets that returns one number; None is `MSELoss()`.

    Raises:
        OptionsError: if the optimizer or the loss has the wrong kind.

    Examples:
        >>> from manopt_torch.training import fit
        >>> x = torch.linspace(-1, 1, 60)[:, None]
        >>> net = torch.nn.Linear(1, 1)
        >>> module = OptimizerModule(net, torch.optim.SGD(net.parameters(), lr=0.5))
        >>> history = fit(module, [(x, 2 * x + 1)], epochs=60, progress=False)
        >>> history[-1]["loss_epoch"] < 1e-6
        True
    """

    def __init__(
        self,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        loss_fn: Callable[[Any, Any], torch.Tensor] | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise OptionsError(
                "OptimizerModule: optimizer must be one that is made, such as torch.optim.Adam(model.parameters()), "
                f"got {optimizer!r}"
            )
        self.loss_fn = MSELoss() if loss_fn is None else loss_fn
        if isinstance(self.loss_fn, type) or not callable(self.loss_fn):
            raise OptionsError(f"OptimizerModule: loss_fn must be a function of outputs and targets, got {loss_fn!r}")
        self.model, self.optimizer = model, optimizer

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return next(self.model.parameters()).device

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the model."""
        return self.model(*args, **kwargs)

    def training_step(self, inputs: Any, targets: Any) -> StepResult:
        """Make a step of the optimizer; outputs and loss are those of its first evaluation, at the start as a rule."""
        first: list[tuple[Any, torch.Tensor]] = []

        def closure(backward: bool = True) -> torch.Tensor:
            outputs = call(self.model, inputs)
            loss = self.loss_fn(outputs, targets)
            if not first:
                first.append((mapped(torch.Tensor.detach, outputs), loss.detach()))
            if backward:
                self.optimizer.zero_grad()
                loss.backward()
            return loss

        step: Any = self.optimizer.step
        with torch.enable_grad():
            step(closure)
        outputs, loss = first[0]
        return StepResult(outputs, loss, False, {})

    def get_extra_state(self) -> dict[str, Any]:
        """Return the state of the optimizer for `state_dict`."""
        return self.optimizer.state_dict()

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take over the state of the optimizer."""
        # torch takes over the tensors themselves, and parameters of modules are copied
        self.optimizer.load_state_dict(copy.deepcopy(state))
