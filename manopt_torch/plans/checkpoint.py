"""Take a run's state out, put it back, start over."""

from dataclasses import fields
from typing import Any

import torch

from manopt_torch.errors import OptionsError, ShapeError
from manopt_torch.functional.masked import count_active, host_read
from manopt_torch.manifolds.points import leaves, rebuild
from manopt_torch.plans.options import (
    STAGNATED,
    Memory,
    fields_of,
    functors_of,
    get_options,
    per_problem_fields,
    state_defaults,
)

_NOT_SAVED = (
    *("manifold", "lane", "memory", "hooks", "record_places", "trial", "active_count", "resume", "evaluations"),
    "linearization",  # a graph: made anew
)
_CURE = ": make them with the functors and criteria of the saved run (a larger StopAfterIteration is fine)"


def reset(o: Any) -> Any:
    """Take options back to the start of their last run: `x` is `x0` again, all other state is emptied.

    Args:
        o: options, decorated or not.

    Returns:
        The options given.
    """
    bare = get_options(o)
    if bare.x0 is not None:
        bare.x = bare.x0
    for name, value in state_defaults(bare).items():
        setattr(bare, name, value)
    bare.memory, bare.hooks = Memory(), ()
    return o


def state_dict(o: Any) -> dict[str, Any]:
    """Return the running state as a dict of tensors, numbers and strings, ready for `torch.save`.

    It holds the state fields and what the functors remember, keyed by where in the options they stand.

    Args:
        o: options, decorated or not, after some steps.
    """
    bare = get_options(o)
    held = {name: _plain(getattr(bare, name)) for name in _saved_fields(bare)}
    functors = [(path, f) for path, f in functors_of(bare) if f in bare.memory and f.memory_is_saved]
    memory = {path: _plain(bare.memory[f]) for path, f in functors}
    kinds = {path: type(f).__name__ for path, f in functors}
    return {
        "options": type(bare).__name__,
        "state": held,
        "memory": memory,
        "functors": kinds,
        "criteria": _kinds_of_criteria(bare),
    }


def load_state_dict(o: Any, d: dict[str, Any]) -> Any:
    """Put a state taken by `state_dict` into options of the same kind.

    The next `solve` takes the run up from there: it goes on as the uninterrupted run would, apart from records.
    Problems that had ended for lack of iterations or time run on if the new criterion allows.

    Args:
        o: fresh options with the same functors (a larger `StopAfterIteration` is fine).
        d: what `state_dict` returned.

    Returns:
        The options given.

    Raises:
        OptionsError: if the state belongs to another kind of options, to other functors, or to stopping criteria of
            other kinds or in another order (reasons are kept as places in that order).
        ShapeError: if it belongs to a start of another shape.
    """
    bare = get_options(o)
    if d.get("options") != type(bare).__name__:
        raise OptionsError(f"the state is one of {d.get('options')}, cannot be loaded into {type(bare).__name__}")
    saved, here = _shapes(d["state"]["x"]), _shapes(bare.x)
    if saved != here:
        raise ShapeError(f"the state has a point of shape {saved}, the options one of {here}: make them as for its run")
    _overlay(bare, d)
    bare.resume = d if bare.active is not None else None  # else it was taken before any run
    return o


def take_up(p: Any, o: Any) -> None:
    """Overlay a loaded state after initialize; problems that ended by a budget alone that is larger now go on."""
    d, o.resume = o.resume, None
    if d is None or _is_unfinished(o, d):
        o.iteration, o.asked = 0, None
        return
    _overlay(o, d)
    memory = o.memory.map(lambda leaf: leaf)  # criteria that count are asked out of turn
    lane, now, other = o.lane, o.iteration, _other_reason(p, o)
    for n, criterion in enumerate(o.stop.members, 1):
        if criterion.is_budget:
            spent = criterion.answer(p, o, now)
            spent = lane.scalar(spent) if lane.lone else spent
            going_on = lane.not_(spent) if isinstance(spent, torch.Tensor) else not spent
            again = (o.reason_code == n) & going_on
            o.reason_code = lane.where(again, other, o.reason_code)
            again = again & (other == 0)
            o.active = again | o.active
            o.iterations = lane.where(again, lane.full(0), o.iterations)
    o.memory, o.active_count = memory, count_active(o.active)


def _is_unfinished(o: Any, d: dict[str, Any]) -> bool:
    """Tell whether a state was taken while its run was initialised: it lacks what has been set at the start by now."""
    state = d["state"]
    return state["asked"] is None and any(v is None and getattr(o, name) is not None for name, v in state.items())


def _other_reason(p: Any, o: Any) -> Any:
    """Return the code of the first criterion that holds at a state taken up, else of stagnation, else 0.

    Criteria that remember have met this iterate already: they are asked if that leaves their answer as it was.
    """
    lane, code = o.lane, o.lane.full(0)
    for n, criterion in enumerate(o.stop.members, 1):
        functors = [criterion, *(part for _, part in functors_of(criterion))]
        if all(o.memory.get(f) is None or getattr(f, "repeatable", False) for f in functors):
            hit = criterion.answer(p, o, o.iteration)
            hit = lane.scalar(hit) if lane.lone else hit
            code = lane.where((code == 0) & hit, lane.full(n), code)
    return lane.where((code == 0) & o.stagnated, lane.full(STAGNATED), code)


def _overlay(o: Any, d: dict[str, Any]) -> None:
    known = set(_saved_fields(o))
    at, point = dict(functors_of(o)), o.x
    # criteria that only the start of a run fills in meet their part of the state there
    awaited = o.stop is None
    memory = {path: tree for path, tree in d["memory"].items() if not (awaited and path.split(".")[0] == "stop")}
    for name in d["state"]:
        if name not in known:
            raise OptionsError(f"the state has a field {name!r} that {type(o).__name__} lacks")
    for path in memory:
        if path not in at:
            where = f"{path!r}, where {type(o).__name__} has no functor now"
            raise OptionsError(f"the state has a memory for {where}{_CURE}")
        saved, here = d["functors"][path], type(at[path]).__name__
        if saved != here:
            kinds = f"a {saved} for {path!r}, the options have a {here} there"
            raise OptionsError(f"the state has the memory of {kinds}{_CURE}")
    saved, here = d["criteria"], _kinds_of_criteria(o)
    if not awaited and saved != here and _has_reasons(d["state"]["reason_code"]):
        raise OptionsError(f"the state is one of a run that stopped by {saved}, the options have {here}{_CURE}")
    for name, value in d["state"].items():
        setattr(o, name, _like(getattr(o, name), point, value))
    for path, tree in memory.items():
        o.memory[at[path]] = _like(o.memory.get(at[path]), point, tree)


# Containers are copied both ways (functors write into their dicts), tensors are shared (nobody writes into those).


def _plain(tree: Any) -> Any:
    """Return a tree without named tuples, which `torch.load(weights_only=True)` refuses."""
    if isinstance(tree, dict):
        return {key: _plain(value) for key, value in tree.items()}
    return tuple(_plain(part) for part in tree) if isinstance(tree, tuple) else tree


def _like(model: Any, point: Any, tree: Any) -> Any:
    """Give the tuples of a tree the types that they have in `model`, its present value, or else in the point."""
    if isinstance(tree, dict):
        known = model if isinstance(model, dict) else {}
        return {key: _like(known.get(key), point, value) for key, value in tree.items()}
    kind = model if isinstance(model, tuple) else point
    if isinstance(tree, tuple) and isinstance(kind, tuple) and len(tree) == len(kind):
        return rebuild(kind, [_like(part, part, value) for part, value in zip(kind, tree, strict=True)])
    return tree


def _kinds_of_criteria(o: Any) -> list[str]:
    return [type(criterion).__name__ for criterion in o.stop.members] if o.stop is not None else []


def _has_reasons(codes: Any) -> bool:
    """Tell whether a problem has been ended by a criterion: codes above zero are places in their order."""
    if not isinstance(codes, torch.Tensor):
        return bool(codes and codes > 0)
    with host_read():
        return bool((codes > 0).any())


def _shapes(x: Any) -> list[Any]:
    return [tuple(leaf.shape) if isinstance(leaf, torch.Tensor) else None for leaf in leaves(x)]


def _saved_fields(o: Any) -> list[str]:
    names = list(per_problem_fields(o)) + list(fields_of(o, per_problem=False))
    unsaved = {f.name for f in fields(o) if not f.metadata.get("saved", True)}
    return [name for name in names if name not in _NOT_SAVED and name not in unsaved]
