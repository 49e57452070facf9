"""Progress bars by tqdm."""

from collections.abc import Callable
from typing import Any

from manopt_torch.plans.debug.progress import Progress, register_progress_bar


def tqdm_bar(**keywords: Any) -> Callable[[Progress], None]:
    """Return a progress bar for `DebugProgress(bar=...)`.

    Args:
        **keywords: handed to `tqdm`, such as `leave=False` or `file=`.

    Raises:
        ImportError: if tqdm is missing.

    Examples:
        >>> import io, torch
        >>> from manopt_torch import DebugProgress, Sphere, steepest_descent
        >>> bar = tqdm_bar(file=io.StringIO())
        >>> x = steepest_descent(Sphere(3), lambda x: x[..., 2], torch.eye(3)[0], debug=[DebugProgress(bar)])
    """
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError("tqdm_bar needs tqdm: pip install manopt_torch[progress]") from error
    shown: list[Any] = []  # the bar of the present run

    def show(progress: Progress) -> None:
        if not shown or progress.iteration < shown[0].n:
            close()
            shown.append(tqdm(**{"total": progress.total, "unit": "it", **keywords}))
        batch = {} if progress.problems == 1 else {"active": f"{progress.active}/{progress.problems}"}
        shown[0].set_postfix({"cost": f"{progress.typical_cost:.6g}", **batch}, refresh=False)
        shown[0].update(progress.iteration - shown[0].n)
        if progress.done:
            close()

    def close() -> None:
        while shown:
            shown.pop().close()

    return show


def use_tqdm(on: bool = True) -> None:
    """Make tqdm the bar of `":Progress"` and of every `DebugProgress` without one of its own.

    Args:
        on: False goes back to plain lines.

    Raises:
        ImportError: if tqdm is missing.
    """
    if on:
        tqdm_bar()
    register_progress_bar(tqdm_bar if on else None)


class EpochBar:
    """A bar for each epoch of a training loop; nothing where tqdm is missing or the bar is not wanted.

    Args:
        on: whether to show anything.
        overwrite: whether the bar of an epoch takes the place of the former; the last one stays.
    """

    overwrite: bool

    def __init__(self, on: bool, overwrite: bool) -> None:
        self.overwrite, self._shown = overwrite, []
        self._make: Any = None
        if on:
            try:
                from tqdm.auto import tqdm
            except ImportError:
                return
            self._make = tqdm

    def __enter__(self) -> "EpochBar":
        return self

    def __exit__(self, *error: object) -> None:
        self._close(leave=True)

    def begin(self, epoch: int, epochs: int, steps: int | None) -> None:
        """Begin the bar of an epoch."""
        if self._make is not None:
            self._close(leave=not self.overwrite)
            self._shown.append(self._make(total=steps, desc=f"Epoch {epoch}/{epochs}", dynamic_ncols=True))

    def show(self, logs: dict[str, float], epoch_ended: bool) -> None:
        """Move on by a step."""
        if self._shown:
            written = {name: f"{value:.4g}" for name, value in logs.items()}
            self._shown[0].set_postfix(written, refresh=epoch_ended)
            self._shown[0].update()

    def _close(self, leave: bool) -> None:
        while self._shown:
            bar = self._shown.pop()
            bar.leave = leave
            bar.close()
