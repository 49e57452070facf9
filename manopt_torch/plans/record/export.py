"""Access to records: as rows, as columns of tensors, for a batch or for one of its problems."""

from typing import Any, NamedTuple

import torch

from manopt_torch.errors import OptionsError, ShapeError, UnknownSymbolError
from manopt_torch.functional.masked import host_read
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.plans.options import get_options
from manopt_torch.plans.record.base import RecordAction, iterations_of
from manopt_torch.plans.record.group import leaves_of
from manopt_torch.plans.symbols import PLACES, S


class Column(NamedTuple):
    """The values that one record action holds."""

    name: str
    iterations: list[int]
    values: list[Any]


def record_places(o: Any) -> dict[str, RecordAction] | None:
    """Return the record actions by place: those of the outermost decorator, else of the last run; None if none."""
    bare = get_options(o)
    places = getattr(o, "record_dictionary", None)  # decorators pass on what they have not
    return bare.record_places if places is None else places


def has_record(o: Any) -> bool:
    """Tell whether there is a record: options decorated to record, or solved with `record=`, or a record action.

    Args:
        o: options, decorated or not, or a record action.
    """
    return isinstance(o, RecordAction) or record_places(o) is not None


def get_record(o: Any, symbol: str = S.Step, problem: int | tuple[int, ...] | None = None) -> list[Any]:
    """Return what has been recorded, a row for every recorded iteration.

    Rows are numbers or tensors with the batch axes, tuples of them where several values are recorded. In a batch, a
    finished problem repeats its last row.

    Args:
        o: options, decorated or not, or a record action.
        symbol: the place the record was made at, or a recorded symbol such as `":Cost"` for its values alone.
        problem: return the rows of this problem of the batch only, up to its own last iteration.

    Raises:
        OptionsError: if nothing is recorded.
        UnknownSymbolError: if nothing is recorded under the symbol.
        ShapeError: if there is no such problem.

    Examples:
        >>> import torch
        >>> from manopt_torch import ConstantStepsize, Euclidean, get_record, steepest_descent
        >>> f = lambda x: 0.5 * (x * x).sum(-1)
        >>> o = steepest_descent(Euclidean(1), f, torch.ones(1), stepsize=ConstantStepsize(0.5),
        ...                      record=[":Iteration", ":Cost"], return_options=True)
        >>> [(i, float(cost)) for i, cost in get_record(o)[:3]]
        [(1, 0.125), (2, 0.03125), (3, 0.0078125)]
    """
    action = o if isinstance(o, RecordAction) else action_at(o, symbol)
    if problem is None:
        return list(action.recorded_values)
    if isinstance(o, RecordAction):
        raise OptionsError("problem= needs the options of the run: get_record(o, problem=...)")
    bare = get_options(o)
    at = index_of(bare, problem)
    last = None if symbol == S.Stop else last_iteration(bare, at)
    rows = zip(iterations_of(action), action.recorded_values, strict=True)
    return [pick(bare, row, at) for i, row in rows if last is None or i <= last]


def record_to_dict(o: Any, symbol: str = S.Step) -> dict[str, Any]:
    """Return what has been recorded as one tensor a symbol, with the recorded iterations along the first axis.

    Args:
        o: options, decorated or not, or a record action.
        symbol: the place the record was made at.

    Returns:
        `{":Cost": tensor of shape (k, *batch), ...}`; points are of shape `(k, *batch, *point_shape)`, or tuples of
        such tensors. What is no number stays a list.

    Raises:
        OptionsError: if nothing is recorded.

    Examples:
        >>> import torch
        >>> from manopt_torch import ConstantStepsize, Euclidean, record_to_dict, steepest_descent
        >>> f = lambda x: 0.5 * (x * x).sum(-1)
        >>> o = steepest_descent(Euclidean(1), f, torch.ones(5, 1), stepsize=ConstantStepsize(0.5),
        ...                      record=[":Cost"], return_options=True)
        >>> record_to_dict(o)[":Cost"][:2, 0]
        tensor([0.1250, 0.0312])
    """
    return {column.name: stacked(column.values) for column in columns_of(o, symbol)}


def columns_of(o: Any, symbol: str = S.Step) -> list[Column]:
    """List the columns of a record; a second one of the same symbol gets a number."""
    columns: list[Column] = []
    names: dict[str, int] = {}
    for leaf in leaves_of(o if isinstance(o, RecordAction) else action_at(o, symbol)):
        name = getattr(leaf, "symbol", type(leaf).__name__)
        names[name] = names.get(name, 0) + 1
        label = name if names[name] == 1 else f"{name} {names[name]}"
        columns.append(Column(label, list(iterations_of(leaf)), list(leaf.recorded_values)))
    return columns


def action_at(o: Any, symbol: str) -> RecordAction:
    """Return the record action at a place, or the one that records a symbol in every step."""
    places = record_places(o)
    if places is None:
        raise OptionsError(
            "nothing has been recorded: pass record=[':Iteration', ':Cost'] to solve, or use RecordOptions"
        )
    if symbol in places:
        return places[symbol]
    steps = places.get(S.Step, places.get(S.All))
    if steps is not None:
        if symbol in PLACES and symbol != S.Stop and S.All in places:
            return places[S.All]
        for leaf in leaves_of(steps):
            if symbol == getattr(leaf, "symbol", None):
                return leaf
    recorded = [getattr(leaf, "symbol", type(leaf).__name__) for leaf in leaves_of(steps)] if steps is not None else []
    raise UnknownSymbolError(
        f"nothing is recorded under {symbol!r}: there are the places {', '.join(places)}"
        + (f" and the symbols {', '.join(recorded)}" if recorded else "")
    )


def stacked(values: list[Any]) -> Any:
    """Stack the rows of a column along a new first axis."""
    if values and isinstance(values[0], tuple):
        parts = [stacked(list(part)) for part in zip(*values, strict=True)]
        return type(values[0])(*parts) if hasattr(values[0], "_fields") else tuple(parts)
    ref = next((v for v in values if isinstance(v, torch.Tensor)), None)
    if ref is not None:
        # a first change without a former iterate is a plain zero
        return torch.stack([torch.as_tensor(v, dtype=ref.dtype, device=ref.device).expand(ref.shape) for v in values])
    if not all(isinstance(v, (bool, int, float)) for v in values):
        return values
    kind = float if any(isinstance(v, float) for v in values) or not values else type(values[0])
    dtype = {bool: torch.bool, int: torch.int64}.get(kind, torch.float64)
    return torch.tensor(values, dtype=dtype, device="cpu")


def index_of(o: Any, problem: int | tuple[int, ...]) -> tuple[int, ...]:
    """Return the index of a problem as a tuple, or raise."""
    at = problem if isinstance(problem, tuple) else (problem,)
    shape = () if o.lane is None else tuple(o.lane.shape)
    if len(at) != len(shape) or any(not -size <= k < size for k, size in zip(at, shape, strict=True)):
        raise ShapeError(f"problem={problem} names no problem: the batch axes are {shape}")
    return at


def pick(o: Any, value: Any, at: tuple[int, ...]) -> Any:
    """Return the part of a row that belongs to one problem; what is not per problem stays."""
    shape = tuple(o.lane.shape)

    def one(leaf: Any) -> Any:
        batched = isinstance(leaf, torch.Tensor) and tuple(leaf.shape[: len(shape)]) == shape
        return leaf[at] if batched else leaf

    return map_leaves(one, value)


def last_iteration(o: Any, at: tuple[int, ...]) -> int | None:
    """Return the last iteration of one problem, None while it is still running."""
    iterations, active = o.iterations, o.active
    if isinstance(iterations, torch.Tensor):
        with host_read():
            return None if bool(active[at]) else int(iterations[at])
    return None if active or iterations is None else iterations
