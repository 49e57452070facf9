"""Record a function of tensors as a flat list of operations, and play it again without its Python.

What `torch.func` does at each call, wrapping tensors, finding batching rules, walking a graph of derivatives, costs
several times the arithmetic of a small network. A recording keeps the arithmetic alone: the operations that reached
the tensors themselves, in their order, as the code of a `torch.fx.GraphModule`. It is good for inputs of the same
shapes, strides, dtypes and device, and as long as the function does what it did: no random numbers, no change of
tensors in place, no branches on values. The first two are refused, of the third nothing can be seen here.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch

from manopt_torch.training.recorder import Recorder, UnrecordableError

# recordings for so many kinds of inputs are kept
_KINDS = 16

Function = Callable[..., tuple[torch.Tensor, ...]]


class Recordings:
    """Recordings of functions, by keys that say all that a function and its inputs have in common.

    A function is recorded when its key is seen for the second time; one that cannot be is called each time.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[Any, dict[Any, Function | bool]] = OrderedDict()
        self._last: tuple[Any, Any] | None = None

    def remembered(self, key: Any, find: Callable[[], Any]) -> Any:
        """Return what was found for the last key; find it if the key is another."""
        if self._last is None or self._last[0] != key:
            self._last = key, find()
        return self._last[1]

    def clear(self) -> None:
        """Throw all away."""
        self._kept.clear()

    def under(self, key: Any) -> dict[Any, Function | bool]:
        """Return what is kept under the first part of a key, to be looked up once for several calls of `play`."""
        if key not in self._kept:
            self._kept[key] = {}
            if len(self._kept) > _KINDS:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        return self._kept[key]


def play(
    kept: dict[Any, Function | bool], part: Any, function: Function, values: Sequence[torch.Tensor]
) -> tuple[torch.Tensor, ...]:
    """Call a function by its recording under the second part of its key; make one if there is none."""
    known = kept.get(part)
    if callable(known):
        return known(*values)
    if known is None:
        kept[part] = True  # seen
    elif known:
        try:
            result, kept[part] = record(function, values)
            return result
        except UnrecordableError:
            kept[part] = False
    return function(*values)


def record(function: Function, inputs: Sequence[torch.Tensor]) -> tuple[tuple[torch.Tensor, ...], Function]:
    """Call a function; return what it returned and a recording, to be called with other inputs of the same shapes.

    Raises:
        UnrecordableError: if it draws random numbers, writes into tensors or reads values on the host.
    """
    apart = _apart(inputs)
    recorder = Recorder(apart)
    with recorder:
        outputs = function(*apart)
    recorder.graph.output(tuple(recorder.node(t) for t in outputs))
    recorder.graph.eliminate_dead_code()
    played, constants = torch.fx.GraphModule({}, recorder.graph).forward, tuple(recorder.constants)
    return outputs, lambda *values: played(*values, *constants)


def _apart(inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Give each input memory of its own: what two of them share here, they may not share the next time."""
    owners = [t.untyped_storage().data_ptr() for t in inputs]
    apart = [t if owners.count(owner) == 1 else t.clone() for t, owner in zip(inputs, owners, strict=True)]
    if any(a.stride() != t.stride() for a, t in zip(apart, inputs, strict=True)):
        raise UnrecordableError("inputs overlap themselves")
    return apart
