r"""Train networks by Levenberg-Marquardt steps on batches of samples.

A step on a batch of $B$ samples with residuals $r(w)$ and Jacobian $J$ solves $(J'J/B + \lambda D)\, d = J'r/B$ and
tries $w - \eta d$; the damping $\lambda$ is raised until the loss of the batch falls, and lowered when it has.
"""

import math
import operator
from typing import Any, NamedTuple

import torch

from manopt_torch._keywords import KnownKeywords
from manopt_torch.errors import NonFiniteError, OptionsError, ShapeError
from manopt_torch.plans.options import check_count, check_range
from manopt_torch.problems.autodiff import in_full_precision
from manopt_torch.training.damping import DampingStrategy, StandardDampingStrategy, checked_damping
from manopt_torch.training.linearization import Linearization, Linearized
from manopt_torch.training.losses import Loss, MSELoss, checked_loss
from manopt_torch.training.refusals import settings, trainable
from manopt_torch.training.selection import Columns, ParamSelectionStrategy, checked_selection, columns_of
from manopt_torch.training.solving import checked_method


class StepResult(NamedTuple):
    """What a training step returns: outputs and loss belong to the parameters after the step."""

    outputs: Any
    loss: torch.Tensor  # shape: ()
    stop: bool
    logs: dict[str, Any]


class LevenbergMarquardtModule(KnownKeywords, torch.nn.Module):
    r"""Train a network by damped Gauss-Newton steps.

    For networks of up to a few thousand parameters and losses that are sums of squares, above all for regression to
    many digits, where first-order methods need many thousand steps. A step costs a Jacobian of the batch and a linear
    system with as many unknowns as parameters or as residuals, whichever are fewer.

    A step takes no notice of `torch.autocast` around it: the system would be off by more than its damping. One that
    finds no lower loss leaves the parameters as they were. The parameters stay tensors of the model:
    other optimizers, `load_state_dict`, changes of dtype or device, and freezing by `requires_grad_(False)` may come
    between two steps. `state_dict` of this module holds the damping, too.

    Args:
        model: the network, called with the inputs: a tuple or list holds arguments, a dict keywords.
        loss_fn: a `Loss`, such as `MSELoss()` or `CrossEntropyLoss()`.
        learning_rate: $\eta$; below one for noisy batches.
        attempts_per_step: how many dampings a step tries.
        solve_method: `"qr"`, `"cholesky"` (least work; a failure counts as a failed attempt), `"solve"` (LU),
            `"lstsq"`, or `"svd"`, which drops directions without influence.
        damping_strategy: a `DampingStrategy`; None is `StandardDampingStrategy()`.
        param_selection_strategy: a `ParamSelectionStrategy`; None moves all parameters.
        jacobian_max_num_rows: how many rows of the Jacobian to hold at a time, rounded down to whole samples; with
            fewer rows than parameters, two such blocks, and rows are computed again for each block. None is all.
        vectorize_jacobian: whether samples are differentiated one by one, all at once by `torch.func.vmap`. False takes
            one backward pass a residual, slow, for models that mix samples or that `vmap` cannot take.
        solve_dtype: dtype of the linear system; None is that of the parameters, but at least float32. With parameters
            of fewer digits the step is rounded to theirs.

    Raises:
        OptionsError: if an argument is out of its range, or the model cannot be trained so.

    Note:
        From the second step with batches of one shape on, the Jacobian is a recording of its operations without the
        model's Python. A model that turns out to do something else than recorded is recorded again. BatchNorm and
        Dropout layers in training mode are refused: after `model.eval()` they are affine maps and identities.

    References:
        [Marquardt:1963]; [HaganMenhaj:1994].

    Examples:
        >>> _ = torch.manual_seed(0)
        >>> x = torch.linspace(-1, 1, 200, dtype=torch.float64)[:, None]
        >>> y = torch.sinc(3 * x)
        >>> net = torch.nn.Sequential(torch.nn.Linear(1, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)).double()
        >>> module = LevenbergMarquardtModule(net)
        >>> for _ in range(40):
        ...     outputs, loss, stop, logs = module.training_step(x, y)
        >>> bool(loss < 1e-3), logs["attempts"] <= 10
        (True, True)
    """

    model: torch.nn.Module

    def __init__(
        self,
        model: torch.nn.Module,
        loss_fn: Loss | None = None,
        learning_rate: float = 1.0,
        attempts_per_step: int = 10,
        solve_method: str = "qr",
        damping_strategy: DampingStrategy | None = None,
        param_selection_strategy: ParamSelectionStrategy | None = None,
        jacobian_max_num_rows: int | None = None,
        vectorize_jacobian: bool = True,
        *,
        solve_dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.loss_fn: Loss = checked_loss(MSELoss() if loss_fn is None else loss_fn)
        self.damping_strategy: DampingStrategy = checked_damping(damping_strategy or StandardDampingStrategy())
        self.param_selection_strategy: ParamSelectionStrategy | None = checked_selection(param_selection_strategy)
        self.learning_rate, self.attempts_per_step = learning_rate, attempts_per_step
        self.jacobian_max_num_rows, self.vectorize_jacobian = jacobian_max_num_rows, vectorize_jacobian
        self.solve_method, self.solve_dtype = checked_method(solve_method), solve_dtype
        check_range(self, "learning_rate", 0.0, math.inf)
        check_count(self, "attempts_per_step", 1)
        if jacobian_max_num_rows is not None:
            check_count(self, "jacobian_max_num_rows", 1)
        if solve_dtype not in (None, torch.float32, torch.float64):
            raise OptionsError(f"solve_dtype must be torch.float32, torch.float64 or None, got {solve_dtype!r}")
        self._settings: Any = None
        self._take_up()

    def _look_again(self, now: Any) -> None:
        """Take up what has been put into the place of parameters or loss, or frozen, since the last step."""
        self._settings = now
        params = [p for p in self.model.parameters() if p.requires_grad]
        same = len(params) == len(self._params) and all(map(operator.is_, params, self._params))
        if not same or self._linearization.loss is not self.loss_fn:
            self._take_up()

    def _take_up(self) -> None:
        """Look for the parameters, and begin anew with what is recorded of the model."""
        params = trainable(self.model)
        self._params = list(params.values())
        self._linearization = Linearization(
            self.model,
            self.loss_fn,
            params,
            max_rows=self.jacobian_max_num_rows,
            vectorized=self.vectorize_jacobian,
            dtype=self.solve_dtype,
        )

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return self._params[0].device

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the model."""
        return self.model(*args, **kwargs)

    def reset(self) -> None:
        """Return to the initial damping."""
        self.damping_strategy.reset()

    def get_extra_state(self) -> dict[str, Any]:
        """Return the state of the damping strategy for `state_dict`, if it has one."""
        save = getattr(self.damping_strategy, "state_dict", None)
        return {} if save is None else save()

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take over the state of the damping strategy."""
        if state:
            self.damping_strategy.load_state_dict(state)  # pyright: ignore[reportAttributeAccessIssue]

    @torch.no_grad()
    @in_full_precision
    def training_step(self, inputs: Any, targets: Any) -> StepResult:
        """Move the parameters to a lower loss of a batch.

        Args:
            inputs: samples on the first axis; a tensor, or a tuple, list or dict of them.
            targets: what the loss compares the outputs with, likewise.

        Returns:
            Outputs and loss at the parameters after the step, whether the damping strategy wants training to end, and
            `{"damping_factor": ..., "attempts": ...}`.

        Raises:
            OptionsError: if a layer makes residuals that have no Jacobian.
            ShapeError: if inputs and targets do not hold the same number of samples, or the loss is not one number.
            NonFiniteError: if the loss, or the Jacobian, is not finite at the present parameters.
        """
        now = settings(self.model, self.loss_fn)
        if now != self._settings:
            self._look_again(now)
        strategy = self.param_selection_strategy
        chosen = None if strategy is None else strategy.select_parameters()
        columns = columns_of(chosen, [p.numel() for p in self._params], self.device)
        linearized = self._linearization.at(columns, inputs, targets, self.damping_strategy.scaling, now)
        loss = self.loss_fn(linearized.outputs, targets)
        value = _finite("loss", loss)
        self.damping_strategy.initialize_step(value)
        better, stop, attempts = self._attempts(linearized, columns, targets, value)
        if better is None:
            _finite("Jacobian of the residuals", linearized.system.matrix.sum() + linearized.system.rhs.sum())
            outputs = linearized.outputs
        else:
            parameters, outputs, loss = better
            for k, p in zip(columns.tensors, parameters, strict=True):
                self._params[k].copy_(p)
        logs = {"damping_factor": float(self.damping_strategy.get_current_damping()), "attempts": attempts}
        return StepResult(outputs, loss, stop, logs)

    def _attempts(
        self, linearized: Linearized, columns: Columns, targets: Any, value: float
    ) -> tuple[tuple[list[torch.Tensor], Any, torch.Tensor] | None, bool, int]:
        """Try one damping after the other; return better parameters with outputs and loss, or None."""
        damping, attempts, former = self.damping_strategy, 0, linearized.parameters
        flat = torch.cat([p.reshape(-1) for p in former])
        while attempts < self.attempts_per_step:
            attempts += 1
            step = linearized.system.step(_damping(damping), self.solve_method)
            parameters = _moved(former, flat, columns, step, -self.learning_rate)
            outputs = linearized.outputs_at(parameters)
            loss = self.loss_fn(outputs, targets)
            # a step that is not finite has failed, also where the parameters concerned have no influence
            trial = float(torch.add(loss, step.sum(), alpha=0.0))
            if trial < value:
                damping.on_successful_update(trial)
                return (parameters, outputs, loss), False, attempts
            damping.on_unsuccessful_update(value)
            if damping.stop_attempts(value):
                return None, damping.stop_training(value), attempts
        return None, False, attempts


def _moved(
    parameters: list[torch.Tensor],
    flat: torch.Tensor,  # shape: (entries,), the same in one
    columns: Columns,
    step: torch.Tensor,  # shape: (columns,)
    length: float,
) -> list[torch.Tensor]:
    """Return the parameters after a step."""
    if columns.chosen is not None:
        step = torch.zeros_like(flat, dtype=step.dtype).index_copy(0, columns.chosen, step)
    parts = torch.add(flat, step, alpha=length).split_with_sizes([p.numel() for p in parameters])
    return [part.view_as(p).to(p.dtype) for p, part in zip(parameters, parts, strict=True)]


def _damping(strategy: DampingStrategy) -> float:
    """Return the damping of the next attempt; raise an OptionsError if it is none."""
    value: Any = strategy.get_current_damping()
    if not isinstance(value, (int, float, torch.Tensor)) or not 0 <= (number := float(value)) < math.inf:
        raise OptionsError(f"get_current_damping() of {strategy!r} must return a number >= 0, got {value!r}")
    return number


def _finite(name: str, value: Any) -> float:
    """Return a number on the host; raise a ShapeError if it is several, a NonFiniteError if it is not finite."""
    if not isinstance(value, torch.Tensor) or value.numel() != 1:
        got = f"shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
        raise ShapeError(f"the {name} must be a tensor of one number, got {got}: reduce it by .mean()")
    number = float(value)
    if not math.isfinite(number):
        raise NonFiniteError(
            f"the {name} is {number} at the present parameters: look for NaN in inputs, targets and parameters, and "
            "for a root or logarithm at zero in a loss of your own"
        )
    return number
