"""Names of symbols without their colon: in a debug list they are texts, which is seldom what is meant."""

import sys
import warnings
from collections.abc import Iterator
from typing import Any

from manopt_torch.plans.symbols import KNOWN


def warn_of_bare_names(debug: Any) -> None:
    """Warn, once for all of them, of texts that are the names of symbols; one beside its symbol is a label.

    Args:
        debug: what `DebugOptions` takes.

    Examples:
        >>> warn_of_bare_names(["Cost", " = ", ":Cost"])
    """
    texts = list(dict.fromkeys(_texts(debug)))
    bare = [text for text in texts if f":{text}" in KNOWN and f":{text}" not in texts]
    if bare:
        warnings.warn(
            f"debug= is to print {', '.join(map(repr, bare))} as text: for the value write "
            f"{', '.join(repr(f':{name}') for name in bare)}, with the colon",
            UserWarning,
            stacklevel=_levels_to_the_caller(),
        )


def _texts(debug: Any) -> Iterator[str]:
    """Yield the strings of a debug list, of lists by place, and of pairs with a format."""
    if isinstance(debug, dict):
        for entries in debug.values():
            yield from _texts(entries)
    elif isinstance(debug, str):
        yield debug
    elif isinstance(debug, (list, tuple)):
        for entry in debug:
            first = entry[0] if isinstance(entry, tuple) and entry else entry
            if isinstance(first, str):
                yield first


def _levels_to_the_caller() -> int:
    """Return the stack level, as `warnings.warn` counts for who asks here, of the first frame outside the package."""
    frame, level, package = sys._getframe(1), 1, __name__.partition(".")[0]
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        frame, level = frame.f_back, level + 1
    return level
