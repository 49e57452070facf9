"""Debug actions that print a value of the run."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.plans.debug.base import Sink, TextAction
from manopt_torch.plans.debug.reading import Summary, check_format, fraction, over, readable
from manopt_torch.plans.symbols import (
    batch_shape_of,
    cost_of,
    gradient_norm_of,
    gradient_of,
    proximal_parameter_of,
    stepsize_of,
)


@dataclass(eq=False, kw_only=True)
class DebugValue(TextAction):
    """Base of the actions that print a prefix and a value.

    For a batch, a value per problem is written as smallest, median and largest over the batch, in which finished
    problems count with their last value; points are written as they are.

    Args:
        long: whether the default prefix is a longer one.
        prefix: what stands before the value.
        format: template of the text, such as `"f = {:.3e}"`; it replaces the default prefix.
        index: print the value of this problem of the batch (an int, or a tuple for several batch axes).
        print: takes the text; None is the builtin print, without newline.

    Raises:
        OptionsError: if the format cannot write the value.
    """

    long: bool = False
    prefix: str | None = None
    format: str | None = None
    index: int | tuple[int, ...] | None = None
    print: Sink = None

    remembers = False
    prefixes: ClassVar[tuple[str, str]]  # default and long
    first: ClassVar[int] = 0  # the least index that prints
    samples: ClassVar[tuple[Any, ...]] = (0.0,)  # of the kinds of value that may come

    def __post_init__(self) -> None:
        """Check the format."""
        check_format(self, *self.samples)

    @abstractmethod
    def value(self, p: Any, o: Any, i: int) -> Any:
        """Return the value to print."""

    def text(self, p: Any, o: Any, i: int) -> str:
        """Return prefix and value."""
        if i < self.first or over(o, i):
            return ""
        shown = readable(self.value(p, o, i), batch_shape_of(p, o), self.index)
        return written(shown, self.prefix, self.prefixes[self.long], self.format)


def written(shown: Any, prefix: str | None, default: str, template: str | None) -> str:
    """Join prefix and value; a template replaces the default prefix.

    Raises:
        OptionsError: if the template does not suit the value.

    Examples:
        >>> written(0.5, None, "F(x): ", None), written(0.5, None, "F(x): ", "f = {:.1e}"), written(0.5, "f:", "", None)
        ('F(x): 0.5', 'f = 5.0e-01', 'f:0.5')
    """
    if template is None:
        return f"{default if prefix is None else prefix}{shown}"
    try:
        return ("" if prefix is None else prefix) + template.format(shown)
    except (ValueError, TypeError) as error:
        raise OptionsError(f"format={template!r} cannot write {shown}: {error}") from error


@dataclass(eq=False, kw_only=True)
class DebugCost(DebugValue):
    """Print the cost; for a batch also how many problems are active.

    Args: as of `DebugValue`.

    Examples:
        >>> import torch
        >>> from manopt_torch import CostProblem, Euclidean, GradientDescentOptions
        >>> p = CostProblem(Euclidean(1), lambda x: x[..., 0])
        >>> DebugCost()(p, GradientDescentOptions(torch.tensor([0.5])), 0)
        F(x): 0.5
    """

    prefixes = ("F(x): ", "Cost Function: ")

    def value(self, p: Any, o: Any, i: int) -> Any:
        """Return the cost."""
        return cost_of(p, o)

    def text(self, p: Any, o: Any, i: int) -> str:
        """Return prefix and cost, and the share of active problems."""
        if i < 0 or over(o, i):
            return ""
        shown = readable(self.value(p, o, i), batch_shape_of(p, o), self.index)
        if isinstance(shown, Summary) and self.index is None and isinstance(o.active, torch.Tensor):
            shown = Summary(shown.least, shown.median, shown.most, f" (active {fraction(o.active)})")
        return written(shown, self.prefix, self.prefixes[self.long], self.format)


@dataclass(eq=False, kw_only=True)
class DebugIteration(TextAction):
    """Print the number of the iteration, `# 7`, or `Initial` at the start.

    Args:
        prefix: what stands before the number.
        format: template of the text, such as `"{:6d}"`; it replaces the prefix and the word at the start.
        print: takes the text; None is the builtin print, without newline.

    Raises:
        OptionsError: if the format cannot write an int.
    """

    prefix: str = "# "
    format: str | None = None
    print: Sink = None

    remembers = False

    def __post_init__(self) -> None:
        """Check the format."""
        check_format(self, 0)

    def text(self, p: Any, o: Any, i: int) -> str:
        """Return the number of the iteration."""
        if i < 0 or over(o, i):
            return ""
        if self.format is not None:
            return self.format.format(i)
        return f"{self.prefix}{i}" if i else "Initial"


@dataclass(eq=False, kw_only=True)
class DebugIterate(DebugValue):
    """Print the iterate.

    Args: as of `DebugValue`; a number format such as `"x = {:.3f}"` is applied to every entry.
    """

    prefixes = ("x:", "current Iterate:")

    def value(self, p: Any, o: Any, i: int) -> Any:
        """Return the iterate."""
        return o.x


@dataclass(eq=False, kw_only=True)
class DebugGradient(DebugValue):
    """Print the gradient at the iterate, after every step.

    Args: as of `DebugValue`.
    """

    prefixes = ("∇F(x):", "Gradient: ")
    first = 1

    def value(self, p: Any, o: Any, i: int) -> Any:
        """Return the gradient."""
        return gradient_of(p, o)


@dataclass(eq=False, kw_only=True)
class DebugGradientNorm(DebugValue):
    """Print the norm of the gradient at the iterate, after every step.

    Args: as of `DebugValue`.
    """

    prefixes = ("|∇F(x)|:", "Norm of the Gradient: ")
    first = 1

    def value(self, p: Any, o: Any, i: int) -> Any:
        """Return the norm of the gradient."""
        return gradient_norm_of(p, o)


@dataclass(eq=False, kw_only=True)
class DebugStepsize(DebugValue):
    """Print the step size of the last step.

    Args: as of `DebugValue`.
    """

    prefixes = ("s:", "step size:")
    first = 1

    def value(self, p: Any, o: Any, i: int) -> Any:
        """Return the last step size."""
        return stepsize_of(p, o, i)


@dataclass(eq=False, kw_only=True)
class DebugProximalParameter(DebugValue):
    """Print the parameter of the proximal maps.

    Args: as of `DebugValue`.
    """

    prefixes = ("λ:", "Proximal Map Parameter λ(i):")
    first = 1
    samples = (0.0, 0)

    def value(self, p: Any, o: Any, i: int) -> Any:
        """Return the parameter."""
        return proximal_parameter_of(p, o, i)
