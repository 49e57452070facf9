r"""Graphs of operations on small vectors and matrices, written out number by number.

For a batch of problems with three parameters each, an operation on vectors is a loop over problems with a loop over
three numbers inside, and a compiler that joins such loops keeps falling out of step: some vectors go to memory and
back in an order in which neighbouring problems are not neighbours. Written out, every number of a vector is a tensor
of its own with nothing but the batch axis, and everything becomes one loop over problems.
"""

import math
import operator
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch.fx import GraphModule, Node

_aten = torch.ops.aten

# A tensor of the graph is an array of places in a list of tensors with the batch axis only. Along the batch axis the
# array has length one, so that what merely moves numbers does to it what it did to the tensor.
_MOVES: dict[Any, Callable[..., Any]] = {
    _aten.select.int: lambda a, axis, k: a.take(k, axis),
    _aten.slice.Tensor: lambda a, axis=0, start=None, stop=None, step=1: np.moveaxis(
        np.moveaxis(a, axis, 0)[start:stop:step], 0, axis
    ),
    _aten.unbind.int: lambda a, axis=0: list(np.moveaxis(a, axis, 0)),
    _aten.stack.default: np.stack,
    _aten.cat.default: np.concatenate,
    _aten.unsqueeze.default: np.expand_dims,
    _aten.squeeze.dim: np.squeeze,
    _aten.squeeze.dims: lambda a, axes: np.squeeze(a, tuple(axes)),
    _aten.permute.default: np.transpose,
    _aten.transpose.int: np.swapaxes,
    _aten.diagonal.default: lambda a, offset=0, dim1=0, dim2=1: np.diagonal(a, offset, dim1, dim2),
    _aten.view.default: np.reshape,
    _aten._unsafe_view.default: np.reshape,
    _aten.expand.default: lambda a, size: np.broadcast_to(a, _without_blanks(a.shape, size)),
    _aten.clone.default: lambda a, **_: a,
    _aten.alias.default: lambda a: a,
    _aten.detach.default: lambda a: a,
    _aten.lift_fresh_copy.default: lambda a: a,
    _aten.sym_size.int: lambda a, axis: a.shape[axis],
    operator.getitem: operator.getitem,
}
_FOLDS: dict[Any, Callable[..., torch.Tensor]] = {
    _aten.sum.dim_IntList: torch.add,
    _aten.amax.default: torch.maximum,
    _aten.amin.default: torch.minimum,
    _aten.all.dim: torch.logical_and,
    _aten.any.dim: torch.logical_or,
}
_LIKE = (_aten.full_like.default, _aten.ones_like.default, _aten.zeros_like.default)


def _without_nan(
    x: torch.Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> torch.Tensor:
    """Return `torch.nan_to_num(x, nan, posinf, neginf)`."""
    least, largest = torch.finfo(x.dtype).min, torch.finfo(x.dtype).max
    finite = torch.where(x == -math.inf, least if neginf is None else neginf, x)
    finite = torch.where(x == math.inf, largest if posinf is None else posinf, finite)
    return torch.where(x != x, 0.0 if nan is None else nan, finite)


# the compiler has no instruction for NaN, and asks number by number
_SPELLED_OUT: dict[Any, Callable[..., torch.Tensor]] = {
    _aten.nan_to_num.default: _without_nan,
    _aten.isnan.default: lambda x: x != x,
}


# a mask is a number, 1 or 0, of the width of the others: masks of other widths are made of it one by one
_LOGIC: dict[Any, Callable[..., torch.Tensor]] = {
    _aten.bitwise_and.Tensor: torch.mul,
    _aten.logical_and.default: torch.mul,
    _aten.bitwise_or.Tensor: torch.maximum,
    _aten.logical_or.default: torch.maximum,
    _aten.logical_not.default: lambda a: 1.0 - a,
    _aten.bitwise_not.default: lambda a: 1.0 - a,
    _aten.gt.Tensor: lambda a, b: a * (1.0 - b),
}


def number_by_number(module: GraphModule) -> Callable[..., list[torch.Tensor]]:
    """Return the function of a graph, whose tensors have their batch axis in front, as one of single numbers.

    Its arguments and results have the batch axis last, and its results, in a list, but one axis before it.

    Raises:
        NotImplementedError: when it is called, if an operation of the graph has no rule.
    """

    def function(*arguments: torch.Tensor) -> list[torch.Tensor]:
        run = _Run(arguments)
        values: dict[Node, Any] = {}

        def value(arg: Any) -> Any:
            if isinstance(arg, (list, tuple)):
                return [value(part) for part in arg]
            return values[arg] if isinstance(arg, Node) else arg

        found: Any = None
        for node in module.graph.nodes:
            if node.op == "output":
                found = value(node.args[0])
            elif node.op == "placeholder":
                values[node] = run.argument()
            elif node.op == "get_attr":
                values[node] = run.constant(getattr(module, node.target))
            else:
                keywords = {name: value(arg) for name, arg in node.kwargs.items()}
                values[node] = run.operation(node.target, [value(arg) for arg in node.args], keywords)
        return [run.result(places) for places in found]

    return function


class _Run:
    """Numbers, tensors of the length of the batch, and the operations on arrays of their places."""

    def __init__(self, arguments: Sequence[torch.Tensor]) -> None:
        self.numbers: list[torch.Tensor] = []
        self.masks: dict[tuple[Any, ...], tuple[torch.Tensor, torch.Tensor]] = {}
        self.arguments = iter(arguments)
        self.size = arguments[0].shape[-1]
        self.widest = max((t.dtype for t in arguments if t.is_floating_point()), key=lambda kind: kind.itemsize)

    def argument(self) -> np.ndarray:
        t = next(self.arguments)
        return self._entered([t[k] for k in np.ndindex(*t.shape[:-1])], (1, *t.shape[:-1]))

    def constant(self, t: torch.Tensor) -> np.ndarray:
        return self._entered([t[k] for k in np.ndindex(*t.shape)], tuple(t.shape))

    def result(self, places: np.ndarray) -> torch.Tensor:
        parts = [self.numbers[k] for k in places.flatten()]
        parts = [part if part.dim() else part.expand(self.size) for part in parts]
        return torch.stack(parts) if places.ndim > 1 else parts[0]

    def operation(self, target: Any, args: list[Any], keywords: dict[str, Any]) -> Any:
        if target in _MOVES:
            return _MOVES[target](*args, **keywords)
        if target in _FOLDS:
            return self._folded(_FOLDS[target], *args, **keywords)
        if target in _LIKE:
            args = [np.zeros_like(args[0]) + args[0].flat[0], *args[1:]]
        elif target is _aten.full.default:
            keywords = {name: keywords.get(name) for name in ("dtype", "device")}
            number = torch.full((self.size,) if args[0] else (), args[1], **keywords)
            return np.broadcast_to(self._entered([number], (1,) * len(args[0])), args[0])
        elif target is _aten.scalar_tensor.default:
            return self._entered([target(*args, **keywords)], ())
        elif torch.Tag.pointwise not in target.tags:
            raise NotImplementedError(f"{target} on single numbers")
        elif target is _aten.where.self:
            return self._each(self._where, args)
        elif target in _LOGIC and all(self._is_mask(a) for a in args):
            return self._each(lambda *masks: self._mask(_LOGIC[target](*map(self._wide, masks))), args)
        spelled = _SPELLED_OUT.get(target) or target
        return self._each(lambda *a: spelled(*a, **keywords), args)

    def _is_mask(self, a: Any) -> bool:
        return isinstance(a, np.ndarray) and self.numbers[a.flat[0]].dtype is torch.bool

    def _wide(self, mask: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
        dtype = self.widest if dtype is None else dtype
        if (id(mask), dtype) not in self.masks:
            wide = mask if dtype is self.widest else self._wide(mask)
            self.masks[id(mask), dtype] = mask, wide.to(dtype)
        return self.masks[id(mask), dtype][1]

    def _mask(self, wide: torch.Tensor) -> torch.Tensor:
        mask = wide > 0.5
        self.masks[id(mask), wide.dtype] = mask, wide
        return mask

    def _where(self, mask: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        if not (a.dtype == b.dtype and a.is_floating_point()):
            return torch.where(mask, a, b)
        return torch.where(self._wide(mask, a.dtype) > 0.5, a, b)

    def _each(self, fn: Callable[..., torch.Tensor], args: list[Any]) -> np.ndarray:
        """Do the same to every number, or to those that meet when shapes are broadcast."""
        arrays = np.broadcast_arrays(*(a for a in args if isinstance(a, np.ndarray)))
        done: dict[tuple[Any, ...], torch.Tensor] = {}  # what was broadcast need be done but once
        columns = list(zip(*(a.flat for a in arrays), strict=True))
        for column in dict.fromkeys(columns):
            numbers = iter([self.numbers[k] for k in column])
            done[column] = fn(*(next(numbers) if isinstance(a, np.ndarray) else a for a in args))
        places = dict(zip(done, self._entered(list(done.values()), (len(done),)), strict=True))
        return np.array([places[column] for column in columns], dtype=int).reshape(arrays[0].shape)

    def _folded(
        self, fn: Callable[..., torch.Tensor], a: np.ndarray, axes: Any = None, keepdim: bool = False
    ) -> np.ndarray:
        axes = range(a.ndim) if axes is None else [axes] if isinstance(axes, int) else axes
        axes = sorted(axis % a.ndim for axis in axes)
        rows = np.moveaxis(a, axes, range(len(axes))).reshape(-1, *(n for k, n in enumerate(a.shape) if k not in axes))
        found = reduce(lambda one, two: self._each(fn, [one, two]), rows)
        return np.expand_dims(found, tuple(axes)) if keepdim else found

    def _entered(self, numbers: list[torch.Tensor], shape: tuple[int, ...]) -> np.ndarray:
        first = len(self.numbers)
        self.numbers += numbers
        return np.arange(first, first + len(numbers)).reshape(shape)


def _without_blanks(shape: tuple[int, ...], size: Sequence[int]) -> list[int]:
    """Return the size with the old lengths where it says -1."""
    before = len(size) - len(shape)
    return [shape[k - before] if n == -1 else n for k, n in enumerate(size)]
