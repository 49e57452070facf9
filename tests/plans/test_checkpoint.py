"""Taking a run's state out, putting it back, starting over."""

import io
from typing import NamedTuple

import pytest
import torch

from manopt_torch import (
    Action,
    ArmijoLinesearch,
    ConstantStepsize,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    NelderMeadOptions,
    Options,
    Product,
    RecordOptions,
    Sphere,
    StopAfter,
    StopAfterIteration,
    StopWhenChangeLess,
    StopWhenCostLess,
    StopWhenGradientNormLess,
    StopWhenRepeated,
    get_reason,
    get_record,
    load_state_dict,
    solve,
    state_dict,
)
from manopt_torch.errors import OptionsError, ShapeError
from manopt_torch.manifolds.points import leaves

D = torch.float64


class Pair(NamedTuple):
    direction: torch.Tensor
    shift: torch.Tensor


def starts(batch, kind):
    generator = torch.Generator().manual_seed(1)
    x = Sphere(3).random_point(*batch, generator=generator, dtype=D)
    y = torch.randn(*batch, 2, generator=generator, dtype=D)
    w = 0.1 + 10 * torch.rand(*batch, 3, generator=generator, dtype=D)
    v = 0.1 + 10 * torch.rand(*batch, 2, generator=generator, dtype=D)
    return {"tensor": (x, (w,)), "tuple": ((x, y), (w, v)), "named": (Pair(x, y), (w, v))}[kind]


def problem(kind, data):
    if kind == "tensor":
        return GradientProblem(Sphere(3), lambda x, w: (w * x * x).sum(-1), data=data)
    if kind == "tuple":
        cost = lambda x, w, v: (w * x[0] ** 2).sum(-1) + (v * (x[1] - 1) ** 2).sum(-1)  # noqa: E731
    else:
        cost = lambda x, w, v: (w * x.direction**2).sum(-1) + (v * (x.shift - 1) ** 2).sum(-1)  # noqa: E731
    return GradientProblem(Product(Sphere(3), Euclidean(2)), cost, data=data)


def rules(n):
    """Criteria with and without memory, of which some end some of the problems early."""
    return (
        StopAfterIteration(n)
        | StopWhenRepeated(StopWhenChangeLess(1e-3), 4)
        | StopWhenGradientNormLess(1e-7)
        | (StopWhenChangeLess(1e-12) & StopAfter(1e6))
    )


def saved(d):
    """Send a state through a file."""
    file = io.BytesIO()
    torch.save(d, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def assert_same(a, b):
    for name in ("x", "x0", "cost", "gradient", "last_stepsize", "iterations", "reason_code", "broken", "stagnated"):
        for p, q in zip(leaves(getattr(a, name)), leaves(getattr(b, name)), strict=True):
            assert torch.equal(torch.as_tensor(p), torch.as_tensor(q)), name
    assert get_reason(a) == get_reason(b)
    assert a.iteration == b.iteration


CASES = [((), "tensor"), ((), "named"), ((3,), "tuple"), ((3,), "named"), ((5, 6), "tensor"), ((5, 6), "named")]


@pytest.mark.parametrize(("batch", "kind"), CASES)
@pytest.mark.parametrize("first", [0, 1, 9, 17])
def test_a_run_taken_up_equals_the_uninterrupted_one(batch, kind, first):
    x, data = starts(batch, kind)
    p = problem(kind, data)
    whole = solve(p, GradientDescentOptions(x, stop=rules(30)))
    part = solve(p, GradientDescentOptions(x, stop=rules(first)))
    rest = load_state_dict(GradientDescentOptions(x, stop=rules(30)), saved(state_dict(part)))
    assert_same(solve(p, rest), whole)
    assert isinstance(rest.x, type(x))


@pytest.mark.parametrize("batch", [(), (3,)])
def test_a_budget_that_counts_is_asked_once_for_every_iteration(batch):
    x = torch.ones(*batch, 1, dtype=D)
    p = GradientProblem(Euclidean(1), lambda x: 0.5 * (x * x).sum(-1))

    def options(n):
        return GradientDescentOptions(
            x, stepsize=ConstantStepsize(0.5), stop=StopWhenRepeated(StopAfterIteration(5), n)
        )

    first = solve(p, options(3))  # at 5, 6, 7
    assert torch.equal(torch.as_tensor(first.iterations), torch.full(batch, 7))
    second = load_state_dict(options(6), state_dict(first))
    snapshot = Snapshot(8)
    solve(p, HookOptions(second, snapshot))
    assert torch.equal(torch.as_tensor(second.iterations), torch.full(batch, 10))
    assert torch.equal(torch.as_tensor(snapshot.state["state"]["iterations"]), torch.zeros(batch, dtype=torch.int64))


class Snapshot(Action):
    """Take the state out in the middle of a run."""

    def __init__(self, at):
        self.at, self.state = at, None

    def __call__(self, p, o, i):
        if i == self.at:
            self.state = state_dict(o)


@pytest.mark.parametrize(("batch", "kind"), CASES)
@pytest.mark.parametrize("at", [1, 8, 13])
def test_a_state_taken_out_by_a_hook_is_complete_and_stays_as_it_was(batch, kind, at):
    x, data = starts(batch, kind)
    p, snapshot = problem(kind, data), Snapshot(at)
    o = GradientDescentOptions(x, stop=rules(30))
    whole = solve(p, HookOptions(o, snapshot)).options
    rest = solve(p, load_state_dict(GradientDescentOptions(x, stop=rules(30)), saved(snapshot.state)))
    assert_same(rest, whole)


class HookOptions(RecordOptions):
    """Options with one more action at every step."""

    def __init__(self, o, action):
        RecordOptions.__init__(self, o, [":Iteration"])
        self.action = action

    def hook_table(self):
        hooks = RecordOptions.hook_table(self)
        return hooks._replace(step=(*hooks.step, self.action))


class Velocity(NamedTuple):
    spin: torch.Tensor
    drift: torch.Tensor


@pytest.mark.parametrize("more", [0, 2])
def test_tangents_may_be_of_another_type_than_points(more):
    x, (w, v) = starts((2,), "named")
    M, base = Product(Sphere(3), Euclidean(2)), problem("named", (w, v))
    p = GradientProblem(
        M, base.cost, lambda x, *d: Velocity(*base.take(torch.arange(2), 1).get_gradient(x)), data=(w, v)
    )
    d = saved(state_dict(solve(p, GradientDescentOptions(x, stop=StopAfterIteration(3)))))
    o = solve(p, load_state_dict(GradientDescentOptions(x, stop=StopAfterIteration(3 + more)), d))
    assert (type(o.x), type(o.gradient)) == (Pair, Velocity)


def test_a_budget_that_is_spent_allows_no_step_more():
    x, data = starts((3,), "tensor")
    p = problem("tensor", data)
    o = solve(p, GradientDescentOptions(x, stop=StopAfterIteration(4)))
    again = solve(p, load_state_dict(GradientDescentOptions(x, stop=StopAfterIteration(4)), state_dict(o)))
    assert_same(again, o)
    fewer = solve(p, load_state_dict(GradientDescentOptions(x, stop=StopAfterIteration(2)), state_dict(o)))
    assert torch.equal(fewer.x, o.x)


@pytest.mark.parametrize("batch", [(), (2,)])
def test_problems_that_ended_for_a_better_reason_stay_ended(batch):
    x = torch.full((*batch, 1), 4.0, dtype=D)
    p = GradientProblem(Euclidean(1), lambda x: 0.5 * (x * x).sum(-1))

    def options(n):
        return GradientDescentOptions(
            x, stepsize=ConstantStepsize(0.5), stop=StopWhenCostLess(1.0) | StopAfterIteration(n)
        )

    done = solve(p, options(5))  # 8, 2, 0.5
    later = solve(p, load_state_dict(options(50), state_dict(done)))
    assert torch.equal(later.x, torch.ones(*batch, 1, dtype=D))
    assert_same(later, done)


@pytest.mark.parametrize("batch", [(), (3,)])
def test_problems_that_ended_for_another_reason_as_well_stay_ended(batch):
    p = GradientProblem(Euclidean(1), lambda x: 0.5 * x.square().sum(-1))
    x = torch.tensor([[1.0], [4.0], [0.5]], dtype=torch.float64) if batch else torch.ones(1, dtype=torch.float64)

    def options(n):
        # every step halves the gradient: below 0.02 after 6, 8 and 5 of them
        stop = StopAfterIteration(n) | StopWhenGradientNormLess(0.02)
        return GradientDescentOptions(x, stepsize=ConstantStepsize(0.5), stop=stop)

    o = options(50)
    load_state_dict(o, state_dict(solve(p, options(6))))
    solve(p, o)
    assert torch.as_tensor(o.iterations).tolist() == ([6, 8, 5] if batch else 6)
    reasons = get_reason(o) if batch else [get_reason(o)]
    assert all("gradient" in reason for reason in reasons)


def test_the_clock_starts_again(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("manopt_torch.plans.stopping.budget.time.monotonic", lambda: now[0])
    p = GradientProblem(Euclidean(1), lambda x: now.__setitem__(0, now[0] + 1.0) or 0.5 * (x * x).sum(-1))

    def options():
        return GradientDescentOptions(torch.ones(1), stepsize=ConstantStepsize(0.5), stop=StopAfter(2.5))

    first = solve(p, options())  # a second for the start and for every step
    assert first.iterations == 3
    now[0] = 1e6
    second = solve(p, load_state_dict(options(), saved(state_dict(first))))
    assert second.iterations == 6
    assert "ran out of time" in get_reason(second)


def test_decorated_options_and_records():
    x, data = starts((3,), "tensor")
    p = problem("tensor", data)
    first = solve(p, RecordOptions(GradientDescentOptions(x, stop=StopAfterIteration(2)), [":Iteration"]))
    rest = RecordOptions(GradientDescentOptions(x, stop=StopAfterIteration(5)), [":Iteration"])
    assert load_state_dict(rest, state_dict(first)) is rest
    assert get_record(solve(p, rest)) == [(3,), (4,), (5,)]


def test_a_state_holds_only_what_can_be_saved_safely():
    x, data = starts((2,), "named")
    o = solve(problem("named", data), GradientDescentOptions(x, stop=rules(3)))
    d = state_dict(o)
    assert set(d) == {"options", "state", "memory", "functors", "criteria"}
    assert d["options"] == "GradientDescentOptions"
    assert "stepsize" in d["memory"] and not any("clock" in str(v) for v in d["memory"])
    assert not {"lane", "manifold", "hooks", "trial", "memory"} & set(d["state"])
    saved(d)


def test_a_state_taken_before_any_run_starts_one():
    x, data = starts((2,), "tensor")
    p = problem("tensor", data)
    fresh = load_state_dict(GradientDescentOptions(x, stop=rules(5)), state_dict(GradientDescentOptions(x)))
    assert_same(solve(p, fresh), solve(p, GradientDescentOptions(x, stop=rules(5))))


def test_a_state_of_a_run_that_was_interrupted_while_it_began_starts_one():
    x, data = starts((2,), "tensor")
    whole = solve(problem("tensor", data), NelderMeadOptions(x, stop=rules(5)))
    for interrupted_at in (1, 3):  # at the start itself, and among the other points of the simplex
        calls = []

        def cost(x, w, calls=calls, last=interrupted_at):
            calls.append(x)
            if len(calls) == last:
                raise KeyboardInterrupt
            return (w * x * x).sum(-1)

        o = NelderMeadOptions(x, stop=rules(5))
        with pytest.raises(KeyboardInterrupt):
            solve(GradientProblem(Sphere(3), cost, data=data), o)
        fresh = load_state_dict(NelderMeadOptions(x, stop=rules(5)), state_dict(o))
        assert torch.equal(solve(problem("tensor", data), fresh).x, whole.x)


# ---- what does not fit ----------------------------------------------------------------------------------------------


def taken(x=None, **options):
    x, data = starts((2,), "tensor")
    return x, state_dict(solve(problem("tensor", data), GradientDescentOptions(x, **options)))


def test_another_kind_of_options():
    x, d = taken()
    with pytest.raises(OptionsError, match="the state is one of GradientDescentOptions, cannot be loaded into Options"):
        load_state_dict(Options(x), d)


def test_other_functors():
    x, d = taken(stop=StopWhenChangeLess(1e-3))
    message = "memory for 'stop.criteria.0', where GradientDescentOptions has no functor now: make them with"
    with pytest.raises(OptionsError, match=message):
        load_state_dict(GradientDescentOptions(x, stop=StopAfterIteration(3)), {**d, "memory": {"stop.criteria.0": {}}})


def test_another_field():
    x, d = taken()
    d["state"]["velocity"] = 3.0
    with pytest.raises(OptionsError, match="field 'velocity' that GradientDescentOptions lacks"):
        load_state_dict(GradientDescentOptions(x), d)


def test_another_shape():
    _, d = taken()
    o = GradientDescentOptions(torch.ones(5, 3, dtype=D))
    with pytest.raises(ShapeError, match=r"a point of shape \[\(2, 3\)\], the options one of \[\(5, 3\)\]"):
        load_state_dict(o, d)
    assert o.x.shape == (5, 3)
    assert o.resume is None


def test_the_memory_of_another_kind_of_stepsize_is_refused():
    p = GradientProblem(Euclidean(2), lambda x: (x * x).sum(-1))
    stop = StopAfterIteration(2)
    saved = state_dict(solve(p, GradientDescentOptions(torch.ones(2), stepsize=ArmijoLinesearch(), stop=stop)))
    other = GradientDescentOptions(torch.ones(2), stepsize=ConstantStepsize(0.1), stop=stop)
    with pytest.raises(
        OptionsError, match="memory of a ArmijoLinesearch for 'stepsize', the options have a ConstantStepsize"
    ):
        load_state_dict(other, saved)


@pytest.mark.parametrize("rules", [StopWhenGradientNormLess, StopAfterIteration])
def test_criteria_in_another_order_are_refused_once_a_problem_has_ended_by_one(rules):
    x, data = starts((2,), "tensor")
    p = problem("tensor", data)
    first, swapped = rules(10) | StopWhenCostLess(-1.0), StopWhenCostLess(-1.0) | rules(10)
    d = state_dict(solve(p, GradientDescentOptions(x, stop=first)))
    with pytest.raises(OptionsError, match=rules.__name__):
        load_state_dict(GradientDescentOptions(x, stop=swapped), d)
    load_state_dict(GradientDescentOptions(x, stop=rules(20) | StopWhenCostLess(-2.0)), d)
