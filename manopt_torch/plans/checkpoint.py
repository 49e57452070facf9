"""Take a run's state out, put it back, start over."""

from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.plans.options import Memory, fields_of, functors_of, get_options, per_problem_fields, state_defaults

_NOT_SAVED = ("manifold", "lane", "memory", "hooks", "record_places", "trial", "active_count", "resume", "evaluations")


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
    held = {name: getattr(bare, name) for name in _saved_fields(bare)}
    memory = {path: bare.memory[f] for path, f in functors_of(bare) if f in bare.memory}
    return {"options": type(bare).__name__, "state": held, "memory": memory}


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
        OptionsError: if the state belongs to another kind of options.
    """
    bare = get_options(o)
    if d.get("options") != type(bare).__name__:
        raise OptionsError(f"the state is one of {d.get('options')}, cannot be loaded into {type(bare).__name__}")
    _overlay(bare, d)
    bare.resume = d
    return o


def take_up(p: Any, o: Any) -> int:
    """Overlay a loaded state after initialize and return the iteration to go on from (0 for a new run)."""
    d, o.resume = o.resume, None
    if d is None:
        return 0
    _overlay(o, d)
    o.active_count = None
    for n, criterion in enumerate(o.stop.members, 1):
        if criterion.is_budget:
            again = o.reason_code == n
            o.active = again | o.active
            o.reason_code = o.lane.where(again, o.lane.full(0), o.reason_code)
            o.iterations = o.lane.where(again, o.lane.full(0), o.iterations)
    return o.iteration


def _overlay(o: Any, d: dict[str, Any]) -> None:
    known = set(_saved_fields(o))
    for name, value in d["state"].items():
        if name not in known:
            raise OptionsError(f"the state has a field {name!r} that {type(o).__name__} lacks")
        setattr(o, name, value)
    at = dict(functors_of(o))
    for path, tree in d["memory"].items():
        if path not in at:
            raise OptionsError(f"the state has a memory for {path!r}, where {type(o).__name__} has no functor now")
        o.memory[at[path]] = _fresh(tree)


def _fresh(tree: Any) -> Any:
    """Copy the containers (functors write into their dicts), share the tensors (nobody writes into those)."""
    if isinstance(tree, dict):
        return {key: _fresh(value) for key, value in tree.items()}
    return map_leaves(lambda leaf: leaf, tree) if isinstance(tree, (tuple, torch.Tensor)) else tree


def _saved_fields(o: Any) -> list[str]:
    names = list(per_problem_fields(o)) + list(fields_of(o, per_problem=False))
    return [name for name in names if name not in _NOT_SAVED]
