"""The debug action that prints time."""

import time
from dataclasses import dataclass
from typing import Any, Literal

from manopt_torch.errors import OptionsError
from manopt_torch.plans.debug.base import Sink, TextAction
from manopt_torch.plans.debug.reading import check_format, over


@dataclass(eq=False, kw_only=True)
class DebugTime(TextAction):
    """Print the seconds since the start, or those of the last iteration, after every step.

    On a device that computes behind the host's back, it is the host's time: what has been asked for, not what is done.

    Args:
        mode: `"cumulative"` since the start, or `"iterative"` since the call before.
        prefix: what stands before the number.
        format: template of the text, such as `"{:.1f} s"`; it replaces the default prefix.
        print: takes the text; None is the builtin print, without newline.

    Raises:
        OptionsError: if the mode is unknown or the format cannot write a number.
    """

    mode: Literal["cumulative", "iterative"] = "cumulative"
    prefix: str | None = None
    format: str | None = None
    print: Sink = None

    def __post_init__(self) -> None:
        """Check mode and format; the clock starts at the first call."""
        if self.mode not in ("cumulative", "iterative"):
            raise OptionsError(f"DebugTime: mode must be 'cumulative' or 'iterative', got {self.mode!r}")
        check_format(self, 0.0)
        self._since: float | None = None

    def text(self, p: Any, o: Any, i: int) -> str:
        """Return prefix and seconds."""
        now = time.perf_counter()
        if i == 0 or self._since is None:
            self._since = now
        seconds = now - self._since
        if self.mode == "iterative":
            self._since = now
        if i <= 0 or over(o, i):
            return ""
        template = "time: {:.3f} s" if self.format is None and self.prefix is None else self.format
        text = str(seconds) if template is None else template.format(seconds)
        return (self.prefix or "") + text
