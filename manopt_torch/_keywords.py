"""Constructors and functions that answer an unknown keyword with the list of those they know."""

from collections.abc import Callable
from difflib import get_close_matches
from functools import cache, wraps
from inspect import signature
from typing import Any, ParamSpec, TypeVar

from manopt_torch.errors import UnknownKeywordError

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class KnownKeywords:
    """Base of classes whose constructors name the accepted keywords when they meet an unknown one."""

    def __new__(cls: type[T], *args: Any, **kwargs: Any) -> T:
        if cls.__init__ is object.__init__:
            if args or kwargs:  # with a `__new__` of ours, Python itself would swallow them
                raise UnknownKeywordError(f"{cls.__name__} takes no arguments, got {_told(args, kwargs)}")
        elif kwargs:
            _check_keywords(cls.__name__, _keywords_of_class(cls), kwargs)
        return object.__new__(cls)


def strict_keywords(front: Callable[P, R]) -> Callable[P, R]:
    """Make a front function answer an unknown keyword with the list of those it knows."""
    known = _keywords_of(front)

    @wraps(front)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        _check_keywords(front.__name__, known, kwargs)
        return front(*args, **kwargs)

    return checked


@cache
def _keywords_of_class(kind: type) -> dict[str, None] | None:
    return _keywords_of(kind.__init__)


def _keywords_of(fn: Callable[..., Any]) -> dict[str, None] | None:
    """Return the names of a function's parameters in their order; None if it takes any keyword."""
    parameters = signature(fn).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return {parameter.name: None for parameter in parameters if parameter.name != "self"}


def _check_keywords(name: str, accepted: dict[str, None] | None, given: dict[str, Any]) -> None:
    if accepted is None or given.keys() <= accepted.keys():
        return
    unknown = [key for key in given if key not in accepted]
    near = {close: None for key in unknown for close in get_close_matches(key, accepted, 1)}
    meant = f"; did you mean {', '.join(near)}?" if near else ""
    raise UnknownKeywordError(f"{name} got unknown keyword {', '.join(unknown)}; it takes {', '.join(accepted)}{meant}")


def _told(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    return ", ".join([*map(repr, args), *(f"{key}={value!r}" for key, value in kwargs.items())])


def what_came(value: Any) -> str:
    """Say for an error what was given in place of an object; of a class of the package how it is called.

    Examples:
        >>> from manopt_torch import ConstantStepsize
        >>> what_came(0.1), what_came(ConstantStepsize)
        ('0.1', 'the class ConstantStepsize: write ConstantStepsize()')
    """
    if isinstance(value, type) and issubclass(value, KnownKeywords):
        return f"the class {value.__name__}: write {as_called(value)}"
    return repr(value)


def as_called(kind: type) -> str:
    """Return the call that makes an object of a class, with the arguments that it cannot do without.

    Examples:
        >>> from manopt_torch import StopAfterIteration
        >>> as_called(StopAfterIteration)
        'StopAfterIteration(n)'
    """
    _, *taken = signature(kind.__init__).parameters.values()
    needed = [each.name for each in taken if each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD]
    return f"{kind.__name__}({', '.join(needed)})"
