"""What solvers of constrained problems keep: a new one joins by a line in SOLVERS."""

import copy

import pytest
import torch

from manopt_torch import (
    AugmentedLagrangianOptions,
    ConstrainedProblem,
    Euclidean,
    ExactPenaltyOptions,
    GradientProblem,
    InteriorPointNewtonOptions,
    LinearQuadraticHuber,
    MissingDerivativeError,
    Product,
    QuasiNewtonOptions,
    Sphere,
    StopAfterIteration,
    StoppingCriterion,
    get_reason,
    get_record,
    initialize_solver,
    load_state_dict,
    solve,
    state_dict,
    step_solver,
    stop_solver,
)
from manopt_torch.manifolds.points import leaves
from tests.contracts.solver_table import StopAt, assert_same_state, at, finite, state_of
from tests.contracts.watch import Watch
from tests.together import together

D = torch.float64


def quick(kind, **settings):
    """Sub problems that take few evaluations, and few of them."""

    def options(x, **keywords):
        sub = QuasiNewtonOptions(x, stop=StopAfterIteration(5))
        return kind(x, sub_solver=sub, tolerance_exponent=0.1, **settings, **keywords)

    return options


SOLVERS = {
    "augmented lagrangian": quick(AugmentedLagrangianOptions),
    "exact penalty": quick(ExactPenaltyOptions, width_exponent=0.1),
    "exact penalty, huber": quick(ExactPenaltyOptions, width_exponent=0.1, smoothing=LinearQuadraticHuber()),
    "interior point": InteriorPointNewtonOptions,
    "interior point, krylov": lambda x, **k: InteriorPointNewtonOptions(x, linear_solver="krylov", **k),
}
every_solver = pytest.mark.parametrize("options", SOLVERS.values(), ids=SOLVERS)


def nearest(*batch, dtype=D):
    """Pose the nearest point of a sphere's octant, on a half-space's edge, to one that is not in it."""
    points = torch.randn(*batch, 3, dtype=D, generator=torch.Generator().manual_seed(1)).to(dtype)
    cost = lambda x, q: (x - q).square().sum(-1)  # noqa: E731
    edge = lambda x, q: (x[..., 0] - x[..., 1]).unsqueeze(-1)  # noqa: E731
    problem = ConstrainedProblem(Sphere(3), cost, lambda x, q: -x, edge, data=(points,))
    return problem, torch.full((*batch, 3), 3**-0.5, dtype=dtype)


@together("batch")
@every_solver
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)], ids=str)
def test_each_problem_runs_for_itself(options, batch):
    problem, x = nearest(*batch)
    stop = StopAt(3, 6, 4) if batch else StopAfterIteration(4)
    solved, by_hand = (options(x, stop=stop) for _ in range(2))
    solve(problem, solved)
    seen, i = [], 0
    initialize_solver(problem, by_hand)
    while not stop_solver(problem, by_hand, i):
        seen.append(state_of(by_hand))
        assert torch.equal(torch.as_tensor(by_hand.cost), problem.cost(by_hand.x, *problem.data))
        torch.testing.assert_close(by_hand.gradient, problem.get_gradient(by_hand.x))
        i += 1
        step_solver(problem, by_hand, i)
    assert_same_state(state_of(solved), state_of(by_hand))
    if batch:
        first = (0,) * len(batch)
        assert_same_state(*({n: at(s[n], first) for n in ("x", "cost")} for s in (state_of(solved), seen[4])))
        assert int(solved.iterations[first]) == 3
    assert not any(leaf.requires_grad for leaf in leaves(solved.x))


@every_solver
def test_a_problem_comes_out_the_same_in_every_batch(options):
    problem, x = nearest(5)
    stop = StopAfterIteration(4)
    whole = state_of(solve(problem, options(x, stop=stop)))
    rows = torch.tensor([1, 3, 4])
    part = state_of(solve(problem.take(rows, 1), options(x[rows], stop=stop)))
    assert_same_state({name: at(value, rows) for name, value in whole.items()}, part)
    alone = copy.copy(problem)
    alone.data = (problem.data[0][2],)
    torch.testing.assert_close(solve(alone, options(x[2], stop=stop)).x, whole["x"][2], rtol=1e-9, atol=1e-9)


@every_solver
def test_a_problem_without_numbers_leaves_the_others_alone(options):
    problem, x = nearest(4)
    broken = copy.copy(problem)
    broken.data = (problem.data[0].where(torch.arange(4).unsqueeze(-1) != 2, torch.nan),)
    stop = StopAfterIteration(4)
    clean, met = (state_of(solve(p, options(x, stop=stop))) for p in (problem, broken))
    others = torch.tensor([0, 1, 3])
    assert_same_state(*({name: at(value, others) for name, value in state.items()} for state in (clean, met)))
    assert_same_state({"x": at(met["x"], 2)}, {"x": at(x, 2)})
    assert met["iterations"].tolist() == [4, 4, 0, 4] and met["reason_code"].tolist()[2] == -1


@every_solver
def test_a_cost_that_becomes_nan_ends_at_a_finite_point(options):
    def cost(x, wall):
        return (x - 1).square().sum(-1) + 0 * torch.log(wall - x[..., 0])

    walls = torch.tensor([9.0, 0.2, 9.0], dtype=D)
    problem = ConstrainedProblem(Euclidean(2), cost, lambda x, wall: x - 0.5, data=(walls,))
    o = solve(problem, options(torch.zeros(3, 2, dtype=D), stop=StopAfterIteration(8)))
    assert finite((o.x, o.cost, o.kkt_residual)) and all(get_reason(o))
    assert bool((o.x[1, 0] <= 0.2).all()) and bool((o.x[::2] - 0.5).abs().max() < 2e-2)


@together("batch")
@every_solver
@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_resume_equals_going_on_and_records_change_nothing(options, batch):
    problem, x = nearest(*batch)
    symbols = [":Iteration", ":Cost", ":Change", ":violation", ":kkt_residual"]
    whole = solve(problem, options(x, stop=StopAfterIteration(6)), record=symbols)
    part = solve(problem, options(x, stop=StopAfterIteration(2)))
    rest = load_state_dict(options(x, stop=StopAfterIteration(6)), state_dict(part))
    assert_same_state(state_of(whole), state_of(solve(problem, rest)))
    assert [row[0] for row in get_record(whole)] == list(range(1, 7))


class Early(StoppingCriterion):
    """Stop after 2 iterations the problems whose data begin with a number below the bound."""

    def __init__(self, bound):
        self.bound = bound

    def __call__(self, p, o, i):
        return (p.data[0][..., 0] <= self.bound) & (i >= 2)


@every_solver
def test_finished_problems_leave_the_batch(options):
    problem, x = nearest(40)
    stop = Early(problem.data[0][:, 0].median()) | StopAfterIteration(5)
    runs = [solve(problem, options(x, stop=stop, compact=compact)) for compact in (True, False)]
    assert_same_state(*map(state_of, runs))
    assert sorted(set(runs[0].iterations.tolist())) == [2, 5]


@every_solver
def test_a_batch_held_in_a_closure_is_never_taken_apart(options):
    problem, x = nearest(40)
    points = problem.data[0]
    closed = ConstrainedProblem(Sphere(3), lambda x: (x - points).square().sum(-1), lambda x: -x)
    given = ConstrainedProblem(Sphere(3), lambda x, q: (x - q).square().sum(-1), lambda x, q: -x, data=(points,))
    runs = [solve(p, options(x, stop=StopAfterIteration(4))) for p in (closed, given)]
    assert torch.equal(runs[0].x, runs[1].x)


@every_solver
def test_nothing_is_read_behind_the_back(options):
    problem, x = nearest(3)
    with Watch() as watch:
        solve(problem, options(x, stop=StopAfterIteration(2)))
    assert not watch.host_reads


@every_solver
def test_pairs_float32_and_callables_for_one_point(options):
    M = Product(Sphere(3), Euclidean(2))
    b = torch.tensor([[1.0, 2.0], [0.0, -1.0]])
    x = (torch.eye(3)[:2], torch.zeros(2, 2))
    problem = ConstrainedProblem(
        M,
        lambda x, b: x[0][2] + (x[1] - b).square().sum(),
        lambda x, b: torch.cat([-x[0], x[1] - 1]),
        lambda x, b: x[1][:1],
        data=(b,),
        vectorized=False,
    )
    o = solve(problem, options(x, stop=StopAfterIteration(8)))
    assert o.x[0].dtype == torch.float32 and o.inequality_multipliers.shape == (2, 5)
    torch.testing.assert_close(o.x[1], torch.tensor([[0.0, 1.0], [0.0, -1.0]]), rtol=0, atol=0.1)
    assert bool((o.x[0][:, 2].abs() < 0.1).all()) and bool((o.violation < 0.1).all())


@every_solver
def test_a_problem_without_constraints_is_refused(options):
    with pytest.raises(MissingDerivativeError, match="needs a constraints, GradientProblem has none: use Constrained"):
        solve(GradientProblem(Sphere(3), lambda x: x[..., 0]), options(torch.eye(3, dtype=D)[1]))
