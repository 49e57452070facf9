"""Compaction: finished problems leave the working set, and nobody can tell from the results."""

import math

import pytest
import torch

from manopt_torch import (
    Action,
    ArmijoLinesearch,
    Circle,
    ConstantStepsize,
    CountedProblem,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    OptionsDecorator,
    Product,
    Sphere,
    StopAfterIteration,
    StopWhenChangeLess,
    StopWhenGradientNormLess,
    StopWhenRepeated,
    get_reason,
    get_record,
    solve,
    step_solver,
)
from manopt_torch.manifolds.points import first_leaf, leaves
from manopt_torch.plans.hooks import Hooks

D = torch.float64
STOP = StopAfterIteration(60) | StopWhenGradientNormLess(1e-4)
FIELDS = ("x", "x0", "cost", "gradient", "last_stepsize", "iterations", "reason_code", "active", "broken", "stagnated")


class Poser:
    """A problem whose batches differ widely in difficulty; it notes the sizes of the batches it is asked for."""

    def __init__(self, batch, kind="sphere", nan=False):
        generator = torch.Generator().manual_seed(5)
        self.sizes = []
        self.shape = torch.Size(batch)
        spread = torch.logspace(0.0, 2.5, self.shape.numel(), dtype=D).reshape(*batch, 1)
        if nan:
            spread.view(-1)[:: max(1, spread.numel() // 3)] = math.nan
        ramp = torch.arange(3, dtype=D)
        x = Sphere(3).random_point(*batch, generator=generator, dtype=D)
        if kind == "sphere":
            self.M, self.x, self.data = Sphere(3), x, (1 + spread * ramp,)
            self.f = lambda x, w: (w * x * x).sum(-1)
        else:
            angle = torch.rand(batch, generator=generator, dtype=D)
            self.M, self.x = Product(Sphere(3), Product(Circle(), Euclidean())), (x, (angle, 5 * angle))
            self.data = (spread * ramp, spread[..., 0])
            self.f = lambda x, w, s: (x[0] ** 2 * (1 + w.sign())).sum(-1) + s * (1 - x[1][0].cos()) + x[1][1] ** 2

    def cost(self, x, *data):
        self.sizes.append(self.M.batch_shape(x))
        return self.f(x, *data)

    def problem(self):
        return GradientProblem(self.M, self.cost, data=self.data)

    def run(self, p=None, **options):
        search = ArmijoLinesearch(contraction_factor=0.5, sufficient_decrease=0.3)
        options = GradientDescentOptions(self.x, **{"stop": STOP, "stepsize": search, **options})
        return solve(p or self.problem(), options, record=[":Cost", ":Stepsize"])

    @property
    def gathered(self):
        return {s for s in self.sizes if s != self.shape}


def assert_same(a, b):
    for name in FIELDS:
        for p, q in zip(leaves(getattr(a, name)), leaves(getattr(b, name)), strict=True):
            assert p.shape == q.shape and torch.equal(p.nan_to_num(7.5), q.nan_to_num(7.5)), name
    assert get_reason(a) == get_reason(b)


@pytest.mark.parametrize("kind", ["sphere", "tuple"])
@pytest.mark.parametrize("batch", [(20,), (8, 8), (2, 3, 5)])
@pytest.mark.parametrize("nan", [False, True])
def test_results_are_the_same_bit_for_bit(batch, kind, nan):
    with_, without = Poser(batch, kind, nan), Poser(batch, kind, nan)
    a, b = with_.run(), without.run(compact=False)
    assert_same(a, b)
    assert len(with_.gathered) >= 1 and all(len(shape) == 1 for shape in with_.gathered)
    assert not without.gathered
    assert a.lane.shape == batch
    assert len(get_record(a)) == len(get_record(b))
    for row, other in zip(get_record(a), get_record(b), strict=True):
        for value, same in zip(row, other, strict=True):
            assert torch.equal(value.nan_to_num(7.5), same.nan_to_num(7.5))


class AlternatingStepsize(ArmijoLinesearch):
    """A stepsize of an outsider that remembers a point, a number for each problem, and one for the run."""

    def init(self, p, o):
        return {"x": o.x, "sum": o.lane.full(0.0), "calls": 0, "nothing": None}

    def __call__(self, p, o, i, eta=None):
        memory = o.memory[self] if self in o.memory else o.memory.__setitem__(self, self.init(p, o)) or o.memory[self]
        moved = o.lane.scalar(p.M.dist(o.x, memory["x"]))
        memory.update(x=o.x, sum=memory["sum"] + moved, calls=memory["calls"] + 1)
        return 0.01 / (1.0 + memory["sum"])


@pytest.mark.parametrize("kind", ["sphere", "tuple"])
def test_memory_of_functors_goes_with_their_problems(kind):
    stop = StopAfterIteration(50) | StopWhenRepeated(StopWhenChangeLess(0.02), 3) | StopWhenChangeLess(0.01)
    runs = []
    for compact in (True, False):
        poser = Poser((6, 6), kind)
        search = AlternatingStepsize()
        o = poser.run(stop=stop, stepsize=search, compact=compact)
        runs.append((o, o.memory[search], bool(poser.gathered)))
    (a, kept, gathered), (b, plain, plainly) = runs
    assert_same(a, b)
    assert gathered and not plainly
    frozen = (a.iterations < a.iteration).flatten()
    assert frozen.any() and not frozen.all()
    # finished problems are not asked any more, the others remember the same
    total, other = kept["sum"].flatten(), plain["sum"].flatten()
    assert torch.equal(total[~frozen], other[~frozen])
    assert total.shape == other.shape
    for p, q in zip(leaves(kept["x"]), leaves(plain["x"]), strict=True):
        assert torch.equal(p.flatten(0, 1)[~frozen], q.flatten(0, 1)[~frozen])
    assert kept["calls"] == plain["calls"] and kept["nothing"] is None


def test_memory_made_after_the_first_gathering_is_whole_too():
    # all but a few problems are done before the first step, when the line search has remembered nothing yet
    w = torch.full((40, 1), 1.0, dtype=D)
    x = torch.zeros(40, 1, dtype=D)
    x[5], x[17], x[30] = 1.0, 2.0, 3.0
    search = ArmijoLinesearch()
    p = GradientProblem(Euclidean(1), lambda x, w: (w * x**4).sum(-1), data=(w,))
    o = solve(
        p, GradientDescentOptions(x, stepsize=search, stop=StopAfterIteration(3) | StopWhenGradientNormLess(1e-9))
    )
    moved = torch.tensor([5, 17, 30])
    assert (o.iterations == 3).nonzero().flatten().tolist() == moved.tolist()
    assert o.last_stepsize.shape == o.memory[search]["last"].shape == (40,)
    assert torch.equal(o.last_stepsize[moved], o.memory[search]["last"][moved])
    still = torch.ones(40, dtype=torch.bool).index_fill(0, moved, False)
    assert (o.last_stepsize[still] == 0).all() and (o.memory[search]["last"][still] == 1).all()


def test_never_fewer_than_two():
    poser = Poser((17,))
    o = solve(poser.problem(), GradientDescentOptions(poser.x, stop=StopAfterIteration(60) | EndsAt(list(range(17)))))
    sizes = [s[0] for s in poser.sizes]
    assert o.iterations.tolist() == list(range(17))
    assert min(sizes) == 8  # gathered once, and then small enough
    poser = Poser((40,))
    solve(poser.problem(), GradientDescentOptions(poser.x, stop=EndsAt([9] + [1] * 39)))
    assert {s[0] for s in poser.sizes} == {40, 2}


class EndsAt(StopWhenGradientNormLess):
    """Stop the problem k at iteration `when[k]`, found again by the weight it brings as data."""

    def __init__(self, when):
        self.when = torch.tensor(when)
        self.eps = 0.0

    def init(self, p, o):
        return {"when": self.when.reshape(o.lane.shape)}

    def __call__(self, p, o, i):
        return self.remembered(p, o, i)["when"] <= i


@pytest.mark.parametrize(
    "options",
    [{"compact": False}, {"check_every": 2}],
)
def test_where_it_is_off(options):
    poser = Poser((40,))
    assert_same(poser.run(**options), Poser((40,)).run())
    assert not poser.gathered


def test_small_batches_stay_whole():
    poser = Poser((16,))
    poser.run()
    assert not poser.gathered


def test_problems_without_data_stay_whole():
    sizes = []
    p = GradientProblem(Euclidean(1), lambda x: sizes.append(len(x)) or (x**4).sum(-1))
    x = torch.linspace(0.0, 3.0, 64, dtype=D)[:, None]
    solve(p, GradientDescentOptions(x, stop=StopWhenGradientNormLess(1e-2) | StopAfterIteration(40)))
    assert set(sizes) == {64}


def test_counted_problems_count_on():
    poser = Poser((40,))
    p = CountedProblem(poser.problem())
    o = poser.run(p)
    assert poser.gathered
    assert p.count(":Cost") == len(poser.sizes) == o.evaluations["cost"]


class Watch(Action):
    def __init__(self):
        self.seen = []

    def __call__(self, p, o, i):
        self.seen.append((p.M.batch_shape(o.x), o.cost.shape, o.last_stepsize.shape, o.active.shape, len(p.data[0])))


class WatchOptions(OptionsDecorator):
    def __init__(self, o):
        OptionsDecorator.__init__(self, o)
        self.watch = Watch()

    def hook_table(self):
        return Hooks(step=(self.watch,))


def test_hooks_see_the_whole_batch():
    poser = Poser((5, 8))
    o = WatchOptions(GradientDescentOptions(poser.x, stop=STOP))
    solve(poser.problem(), o)
    assert poser.gathered
    assert set(o.watch.seen) == {((5, 8), (5, 8), (5, 8), (5, 8), 5)}


def _halve_steps(o):
    o.stepsize = ArmijoLinesearch(initial_stepsize=1e-3, contraction_factor=0.5)


CHANGES = {
    "a parameter": lambda o: setattr(o, "stop", StopAfterIteration(o.iteration + 9)),
    "a functor with memory": _halve_steps,
    "the point": lambda o: setattr(o, "x", Sphere(3).project_point(o.x + 0.1)),
    "problems that end": lambda o: setattr(o, "active", o.active & (torch.arange(40) < 39)),
    "problems that begin again": lambda o: setattr(o, "active", torch.ones_like(o.active)),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_an_action_changes_counts_as_in_the_whole_batch(what):
    def change(p, o, i):
        if i in (50, 54):
            CHANGES[what](o)

    runs = []
    for compact, debug in ((True, [change]), (False, [change]), (True, None)):
        poser = Poser((40,))
        stop = StopAfterIteration(80) | StopWhenGradientNormLess(1e-4)
        runs.append(solve(poser.problem(), GradientDescentOptions(poser.x, stop=stop, compact=compact), debug=debug))
        assert bool(poser.gathered) == compact
    assert_same(*runs[:2])
    assert not torch.equal(runs[2].iterations, runs[0].iterations)


class SlowOptions(OptionsDecorator):
    """A decorator with a verb of its own."""


@step_solver.register(SlowOptions)
def _slow(p, o, i):
    step_solver(p, o.options, i)


def test_a_decorator_with_verbs_sees_the_whole_batch():
    poser = Poser((40,))
    o = solve(poser.problem(), SlowOptions(GradientDescentOptions(poser.x, stop=STOP)))
    assert not poser.gathered
    plain = Poser((40,))
    assert torch.equal(o.x, solve(plain.problem(), GradientDescentOptions(plain.x, stop=STOP)).x)
    assert plain.gathered


def test_an_interrupted_run_leaves_whole_options():
    poser, whole = Poser((40,)), Poser((40,)).run()

    def cost(x, *data):
        if len(x) < 20 and len(poser.sizes) > 70:
            raise KeyboardInterrupt
        return poser.cost(x, *data)

    search = ArmijoLinesearch(contraction_factor=0.5, sufficient_decrease=0.3)
    o = GradientDescentOptions(poser.x, stop=STOP, stepsize=search)
    with pytest.raises(KeyboardInterrupt):
        solve(GradientProblem(poser.M, cost, data=poser.data), o)
    assert first_leaf(o.x).shape == (40, 3)
    assert o.cost.shape == o.iterations.shape == (40,)
    torch.testing.assert_close(o.cost, poser.f(o.x, *poser.data))
    done = o.iterations > 0
    assert 20 < done.sum() < 40
    assert torch.equal(o.x[done], whole.x[done])
    assert (o.iterations[~done] == 0).all() and 10 < o.iteration < 16


def test_caller_tensors_are_untouched():
    poser = Poser((40,))
    x, w = poser.x.clone(), poser.data[0].clone()
    poser.run()
    assert torch.equal(poser.x, x) and torch.equal(poser.data[0], w)


def test_step_sizes_for_each_problem_go_with_them():
    length = torch.linspace(0.05, 0.5, 40, dtype=D)
    runs = []
    for compact in (True, False):
        w = torch.ones(40, 1, dtype=D)
        p = GradientProblem(Euclidean(1), lambda x, w: 0.5 * (w * x * x).sum(-1), data=(w,))
        o = GradientDescentOptions(
            torch.ones(40, 1, dtype=D),
            stepsize=ConstantStepsize(length),
            stop=StopAfterIteration(100) | StopWhenGradientNormLess(1e-2),
            compact=compact,
        )
        runs.append(solve(p, o))
    assert_same(*runs)
    # x_i = (1 - s)^i < 1e-2
    assert runs[0].iterations.tolist() == [math.ceil(math.log(1e-2) / math.log1p(-s)) for s in length.tolist()]
