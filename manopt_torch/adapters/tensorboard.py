"""The values of a run in TensorBoard."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from manopt_torch.errors import OptionsError
from manopt_torch.functional.masked import host_read
from manopt_torch.plans.action import STOP
from manopt_torch.plans.debug.base import DebugAction
from manopt_torch.plans.debug.reading import over
from manopt_torch.plans.record import RecordActionFactory
from manopt_torch.plans.symbols import S, batch_shape_of


@dataclass(eq=False)
class DebugTensorBoard(DebugAction):
    """Write what a record could hold to TensorBoard, as curves over the iterations.

    A number of a lone run is the curve `Cost`. Of a number per problem of a batch, the median and the quantiles become
    the curves `Cost/median`, `Cost/q10` and `Cost/q90`: finished problems count with their last value, NaN does not
    count, and what is true or false is written as the share of problems for which it holds. As with all actions, a
    number k in the debug list writes every k-th iteration only.

    Args:
        writer: an object with `add_scalar(tag, value, step)`, such as a `torch.utils.tensorboard.SummaryWriter`, which
            stays open; or a folder, in which each run opens a `SummaryWriter` of its own and closes it at its end.
        entries: what is written: symbols, fields of the options, or record actions with a number a problem.
        quantiles: which ones of a batch besides the median, in $[0, 1]$.
        tag: what stands before the names of the curves.

    Raises:
        ImportError: if a folder is given and TensorBoard is missing.
        OptionsError: if the writer cannot write or a quantile is outside $[0, 1]$; and during a run, if an entry is no
            number per problem.

    Examples:
        >>> import torch
        >>> from types import SimpleNamespace
        >>> from manopt_torch import Sphere, StopAfterIteration, steepest_descent
        >>> writer = SimpleNamespace(add_scalar=lambda tag, value, step: print(step, tag, f"{value:.3f}"))
        >>> action = DebugTensorBoard(writer, [":Cost"])
        >>> start = torch.tensor([0.6, 0.0, 0.8])
        >>> x = steepest_descent(Sphere(3), lambda x: x[..., 2], start, stop=StopAfterIteration(2), debug=[action])
        1 Cost -0.563
        2 Cost -0.933
    """

    writer: Any
    entries: Sequence[Any] = (S.Cost, S.GradientNorm)
    quantiles: Sequence[float] = (0.1, 0.9)
    tag: str = ""

    def __post_init__(self) -> None:
        """Check writer and quantiles."""
        self._actions: dict[str, Any] = {}
        self._open: Any = None
        if isinstance(self.writer, str | Path):
            summary_writer()
        elif not callable(getattr(self.writer, "add_scalar", None)):
            raise OptionsError(f"DebugTensorBoard: writer needs add_scalar(tag, value, step), got {self.writer!r}")
        if not all(0 <= q <= 1 for q in self.quantiles):
            raise OptionsError(f"DebugTensorBoard: quantiles must lie between 0 and 1, got {self.quantiles!r}")

    def __call__(self, p: Any, o: Any, i: int) -> None:
        """Write the values after a step; between two of them, follow the run."""
        if i == STOP:
            self._end()
            return
        if i == 0 or not self._actions:
            self._begin(o)
        if i <= 0 or over(o, i):
            for action in self._actions.values():
                action(p, o, 0)
            return
        for name, action in self._actions.items():
            rows = action(p, o, i)
            for curve, number in self._curves(name, rows[-1], batch_shape_of(p, o)):
                self._open.add_scalar(curve, number, i)
            # of what is written nothing has to be kept but the last row, on which the next one may build
            del rows[:-1], action.recorded_iterations[:-1]

    def _begin(self, o: Any) -> None:
        made = [RecordActionFactory(o, entry) for entry in self.entries]
        self._actions = {getattr(a, "symbol", type(a).__name__).removeprefix(":"): a for a in made}
        for action in made:
            action.reset()
        self._open = summary_writer()(self.writer) if isinstance(self.writer, str | Path) else self.writer

    def _end(self) -> None:
        if self._open is not None:
            getattr(self._open, "close" if self._open is not self.writer else "flush", lambda: None)()

    def _curves(self, name: str, value: Any, shape: tuple[int, ...]) -> list[tuple[str, float]]:
        """Return the names and numbers that a value is written as."""
        curve = f"{self.tag}/{name}" if self.tag else name
        values = _on_the_host(value)
        if values.shape not in ((), shape) or values.dtype.kind not in "biuf":
            raise OptionsError(f"DebugTensorBoard: {name} is no number per problem, got {value!r}")
        if not values.shape:
            return [(curve, float(values))]
        if values.dtype.kind == "b":
            return [(f"{curve}/share", float(values.sum()) / max(values.size, 1))]
        named = {"median": 0.5} | {f"q{100 * q:g}": q for q in self.quantiles}
        if np.isnan(values).all():
            return [(f"{curve}/{kind}", float("nan")) for kind in named]
        found = np.nanquantile(values, list(named.values()))
        return [(f"{curve}/{kind}", float(v)) for kind, v in zip(named, found, strict=True)]


def summary_writer() -> Any:
    """Return the class of torch that writes for TensorBoard.

    Raises:
        ImportError: if TensorBoard is missing.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ImportError("DebugTensorBoard needs tensorboard: pip install manopt_torch[tensorboard]") from error
    return SummaryWriter


def _on_the_host(value: Any) -> np.ndarray:
    if not isinstance(value, torch.Tensor):
        return np.asarray(value) if isinstance(value, bool | int | float) else np.asarray(None)
    value = value.double() if value.is_floating_point() else value  # NumPy has no bfloat16
    with host_read():
        return value.detach().cpu().numpy()
