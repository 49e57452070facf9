"""Compaction: go on with the problems of a batch that are still active, and leave the finished ones behind."""

import copy
from typing import Any

import torch

from manopt_torch.functional.masked import Batch, host_read
from manopt_torch.manifolds.points import first_leaf, map_leaves
from manopt_torch.plans.options import Options, fields_of, per_problem_fields, state_defaults

# gathering costs more than it saves below this size of the working set, or above this share of active problems
_LEAST_SIZE, _LARGEST_SHARE = 16, 0.5
# kernels for a single matrix differ from those for many: a batch never shrinks to one
_FEWEST = 2
_OWN = ("manifold", "lane", "memory", "hooks", "record_places", "active_count", "trial")


class WorkingSet:
    """The problem `p` and options `o` that a run works on: all of them, or a gathered sub-batch of the active ones.

    Results are the same as without compaction, bit for bit, as long as every problem brings its own data.
    """

    whole: Any
    full: Any
    p: Any
    o: Any

    def __init__(self, p: Any, o: Any) -> None:
        self.whole, self.full, self.p, self.o = p, o, p, o
        self._indices: torch.Tensor | None = None  # into the flattened batch; None: all
        self._shown: dict[str, Any] | None = None  # attributes of the full options, while these are shown
        # a decorator with verbs of its own sees all problems
        plain = isinstance(o, Options) and o.check_every == 1
        self.possible: Any = plain and o.compact and not o.lane.lone and bool(p.data)

    def shrink(self) -> tuple[Any, Any]:
        """Gather the active problems if that pays, and return what to work on; called once the criteria were asked."""
        left = self.o.active_count
        if self.possible and left is not None:
            size = self.o.active.numel()
            if size > _LEAST_SIZE and left < _LARGEST_SHARE * size:
                self._gather(max(left, _FEWEST))
        return self.p, self.o

    def _gather(self, count: int) -> None:
        self.scatter()
        active = self.o.active.flatten()
        with host_read():
            # active ones first, in order; a finished one fills up where a single problem is left
            chosen = torch.argsort(active, descending=True, stable=True)[:count].sort().values
        axes = len(self.o.lane.shape)
        self.p = self.p.take(chosen, axes)
        part = copy.copy(self.o)
        for name in per_problem_fields(part):
            setattr(part, name, _take(getattr(part, name), chosen, axes))
        part.memory = part.memory.map(lambda leaf: _take(leaf, chosen, axes))
        part.lane = Batch((count,), first_leaf(part.x))
        part.trial = None
        self._indices = chosen if self._indices is None else self._indices[chosen]
        self.o, self._shown = part, None

    def scatter(self) -> None:
        """Write the working set's state back to its places in the whole batch, for all to see and to change."""
        if self._indices is None or self._shown is not None:
            return
        part, shape = self.o, self.full.lane.shape
        for name in per_problem_fields(self.full):
            if name != "x0":
                merged = _put(getattr(self.full, name), getattr(part, name), self._indices, shape)
                setattr(self.full, name, merged)
        for name in fields_of(self.full, per_problem=False):
            if name not in _OWN:
                setattr(self.full, name, getattr(part, name))
        self.full.memory = part.memory.map(lambda new, old: _put(old, new, self._indices, shape), self.full.memory)
        self._shown = dict(vars(self.full))

    def go_on(self) -> tuple[Any, Any]:
        """Return what to work on after actions, which may have changed the full options: their changes count."""
        if self._shown is None:
            return self.p, self.o
        shown, self._shown = self._shown, None
        changed = {key: value for key, value in vars(self.full).items() if value is not shown.get(key, self)}
        if changed.keys() & {"x", *state_defaults(self.full)}:  # of any problem: the whole batch is looked at anew
            self.p, self.o, self._indices = self.whole, self.full, None
        else:
            vars(self.o).update(changed)
        return self.p, self.o


def _take(value: Any, indices: torch.Tensor, axes: int) -> Any:
    def take(leaf: Any) -> Any:
        return leaf.flatten(0, axes - 1)[indices] if isinstance(leaf, torch.Tensor) else leaf

    return map_leaves(take, value)


def _put(old: Any, new: Any, indices: Any, shape: tuple[int, ...]) -> Any:
    """Return `old` with `new` at the places `indices` of the batch; zeros elsewhere if `old` is not set yet."""

    def blank(leaf: Any) -> Any:
        return leaf.new_zeros((*shape, *leaf.shape[1:])) if isinstance(leaf, torch.Tensor) else leaf

    def put(former: Any, leaf: Any) -> Any:
        if not isinstance(former, torch.Tensor) or not isinstance(leaf, torch.Tensor):
            return leaf
        return former.flatten(0, len(shape) - 1).index_copy(0, indices, leaf).reshape(former.shape)

    return map_leaves(put, map_leaves(blank, new) if old is None else old, new)
