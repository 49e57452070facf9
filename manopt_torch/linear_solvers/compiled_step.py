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
from typing import Any

import torch

from manopt_torch.functional.masked import Batch
from manopt_torch.linear_solvers.compiled import warn_of_no_effect
from manopt_torch.linear_solvers.recording import fingerprint, recorded_for_any_size
from manopt_torch.manifolds.points import leaves, map_leaves
from manopt_torch.plans.options import per_problem_fields

# compiled parts that are kept: a run is often followed by another
_KEPT = 64
# the compiler is shown so many problems: what pays for a few does not for many
_EXAMPLE = 1000
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

    def __init__(self, part: Callable[..., Any], p: Any, o: Any, extra: tuple, constants: Any = None) -> None:
        began, self.constants = time.perf_counter(), constants
        self._changed: list[str] = []
        self._result: Any = None
        given = _tensors(o, extra)
        some = torch.arange(_EXAMPLE, device=given[0].device) % given[0].shape[0]
        example = [_problems_last(t[some]) for t in given]
        graph = recorded_for_any_size(self._function(part, p, o, extra), example, [0] * len(example))
        inputs = [node for node in graph.graph.nodes if node.op == "placeholder"]
        self._used = [k for k, node in enumerate(inputs) if node.users]
        for node in inputs:
            if not node.users:
                graph.graph.erase_node(node)
        graph.recompile()
        self._fn = torch.compile(graph, fullgraph=True)
        used = [example[k] for k in self._used]
        for t in used:
            torch._dynamo.mark_dynamic(t, 0)
        self._fn(*used)
        self.seconds = time.perf_counter() - began

    def __call__(self, p: Any, o: Any, *extra: Any) -> Any:
        """Do this part of a step; return what it returns."""
        tensors = _tensors(o, extra)
        found = iter([t.unflatten(0, o.lane.shape) for t in self._fn(*(tensors[k] for k in self._used))])
        result = map_leaves(lambda _: next(found), self._result)
        for name in self._changed:
            setattr(o, name, map_leaves(lambda _: next(found), getattr(o, name)))
        return result

    def _function(
        self, part: Callable[..., Any], p: Any, o: Any, extra: tuple
    ) -> Callable[..., Sequence[torch.Tensor]]:
        """Return the part as a function of tensors alone, which says as it runs what it changes and returns."""
        names = _names(o)

        def function(*tensors: torch.Tensor) -> Sequence[torch.Tensor]:
            own, arguments = _filled(o, extra, tensors)
            before = {name: getattr(own, name) for name in names}
            result = part(p, own, *arguments)
            result = () if result is None else result
            self._result = map_leaves(lambda _: None, result)
            self._changed = [name for name in names if getattr(own, name) is not before[name]]
            return [_problems_last(t) for t in leaves((result, *(getattr(own, name) for name in self._changed)))]

        return function


def program_for(part: Callable[..., Any], p: Any, o: Any, *extra: Any) -> Callable[..., Any]:
    """Return a part of a step compiled, or, with a warning, as it is where that cannot be.

    What was compiled before serves again if the part still does the same with the same numbers.
    """
    tensors = _tensors(o, extra)

    def meaning(*tensors: torch.Tensor) -> None:
        own, arguments = _filled(o, extra, tensors)
        part(p, own, *arguments)

    try:
        lines, constants = fingerprint(meaning, [t[:2] for t in tensors])
        kinds = tuple((t.shape[1:], t.dtype, t.device) for t in tensors)
        key = (part, lines, kinds, torch.get_num_threads())
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


def _tensors(o: Any, extra: tuple) -> list[torch.Tensor]:
    """Return all fields and arguments with one batch axis, no two of them the same."""
    axes = len(o.lane.shape)
    found = leaves((*(getattr(o, name) for name in _names(o)), *extra))
    if axes > 1:
        found = [t.flatten(0, axes - 1) for t in found]
    return [_problems_last(t) for t in found]


def _problems_last(t: torch.Tensor) -> torch.Tensor:
    """Return a tensor in whose memory neighbouring numbers belong to neighbouring problems."""
    return t if t.dim() == 1 else t.movedim(0, -1).contiguous().movedim(-1, 0)


def _filled(o: Any, extra: tuple, tensors: Sequence[torch.Tensor]) -> tuple[Any, tuple]:
    """Return options and arguments made of these tensors, for a batch with one axis."""
    own, source = copy.copy(o), iter(tensors)
    for name in _names(o):
        setattr(own, name, map_leaves(lambda _: next(source), getattr(o, name)))
    own.lane = Batch(tuple(tensors[0].shape[:1]), tensors[0])
    own.linear_solver = o.linear_solver.written_out()
    return own, map_leaves(lambda _: next(source), extra)
