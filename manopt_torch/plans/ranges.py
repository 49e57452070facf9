"""Ranges of the parameters of options and functors, checked where these are made."""

from typing import Any

from manopt_torch.errors import OptionsError


def check_count(owner: Any, name: str, least: int) -> None:
    """Raise an OptionsError unless the attribute is an int of at least `least`."""
    value = getattr(owner, name)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise OptionsError(f"{type(owner).__name__}: {name} must be an int >= {least}, got {value!r}")


def check_flag(owner: Any, name: str) -> None:
    """Raise an OptionsError unless the attribute is True or False: a text such as "no" counts as true in Python."""
    value = getattr(owner, name)
    if value not in (True, False):
        raise OptionsError(f"{type(owner).__name__}: {name} must be True or False, got {value!r}")


def check_range(
    owner: Any, name: str, low: float, high: float, *, open_low: bool = True, open_high: bool = True
) -> None:
    """Raise an OptionsError unless the number lies between `low` and `high`; tensors are judged at initialize."""
    value = getattr(owner, name)
    if type(value) is float and low < value < high:  # as most are
        return
    inside = isinstance(value, (int, float)) and (low < value if open_low else low <= value)
    if not (inside and (value < high if open_high else value <= high)):
        left, right = "(["[not open_low], ")]"[not open_high]
        raise OptionsError(f"{type(owner).__name__}: {name} must lie in {left}{low}, {high}{right}, got {value!r}")
