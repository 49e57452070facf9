"""Write down the operations on tensors, in as few as will do."""

import operator
from collections.abc import Sequence
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
# entry by entry, or along another axis, so that an axis of length one can be left out
_POINTWISE = {
    _aten.add.Tensor,
    _aten.cat.default,
    _aten.div.Tensor,
    _aten.exp.default,
    _aten.mul.Tensor,
    _aten.neg.default,
    _aten.relu.default,
    _aten.sigmoid.default,
    _aten.sigmoid_backward.default,
    _aten.sub.Tensor,
    _aten.tanh.default,
    _aten.tanh_backward.default,
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


class UnrecordableError(Exception):
    """A function does something that is not the same each time it is played."""


class Recorder(TorchDispatchMode):
    """Write down each operation on tensors; views that change nothing and products with one are left out."""

    def __init__(self, inputs: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self.graph: torch.fx.Graph = torch.fx.Graph()
        self.constants: list[torch.Tensor] = []
        self._nodes: dict[int, torch.fx.Node] = {}
        self._places: dict[Any, torch.fx.Node] = {}
        self._alive: list[torch.Tensor] = []  # so that no id and no address is given out twice
        self._made: set[int] = set()  # what is the same at each call, and nobody else can change
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
            same = [part for part in parts if isinstance(part, torch.Tensor)]
            if func in _FILLED or self._is_made(args):
                self._made.update(map(id, same))
            self._alive += same
        elif isinstance(out, torch.Tensor):
            if id(out) not in self._nodes:
                self._name(out, self._known(func, args, out) or self._called(func, args, kwargs, out))
        else:
            whole = self._called(func, args, kwargs, out)
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

    def _is_made(self, value: Any) -> bool:
        """Tell whether all tensors of a value have been made on the way."""
        if isinstance(value, torch.Tensor):
            return id(value) in self._made
        return all(map(self._is_made, value)) if isinstance(value, (tuple, list)) else True

    def _known(self, func: Any, args: Any, out: torch.Tensor) -> torch.fx.Node | None:
        """Return the node of a tensor that is the same, if there is one."""
        if func.is_view or func in _ALIASES:
            return self._places.get(_place(out))
        same = func is _aten.mul.Scalar and args[1] == 1
        same = same or (func is _aten.sum.dim_IntList and args[0].shape == out.shape)  # along axes of length 1
        if func is _aten.mul.Tensor or _is_outer(func, args):
            args = args if self._varies(args[0]) else args[::-1]
            same = id(args[1]) in self._made and bool((args[1] == 1).all())
        return self.node(args[0]) if same and (out.dtype, out.shape) == (args[0].dtype, args[0].shape) else None

    def _called(self, func: Any, args: Any, kwargs: Any, out: Any) -> torch.fx.Node:
        if _is_outer(func, args):
            func = _aten.mul.Tensor  # for which bmm takes ten times as long
        if func in _POINTWISE and not kwargs and out.is_contiguous():
            for axis in range(out.dim()):
                if (thin := self._thin(func, args, out, axis)) is not None:
                    return thin
        nodes, kwargs = tuple(self._noted(args)), self._noted(kwargs)
        if func is _aten.add.Tensor and not kwargs and _is_affine(nodes):
            return self._affine(nodes[0], nodes[1], out)
        if func in _METHODS and not kwargs:
            if _METHODS[func] == "view" and _is_view(nodes[0]):
                nodes = (nodes[0].args[0], *nodes[1:])  # a view of a view is one of the whole
            return self.graph.call_method(_METHODS[func], nodes)
        return self.graph.call_function(_FUNCTIONS.get(func, func), nodes, kwargs)

    def _affine(self, bias: Any, seen: Any, out: torch.Tensor) -> torch.fx.Node:
        """Add a bias to a product of matrices that is seen in another shape, in one operation."""
        x, weight = seen.args[0].args
        if weight.target is torch.t:
            whole = self.graph.call_function(torch.nn.functional.linear, (x, weight.args[0], bias))
        else:
            whole = self.graph.call_function(torch.addmm, (bias, x, weight))
        return self._seen(whole, out, seen.args[0].meta["shape"])

    def _thin(self, func: Any, args: Any, out: torch.Tensor, axis: int) -> torch.fx.Node | None:
        """Do an operation without an axis of length one, if all it needs is known without: this spares the views."""
        tensors, along = args, -1
        if func is _aten.cat.default:
            tensors, along = args[0], (args[1] if len(args) > 1 else 0) % out.dim()
        if along == axis:
            return None
        for t in (*tensors, out):
            if not isinstance(t, torch.Tensor) or t.dim() != out.dim() or t.shape[axis] != 1:
                return None
        varying = [self._without(t, axis) for t in tensors if self._varies(t)]
        if not all(varying):
            return None
        known = iter(varying)
        nodes: Any = tuple(next(known) if self._varies(t) else self.node(t.squeeze(axis)) for t in tensors)
        if func is _aten.cat.default:
            nodes = list(nodes), along - (along > axis)
        whole = self.graph.call_function(_FUNCTIONS.get(func, func), nodes)
        return self._seen(whole, out, out.squeeze(axis).shape)

    def _without(self, t: torch.Tensor, axis: int) -> torch.fx.Node | None:
        """Return the node of a tensor without an axis of length one, if there is one."""
        node: Any = self.node(t)
        flat = t.squeeze(axis)
        if _is_view(node) and node.args[0].meta["shape"] == flat.shape:
            return node.args[0]
        return self._places.get(_place(flat))

    def _seen(self, whole: torch.fx.Node, out: torch.Tensor, shape: torch.Size) -> torch.fx.Node:
        """Return a node in the shape of `out`; what has this shape is the same without a view."""
        whole.meta["shape"] = shape
        self._places.setdefault(_place(out.view(shape)), whole)
        return self.graph.call_method("view", (whole, list(out.shape)))

    def _noted(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return self.node(value)
        if isinstance(value, (tuple, list)):
            return type(value)(self._noted(part) for part in value)
        if isinstance(value, dict):
            return {key: self._noted(part) for key, part in value.items()}
        return value


def _is_outer(func: Any, args: Any) -> bool:
    """Tell whether an operation is a batch of outer products."""
    return func is _aten.bmm.default and args[0].shape[-1] == 1


def _is_view(node: Any) -> bool:
    """Tell whether a node shows another one, whose own shape is known, in another shape."""
    return isinstance(node, torch.fx.Node) and node.target == "view" and "shape" in node.args[0].meta  # pyright: ignore


def _is_affine(nodes: Any) -> bool:
    """Tell whether a sum is that of a bias and a product of matrices, seen in another shape."""
    bias, seen = nodes
    if not isinstance(bias, torch.fx.Node) or not _is_view(seen):
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
