"""Constructors and functions that answer an unknown keyword with the list of those they know."""

from collections.abc import Callable
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
            _check_keywords(cls.__name__, _signature_of(cls), kwargs)
        return object.__new__(cls)


def strict_keywords(front: Callable[P, R]) -> Callable[P, R]:
    """Make a front function answer an unknown keyword with the list of those it knows."""
    known = signature(front)

    @wraps(front)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        _check_keywords(front.__name__, known, kwargs)
        return front(*args, **kwargs)

    return checked


@cache
def _signature_of(kind: type) -> Any:
    """Return the signature of a constructor; taking it apart costs as much as a step."""
    return signature(kind.__init__)


def _check_keywords(name: str, known: Any, given: dict[str, Any]) -> None:
    parameters = known.parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    accepted = [parameter.name for parameter in parameters if parameter.name != "self"]
    unknown = [key for key in given if key not in accepted]
    if unknown:
        raise UnknownKeywordError(f"{name} got unknown keyword {', '.join(unknown)}; it takes {', '.join(accepted)}")


def _told(args: tuple, kwargs: dict[str, Any]) -> str:
    return ", ".join([*map(repr, args), *(f"{key}={value!r}" for key, value in kwargs.items())])
