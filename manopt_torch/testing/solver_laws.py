"""The laws that every solver keeps, each a function that returns what is wrong, or nothing."""

import copy
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from manopt_torch.manifolds.points import first_leaf, leaves, map_leaves
from manopt_torch.plans.checkpoint import load_state_dict, state_dict
from manopt_torch.plans.debug.base import DebugAction
from manopt_torch.plans.dispatch import initialize_solver, step_solver, stop_solver
from manopt_torch.plans.options import get_options, per_problem_fields
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration, StoppingCriterion
from manopt_torch.problems import get_cost, get_gradient
from manopt_torch.problems.counted import bare_problem


@dataclass(frozen=True)
class Setting:
    """What a law is tried on."""

    make: Callable[[Any], Any]  # fresh options for a start
    problem: Any  # two problems
    x: Any  # shape: (2, *point_shape)
    steps: int
    tolerance: float  # relative, of costs

    @cached_property
    def plain_run(self) -> Any:
        """The options of a run of all steps with nothing besides, to which several laws compare another one."""
        return get_options(solve(self.problem, options_for(self, StopAfterIteration(self.steps))))


class StopFirst(StoppingCriterion):
    """Stop the first of two problems after some steps, and both after some more."""

    first: int
    both: int

    def __init__(self, first: int, both: int) -> None:
        self.first, self.both = first, both

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare the index."""
        if i >= self.both:
            return True
        return torch.tensor([i >= self.first, False], device=first_leaf(o.x).device)


class _CountSteps(DebugAction):
    def __init__(self) -> None:
        self.count = 0

    def __call__(self, p: Any, o: Any, i: int) -> None:
        self.count += i > 0


# ---- runs -----------------------------------------------------------------------------------------------------------


def two_problems(problem: Any, x: Any) -> tuple[Any, Any]:
    """Return the first two problems of a batch, or a lone problem joined by itself with another start."""
    axes = len(problem.M.batch_shape(x))
    if axes:
        flat = map_leaves(lambda leaf: leaf.flatten(0, axes - 1), x)
        two = torch.tensor([0, 1 % len(first_leaf(flat))], device=first_leaf(x).device)
        return problem.take(two, axes), map_leaves(lambda leaf: leaf[two], flat)
    u = problem.M.random_tangent(x, generator=torch.Generator(device=first_leaf(x).device).manual_seed(0))
    other = problem.M.retract(x, u, 0.1)
    return _with_data(problem, lambda d: torch.stack([d, d])), map_leaves(lambda a, b: torch.stack([a, b]), x, other)


def lone_problem(problem: Any, x: Any, index: int) -> tuple[Any, Any]:
    """Return one problem of a batch without batch axes."""
    return _with_data(problem, lambda d: d[index]), map_leaves(lambda leaf: leaf[index], x)


def _with_data(problem: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    part = copy.copy(bare_problem(problem))
    part.data = tuple(change(d) for d in part.data)
    return part


def options_for(s: Setting, stop: StoppingCriterion, x: Any = None) -> Any:
    """Return fresh options with the stopping criterion replaced, and without compaction."""
    o = s.make(s.x if x is None else x)
    bare = get_options(o)
    bare.stop, bare.compact = stop, False
    return o


def step_by_hand(p: Any, o: Any) -> Any:
    """Run options by the verbs alone."""
    initialize_solver(p, o)
    i = 0
    while not stop_solver(p, o, i):
        i += 1
        step_solver(p, o, i)
    return o


def same(a: Any, b: Any) -> bool:
    """Whether two points or scalars are equal in every bit; NaN equals NaN."""
    if isinstance(a, (tuple, torch.Tensor)):
        return all(
            u.shape == v.shape and torch.equal(torch.nan_to_num(u, 0.5), torch.nan_to_num(v, 0.5))
            for u, v in zip(leaves(a), leaves(b), strict=True)
        )
    return a == b or (a != a and b != b)


def gap(a: Any, b: Any) -> float:
    """Return the largest difference of two points, relative to the second where that exceeds one."""
    pairs = [(u.double(), v.double()) for u, v in zip(leaves(a), leaves(b), strict=True)]
    return max((((u - v).abs().max() / v.abs().max().clamp(min=1.0)).item() for u, v in pairs), default=0.0)


# ---- the laws -------------------------------------------------------------------------------------------------------


def agree(s: Setting) -> str:
    """After each step, cost and gradient are those of the point, which is one of the manifold."""
    has_gradient = "gradient" in bare_problem(s.problem).provides
    o = options_for(s, StopAfterIteration(s.steps))
    initialize_solver(s.problem, o)
    bare = get_options(o)
    for i in range(s.steps + 1):
        if i:
            step_solver(s.problem, o, i)
        stop_solver(s.problem, o, i)
        s.problem.M.check_point(bare.x)
        if bare.cost is not None and not gap(bare.cost, get_cost(s.problem, bare.x)) <= s.tolerance:
            return f"after step {i} the cost is not that of the point"
        if not has_gradient or bare.gradient is None:
            continue
        if not gap(bare.gradient, get_gradient(s.problem, bare.x)) <= s.tolerance:
            return f"after step {i} the gradient is not that of the point"
    return ""


def batch(s: Setting) -> str:
    """A problem in a batch of two comes out as it does alone."""
    stop = StopAfterIteration(s.steps)
    for k in range(2):
        p, x = lone_problem(s.problem, s.x, k)
        alone = get_options(solve(p, options_for(s, stop, x)))
        together = map_leaves(lambda leaf, k=k: leaf[k], s.plain_run.x)
        difference = gap(get_cost(p, together), get_cost(p, alone.x))
        if not difference <= s.tolerance:
            return f"the cost of problem {k} differs by {difference:.1e} from a lone run"
        difference = gap(together, alone.x)
        if not difference <= s.tolerance**0.5:
            return f"the point of problem {k} differs by {difference:.1e} from a lone run"
    return ""


def freeze(s: Setting) -> str:
    """A finished problem does not move while another goes on."""
    finished = get_options(solve(s.problem, options_for(s, StopFirst(2, 2))))
    later = get_options(solve(s.problem, options_for(s, StopFirst(2, s.steps))))
    for name in per_problem_fields(finished):
        before, after = getattr(finished, name), getattr(later, name)
        if isinstance(before, (tuple, torch.Tensor)) and not same(*(_first(value) for value in (before, after))):
            return f"{name} of the finished problem changed"
    return ""


def _first(value: Any) -> Any:
    return map_leaves(lambda leaf: leaf[0], value)


def decorate(s: Setting) -> str:
    """Debug and record change no iterate."""
    stop = StopAfterIteration(s.steps)
    seen = get_options(solve(s.problem, options_for(s, stop), debug=_CountSteps(), record=[":Iterate", ":Cost"]))
    return "" if same(s.plain_run.x, seen.x) else "a run with debug and record ends at another point"


def by_hand(s: Setting) -> str:
    """Solving does what stepping by hand does."""
    stepped = get_options(step_by_hand(s.problem, options_for(s, StopAfterIteration(s.steps))))
    return "" if same(s.plain_run.x, stepped.x) else "solve and the verbs called by hand end at different points"


def resume(s: Setting) -> str:
    """A run taken up from its state goes on as the uninterrupted one."""
    half = solve(s.problem, options_for(s, StopAfterIteration(s.steps // 2)))
    file = io.BytesIO()
    torch.save(state_dict(half), file)
    file.seek(0)
    rest = options_for(s, StopAfterIteration(s.steps))
    load_state_dict(rest, torch.load(file, weights_only=True))
    solve(s.problem, rest)
    return "" if same(s.plain_run.x, get_options(rest).x) else "the resumed run ends at another point"


def again(s: Setting) -> str:
    """Fresh options give the same again."""
    second = get_options(solve(s.problem, options_for(s, StopAfterIteration(s.steps))))
    return "" if same(s.plain_run.x, second.x) else "a second run with fresh options ends at another point"


def count(s: Setting) -> str:
    """`StopAfterIteration(n)` takes n steps."""
    for n in (0, 1, s.steps):
        counter = _CountSteps()
        o = get_options(solve(s.problem, options_for(s, StopAfterIteration(n)), debug=counter))
        # problems that are stagnated or non-finite (negative codes) may end before
        ended = bool((torch.as_tensor(o.reason_code) < 0).all())
        if counter.count != n and not (ended and counter.count < n):
            return f"{counter.count} steps were taken where {n} were asked for"
    return ""


def untouched(s: Setting) -> str:
    """Start and data stay as they were."""
    given = [*leaves(s.x), *s.problem.data]
    former = [(t.clone(), t._version, t.requires_grad) for t in given]
    solve(s.problem, options_for(s, StopAfterIteration(s.steps)))
    for t, (values, version, tracked) in zip(given, former, strict=True):
        if not same(t, values) or t._version != version or t.requires_grad != tracked:
            return "the start or the data have been written to"
    return ""


LAWS: dict[str, Callable[[Setting], str]] = {
    "point, cost and gradient agree": agree,
    "batch equals lone runs": batch,
    "finished problems do not move": freeze,
    "debug and record change nothing": decorate,
    "solve equals stepping by hand": by_hand,
    "resume equals going on": resume,
    "fresh options give the same": again,
    "StopAfterIteration(n) takes n steps": count,
    "start and data stay untouched": untouched,
}
