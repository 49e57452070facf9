r"""Losses that are sums of squares: each says its residuals as well as its value.

Levenberg-Marquardt needs residuals $r$ with $r^2 = \ell$ for the losses $\ell$ of single samples or entries. Where a
loss is no square by itself, $r = \sqrt\ell$; the root has no derivative at zero, but $\nabla \ell = 0$ there and a row
of zeros says the same. Losses of a difference $e$ take the root with the sign of $e$, which is smooth where $\ell$ is.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from manopt_torch._keywords import KnownKeywords
from manopt_torch.errors import OptionsError, ShapeError


class Loss(KnownKeywords, torch.nn.Module, ABC):
    r"""What a network is trained on: a mean $\ell$ of losses, and residuals whose squares are these losses.

    A loss of one's own is a subclass with the two methods, or a `ResidualLoss`. Its residuals are functions of the
    single samples: batch axis first, any shape after it.

    Examples:
        >>> import torch
        >>> class RelativeLoss(Loss):
        ...     def forward(self, outputs, targets):
        ...         return self.residuals(outputs, targets).square().mean()
        ...
        ...     def residuals(self, outputs, targets):
        ...         return (outputs - targets) / targets
        >>> RelativeLoss()(torch.tensor([1.0, 3.0]), torch.tensor([2.0, 2.0]))
        tensor(0.2500)
    """

    @abstractmethod
    def forward(self, outputs: Any, targets: Any) -> torch.Tensor:
        """Return the mean loss, a scalar."""

    @abstractmethod
    def residuals(self, outputs: Any, targets: Any) -> torch.Tensor:
        """Return the residuals, shape `(samples, ...)`."""


class MSELoss(Loss):
    r"""Squares of differences, $r = y - t$: for regression.

    Examples:
        >>> import torch
        >>> MSELoss()(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 1.0]))
        tensor(2.)
    """

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean square."""
        return self.residuals(outputs, targets).square().mean()

    def residuals(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the differences."""
        return difference(outputs, targets)


class L1Loss(Loss):
    r"""Absolute differences, $r = \operatorname{sign}(e)\sqrt{|e|}$ with $e = y - t$: for targets with outliers.

    The slope of the root grows without bound towards $e = 0$; a difference below the rounding unit counts as zero. A
    full step takes $e$ to $-e$ where the model can: give the module `learning_rate=0.5`.

    Examples:
        >>> import torch
        >>> L1Loss().residuals(torch.tensor([5.0, 1.0]), torch.tensor([1.0, 1.0]))
        tensor([2., 0.])
    """

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean of the absolute differences."""
        return difference(outputs, targets).abs().mean()

    def residuals(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the roots of the absolute differences, with the sign of the difference."""
        e = difference(outputs, targets)
        return torch.sign(e) * root(e.abs(), torch.finfo(e.dtype).eps)


class HuberLoss(Loss):
    r"""Squares near zero, absolute values beyond: for targets with outliers, smoother than `L1Loss`.

    $\ell = \tfrac12 e^2$ for $|e| \le \delta$, else $\delta(|e| - \tfrac12\delta)$, as in PyTorch.

    Args:
        delta: where squares end.

    Raises:
        OptionsError: if `delta` is not positive.

    Examples:
        >>> import torch
        >>> HuberLoss()(torch.tensor([0.0, 3.0]), torch.tensor([0.0, 0.5]))
        tensor(1.)
    """

    def __init__(self, delta: float = 1.0) -> None:
        super().__init__()
        if not delta > 0:
            raise OptionsError(f"HuberLoss: delta must be positive, got {delta!r}")
        self.delta = delta

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean loss."""
        e = difference(outputs, targets)
        return functional.huber_loss(e, torch.zeros_like(e), delta=self.delta)

    def residuals(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the roots of the losses, with the sign of the difference."""
        e = difference(outputs, targets)
        size = e.abs()
        beyond = size > self.delta
        # the root of the outer branch is taken of what is positive also where it does not count
        far = (self.delta * (torch.where(beyond, size, self.delta) - 0.5 * self.delta)).sqrt()
        return torch.where(beyond, torch.sign(e) * far, e * 0.5**0.5)


class ResidualLoss(Loss):
    r"""Make a loss of a function that returns the losses of the samples, none of them negative: $r = \sqrt\ell$.

    A full step fits where $\ell$ grows like a square. Where it grows like $\lvert e\rvert^p$ the step is $2/p$ times as
    long as it should be, and the learning rate $p/2$ makes up for it.

    Args:
        losses: `losses(outputs, targets)`, shape `(samples, ...)`: PyTorch's losses with `reduction="none"`, or a
            function of one's own.

    Raises:
        OptionsError: if it is not callable.

    Examples:
        >>> import torch
        >>> poisson = ResidualLoss(lambda y, t: y - t + t * torch.log(t / y))
        >>> poisson.residuals(torch.tensor([1.0, 4.0]), torch.tensor([1.0, 4.0]))
        tensor([0., 0.])
    """

    def __init__(self, losses: Callable[[Any, Any], torch.Tensor]) -> None:
        super().__init__()
        if not callable(losses):
            raise OptionsError(f"ResidualLoss: losses must be a function of outputs and targets, got {losses!r}")
        self.losses = losses

    def forward(self, outputs: Any, targets: Any) -> torch.Tensor:
        """Return the mean loss."""
        return self.losses(outputs, targets).mean()

    def residuals(self, outputs: Any, targets: Any) -> torch.Tensor:
        """Return the roots of the losses; NaN for a negative one."""
        return root(self.losses(outputs, targets))


class CrossEntropyLoss(Loss):
    r"""Cross entropy of logits: for classification, one residual a sample.

    Args:
        weight: weights of the classes, shape `(classes,)`.
        ignore_index: the class of samples that do not count.
        label_smoothing: in $[0, 1)$.

    Shapes:
        outputs `(samples, classes)`, targets `(samples,)` of class numbers or `(samples, classes)` of probabilities.

    Examples:
        >>> import torch
        >>> CrossEntropyLoss().residuals(torch.tensor([[200.0, 0.0]]), torch.tensor([0]))
        tensor([0.])
    """

    def __init__(
        self, weight: torch.Tensor | None = None, ignore_index: int = -100, label_smoothing: float = 0.0
    ) -> None:
        super().__init__()
        self.weight: torch.Tensor | None
        self.register_buffer("weight", weight)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean loss."""
        return self._losses(outputs, targets, "mean")

    def residuals(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the roots of the losses of the samples."""
        return root(self._losses(outputs, targets, "none"))

    def _losses(self, outputs: torch.Tensor, targets: torch.Tensor, reduction: str) -> torch.Tensor:
        return functional.cross_entropy(
            outputs,
            targets,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=reduction,
            label_smoothing=self.label_smoothing,
        )


class BCELoss(Loss):
    r"""Binary cross entropy of probabilities.

    Prefer `BCEWithLogitsLoss`, which keeps its digits near zero and one.

    Examples:
        >>> import torch
        >>> BCELoss().residuals(torch.tensor([1.0, 0.5]), torch.tensor([1.0, 1.0])) ** 2
        tensor([0.0000, 0.6931])
    """

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean loss."""
        return functional.binary_cross_entropy(outputs, targets)

    def residuals(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the roots of the losses."""
        return root(functional.binary_cross_entropy(outputs, targets, reduction="none"))


class BCEWithLogitsLoss(Loss):
    r"""Binary cross entropy of logits: for yes or no.

    Args:
        pos_weight: weights of the positive targets, shape `(outputs,)`.

    Examples:
        >>> import torch
        >>> BCEWithLogitsLoss()(torch.tensor([0.0, 50.0]), torch.tensor([1.0, 1.0])) * 2
        tensor(0.6931)
    """

    def __init__(self, pos_weight: torch.Tensor | None = None) -> None:
        super().__init__()
        self.pos_weight: torch.Tensor | None
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean loss."""
        return functional.binary_cross_entropy_with_logits(outputs, targets, pos_weight=self.pos_weight)

    def residuals(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the roots of the losses."""
        losses = functional.binary_cross_entropy_with_logits
        return root(losses(outputs, targets, reduction="none", pos_weight=self.pos_weight))


def difference(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return outputs less targets; raise a ShapeError unless they are alike."""
    if outputs.shape != targets.shape:
        raise ShapeError(
            f"outputs of shape {tuple(outputs.shape)} and targets of shape {tuple(targets.shape)}: they must be the "
            "same, or each output would be compared with each target; add or remove an axis"
        )
    return outputs - targets


def checked_loss(loss: object) -> Loss:
    """Return the loss; raise an OptionsError unless it has residuals."""
    if isinstance(loss, type) or not (callable(loss) and hasattr(loss, "residuals")):
        kind = f"{loss.__name__} itself: call it" if isinstance(loss, type) else type(loss).__name__
        raise OptionsError(
            f"loss_fn needs residuals, got {kind}; MSELoss and others are in manopt_torch.training, and "
            'ResidualLoss(torch.nn.SmoothL1Loss(reduction="none")) makes a loss of PyTorch one'
        )
    return loss  # pyright: ignore[reportReturnType]


def root(
    loss: torch.Tensor,  # shape: (...), not negative
    zero: float | None = None,
) -> torch.Tensor:
    """Return the square root with derivative zero at zero; what is smaller than `zero` counts as that."""
    none = loss.abs() < (torch.finfo(loss.dtype).tiny if zero is None else zero)
    # the root of what it is not taken of must have a derivative too: a NaN times zero is NaN
    return torch.where(none, 0.0, torch.where(none, 1.0, loss).sqrt())
