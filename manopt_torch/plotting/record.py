"""Records as tables and as pictures."""

from typing import Any

import numpy as np
import torch

from manopt_torch.errors import OptionsError
from manopt_torch.functional.masked import host_read
from manopt_torch.manifolds.points import leaves
from manopt_torch.plans.options import get_options
from manopt_torch.plans.record.base import RecordAction
from manopt_torch.plans.record.export import Column, columns_of, stacked
from manopt_torch.plans.symbols import S

_CURVES = {S.Cost: "cost", S.GradientNorm: "gradient norm"}
# the band around the median of a batch
_LOW, _HIGH = 0.1, 0.9


def record_to_frame(o: Any, symbol: str = S.Step) -> Any:
    """Return a record as a pandas DataFrame in long format: a row for each problem and recorded iteration.

    Args:
        o: options after a run, decorated or not, or a record action.
        symbol: the place the record was made at.

    Returns:
        A frame with the columns `iteration`, `problem` (the place in the flattened batch, 0 for a lone problem; with
        several batch axes `numpy.unravel_index` gives the index) and one a symbol. Points are arrays, or tuples of
        them. The rows after a problem's own last iteration are dropped.

    Raises:
        ImportError: if pandas is missing.
        OptionsError: if nothing is recorded.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError("record_to_frame needs pandas: pip install manopt_torch[pandas]") from error
    shape, last = _run_of(o)
    frame: Any = None
    for column in columns_of(o, symbol):
        part = pd.DataFrame(_long(column, shape))
        frame = part if frame is None else frame.merge(part, how="outer", on=["iteration", "problem"])
    if frame is None:
        return pd.DataFrame(columns=["iteration", "problem"])
    if last is not None and symbol != S.Stop:
        frame = frame[frame["iteration"].to_numpy() <= last[frame["problem"].to_numpy()]]
    return frame.sort_values(["iteration", "problem"]).reset_index(drop=True)


def plot_record(o: Any, symbol: str = S.Step) -> Any:
    """Draw the recorded cost and gradient norm against the iteration.

    For a batch, the median over the problems and the band from the 10 % to the 90 % quantile; a finished problem
    counts with its last value. An axis is logarithmic where all its values are positive, else linear, and says so.

    Args:
        o: options after a run with `record=[":Cost", ":GradientNorm"]` (or one of them), or a record action.
        symbol: the place the record was made at.

    Returns:
        A matplotlib `Figure`; save it with `figure.savefig("trace.svg")`.

    Raises:
        ImportError: if matplotlib is missing.
        OptionsError: if neither cost nor gradient norm is recorded.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError as error:
        raise ImportError("plot_record needs matplotlib: pip install manopt_torch[plot]") from error
    curves = [column for column in columns_of(o, symbol) if column.name in _CURVES and column.values]
    if not curves:
        raise OptionsError("there is no row of cost or gradient norm: run with record=[':Cost', ':GradientNorm']")
    figure = Figure(figsize=(5.0 * len(curves), 3.6), layout="constrained")
    for n, column in enumerate(curves, 1):
        axes = figure.add_subplot(1, len(curves), n)
        _draw(axes, column)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def _draw(axes: Any, column: Column) -> None:
    """Draw one curve, or median and band."""
    name = _CURVES[column.name]
    values = _to_numpy(stacked(column.values)).astype(float)
    problems = values.reshape(len(values), -1)
    middle = _quantile(problems, 0.5)
    lone = values.ndim == 1
    axes.plot(column.iterations, middle, label=name if lone else f"median of {problems.shape[1]} problems")
    if not lone:
        low, high = _quantile(problems, _LOW), _quantile(problems, _HIGH)
        axes.fill_between(column.iterations, low, high, alpha=0.25, label="10 % to 90 %")
        axes.legend()
    if np.all(problems[np.isfinite(problems)] > 0):
        axes.set_yscale("log")
        axes.set_ylabel(name)
    else:
        axes.set_ylabel(f"{name} (linear axis: not all positive)")
    axes.set_xlabel("iteration")
    axes.set_title(f"{name.capitalize()} by iteration")
    axes.grid(True, alpha=0.3)


def _quantile(problems: np.ndarray, q: float) -> np.ndarray:
    """Return a quantile over the finite problems, row by row; NaN where there is none."""
    found = np.full(len(problems), np.nan)
    for row, values in enumerate(problems):
        finite = values[np.isfinite(values)]
        if finite.size:
            found[row] = np.quantile(finite, q)
    return found


def _run_of(o: Any) -> tuple[tuple[int, ...], np.ndarray | None]:
    """Return the batch axes of a run and the last iteration of each problem (the largest int while it runs)."""
    if isinstance(o, RecordAction):
        return (), None
    bare = get_options(o)
    shape = () if bare.lane is None else tuple(bare.lane.shape)
    if bare.iterations is None:
        return shape, None
    iterations, active = _to_numpy(bare.iterations).reshape(-1), _to_numpy(bare.active).reshape(-1)
    return shape, np.where(active, np.iinfo(np.int64).max, iterations)


def _long(column: Column, shape: tuple[int, ...]) -> dict[str, Any]:
    """Lay one column out: all problems of the first row, then those of the second, and so on."""
    size, rows = int(np.prod(shape, dtype=int)), len(column.values)
    return {
        "iteration": np.repeat(np.asarray(column.iterations, dtype=np.int64), size),
        "problem": np.tile(np.arange(size), rows),
        column.name: _cells(stacked(column.values), shape, size),
    }


def _cells(rows: Any, shape: tuple[int, ...], size: int) -> Any:
    """Return one cell a row and problem: numbers as an array, anything else as a list."""
    if isinstance(rows, tuple):
        return list(zip(*(_cells(leaf, shape, size) for leaf in leaves(rows)), strict=True))
    if not isinstance(rows, torch.Tensor):
        return [value for value in rows for _ in range(size)]
    array = _to_numpy(rows)
    if array.shape[1 : 1 + len(shape)] == shape:
        array = array.reshape(len(array), size, *array.shape[1 + len(shape) :])
    else:  # one value for the whole batch
        array = np.repeat(array[:, None], size, axis=1)
    flat = array.reshape(-1, *array.shape[2:])
    return flat if flat.ndim == 1 else list(flat)


def _to_numpy(value: Any) -> np.ndarray:
    with host_read():
        return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
