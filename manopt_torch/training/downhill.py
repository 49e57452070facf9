"""The face of the package downhill: `minimize` a loss in one call, or `build` an algorithm and walk its epochs."""

from collections.abc import Callable
from typing import Any

from manopt_torch.plans.options import strict_keywords
from manopt_torch.training.downhill_run import Downhill, Pair


@strict_keywords
def build(
    algo: Any,
    loss: Callable[..., Any],
    params: Any = None,
    monitors: Any = (),
    monitor_gradients: bool = False,
    *,
    formulas: str = "downhill",
) -> Downhill:
    """Bind an algorithm to a loss, to walk through its epochs or to ask for single updates.

    Args:
        algo: as for `minimize`, like the following.
        loss: the loss.
        params: the parameters.
        monitors: what to watch.
        monitor_gradients: whether to watch the gradients.
        formulas: "downhill" or "torch".

    Returns:
        An object with `iterate`, a generator of the monitors of each epoch, `minimize`, which runs it to its end, and
        `get_updates`, which returns a function that takes a batch and moves the parameters by one step.

    Raises:
        OptionsError: if there is no such algorithm, or an argument has the wrong kind.

    Examples:
        >>> import torch
        >>> x = torch.tensor([3.0, 4.0], requires_grad=True)
        >>> opt = build("sgd", lambda: x.square().sum(), monitors={"x0": lambda: x[0]})
        >>> for train, _ in opt.iterate([[]], learning_rate=0.25, max_updates=3):
        ...     print(train)
        {'loss': 25.0, 'x0': 3.0}
        {'loss': 6.25, 'x0': 1.5}
        {'loss': 1.5625, 'x0': 0.75}
    """
    return Downhill(algo, loss, params, monitors, monitor_gradients, formulas)


def minimize(
    loss: Callable[..., Any],
    train: Any = None,
    valid: Any = None,
    params: Any = None,
    algo: Any = "rmsprop",
    monitors: Any = (),
    monitor_gradients: bool = False,
    *,
    formulas: str = "downhill",
    batch_size: int | None = 32,
    train_batches: int | None = None,
    valid_batches: int | None = None,
    axis: int = 0,
    shuffle: str | bool = "batches",
    seed: int = 0,
    learning_rate: float = 1e-4,
    momentum: float = 0.0,
    nesterov: bool | str = False,
    max_gradient_norm: float | None = 0.0,
    max_gradient_elem: float | None = 0.0,
    patience: int = 5,
    validate_every: int = 10,
    min_improvement: float = 0.0,
    max_updates: int | None = None,
    max_steps: int | None = None,
    print: Callable[[str], Any] | None = None,
    **hyper: Any,
) -> Pair:
    r"""Minimise a loss over batches of data until validation no longer improves, and keep the best parameters.

    The parameters are tensors that the loss reads; they are changed in place. Each update evaluates the loss on one
    batch and moves them by $x \leftarrow x - d$, or on manifolds $x \leftarrow \operatorname{retr}_x(-d)$. Use it to
    train in one call; `build` walks the epochs one by one, `stochastic_gradient_descent` takes problems and options.

    Args:
        loss: `loss(*batch)`, returns one number.
        train: the data: an array or a list of arrays, cut alike into batches; a function that returns a batch; a
            DataLoader or another iterable of batches; None or `[]` for a loss of nothing.
        valid: likewise; None is the training data.
        params: tensors with `requires_grad`, a dict or pairs with their names, or a module; a `ManifoldParameter`
            stays on its manifold. None is all that the loss depends on. Without names they are called by the variables
            that the loss reads, or `unnamed0`, ... A module is validated in evaluation mode, and the best of its
            buffers are restored with the parameters.
        algo: "sgd", "nag", "rprop", "rmsprop", "adagrad", "adadelta", "esgd", "adam", or a direction rule.
        monitors: functions of a batch by name, whose means are reported: a dict or pairs.
        monitor_gradients: whether to report `grad(name)`, the squared norm of the gradient before any limit.
        formulas: "downhill" for those of that package and its keywords, "torch" for those, the defaults and the
            keywords of torch.optim.
        batch_size: rows in a batch, for arrays.
        train_batches: batches in an epoch; None is all, of a function 100.
        valid_batches: likewise in a validation.
        axis: the axis of rows.
        shuffle: "batches", "rows" or False, see `BatchSource`.
        seed: seed of all draws.
        learning_rate: factor of the direction; adadelta with downhill's formulas has none.
        momentum: $\mu \in [0, 1)$, applied to what the algorithm gives.
        nesterov: True for the momentum of `NesterovRule` in the variant of `formulas`, or the name of one; always so
            for nag.
        max_gradient_norm: limit of the norm of each parameter's gradient; None or zero is none.
        max_gradient_elem: limit of each entry instead.
        patience: how many validations in a row may fail to improve before one more ends the run.
        validate_every: epochs from one validation to the next.
        min_improvement: by which part of its size the best loss must fall to count as improved.
        max_updates: number of epochs (as in downhill); None is no limit.
        max_steps: number of updates; None is no limit.
        print: function that gets the lines of a report; None is silence.
        hyper: hyper-parameters of the algorithm: `rms_halflife` (14), `rms_regularizer` (1e-8), `beta1_halflife` (7),
            `beta2_halflife` (69), `rprop_increase` (1.01), `rprop_decrease` (0.99), `rprop_min_step` (0),
            `rprop_max_step` (100), and for esgd `probe`; with the formulas of torch `betas`, `eps`, `alpha`,
            `centered`, `rho`, `etas`, `step_sizes`, `initial_accumulator_value`.

    Returns:
        The monitors of the last epoch and those of the restored parameters, dicts of numbers with "loss" first.

    Raises:
        OptionsError: if a keyword is unknown (the message lists what the algorithm takes) or out of its range, or a
            rule for single entries meets a curved manifold.
        MissingDerivativeError: if the loss does not depend on the parameters.

    References:
        the rules', see `AdamRule` and the like.

    Examples:
        >>> import torch
        >>> x = torch.zeros(2, dtype=torch.float64, requires_grad=True)
        >>> y = torch.tensor([[1.0, 2.0], [3.0, 2.0]], dtype=torch.float64)
        >>> train, valid = minimize(lambda y: (y - x).square().mean(), [y], algo="sgd", learning_rate=0.5)
        >>> [round(v, 6) for v in x.tolist()], round(valid["loss"], 6)
        ([2.0, 2.0], 0.5)
    """
    keywords = dict(locals())
    own = ("loss", "train", "valid", "params", "algo", "monitors", "monitor_gradients", "formulas", "hyper")
    for name in own:
        del keywords[name]
    opt = build(algo, loss, params, monitors, monitor_gradients, formulas=formulas)
    return opt.minimize(train, valid, **keywords, **hyper)
