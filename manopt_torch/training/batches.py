"""Where batches come from: arrays cut into pieces, functions that are called, and anything that can be walked."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any

import numpy as np
import torch

from manopt_torch._host import uploaded
from manopt_torch._keywords import KnownKeywords
from manopt_torch.errors import OptionsError, ShapeError

SHUFFLES = ("batches", "rows", False)
# how many batches a function gives in an epoch, unless told
CALLS = 100


class BatchSource(KnownKeywords):
    """Cut arrays into batches, or call a function for each; walked once an epoch, it yields tuples of arguments.

    Arrays are cut along an axis, the last piece being shorter. An epoch takes up where the last one has stopped; when
    all pieces have been seen, the next round begins, in a new order.

    Args:
        inputs: a function that returns a batch (an array or a tuple of them), an array or tensor, or a list of those,
            cut alike. An empty list is one batch of nothing.
        batch_size: rows in a batch; None, zero or less is all.
        batches: batches in an epoch; None is all, of a function its `len`, else 100.
        axis: the axis of rows.
        shuffle: "batches" to draw the order of the pieces anew in each round, "rows" to draw which rows they are made
            of too, False to keep the order.
        seed: seed of the draws.

    Raises:
        OptionsError: if an argument is out of its range.
        ShapeError: if the arrays have different numbers of rows.

    Examples:
        >>> source = BatchSource([torch.arange(5)], batch_size=2, shuffle=False)
        >>> [batch for (batch,) in source]
        [tensor([0, 1]), tensor([2, 3]), tensor([4])]
    """

    def __init__(
        self,
        inputs: Any,
        batch_size: int | None = 32,
        batches: int | None = None,
        *,
        axis: int = 0,
        shuffle: str | bool = "batches",
        seed: int = 0,
    ) -> None:
        for name, value, least in (("batch_size", batch_size, None), ("batches", batches, 1), ("seed", seed, None)):
            if value is None and name != "seed":
                continue
            if not isinstance(value, int) or isinstance(value, bool) or (least is not None and value < least):
                raise OptionsError(
                    f"BatchSource: {name} must be an int{'' if least is None else f' >= {least}'}, got {value!r}"
                )
        if shuffle not in SHUFFLES:
            raise OptionsError(f'BatchSource: shuffle must be "batches", "rows" or False, got {shuffle!r}')
        self.axis, self.shuffle = axis, shuffle
        self._generator = torch.Generator().manual_seed(seed)
        self._call: Callable[[], Any] | None = inputs if callable(inputs) else None
        self._arrays = () if callable(inputs) else _arrays(inputs)
        self._rows = _rows_of(self._arrays, axis)
        size = batch_size if batch_size and batch_size > 0 else self._rows
        self._cuts = [(start, min(start + size, self._rows)) for start in range(0, self._rows, size or 1)]
        self.batches: int = batches or (_calls(inputs) if callable(inputs) else len(self._cuts) or 1)
        self._ahead: Iterator[tuple[Any, ...]] = iter(())

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        for _ in range(self.batches):
            yield self._next()

    def first(self) -> tuple[Any, ...]:
        """Return the batch that comes next, and leave it to come."""
        batch = self._next()
        self._ahead = chain([batch], self._ahead)
        return batch

    def _next(self) -> tuple[Any, ...]:
        batch = next(self._ahead, None)
        if batch is not None:
            return batch
        if self._call is not None:
            return arguments(self._call())
        if not self._arrays:
            return ()
        self._ahead = self._round()
        return next(self._ahead)

    def _round(self) -> Iterator[tuple[Any, ...]]:
        """Yield every row once."""
        order = self._permutation(self._rows) if self.shuffle == "rows" else None
        turns = self._permutation(len(self._cuts)) if self.shuffle == "batches" else None
        for n in range(len(self._cuts)) if turns is None else turns.tolist():
            start, stop = self._cuts[n]
            if order is None:
                yield tuple(a.narrow(self.axis, start, stop - start) for a in self._arrays)
            else:
                yield tuple(
                    a.index_select(self.axis, uploaded(order[start:stop], a, order.dtype)) for a in self._arrays
                )

    def _permutation(self, n: int) -> torch.Tensor:
        return torch.randperm(n, generator=self._generator, device="cpu")


def _arrays(inputs: Any) -> tuple[torch.Tensor, ...]:
    if inputs is None:
        return ()
    return tuple(map(tensor_of, inputs)) if isinstance(inputs, (list, tuple)) else (tensor_of(inputs),)


def _rows_of(arrays: tuple[torch.Tensor, ...], axis: int) -> int:
    shapes = [tuple(a.shape) for a in arrays]
    if any(not -len(shape) <= axis < len(shape) for shape in shapes):
        raise ShapeError(f"arrays of shapes {shapes} are to be cut along axis {axis}, which each of them needs")
    rows = {shape[axis] for shape in shapes}
    if len(rows) > 1 or 0 in rows:
        raise ShapeError(f"arrays are cut alike: they need equal lengths along axis {axis}, got shapes {shapes}")
    return rows.pop() if rows else 0


def _calls(function: Any) -> int:
    return len(function) if hasattr(function, "__len__") else CALLS


def tensor_of(value: Any) -> torch.Tensor:
    """Return an array, a data frame or nested lists as a tensor, without a copy where that can be."""
    if isinstance(value, torch.Tensor):
        return value
    array = np.asarray(value)
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def arguments(item: Any) -> tuple[Any, ...]:
    """Return what was given for a batch as arguments of the loss: the parts of a tuple or list, or one argument."""
    parts = item if isinstance(item, (tuple, list)) else () if item is None else (item,)
    return tuple(tensor_of(part) if isinstance(part, np.ndarray) else part for part in parts)


class _Walk:
    """Walk an iterable from its beginning in each epoch, at most so many batches."""

    def __init__(self, iterable: Iterable[Any], batches: int | None) -> None:
        self._iterable, self._batches = iterable, batches

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return map(arguments, islice(self._iterable, self._batches))


def source_of(data: Any, cut: bool, batches: int | None, **how: Any) -> Iterable[tuple[Any, ...]]:
    """Return what yields the batches of an epoch whenever it is walked.

    Args:
        data: None, a function, an array, a list of arrays or of batches, or what can be walked again and again.
        cut: whether a list holds arrays to be cut, rather than batches.
        batches: the number of batches in an epoch.
        how: further arguments of `BatchSource`.

    Raises:
        OptionsError: if the data can be walked only once, or not at all.
    """
    if isinstance(data, BatchSource):
        return data
    if isinstance(data, (list, tuple)) and (not cut or _holds_batches(data)):
        return _Walk([arguments(item) for item in data], batches)
    if isinstance(data, torch.utils.data.Dataset):
        generator = torch.Generator().manual_seed(how["seed"])
        data = torch.utils.data.DataLoader(data, how["batch_size"], bool(how["shuffle"]), generator=generator)
    elif data is None or callable(data) or isinstance(data, (list, tuple, torch.Tensor)) or hasattr(data, "__array__"):
        return BatchSource(data, batches=batches, **how)
    if not hasattr(data, "__iter__") or iter(data) is data:
        raise OptionsError(
            f"data of type {type(data).__name__} cannot be walked again and again: give arrays, a list, a DataLoader, "
            "or a function that returns a batch"
        )
    return _Walk(data, batches)


def first_of(source: Iterable[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Return the first batch of an epoch, which a walk will still find there.

    Raises:
        OptionsError: if there is none.
    """
    batch = source.first() if isinstance(source, BatchSource) else next(iter(source), None)
    if batch is None:
        raise OptionsError("the data are empty: there is no batch; for a loss of nothing give [[]]")
    return batch


def _holds_batches(data: list[Any] | tuple[Any, ...]) -> bool:
    """Tell whether a list holds argument tuples: `[[y]]` and `[[]]`, but not `[y]` or `[[1.0, 2.0]]`."""
    arrays = (torch.Tensor, np.ndarray)
    return bool(data) and all(
        isinstance(item, (list, tuple)) and all(isinstance(part, arrays) and part.ndim for part in item)
        for item in data
    )
