r"""Parts of a step as compiled functions of the state.

A step of a batch is tensor operations from one end to the other, some hundred of them on a few numbers a problem:
calling each takes longer than it does. A part of a step, a function of problem and options, is written down as one
graph from the state it reads to the state it leaves behind, for any number of problems, and compiled.
"""

import copy
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import torch
from torch.fx import GraphModule

from manopt_torch.functional.masked import Batch
from manopt_torch.linear_solvers.compiled import warn_of_no_effect
from manopt_torch.linear_solvers.recording import compiled, fingerprint, recorded_for_any_size
from manopt_torch.linear_solvers.written_out import number_by_number
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import leaves, map_leaves
from manopt_torch.plans.options import Functor, per_problem_fields

# compiled parts that are kept: a run is often followed by another
_KEPT = 64
# the compiler is shown so many problems: what pays for a few does not for many
_EXAMPLE = 1000
# whose steps depend on what their options say and on nothing else
_OURS = "manopt_torch."
_programs: OrderedDict[Any, "Program | None"] = OrderedDict()


class Program:
    """A compiled part of a step.

    Args:
        part: `part(p, o, *extra)`, which reads and writes fields of the options, and returns tensors or None.
        p: the problem.
        o: the options.
        extra: further arguments, trees of tensors with the batch axes in front.
        constants: what must not be forgotten as long as the function is kept.

    Attributes:
        seconds: how long the compiler took.
    """

    constants: Any

    def __init__(self, part: Callable[..., Any], p: Any, o: Any, extra: tuple[Any, ...], constants: Any = None) -> None:
        began, self.constants = time.perf_counter(), constants
        self._names, self._changed, self._result = _names(o), [], None
        self._shapes: list[torch.Size] = []
        given = leaves((*(getattr(o, name) for name in self._names), *extra))
        axes = len(o.lane.shape)
        some = torch.arange(_EXAMPLE, device=given[0].device) % torch.Size(o.lane.shape).numel()
        columns = [_columns(t.flatten(0, axes - 1)[some], 1) for t in given]
        graph = self._graph(part, p, o, extra, columns)
        inputs = graph.graph.find_nodes(op="placeholder")
        self._used = [k for k, node in enumerate(inputs) if node.users]
        for node in inputs:
            if not node.users:
                graph.graph.erase_node(node)
        graph.recompile()
        self._fn = compiled(graph)
        self._fn(*(columns[k] for k in self._used))
        self.seconds: float = time.perf_counter() - began

    def __call__(self, p: Any, o: Any, *extra: Any) -> Any:
        """Do this part of a step; return what it returns."""
        batch = o.lane.shape
        given = leaves((*(getattr(o, name) for name in self._names), *extra))
        found = self._fn(*[_columns(given[k], len(batch)) for k in self._used])
        tensors = iter([_from_columns(t, shape, batch) for t, shape in zip(found, self._shapes, strict=True)])
        result = map_leaves(lambda _: next(tensors), self._result)
        for name in self._changed:
            setattr(o, name, map_leaves(lambda _: next(tensors), getattr(o, name)))
        return result

    def _graph(
        self, part: Callable[..., Any], p: Any, o: Any, extra: tuple[Any, ...], columns: Sequence[torch.Tensor]
    ) -> GraphModule:
        """Return the part as a graph from columns to columns, number by number where that is known how."""
        tensors = [t if t.dim() == 1 else t.movedim(-1, 0) for t in columns]
        whole = recorded_for_any_size(self._function(part, p, o, extra), tensors, [0] * len(tensors))
        last = [-1] * len(columns)
        try:
            return recorded_for_any_size(number_by_number(whole), columns, last)
        except NotImplementedError:

            def moved(*columns: torch.Tensor) -> list[torch.Tensor]:
                found = whole(*(t if t.dim() == 1 else t.movedim(-1, 0) for t in columns))
                return [t if t.dim() == 1 else t.flatten(1).mT.contiguous() for t in found]

            return recorded_for_any_size(moved, columns, last)

    def _function(
        self, part: Callable[..., Any], p: Any, o: Any, extra: tuple[Any, ...]
    ) -> Callable[..., Sequence[torch.Tensor]]:
        """Return the part as a function of tensors alone, which says as it runs what it changes and returns."""

        def function(*tensors: torch.Tensor) -> Sequence[torch.Tensor]:
            own, arguments = _filled(o, self._names, extra, tensors)
            before = {name: getattr(own, name) for name in self._names}
            result = part(p, own, *arguments)
            result = () if result is None else result
            self._result = map_leaves(lambda _: None, result)
            self._changed = [name for name in self._names if getattr(own, name) is not before[name]]
            found = leaves((result, *(getattr(own, name) for name in self._changed)))
            self._shapes = [t.shape[1:] for t in found]
            return found

        return function


def program_for(part: Callable[..., Any], p: Any, o: Any, *extra: Any) -> Callable[..., Any]:
    """Return a part of a step compiled, or, with a warning, as it is where that cannot be.

    What was compiled before serves again if the part still does the same with the same numbers.
    """
    names = _names(o)
    tensors = leaves((*(getattr(o, name) for name in names), *extra))
    axes = len(o.lane.shape)

    def meaning(*tensors: torch.Tensor) -> None:
        own, arguments = _filled(o, names, extra, tensors)
        part(p, own, *arguments)

    try:
        known, constants = _settings(p, o), None
        if known is None:
            known, constants = fingerprint(meaning, [t.flatten(0, axes - 1)[:2] for t in tensors])
        kinds = tuple((t.shape[axes:], t.dtype, t.device) for t in tensors)
        key = (part, known, tuple(names), kinds, torch.get_num_threads())
        if key not in _programs:
            _programs[key] = None  # where the compiler fails it is not asked again
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # those of the compiler about itself
                _programs[key] = Program(part, p, o, extra, constants)
    except Exception as error:  # whatever a compiler may raise: it is an accelerator, no part of the method
        warn_of_no_effect(f"the compiler failed at {part.__name__} ({type(error).__name__}: {error})")
        return part
    _programs.move_to_end(key)
    if len(_programs) > _KEPT:
        _programs.popitem(last=False)
    return _programs[key] or part


def _names(o: Any) -> list[str]:
    return [name for name in per_problem_fields(o) if getattr(o, name) is not None]


def _settings(p: Any, o: Any) -> tuple[Any, ...] | None:
    """Return all that the steps of a solver of ours depend on besides its state; None where that is not certain."""
    names = (f.name for f in fields(o) if not f.metadata.get("state") and f.name not in ("x", "stop"))
    settings = _plain([type(o), p.M, *(getattr(o, name) for name in names)])
    return settings if settings is None or type(o).__module__.startswith(_OURS) else None


def _plain(values: Sequence[Any]) -> tuple[Any, ...] | None:
    """Return the values as what compares equal if they mean the same; None if that cannot be had."""
    found = []
    for value in values:
        if isinstance(value, tuple):
            parts = _plain(value)
        elif value is None or isinstance(value, (bool, int, float, str, torch.dtype, type)):
            parts = (type(value), value)
        elif isinstance(value, (Functor, Manifold)) and type(value).__module__.startswith(_OURS):
            held = sorted(vars(value).items())
            parts = _plain([type(value), *(name for name, _ in held), *(v for _, v in held)])
        else:
            parts = None
        if parts is None:
            return None
        found.append(parts)
    return tuple(found)


def _columns(t: torch.Tensor, axes: int) -> torch.Tensor:
    """Return a tensor, shape `(*batch, ...)`, with a single batch axis, last, and in memory as it says."""
    t = t if axes == 1 else t.flatten(0, axes - 1)
    return t if t.dim() == 1 else t.movedim(0, -1).contiguous()


def _from_columns(t: torch.Tensor, shape: torch.Size, batch: tuple[int, ...]) -> torch.Tensor:
    """Return the tensor of shape `(*batch, *shape)` with these columns."""
    if shape:
        t = t.mT if len(shape) == 1 else t.mT.unflatten(1, shape)
    return t if len(batch) == 1 else t.unflatten(0, batch)


def _filled(
    o: Any, names: Sequence[str], extra: tuple[Any, ...], tensors: Sequence[torch.Tensor]
) -> tuple[Any, tuple[Any, ...]]:
    """Return options and arguments made of these tensors, for a batch with one axis."""
    own, source = copy.copy(o), iter(tensors)
    for name in names:
        setattr(own, name, map_leaves(lambda _: next(source), getattr(o, name)))
    own.lane = Batch(tuple(tensors[0].shape[:1]), tensors[0])
    own.linear_solver = o.linear_solver.written_out()
    return own, map_leaves(lambda _: next(source), extra)
