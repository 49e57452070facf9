"""Which parameters of a network a step moves."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import torch

from manopt_torch._keywords import KnownKeywords
from manopt_torch.errors import OptionsError


@runtime_checkable
class ParamSelectionStrategy(Protocol):
    """What `LevenbergMarquardtModule` asks before each step; any object with this method is such a strategy.

    Examples:
        >>> class OutputLayer:
        ...     '''The last 21 parameters.'''
        ...
        ...     def select_parameters(self):
        ...         return torch.arange(40, 61)
        >>> isinstance(OutputLayer(), ParamSelectionStrategy)
        True
    """

    def select_parameters(self) -> torch.Tensor | None:
        """Return numbers of parameters, or a mask; None is all.

        Parameters are numbered in the order of `model.parameters()`, those that require no gradient left out.
        """
        ...


class AllSelectionStrategy:
    """Move all parameters: the same as no strategy.

    Examples:
        >>> AllSelectionStrategy().select_parameters() is None
        True
    """

    def select_parameters(self) -> None:
        """Return None."""
        return None


class RandomSelectionStrategy(KnownKeywords):
    """Move a random subset of the parameters, a new one each step: systems of bounded size for larger networks.

    Args:
        params: the parameters, as of `model.parameters()`.
        subset_size: how many of their entries to move.
        generator: source of the draws, on the CPU.

    Raises:
        OptionsError: if the size is not between one and the number of entries.

    Examples:
        >>> model = torch.nn.Linear(3, 2)
        >>> RandomSelectionStrategy(model.parameters(), 4).select_parameters().shape
        torch.Size([4])
    """

    def __init__(
        self, params: Iterable[torch.Tensor], subset_size: int, generator: torch.Generator | None = None
    ) -> None:
        self.number: int = sum(_sizes(params))
        if not 1 <= subset_size <= self.number:
            raise OptionsError(f"subset_size must lie in 1 to {self.number}, got {subset_size!r}")
        self.subset_size, self.generator = subset_size, generator

    def select_parameters(self) -> torch.Tensor:
        """Draw the numbers of the step's parameters, in ascending order."""
        return torch.randperm(self.number, generator=self.generator, device="cpu")[: self.subset_size].sort().values


class LayerSelectionStrategy(KnownKeywords):
    """Move one tensor of the parameters at a time, a weight or a bias.

    Args:
        params: the parameters, as of `model.parameters()`.
        mode: `"random"`, or `"cyclic"`, one after the other.
        generator: source of the draws, on the CPU.

    Raises:
        OptionsError: if the mode is unknown, or there is no parameter.

    Examples:
        >>> model = torch.nn.Linear(3, 2)
        >>> layers = LayerSelectionStrategy(model.parameters(), "cyclic")
        >>> layers.select_parameters(), layers.select_parameters()
        (tensor([0, 1, 2, 3, 4, 5]), tensor([6, 7]))
    """

    def __init__(
        self, params: Iterable[torch.Tensor], mode: str = "random", generator: torch.Generator | None = None
    ) -> None:
        if mode not in ("cyclic", "random"):
            raise OptionsError(f"mode must be 'cyclic' or 'random', got {mode!r}")
        self.sizes: list[int] = _sizes(params)
        if not self.sizes:
            raise OptionsError("params holds no parameter that requires a gradient")
        self.mode, self.generator, self.next = mode, generator, 0

    def select_parameters(self) -> torch.Tensor:
        """Return the numbers of the entries of one tensor."""
        chosen = self.next
        if self.mode == "random":
            chosen = int(torch.randint(len(self.sizes), (1,), generator=self.generator, device="cpu"))
        self.next: int = (chosen + 1) % len(self.sizes)
        start = sum(self.sizes[:chosen])
        return torch.arange(start, start + self.sizes[chosen], device="cpu")


def checked_selection(strategy: object) -> ParamSelectionStrategy | None:
    """Return the strategy; raise an OptionsError unless it is one, or None."""
    if strategy is None or (isinstance(strategy, ParamSelectionStrategy) and not isinstance(strategy, type)):
        return strategy
    raise OptionsError(
        f"param_selection_strategy needs a method select_parameters(), got {strategy!r}: "
        "RandomSelectionStrategy(model.parameters(), 100) is one"
    )


class Columns(NamedTuple):
    """The parameters that a step moves, which are the columns of its Jacobian."""

    tensors: tuple[int, ...]  # numbers of the parameter tensors with a chosen entry
    chosen: torch.Tensor | None  # shape: (columns,), numbers within the entries of these tensors; None is all
    width: int  # how many columns there are


def columns_of(
    chosen: torch.Tensor | None,  # shape: (columns,) numbers, or (entries,) mask
    sizes: Sequence[int],
    device: torch.device,
) -> Columns:
    """Say which entries of which tensors of these sizes a strategy has chosen.

    Raises:
        OptionsError: if it has chosen nothing, or what there is not.
    """
    total = sum(sizes)
    if chosen is None:
        return Columns(tuple(range(len(sizes))), None, total)
    if not isinstance(chosen, torch.Tensor):
        raise OptionsError(
            f"select_parameters() must return a tensor of numbers from 0 to {total - 1}, a mask or None, got {chosen!r}"
        )
    if chosen.dtype is torch.bool and chosen.shape == (total,):
        chosen = chosen.nonzero().squeeze(-1)
    numbers = chosen.detach().cpu().unique()
    integral = not (numbers.is_floating_point() or numbers.is_complex() or numbers.dtype is torch.bool)
    if not integral or len(numbers) == 0 or int(numbers[0]) < 0 or int(numbers[-1]) >= total:
        raise OptionsError(
            f"select_parameters() must return some numbers from 0 to {total - 1}, or a mask of shape ({total},), got "
            f"{tuple(chosen.shape)} of {chosen.dtype}"
        )
    lengths = torch.tensor(sizes, device="cpu")
    ends = lengths.cumsum(0)
    owners = torch.bucketize(numbers, ends, right=True)
    tensors = owners.unique()
    # numbers within the chosen tensors, laid one after the other
    starts = torch.zeros_like(lengths)
    starts[tensors] = lengths[tensors].cumsum(0) - ends[tensors]
    within = numbers + starts[owners]
    whole = len(numbers) == int(lengths[tensors].sum())
    return Columns(tuple(tensors.tolist()), None if whole else within.to(device), len(numbers))


def _sizes(params: Iterable[torch.Tensor]) -> list[int]:
    return [p.numel() for p in params if p.requires_grad]
