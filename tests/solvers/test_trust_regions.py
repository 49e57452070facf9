"""Trust regions: order of convergence, counts, going back after rejections, robustness, known answers."""

import copy
import math
import pickle
from typing import Any

import pymanopt
import pytest
import scipy.optimize
import torch

from manopt_torch import (
    ApproxHessianBFGS,
    ApproxHessianFiniteDifference,
    ApproxHessianSymmetricRankOne,
    CountedProblem,
    Euclidean,
    Grassmann,
    HessianProblem,
    MissingDerivativeError,
    OptionsError,
    Product,
    Sphere,
    Stiefel,
    StopAfterIteration,
    StopWhenGradientNormLess,
    SymmetricPositiveDefinite,
    TrustRegionsOptions,
    get_reason,
    get_record,
    initialize_solver,
    load_state_dict,
    record_to_dict,
    report,
    solve,
    state_dict,
    step_solver,
    stop_solver,
    trust_regions,
)
from manopt_torch.functional import masked
from manopt_torch.testing import problem_named
from tests.contracts.solver_table import assert_same_state, state_of, sub_problem
from tests.contracts.test_numeric_cases import EIGENVALUE, EIGENVECTOR, MATRIX, rosenbrock, tensor
from tests.solvers.second_order import SMOOTH_PROBLEMS, observed_order, walled
from tests.together import together

F64 = torch.float64


def rayleigh(x: torch.Tensor) -> torch.Tensor:
    return (x * (x @ MATRIX)).sum(-1)


# ---- convergence ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMOOTH_PROBLEMS)
def test_convergence_is_quadratic(name: str) -> None:
    problem, starts = SMOOTH_PROBLEMS[name]()
    stop = StopAfterIteration(60) | StopWhenGradientNormLess(1e-12)
    o = solve(problem, TrustRegionsOptions(starts, kappa=1e-6, stop=stop), record=[":GradientNorm"])
    assert report(o).converged == len(starts)
    assert observed_order(record_to_dict(o)[":GradientNorm"]) >= 1.8


@pytest.mark.parametrize("randomize", [False, True])
def test_case_8_the_lowest_eigenvector(randomize: bool) -> None:
    x = tensor(0, 0, 0, 1)
    found = trust_regions(
        Sphere(4),
        rayleigh,
        x,
        stop=StopAfterIteration(50) | StopWhenGradientNormLess(1e-10),
        randomize=randomize,
        generator=torch.Generator().manual_seed(0),
    )
    torch.testing.assert_close(found * torch.sign(found[2]), EIGENVECTOR, rtol=0, atol=1e-8)
    assert rayleigh(found).item() == pytest.approx(EIGENVALUE, rel=1e-14)


A16 = tensor([1, 2, 3], [4, 5, 6], [7, 8, 9])
M16 = Product(Grassmann(3, 2), Grassmann(3, 2))


def svd_cost(x: Any) -> torch.Tensor:
    return -0.5 * (x[0].mT @ A16 @ x[1]).square().sum((-2, -1))


@pytest.mark.parametrize(
    ("how", "tolerance"),
    [({}, 1e-12), ({"randomize": True}, 1e-12), ({"hessian": ApproxHessianFiniteDifference(2.0**-9)}, 1e-10)],
    ids=["exact", "random", "differences"],
)
def test_case_16_truncated_singular_values(how: dict[str, Any], tolerance: float) -> None:
    eye = torch.eye(3, dtype=F64)
    start = (eye[:, :2].contiguous(), eye[:, 1:].contiguous())
    more = {"max_trust_region_radius": 8.0, "generator": torch.Generator().manual_seed(42)}
    o = trust_regions(M16, svd_cost, start, return_options=True, **how, **more)
    assert report(o).converged == 1
    assert o.cost.item() == pytest.approx(-142.5, rel=tolerance)  # half the sum of squares of two singular values
    u, s, vh = torch.linalg.svd(A16)
    for found, known in zip(o.x, (u[:, :2], vh.mT[:, :2]), strict=True):
        torch.testing.assert_close(found @ found.mT, known @ known.mT, rtol=0, atol=1e-5)
    assert s[2] < 1e-14


@together()
@pytest.mark.parametrize(
    "wrong",
    [
        {"max_trust_region_radius": -1.0},
        {"trust_region_radius": -1.0},
        {"max_trust_region_radius": 1.0, "trust_region_radius": 2.0},
        {"acceptance_rate": 0.3},
        {"theta": -0.1},
        {"kappa": 1.5},
        {"reduction_factor": 1.0},
        {"augmentation_factor": 0.5},
        {"max_inner_iterations": 0},
        {"sigma": 0.0},
        {"rho_regularization": -1.0},
        {"hessian": 3.0},
    ],
    ids=str,
)
def test_case_16_parameters_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionsError, match=list(wrong)[-1]):
        TrustRegionsOptions(torch.zeros(3), **wrong)


def test_a_first_radius_above_the_default_largest_one() -> None:
    with pytest.raises(OptionsError, match="1.41421"):
        trust_regions(Sphere(3), lambda x: x[..., 0], tensor(0, 0, 1), trust_region_radius=2.0)
    with pytest.raises(MissingDerivativeError, match="HessianProblem"):
        solve(problem_named("quadratic").pose()[0], TrustRegionsOptions(torch.zeros(3, dtype=F64)))


def test_rosenbrock_as_scipy() -> None:
    x0 = tensor(-1.2, 1)
    theirs = scipy.optimize.minimize(scipy.optimize.rosen, x0.numpy(), method="BFGS", tol=1e-10)
    o = trust_regions(Euclidean(2), rosenbrock, x0, return_options=True)
    torch.testing.assert_close(o.x, torch.from_numpy(theirs.x), rtol=0, atol=1e-5)
    assert o.cost < 1e-14 and o.iterations < 60


def test_brockett_as_pymanopt() -> None:
    n = tensor(2, 1)
    start = torch.eye(4, dtype=F64)[:, 1:3].contiguous()

    def cost(x: torch.Tensor) -> torch.Tensor:
        return ((x * (MATRIX @ x)).sum(-2) * n).sum(-1)

    manifold = pymanopt.manifolds.Stiefel(4, 2)
    optimizer = pymanopt.optimizers.TrustRegions(verbosity=0, min_gradient_norm=1e-8)
    problem = pymanopt.Problem(manifold, pymanopt.function.pytorch(manifold)(cost))
    theirs = optimizer.run(problem, initial_point=start.numpy())
    o = trust_regions(Stiefel(4, 2), cost, start, return_options=True)
    assert o.cost.item() == pytest.approx(theirs.cost, rel=1e-12)
    values = torch.linalg.eigvalsh(MATRIX)
    assert o.cost.item() == pytest.approx((2 * values[0] + values[1]).item(), rel=1e-12)


@pytest.mark.parametrize("rule", [ApproxHessianFiniteDifference, ApproxHessianSymmetricRankOne, ApproxHessianBFGS])
@pytest.mark.parametrize("batch", [(), (5,)], ids=str)
def test_approximate_hessians_lead_to_the_same_minimum(rule: Any, batch: Any) -> None:
    for name in ("rayleigh, sums", "product", "exponential"):
        problem, x, minimum, _ = problem_named(name).pose(*batch)  # a GradientProblem
        o = solve(problem, TrustRegionsOptions(x, hessian=rule(), stop=StopAfterIteration(200) | small(1e-7)))
        assert report(o).converged == max(1, math.prod(batch)) and "hessian" not in o.needs
        torch.testing.assert_close(o.cost, minimum, rtol=0, atol=1e-11)


def small(eps: float) -> StopWhenGradientNormLess:
    return StopWhenGradientNormLess(eps)


# ---- counts ---------------------------------------------------------------------------------------------------------


def test_one_evaluation_a_step_and_one_product_an_inner_iteration() -> None:
    problem, x, *_ = problem_named("rayleigh, sums").pose(kind=HessianProblem)
    counted = CountedProblem(problem)
    o = solve(counted, TrustRegionsOptions(x, stop=StopAfterIteration(9)), record=[":inner_iterations", ":rho"])
    rows = get_record(o)
    assert all(rho > 0.1 for _, rho in rows)
    assert counted.count(":Cost") == counted.count(":Gradient") == 10
    assert counted.count(":Hessian") == sum(k for k, _ in rows)


def bent(x: torch.Tensor) -> torch.Tensor:
    """A cost whose model is wrong far from the point: many steps are rejected."""
    return (x[..., :-1].square() - x[..., 1:]).square().sum(-1) * 50 + torch.cos(3 * x).sum(-1)


def rejections() -> tuple[HessianProblem, torch.Tensor, dict[str, Any]]:
    x = torch.randn(6, generator=torch.Generator().manual_seed(1), dtype=F64)
    return HessianProblem(Euclidean(6), bent), x, {"max_trust_region_radius": 40.0, "trust_region_radius": 20.0}


def test_a_rejected_step_costs_one_evaluation_and_no_product() -> None:
    problem, x, radii = rejections()
    counted, o = CountedProblem(problem), TrustRegionsOptions(x, stop=StopAfterIteration(60), **radii)
    initialize_solver(counted, o)
    rejected, former = 0, None
    for i in range(1, 30):
        before, point, radius = counted.as_dict(), o.x, o.radius
        step_solver(counted, o, i)
        after = {kind: n - before[kind] for kind, n in counted.as_dict().items()}
        assert after["cost"] == 1
        if o.x is point:
            rejected += 1
            assert after["gradient"] == 0 and o.rho <= 0.1 and o.radius <= 0.25 * radius
        else:
            assert after["gradient"] == 1
        assert after["hessian"] == (o.inner_iterations if former is not point else 0)
        former = point
    assert rejected >= 3


def test_going_back_along_the_path_changes_no_bit() -> None:
    problem, x, radii = rejections()
    stop = StopAfterIteration(25)
    kept = solve(problem, TrustRegionsOptions(x, stop=stop, **radii), record=[":rho", ":radius", ":Iterate"])
    assert min(rho for rho, *_ in get_record(kept)) < 0.1

    def forget(p: Any, o: Any, i: int) -> None:
        o.linearization = None

    made_anew = solve(problem, TrustRegionsOptions(x, stop=stop, **radii), debug=forget)
    assert_same_state(state_of(kept), state_of(made_anew))
    assert made_anew.evaluations["hessian"] > kept.evaluations["hessian"]


def test_in_a_batch_problems_that_stay_and_that_move_do_not_disturb_each_other() -> None:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(12, 4, generator=generator, dtype=F64)
    scale = torch.rand(12, 1, generator=generator, dtype=F64) + 0.5

    def cost(x: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        return bent(s * x)

    problem = HessianProblem(Euclidean(4), cost, data=(scale,))
    o = TrustRegionsOptions(x, stop=StopAfterIteration(25), max_trust_region_radius=30.0)
    together = state_of(solve(problem, o, record=[":rho"]))
    rows = torch.stack([rho for (rho,) in get_record(o)])
    assert ((rows > 0.1).any(1) & (rows <= 0.1).any(1)).any(), "some were to stay and some to move in one step"
    for j in range(12):
        part, start = sub_problem(problem, x, j)
        alone = solve(part, TrustRegionsOptions(start, stop=StopAfterIteration(25), max_trust_region_radius=30.0))
        assert_same_state(state_of(alone), {name: value[j] for name, value in together.items()})


def test_no_graph_is_left_after_a_run_nor_copied_along() -> None:
    problem, x, *_ = problem_named("quadratic").pose(2, kind=HessianProblem)
    o = solve(problem, TrustRegionsOptions(x))
    assert o.linearization is None
    running = TrustRegionsOptions(x, stop=StopAfterIteration(9))
    initialize_solver(problem, running)
    step_solver(problem, running, 1)
    copied = copy.deepcopy(running)
    assert running.linearization.at is not None and copied.linearization.at is None
    assert "linearization" not in state_dict(running)["state"]
    pickle.dumps(state_dict(running))
    for some in (running, copied):
        step_solver(problem, some, 2)
    assert_same_state(state_of(running), state_of(copied))


def test_memories_of_approximations_are_resumed() -> None:
    problem, x, *_ = problem_named("rayleigh, sums").pose(3)

    def options(n: int) -> TrustRegionsOptions:
        return TrustRegionsOptions(x, hessian=ApproxHessianBFGS(), stop=StopAfterIteration(n))

    through = solve(problem, options(9))
    rest = load_state_dict(options(9), state_dict(solve(problem, options(4))))
    assert_same_state(state_of(through), state_of(solve(problem, rest)))


# ---- robustness -----------------------------------------------------------------------------------------------------


def saddle(x: torch.Tensor) -> torch.Tensor:
    return x[..., 0].square() - x[..., 1].square() + x[..., 1].pow(4)


def test_a_saddle_is_left_if_asked_for_or_nearly_missed() -> None:
    at = torch.zeros(2, dtype=F64)
    stays = trust_regions(Euclidean(2), saddle, at, return_options=True)
    assert "gradient norm" in get_reason(stays) and torch.equal(stays.x, at)
    more = {"randomize": True, "stop": StopAfterIteration(30), "generator": torch.Generator().manual_seed(0)}
    leaves_it = trust_regions(Euclidean(2), saddle, at, **more)
    near = trust_regions(Euclidean(2), saddle, tensor(1, 1e-3))
    for x in (leaves_it, near):
        torch.testing.assert_close(x.abs(), tensor(0, math.sqrt(0.5)), rtol=0, atol=1e-5)


def test_a_step_of_a_batch_reads_the_host_once_an_inner_round_and_twice_besides() -> None:
    M = Sphere(6)
    a = torch.randn(5, 6, 6, dtype=F64, generator=torch.Generator().manual_seed(0))
    a, x = a + a.mT, M.random_point(5, generator=torch.Generator().manual_seed(1), dtype=F64)
    problem = HessianProblem(M, lambda x, a: (x * (a @ x.unsqueeze(-1)).squeeze(-1)).sum(-1), data=(a,))
    o = TrustRegionsOptions(x, stop=StopAfterIteration(9) | StopWhenGradientNormLess(1e-12))
    initialize_solver(problem, o)
    kinds = set()
    for i in range(1, 10):
        stop_solver(problem, o, i - 1)
        before, products = masked.reads(), problem.counts.hessian
        step_solver(problem, o, i)
        rounds = problem.counts.hessian - products
        # the last of all rounds that are allowed is followed by none
        assert masked.reads() - before == rounds - (rounds == M.dim) + 2
        kinds.add((bool((o.rho > 0.1).all()), rounds))
    assert len(kinds) > 3 and o.rho.isfinite().all()


def test_zero_gradients_are_borne() -> None:
    x = torch.ones(2, 3, dtype=F64)
    o = trust_regions(
        Euclidean(3), lambda x: 0 * x.sum(-1), x, stop=StopAfterIteration(5), return_options=True, check_every=2
    )
    assert torch.equal(o.x, x) and (o.iterations == 5).all() and (o.inner_reason == 3).all()


@pytest.mark.parametrize("batch", [(), (4,)], ids=str)
def test_a_wall_of_infinity_is_crept_up_to(batch: Any) -> None:
    problem, x = walled(*batch)
    o = solve(problem, TrustRegionsOptions(x, stop=StopAfterIteration(400) | small(1e-8)))
    reasons = [get_reason(o)] if not batch else get_reason(o)
    assert all("stagnated" in reason for reason in reasons)
    assert torch.isfinite(o.cost).all() and (o.x[..., 0] < 1).all() and (o.x[..., 0] > 0.99).all()


def test_an_unbounded_cost_ends_at_a_finite_point() -> None:
    for f in (lambda x: -x.square().sum(-1), lambda x: -x.exp().sum(-1), lambda x: x.sum(-1)):
        o = trust_regions(Euclidean(2), f, tensor(1, 2), stop=StopAfterIteration(300), return_options=True)
        assert torch.isfinite(o.x).all() and torch.isfinite(o.cost) and get_reason(o)


def test_a_preconditioner_saves_products() -> None:
    weights = torch.logspace(0, 4, 40, dtype=F64)
    x, more = torch.ones(40, dtype=F64), {"return_options": True, "max_trust_region_radius": 1e3}

    def cost(x: torch.Tensor) -> torch.Tensor:
        return 0.5 * (weights * x * x).sum(-1) + 0.01 * x.pow(4).sum(-1)

    plain = trust_regions(Euclidean(40), cost, x, **more)
    helped = trust_regions(Euclidean(40), cost, x, preconditioner=lambda x, u: u / weights, **more)
    assert report(helped).converged == 1
    assert helped.evaluations["hessian"] < 0.5 * plain.evaluations["hessian"]
    assert helped.evaluations["preconditioner"] > 0


def test_given_derivatives_are_used() -> None:
    a = tensor([2, 1], [1, 3])
    calls: list[str] = []

    def hessian(x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        calls.append("hessian")
        return u @ a

    x = trust_regions(
        Euclidean(2), lambda x: 0.5 * (x * (x @ a)).sum(-1), tensor(3, 4), gradient=lambda x: x @ a, hessian=hessian
    )
    torch.testing.assert_close(x, torch.zeros(2, dtype=F64), rtol=0, atol=1e-9)
    assert calls


def test_symbols() -> None:
    lines: list[str] = []
    from manopt_torch import DebugEntry

    problem, x, *_ = problem_named("rayleigh, sums").pose(2, kind=HessianProblem)
    o = TrustRegionsOptions(x, stop=StopAfterIteration(2))
    entries = [":radius", ":rho", ":inner_iterations", ":inner_reason", ":Stepsize"]
    solve(problem, o, debug=[DebugEntry("radius", print=lines.append)], record=entries)
    assert len(get_record(o)) == 2 and all(len(row) == 5 for row in get_record(o)) and lines
    assert o.last_stepsize.shape == (2,) and (o.last_stepsize > 0).all()
    assert SymmetricPositiveDefinite(2).dim == 3


def test_random_starts_do_not_depend_on_the_neighbours():
    case = problem_named("rayleigh, sums")
    p, x, *_ = case.pose(5, kind=HessianProblem)
    rows = torch.tensor([1, 3])

    def run(problem, start):
        generator = torch.Generator().manual_seed(2)
        stop = StopAfterIteration(4)
        return solve(problem, TrustRegionsOptions(start, randomize=True, generator=generator, stop=stop))

    part, start = sub_problem(p, x, rows)
    assert torch.equal(run(part, start).x, run(p, x).x[rows])


@pytest.mark.parametrize("batch", [(), (3,)], ids=str)
@pytest.mark.parametrize(
    "changed",
    [{"kappa": 1e-6}, {"theta": 0.5, "max_inner_iterations": 2}, {"reduction_threshold": 0.9, "reduction_factor": 0.1}],
    ids=str,
)
def test_parameters_that_a_hook_changes_hold_from_the_next_step_on(batch: Any, changed: dict[str, Any]) -> None:
    x = 2 * torch.randn(*batch, 6, generator=torch.Generator().manual_seed(1), dtype=F64)
    problem, stop = HessianProblem(Euclidean(6), bent), StopAfterIteration(12)

    def change(p: Any, o: Any, i: int) -> None:
        if i == 3:
            for name, value in changed.items():
                setattr(o, name, value)

    plain = solve(problem, TrustRegionsOptions(x, stop=stop))
    hooked = solve(problem, TrustRegionsOptions(x, stop=stop), debug=change)
    # the same as a saved run that is taken up with other parameters
    saved = state_dict(solve(problem, TrustRegionsOptions(x, stop=StopAfterIteration(3))))
    resumed = solve(problem, load_state_dict(TrustRegionsOptions(x, stop=stop, **changed), saved))
    assert_same_state(state_of(hooked), state_of(resumed))
    assert not torch.equal(hooked.x, plain.x)
