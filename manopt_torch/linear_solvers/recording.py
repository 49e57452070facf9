r"""Tensor functions written down as graphs of operations, and what can be left out of these.

A Jacobian comes as a stack of its columns, and a model takes its parameters out of a point one by one: where a part is
taken out of what was put together just before, the part itself will do, and the stack is never made.
"""

import operator
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch.fx import Graph, GraphModule, Node
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

_aten = torch.ops.aten
# there are no rules for blocks of these
_WITHOUT_RULES: dict[Any, Callable[..., torch.Tensor]] = {
    _aten.copy.default: lambda a, b, _=False: b.to(a).expand(a.shape),
    _aten.fill.Tensor: lambda a, value: value.to(a).expand(a.shape),
    _aten.fill.Scalar: torch.full_like,
    _aten.lift_fresh_copy.default: torch.clone,
    _aten.select_scatter.default: lambda a, b, axis, k: torch.stack(
        [b if j == k % a.shape[axis] else part for j, part in enumerate(a.unbind(axis))], axis
    ),
}


def recorded(fn: Callable[..., Any], arguments: Sequence[torch.Tensor]) -> GraphModule:
    """Return the graph of `fn` for arguments of these shapes, without stacks that are taken apart again.

    Whatever is no tensor operation, such as a condition or a number of the surrounding code, is as it is now. What is
    written into a tensor becomes a new one.
    """
    from torch.fx.experimental.proxy_tensor import make_fx

    module = make_fx(fn)(*arguments)
    if any(node.op == "call_function" and _writes(node.target) for node in module.graph.nodes):
        module = make_fx(torch.func.functionalize(module), _WITHOUT_RULES)(*arguments)
    graph = module.graph
    for node in list(graph.nodes):
        part = _part(graph, node)
        if part is not None:
            node.replace_all_uses_with(part)
            graph.erase_node(node)
    graph.eliminate_dead_code()
    module.recompile()
    return module


def recorded_for_any_size(
    fn: Callable[..., Any], arguments: Sequence[torch.Tensor], axes: Sequence[int | None]
) -> GraphModule:
    """Return the graph of `fn` for any common length of one axis of each argument; None: it has no such axis.

    Raises:
        ValueError: if `fn` does something that depends on the length.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext

    mode = FakeTensorMode(shape_env=ShapeEnv(), allow_non_fake_inputs=True)

    def fake(t: torch.Tensor, axis: int | None) -> torch.Tensor:
        free = None if axis is None else axis % t.dim()
        kinds = [DimDynamic.DUCK if k == free else DimDynamic.STATIC for k in range(t.dim())]
        return mode.from_tensor(t, symbolic_context=StatelessSymbolicContext(dynamic_sizes=kinds))

    with mode:
        fakes = [fake(t, axis) for t, axis in zip(arguments, axes, strict=True)]
        graph = recorded(fn, fakes)
    for t, axis in zip(fakes, axes, strict=True):
        if axis is not None and t.shape[axis].node.maybe_as_int() is not None:  # pyright: ignore
            raise ValueError(f"what is done depends on the number of problems, {t.shape[axis]} here")
    return graph


def compiled(module: GraphModule, **options: Any) -> Callable[..., Any]:
    """Compile a graph for any size; `options` are those of the compiler.

    What `torch.compile` does before, to watch Python and to ask at every call whether all is as it was, is left out:
    there is nothing but operations in the graph, and whoever calls it knows what for.
    """
    import torch._inductor

    inputs = [node.meta["val"] for node in module.graph.find_nodes(op="placeholder")]
    return torch._inductor.compile(module, inputs, options=options)  # pyright: ignore[reportReturnType]


def by_reciprocals(module: GraphModule) -> GraphModule:
    """Multiply by a reciprocal where a graph divides by what is the same along the last axis.

    A loop over that axis then divides but once, and a division takes as long as a dozen products.
    """
    graph = module.graph
    for node in graph.find_nodes(op="call_function", target=_aten.div.Tensor):
        numerator, divisor = node.args
        if not isinstance(divisor, Node) or _shape(divisor)[-1:] != (1,) or _shape(node)[-1] == 1:
            continue
        with graph.inserting_before(node):
            inverse = _with_shape(graph.call_function(_aten.reciprocal.default, (divisor,)), divisor)
            product = _with_shape(graph.call_function(_aten.mul.Tensor, (numerator, inverse)), node)
        node.replace_all_uses_with(product)
        graph.erase_node(node)
    module.recompile()
    return module


def _writes(target: Any) -> bool:
    return isinstance(target, torch._ops.OpOverload) and target._schema.is_mutable


def _part(graph: Graph, node: Node) -> Node | None:
    """Return what a node takes out of a stack or an unsqueezed tensor; None if that is not what it does."""
    taken = _taken(node)
    if taken is None:
        return None
    source, axis, start, stop, drops = taken
    shape = _shape(source)
    axis %= len(shape)
    if not drops and start == 0 and stop >= shape[axis]:
        return source
    if stop != start + 1 or start < 0:
        return None
    part = _entry(source, axis, start)
    if part is None or drops:
        return part
    with graph.inserting_before(node):
        return _with_shape(graph.call_function(_aten.unsqueeze.default, (part, axis)), node)


def _taken(node: Node) -> tuple[Node, int, int, int, bool] | None:
    """Return `(source, axis, start, stop, drops the axis)` of a node that takes entries along an axis."""
    if node.target == _aten.select.int:
        source, axis, start = node.args
        start = start if start >= 0 else start + _shape(source)[axis]  # pyright: ignore
        return source, axis, start, start + 1, True  # pyright: ignore
    if node.target == _aten.slice.Tensor and len(node.args) <= 4:
        source, axis, start, stop = (*node.args, 0, 0, None)[:4] if len(node.args) == 1 else (*node.args, 0, None)[:4]
        size = _shape(source)[axis]  # pyright: ignore
        start, stop = (0 if start is None else start), (size if stop is None else stop)
        start, stop = (k + size if k < 0 else k for k in (start, stop))  # pyright: ignore
        return source, axis, start, min(stop, size), False  # pyright: ignore
    if node.target is operator.getitem and getattr(node.args[0], "target", None) == _aten.unbind.int:
        source, axis = (*node.args[0].args, 0)[:2]  # pyright: ignore
        return source, axis, node.args[1], node.args[1] + 1, True  # pyright: ignore
    return None


def _entry(source: Node, axis: int, k: int) -> Node | None:
    """Return the k-th entry of a tensor along an axis, which it has been put together along."""
    if source.target == _aten.stack.default:
        parts, along = (*source.args, 0)[:2]
        return parts[k] if along % len(_shape(source)) == axis else None  # pyright: ignore
    if source.target == _aten.unsqueeze.default:
        part, along = source.args
        return part if along % len(_shape(source)) == axis else None  # pyright: ignore
    if source.target == _aten.cat.default:
        parts, along = (*source.args, 0)[:2]
        if along % len(_shape(source)) == axis and all(_shape(part)[axis] == 1 for part in parts):  # pyright: ignore
            return _entry(parts[k], axis, 0)  # pyright: ignore
    return None


def _shape(node: Any) -> tuple[int, ...]:
    return tuple(node.meta["val"].shape if "val" in node.meta else node.meta["tensor_meta"].shape)


def _with_shape(new: Node, like: Node) -> Node:
    new.meta = dict(like.meta)
    return new


class _Log(TorchDispatchMode):
    """Write down the operations, with numbers for the tensors they make and identities for those that were there."""

    def __init__(self, arguments: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self.numbers = {id(t): k for k, t in enumerate(arguments)}
        self.made: list[torch.Tensor] = list(arguments)  # kept: an id may be used again otherwise
        self.found: dict[int, torch.Tensor] = {}
        self.lines: list[Hashable] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        leaves = tree_flatten((args, kwargs or {}))[0]
        self.lines.append((str(func), *map(self._name, leaves)))
        for t in tree_flatten(result)[0]:
            if isinstance(t, torch.Tensor):
                self.numbers[id(t)] = len(self.made)
                self.made.append(t)
        return result

    def _name(self, leaf: Any) -> Hashable:
        if not isinstance(leaf, torch.Tensor):
            return leaf if isinstance(leaf, Hashable) else repr(leaf)
        if id(leaf) in self.numbers:
            return ("made", self.numbers[id(leaf)])
        self.found[id(leaf)] = leaf
        return ("found", id(leaf), leaf._version)


def fingerprint(fn: Callable[..., Any], arguments: Sequence[torch.Tensor]) -> tuple[Hashable, list[torch.Tensor]]:
    """Return what tells one function from another: its operations with their numbers, and the tensors it brought along.

    Tensors are told apart by identity, so they must be kept as long as the fingerprint is.
    """
    log = _Log(arguments)
    with log:
        fn(*arguments)
    return tuple(log.lines), list(log.found.values())
