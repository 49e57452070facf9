"""Record a function of tensors as a flat list of operations, and play it again without its Python.

What `torch.func` does at each call, wrapping tensors, finding batching rules, walking a graph of derivatives, costs
several times the arithmetic of a small network. A recording keeps the arithmetic alone: the operations that reached
the tensors themselves, in their order, as the code of a `torch.fx.GraphModule`. It is good for inputs of the same
shapes, strides, dtypes and device, and as long as the function does what it did: no random numbers, no change of
tensors in place, no branches on values. The first two are refused, of the third nothing can be seen here.
"""

import operator
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

# the same operations by a shorter way: for a small network, half of the time goes into calls
_aten = torch.ops.aten
_FUNCTIONS = {
    _aten.add.Tensor: torch.add,
    _aten.addmm.default: torch.addmm,
    _aten.bmm.default: torch.bmm,
    _aten.cat.default: torch.cat,
    _aten.div.Tensor: torch.div,
    _aten.exp.default: torch.exp,
    _aten.mm.default: torch.mm,
    _aten.mul.Tensor: torch.mul,
    _aten.neg.default: torch.neg,
    _aten.relu.default: torch.relu,
    _aten.sigmoid.default: torch.sigmoid,
    _aten.squeeze.dim: torch.squeeze,
    _aten.sub.Tensor: torch.sub,
    _aten.sum.dim_IntList: torch.sum,
    _aten.t.default: torch.t,
    _aten.tanh.default: torch.tanh,
    _aten.transpose.int: torch.transpose,
    _aten.unsqueeze.default: torch.unsqueeze,
    _aten.where.self: torch.where,
}
_METHODS = {_aten.view.default: "view", _aten._unsafe_view.default: "view", _aten.expand.default: "expand"}
_ALIASES = {_aten._unsafe_view.default, _aten.detach.default, _aten.alias.default}
# made of the shape of a tensor, not of its values
_FILLED = {
    _aten.ones_like.default,
    _aten.zeros_like.default,
    _aten.full_like.default,
    _aten.new_ones.default,
    _aten.new_zeros.default,
    _aten.new_full.default,
}


# recordings for so many kinds of inputs are kept
_KINDS = 16

Function = Callable[..., tuple[torch.Tensor, ...]]


class UnrecordableError(Exception):
    """A function does something that is not the same each time it is played."""


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
    recorder = _Recorder(apart)
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


class _Recorder(TorchDispatchMode):
    """Write down each operation on tensors; views that change nothing and products with one are left out."""

    def __init__(self, inputs: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self.graph = torch.fx.Graph()
        self.constants: list[torch.Tensor] = []
        self._nodes: dict[int, torch.fx.Node] = {}
        self._places: dict[Any, torch.fx.Node] = {}
        self._alive: list[torch.Tensor] = []  # so that no id and no address is given out twice
        for k, t in enumerate(inputs):
            self._last = self.graph.placeholder(f"input_{k}")
            self._name(t, self._last)

    def node(self, t: torch.Tensor) -> torch.fx.Node:
        """Return the node of a tensor; one that nobody recorded is a constant."""
        if id(t) not in self._nodes:
            # as a further argument, which is quicker to read than an attribute
            with self.graph.inserting_after(self._last):
                self._last = self.graph.placeholder(f"constant_{len(self.constants)}")
            self.constants.append(t)
            self._name(t, self._last)
        return self._nodes[id(t)]

    def _name(self, t: torch.Tensor, node: torch.fx.Node) -> None:
        self._nodes[id(t)] = node
        node.meta.setdefault("shape", t.shape)
        self._places.setdefault(_place(t), node)
        self._alive.append(t)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        _refuse(func, args)
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        parts = (out,) if isinstance(out, torch.Tensor) else out
        if func in _FILLED or not (self._varies(args) or self._varies(kwargs)):
            self._alive += [part for part in parts if isinstance(part, torch.Tensor)]  # the same at each call
        elif isinstance(out, torch.Tensor):
            if id(out) not in self._nodes:
                self._name(out, self._known(func, args, out) or self._called(func, args, kwargs))
        else:
            whole = self._called(func, args, kwargs)
            for k, part in enumerate(parts):
                if isinstance(part, torch.Tensor):
                    self._name(part, self.graph.call_function(operator.getitem, (whole, k)))
        return out

    def _varies(self, value: Any) -> bool:
        """Tell whether a value depends on the inputs."""
        if isinstance(value, torch.Tensor):
            node = self._nodes.get(id(value))
            return node is not None and not str(node.target).startswith("constant_")
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, (tuple, list)) else ()
        return any(map(self._varies, parts))

    def _known(self, func: Any, args: Any, out: torch.Tensor) -> torch.fx.Node | None:
        """Return the node of a tensor that is the same, if there is one."""
        if func.is_view or func in _ALIASES:
            return self._places.get(_place(out))
        same = func is _aten.mul.Scalar and args[1] == 1
        same = same or (func is _aten.sum.dim_IntList and args[0].shape == out.shape)  # along axes of length 1
        return self.node(args[0]) if same and out.dtype == args[0].dtype else None

    def _called(self, func: Any, args: Any, kwargs: Any) -> torch.fx.Node:
        if func is _aten.bmm.default and args[0].shape[-1] == 1:
            func = _aten.mul.Tensor  # a batch of outer products, for which bmm takes ten times as long
        nodes, kwargs = self._noted(args), self._noted(kwargs)
        if func is _aten.add.Tensor and not kwargs and _is_affine(nodes):
            product, shape = nodes[1].args
            affine = self.graph.call_function(torch.addmm, (nodes[0], *product.args))
            return self.graph.call_method("view", (affine, shape))
        if func in _METHODS and not kwargs:
            return self.graph.call_method(_METHODS[func], nodes)
        return self.graph.call_function(_FUNCTIONS.get(func, func), nodes, kwargs)

    def _noted(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return self.node(value)
        if isinstance(value, (tuple, list)):
            return type(value)(self._noted(part) for part in value)
        if isinstance(value, dict):
            return {key: self._noted(part) for key, part in value.items()}
        return value


def _is_affine(nodes: Any) -> bool:
    """Tell whether a sum is that of a bias and a product of matrices, seen in another shape."""
    bias, seen = nodes
    if not isinstance(bias, torch.fx.Node) or not isinstance(seen, torch.fx.Node) or seen.target != "view":
        return False
    product: Any = seen.args[0]
    return product.target is torch.mm and tuple(bias.meta["shape"]) == tuple(product.meta["shape"][1:])


def _place(t: torch.Tensor) -> Any:
    """Return what two tensors have in common only if they are the same view of the same memory."""
    return (t.data_ptr(), tuple(t.shape), t.stride(), t.dtype, t.is_conj(), t.is_neg(), t.numel() or id(t))


def _refuse(func: Any, args: Any) -> None:
    tags = func.tags
    if func is _aten.index.Tensor and not any(i is not None and i.dtype is torch.bool for i in args[1]):
        return  # the shape depends on a mask only
    if torch.Tag.nondeterministic_seeded in tags:
        raise UnrecordableError(f"{func} draws random numbers")
    if torch.Tag.data_dependent_output in tags or torch.Tag.dynamic_output_shape in tags:
        raise UnrecordableError(f"{func} depends on values")
    if func._schema.is_mutable:
        raise UnrecordableError(f"{func} writes into a tensor")
