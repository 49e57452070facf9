"""Options: the parameters and the running state of one solver, and functors, the parameters that act."""

from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass, field, fields
from functools import cache, lru_cache
from typing import Any, ClassVar, TypeVar

import torch

from manopt_torch._keywords import KnownKeywords
from manopt_torch._keywords import strict_keywords as strict_keywords
from manopt_torch.errors import OptionsError
from manopt_torch.functional.masked import lane_for
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.plans.ranges import check_count as check_count
from manopt_torch.plans.ranges import check_flag as check_flag
from manopt_torch.plans.ranges import check_range as check_range

T = TypeVar("T", bound="Options")


def state(default: Any = None, *, per_problem: bool = True, saved: bool = True) -> Any:
    """Declare a state field of an Options class: written by the solver only, no argument of the constructor.

    Args:
        default: value before the first `initialize_solver`.
        per_problem: whether the value is a scalar, point or tangent with the batch axes in front. Such fields are
            frozen, gathered, saved and restored problem by problem; others belong to the run as a whole.
        saved: whether `state_dict` holds it; what a step can make again, such as a retained graph, need not be saved.
    """
    metadata = {"state": True, "per_problem": per_problem, "saved": saved, "default": default}
    # `Options.__new__` sets it. No default of the class: Python reads an attribute faster that only the object has.
    return field(init=False, repr=False, metadata=metadata)


class Functor(KnownKeywords):
    """A parameter that acts: a stepsize, stopping criterion or direction rule, called as `(p, o, i)`.

    A functor holds parameters only. What it has to remember during a run is made by `init` and lives in the options,
    so that one functor may serve two runs, and so that freezing, compaction, checkpoint and resume need not know it.
    """

    # whether the memory still means something where a saved run is taken up; a clock's does not
    memory_is_saved: ClassVar[bool] = True

    def init(self, p: Any, o: Any) -> Any:
        """Return this functor's memory at the start of a run: a dict of `(*batch, ...)` tensors, or None."""
        return None


class Memory:
    """What the functors of a run remember: `memory[functor]`, keyed by identity, so that equal functors stay apart."""

    def __init__(self) -> None:
        self.held: dict[int, tuple[Functor, Any]] = {}

    def __getitem__(self, functor: Functor) -> Any:
        return self.held[id(functor)][1]

    def __setitem__(self, functor: Functor, tree: Any) -> None:
        self.held[id(functor)] = (functor, tree)

    def get(self, functor: Functor) -> Any:
        """Return what a functor remembers, None if nothing."""
        held = self.held.get(id(functor))
        return None if held is None else held[1]

    def __contains__(self, functor: Functor) -> bool:
        return id(functor) in self.held

    def __getstate__(self) -> list[tuple[Functor, Any]]:
        """Leave the identities behind in copies: there they are those of the copied functors."""
        return list(self.held.values())

    def __setstate__(self, held: list[tuple[Functor, Any]]) -> None:
        self.held = {id(functor): (functor, tree) for functor, tree in held}

    def forget(self, functor: Functor) -> None:
        """Drop what a functor remembers, if anything."""
        self.held.pop(id(functor), None)

    def map(self, fn: Callable[..., Any], *others: "Memory") -> "Memory":
        """Return a copy with `fn` applied to every tensor and number, and to those of other memories in step.

        Where another memory holds nothing for a functor, `fn` gets None.
        """
        new = Memory()
        for functor, tree in self.held.values():
            new[functor] = _map_tree(fn, tree, *(other.get(functor) for other in others))
        return new


def _map_tree(fn: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    if isinstance(tree, dict):
        known = [other if isinstance(other, dict) else {} for other in rest]
        return {key: _map_tree(fn, value, *(other.get(key) for other in known)) for key, value in tree.items()}
    return map_leaves(fn, tree, *(map_leaves(lambda _: None, tree) if other is None else other for other in rest))


def memory_of(functor: Functor, p: Any, o: Any) -> Any:
    """Return what `functor` remembers in the run of `o`, making it on first use."""
    held = o.memory.held.get(id(functor))
    if held is not None and held[1] is not None:
        return held[1]
    held = o.memory[functor] = functor.init(p, o)
    return held


def make_memory(p: Any, o: Any) -> None:
    """Make the memory of all functors of `o`; their values are checked on that occasion."""
    for _, functor in functors_of(o):  # of the state before they are asked
        memory_of(functor, p, o)


@dataclass(eq=False)
class Options(KnownKeywords):
    """Base of all Options classes: the start, the rules of the run, and the state that every solver keeps.

    The start `x` is positional, everything else is given by keyword. After a run `x` is the result and `x0` the
    start; `reset` goes back to it. After every step `x`, `cost` and `gradient` belong together.

    Args:
        x: the start, shape `(*batch, *point_shape)`; never written into.
        stop: the stopping criterion; None chooses the solver's default.
        retraction_method: name of the manifold's retraction to move by; None is its default.
        check_every: how often (in iterations) the host asks whether any problem of a batch still runs. Larger values
            save waiting for the device; results do not change.
        compact: whether a batch whose problems carry their data (`data=`) is reduced to the problems still active.
    """

    # what a problem must provide, checked before the first iteration
    needs: ClassVar[tuple[str, ...]] = ("cost",)

    x: Any = field(repr=False)
    _: KW_ONLY
    stop: Any = None
    retraction_method: str | None = None
    check_every: int = 1
    compact: bool = True

    # updated every step
    cost: Any = state()
    gradient: Any = state()
    # updated when a problem finishes
    active: Any = state()
    broken: Any = state()  # its cost or gradient was not finite
    stagnated: Any = state()  # it made no progress
    iterations: Any = state()
    reason_code: Any = state()  # 0 running, n > 0 the n-th criterion, negative: NONFINITE, STAGNATED
    iteration: int = state(0, per_problem=False)
    asked: Any = state(per_problem=False)  # iteration at which the criteria have been asked last
    along: Any = state(per_problem=False)  # slope of the direction that a stepsize is asked for, where it is known
    trial: Any = state(per_problem=False)  # point a line search has evaluated last, for the step that asked
    measured: Any = state(per_problem=False, saved=False)  # a gradient, its point, its length
    active_count: Any = state(per_problem=False)  # problems still running, as the host last read it
    piece_size: Any = state(per_problem=False, saved=False)  # rows of a large batch that are evaluated at a time
    # set at the start of a run
    x0: Any = state()
    manifold: Any = state(per_problem=False)
    lane: Any = state(per_problem=False)
    memory: Any = state(per_problem=False)
    hooks: Any = state(per_problem=False)
    record_places: Any = state(per_problem=False)  # place -> RecordAction of the last run
    evaluations: Any = state(per_problem=False)  # kind -> number of calls
    seconds: Any = state(0.0, per_problem=False)
    # a state to take up instead of starting anew, left by load_state_dict
    resume: Any = state(per_problem=False)

    def __new__(cls: type[T], *args: Any, **kwargs: Any) -> T:
        """Give the state its defaults, whatever a class's own constructor does."""
        o = KnownKeywords.__new__(cls, *args, **kwargs)
        vars(o).update(_state_defaults(cls))
        return o

    def __post_init__(self) -> None:
        """Check the ranges of the parameters."""
        check_count(self, "check_every", 1)
        check_flag(self, "compact")
        self.memory = Memory()
        self.hooks = ()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the actions of the last run behind in copies and pickles: they may hold files or local functions."""
        return {**vars(self), "hooks": ()}

    def __copy__(self: T) -> T:
        """Return options that share the values, but remember for themselves: both runs may go on from here."""
        new = type(self).__new__(type(self))
        vars(new).update(vars(self))
        if self.memory is not None:
            new.memory = self.memory.map(lambda leaf: leaf)
        return new


# reason codes besides n > 0, the n-th criterion, and 0, still running
NONFINITE, STAGNATED = -1, -2


def lane_of(p: Any, o: Options) -> Any:
    """Return the lane of a run; functors called by hand before `initialize_solver` make it."""
    if o.lane is None:
        o.lane = lane_for(p.M, o.x)
    return o.lane


def fields_of(o: Options, *, per_problem: bool) -> Iterator[str]:
    """Yield the names of the state fields of one kind."""
    yield from (f.name for f in fields(o) if f.metadata.get("state") and f.metadata["per_problem"] == per_problem)


def per_problem_fields(o: Options) -> Iterator[str]:
    """Yield `x` and the names of the state fields that hold one value for each problem."""
    yield "x"
    yield from fields_of(o, per_problem=True)


def state_defaults(o: Options) -> dict[str, Any]:
    """Return the state fields with their values before any run."""
    return _state_defaults(type(o))


@cache
def _state_defaults(kind: type[Options]) -> dict[str, Any]:
    return {f.name: f.metadata["default"] for f in fields(kind) if f.metadata.get("state")}


# of most attributes: none of these is a functor or holds one
_PLAIN = frozenset({type(None), bool, int, float, str, torch.Tensor})


def functors_of(owner: Any, path: str = "") -> list[tuple[str, Functor]]:
    """Return the functors among the parameters of `owner`, and theirs, each with its path of attribute names."""
    if isinstance(owner, (tuple, list)):
        names, values = map(str, range(len(owner))), iter(owner)
    elif _PLAIN.issuperset(map(type, vars(owner).values())):  # as in most functors
        return []
    else:
        names = _parameters(type(owner), tuple(vars(owner)))
        values = map(vars(owner).__getitem__, names)
    found: list[tuple[str, Functor]] = []
    for name, value in zip(names, values, strict=True):
        if type(value) in _PLAIN:
            continue
        here = f"{path}.{name}" if path else name
        if isinstance(value, Functor):
            found.append((here, value))
            found += functors_of(value, here)
        elif isinstance(value, (tuple, list)) and value and any(isinstance(part, Functor) for part in value):
            found += functors_of(value, here)
    return found


@lru_cache(1024)
def _parameters(kind: type, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return which of the attributes of an object are not the state of a run."""
    written = _state_defaults(kind) if issubclass(kind, Options) else ()
    return tuple(name for name in names if name not in written)


class OptionsDecorator(KnownKeywords):
    """Base of everything wrapped around Options: it keeps them in the field `options` and adds hooks.

    A decorator of one's own subclasses this, and either overrides `hook_table` or registers the verbs
    (`initialize_solver`, `step_solver`, `stop_solver`, `get_solver_result`) for its type. Attributes of the
    options can be read and set through it.
    """

    options: Any

    def __init__(self, options: Any) -> None:
        object.__setattr__(self, "options", options)

    def __getattr__(self, name: str) -> Any:
        if name in ("options", "__getstate__"):  # copies ask before either is there, the second in Python 3.10 only
            raise AttributeError(name)
        return getattr(self.options, name)

    def __setattr__(self, name: str, value: Any) -> None:
        bare = get_options(self)
        if name in bare.__dataclass_fields__:
            setattr(bare, name, value)
        else:
            object.__setattr__(self, name, value)

    def hook_table(self) -> Any:
        """Return what this decorator adds at the start, at every step and at the stop: a `Hooks`, or None."""
        return None


def get_options(o: Any) -> Any:
    """Return the undecorated options inside any depth of decorators.

    Raises:
        OptionsError: if `o` is neither Options nor a decorator.
    """
    while isinstance(o, OptionsDecorator):
        o = o.options
    if not isinstance(o, Options):
        raise OptionsError(f"expected Options (or decorated ones), got {type(o).__name__}")
    return o
