"""Conjugate gradients: finite termination on quadratics, known minima, evaluations, restarts, robustness."""

from typing import Any

import numpy as np
import pytest
import scipy.optimize
import torch

from manopt_torch import (
    ArmijoLinesearch,
    BealeRestartCoefficient,
    ConjugateCoefficient,
    ConjugateDescentCoefficient,
    ConjugateGradientOptions,
    ConstantStepsize,
    CountedProblem,
    DaiYuanCoefficient,
    Euclidean,
    FletcherReevesCoefficient,
    GradientProblem,
    HagerZhangCoefficient,
    HagerZhangLinesearch,
    HessianProblem,
    HestenesStiefelCoefficient,
    HybridCoefficient,
    LiuStoreyCoefficient,
    NeverRestart,
    PolakRibiereCoefficient,
    RestartOnNonDescent,
    RestartOnNonSufficientDescent,
    Sphere,
    SteepestDescentCoefficient,
    Stepsize,
    StopAfterIteration,
    StopWhenGradientNormLess,
    conjugate_gradient,
    get_reason,
    get_record,
    report,
    solve,
    steepest_descent,
)
from tests.contracts.watch import Watch
from tests.together import together

D = torch.float64
BATCHES = pytest.mark.parametrize("batch", [(), (2,), (2, 3)], ids=str)
CONJUGATE = [
    FletcherReevesCoefficient(),
    PolakRibiereCoefficient(),
    HestenesStiefelCoefficient(),
    LiuStoreyCoefficient(),
    DaiYuanCoefficient(),
    ConjugateDescentCoefficient(),
    HagerZhangCoefficient(),
    HybridCoefficient(HestenesStiefelCoefficient(), DaiYuanCoefficient()),
    BealeRestartCoefficient(FletcherReevesCoefficient()),
]
every_rule = pytest.mark.parametrize("rule", CONJUGATE, ids=repr)


class ExactStep(Stepsize):
    """The minimum of a quadratic with a diagonal Hessian along the direction."""

    def __init__(self, diagonal: torch.Tensor) -> None:
        self.diagonal = diagonal

    def __call__(self, p: Any, o: Any, i: int, eta: Any = None) -> Any:
        eta = -o.gradient if eta is None else eta
        return -(o.gradient * eta).sum(-1) / (self.diagonal * eta * eta).sum(-1)


def quadratic(diagonal: torch.Tensor) -> Any:
    return lambda x: 0.5 * (diagonal * x * x).sum(-1)


# ---- finite termination ---------------------------------------------------------------------------------------------


@together()
@every_rule
@BATCHES
def test_case_14_two_exact_steps_solve_a_plane_quadratic(rule: Any, batch: Any) -> None:
    diagonal = torch.tensor([1.0, 0.1], dtype=D)
    x = torch.tensor([0.1, 1.0], dtype=D).expand(*batch, 2)
    found = conjugate_gradient(
        Euclidean(2), quadratic(diagonal), x, coefficient=rule, stepsize=ExactStep(diagonal), stop=StopAfterIteration(2)
    )
    assert found.abs().max() < 4e-16


@together()
@every_rule
def test_six_exact_steps_solve_a_quadratic_in_six_unknowns(rule: Any) -> None:
    diagonal = torch.tensor([1.0, 2.0, 4.0, 5.0, 7.0, 9.0], dtype=D)
    x = torch.tensor([1.0, -2.0, 0.5, 1.5, -1.0, 0.3], dtype=D)
    run = {"coefficient": rule, "stepsize": ExactStep(diagonal)}
    norms = [
        conjugate_gradient(Euclidean(6), quadratic(diagonal), x, stop=StopAfterIteration(n), **run).norm()
        for n in (5, 6)
    ]
    assert norms[0] > 1e-4 and norms[1] < 1e-13
    steepest = {"coefficient": SteepestDescentCoefficient(), "stepsize": ExactStep(diagonal)}
    assert (
        conjugate_gradient(Euclidean(6), quadratic(diagonal), x, stop=StopAfterIteration(6), **steepest).norm() > 1e-2
    )


@together()
@every_rule
@pytest.mark.parametrize("kind", [GradientProblem, HessianProblem])
def test_the_preconditioned_hessian_decides_how_many_steps(rule: Any, kind: Any) -> None:
    diagonal = torch.tensor([1.0, 2.0, 4.0, 5.0, 7.0, 9.0], dtype=D)
    wanted = torch.tensor([1.0, 1.0, 3.0, 1.0, 3.0, 3.0], dtype=D)  # two eigenvalues: two steps
    p = kind(Euclidean(6), quadratic(diagonal), preconditioner=lambda x, u, *data: wanted / diagonal * u)
    x = torch.tensor([[1.0, -2.0, 0.5, 1.5, -1.0, 0.3], [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]], dtype=D)
    o = ConjugateGradientOptions(x, coefficient=rule, stepsize=ExactStep(diagonal), stop=StopAfterIteration(2))
    assert solve(p, o).x.abs().max() < 1e-14
    assert o.evaluations["preconditioner"] >= 3


def test_steepest_descent_is_the_coefficient_zero() -> None:
    A = torch.diag(torch.tensor([1.0, 2.0, 5.0], dtype=D))
    x = Sphere(3).random_point(4, dtype=D, generator=torch.Generator().manual_seed(0))
    cost = lambda x: (x * (x @ A)).sum(-1)  # noqa: E731
    runs = [
        solver(Sphere(3), cost, x, stepsize=ConstantStepsize(0.1), stop=StopAfterIteration(9), **more)
        for solver, more in (
            (conjugate_gradient, {"coefficient": SteepestDescentCoefficient()}),
            (steepest_descent, {}),
        )
    ]
    torch.testing.assert_close(*runs, rtol=0, atol=1e-15)


# ---- known minima ---------------------------------------------------------------------------------------------------

A = torch.tensor([[2.0, 1, 0, 3], [1, 3, 4, 5], [0, 4, 3, 2], [3, 5, 2, 6]], dtype=D)
LEAST = -1.9209703856247156  # eigenvalue of A, reference case 8


def rayleigh(x: torch.Tensor) -> torch.Tensor:
    return (x * (x @ A.to(x.dtype))).sum(-1)


def rosenbrock(x: torch.Tensor) -> torch.Tensor:
    return (100.0 * (x[..., 1:] - x[..., :-1].square()).square() + (1 - x[..., :-1]).square()).sum(-1)


@every_rule
def test_case_8_lowest_eigenvalue(rule: Any) -> None:
    x = Sphere(4).random_point(3, dtype=D, generator=torch.Generator().manual_seed(1))
    stop = StopAfterIteration(300) | StopWhenGradientNormLess(1e-6)
    if isinstance(rule, (FletcherReevesCoefficient, DaiYuanCoefficient)):
        rule = BealeRestartCoefficient(rule, 0.5)  # alone they take ever shorter steps from some starts
    o = conjugate_gradient(Sphere(4), rayleigh, x, coefficient=rule, stop=stop, return_options=True)
    assert report(o).converged == 3
    torch.testing.assert_close(o.cost, torch.full((3,), LEAST, dtype=D), rtol=0, atol=1e-11)


def test_rosenbrock_ends_where_scipy_ends() -> None:
    x = torch.tensor([-1.2, 1.0, -0.5, 0.8], dtype=D)
    truth = scipy.optimize.minimize(
        lambda v: rosenbrock(torch.from_numpy(v)).item(), x.numpy(), method="CG", options={"gtol": 1e-6}
    )
    for rule in (HestenesStiefelCoefficient(), None):
        found = conjugate_gradient(Euclidean(4), rosenbrock, x, coefficient=rule)
        np.testing.assert_allclose(found.numpy(), truth.x, atol=1e-4)
        np.testing.assert_allclose(found.numpy(), np.ones(4), atol=1e-7)


def test_it_needs_far_fewer_iterations_than_steepest_descent() -> None:
    M, generator = Sphere(100), torch.Generator().manual_seed(0)
    B = torch.randn(100, 100, dtype=D, generator=generator)
    B = (B + B.T) / 20
    x = M.random_point(dtype=D, generator=generator)
    stop = StopAfterIteration(2000) | StopWhenGradientNormLess(1e-6)
    runs = [
        solver(M, lambda x: x @ B @ x, x, stop=stop, return_options=True)
        for solver in (conjugate_gradient, steepest_descent)
    ]
    assert runs[0].cost.item() == pytest.approx(torch.linalg.eigvalsh(B)[0].item(), abs=1e-11)
    assert report(runs[0]).converged == 1
    assert runs[0].iterations < 0.5 * runs[1].iterations


# ---- evaluations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [None, HestenesStiefelCoefficient()], ids=repr)
@pytest.mark.parametrize("batch", [(), (3,)], ids=str)
def test_one_gradient_an_iteration_and_no_cost_besides_the_trials(rule: Any, batch: Any) -> None:
    trials: list[int] = []

    class Watched(Euclidean):
        def retract_default(self, x: Any, u: Any, t: Any = None) -> Any:
            trials.append(1)
            return Euclidean.exp(self, x, u, t)

    p = CountedProblem(GradientProblem(Watched(4), rosenbrock))
    o = ConjugateGradientOptions(torch.zeros(*batch, 4, dtype=D), coefficient=rule, stop=StopAfterIteration(20))
    solve(p, o)
    assert p.count(":Gradient") == 21
    assert p.count(":Cost") == 1 + len(trials)


def test_an_iteration_is_a_few_kernels() -> None:
    counts = []
    for n in (10, 20):
        with Watch() as watch:
            conjugate_gradient(
                Sphere(4),
                lambda x: x[..., 0],
                torch.eye(4, dtype=D)[1],
                stepsize=ConstantStepsize(1e-3),
                stop=StopAfterIteration(n),
            )
        # reading and detaching cost next to nothing
        counts.append(sum(k for name, k in watch.kernels.items() if name not in ("_local_scalar_dense", "detach")))
    assert (counts[1] - counts[0]) / 10 <= 26


# ---- restarts -------------------------------------------------------------------------------------------------------


class Fixed(ConjugateCoefficient):
    """A coefficient of a fixed value for each problem."""

    def __init__(self, *values: float) -> None:
        self.values = values

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        return self.values[0] if o.lane.lone else torch.tensor(self.values, dtype=D)


def test_each_problem_restarts_by_itself() -> None:
    # after a step of 0.1 the slope of the new direction is -0.81 g^2 - 0.9 beta g^2 (g is the former gradient)
    values = (0.5, -0.5, -2.0, float("nan"))
    x = torch.ones(4, 1, dtype=D)

    def betas(restart: Any) -> list[float]:
        o = ConjugateGradientOptions(
            x,
            coefficient=Fixed(*values),
            restart=restart,
            stepsize=ConstantStepsize(0.1),
            stop=StopAfterIteration(1),
        )
        return solve(GradientProblem(Euclidean(1), quadratic(torch.ones(1, dtype=D))), o).beta.tolist()

    assert betas(NeverRestart()) == [0.5, -0.5, -2.0, 0.0]
    assert betas(RestartOnNonDescent()) == [0.5, -0.5, 0.0, 0.0]
    assert betas(RestartOnNonSufficientDescent(0.5)) == [0.5, 0.0, 0.0, 0.0]
    assert betas(None) == betas(RestartOnNonDescent())


def test_a_search_in_vain_starts_over_along_minus_the_gradient() -> None:
    """A coefficient of no use: its directions hardly descend, so that only restarts can make progress."""
    bad = Fixed(1e9)
    o = conjugate_gradient(
        Euclidean(2),
        quadratic(torch.tensor([1.0, 3.0], dtype=D)),
        torch.tensor([1.0, 1.0], dtype=D),
        coefficient=bad,
        stepsize=ArmijoLinesearch(contraction_factor=0.5, sufficient_decrease=0.45, max_decreases=10),
        stop=StopAfterIteration(300) | StopWhenGradientNormLess(1e-6),
        record=[":beta"],
        return_options=True,
    )
    assert "gradient norm below" in get_reason(o)
    assert {row[0] for row in get_record(o)} == {0.0, 1e9}


# ---- robustness -----------------------------------------------------------------------------------------------------

HARD = {
    "unbounded": (lambda x: -x.square().sum(-1), [0.3, 0.4]),
    "linear": (lambda x: x.sum(-1), [0.3, 0.4]),
    "saddle": (lambda x: x[..., 0].square() - x[..., 1].square() + 0.25 * x[..., 1] ** 4, [1.0, 0.0]),
    "no gradient": (lambda x: 0.0 * x.sum(-1) + 1.0, [0.3, 0.4]),
    "steps": (lambda x: x.square().sum(-1) + x[..., 0].floor(), [2.5, 1.0]),
    "wall": (lambda x: torch.where(x[..., 0] < 0.5, (x - 2.0).square().sum(-1), torch.inf), [0.0, 0.0]),
    "cliff to nan": (lambda x: (x - 2.0).square().sum(-1) + 0 * (0.5 - x[..., 0]).log(), [0.0, 0.0]),
    "kink": (lambda x: x.abs().sum(-1), [1.0, 0.7]),
}


@pytest.mark.parametrize(("rule", "batch"), [(None, (2,)), (HestenesStiefelCoefficient(), ())], ids=repr)
@pytest.mark.parametrize("name", HARD)
def test_every_run_ends_at_a_finite_point_with_a_reason(name: str, rule: Any, batch: Any) -> None:
    cost, start = HARD[name]
    x = torch.tensor(start, dtype=D).expand(*batch, 2)
    o = conjugate_gradient(Euclidean(2), cost, x, coefficient=rule, stop=StopAfterIteration(100), return_options=True)
    assert torch.isfinite(o.x).all() and torch.isfinite(o.cost).all() and torch.isfinite(o.gradient).all()
    assert (torch.as_tensor(o.reason_code) != 0).all()
    assert (o.cost <= cost(x)).all()


# ---- the front function ---------------------------------------------------------------------------------------------


def test_defaults_and_options_pass_through() -> None:
    o = ConjugateGradientOptions(torch.ones(2))
    assert repr(o.stop) == "StopAfterIteration(500) | StopWhenGradientNormLess(1e-08)"
    assert repr(o.coefficient) == "ConjugateDescentCoefficient()" and repr(o.restart) == "RestartOnNonDescent()"
    o = ConjugateGradientOptions(torch.ones(2), stepsize=HagerZhangLinesearch())
    assert repr(o.coefficient) == "HagerZhangCoefficient()"  # that search is too loose for the other
    rule, restart, stop, step = DaiYuanCoefficient(), NeverRestart(), StopAfterIteration(3), ConstantStepsize(0.1)
    o = conjugate_gradient(
        Euclidean(2),
        lambda x, c: (x - c).square().sum(-1),
        torch.ones(20, 2, dtype=D),
        gradient=lambda x, c: 2 * (x - c),
        preconditioner=lambda x, u, c: 0.5 * u,
        data=(torch.zeros(20, 2, dtype=D),),
        coefficient=rule,
        restart=restart,
        stepsize=step,
        stop=stop,
        retraction_method="exp",
        check_every=2,
        compact=False,
        record=[":Cost", ":Stepsize", ":slope"],
        return_options=True,
    )
    assert (o.coefficient, o.restart, o.stepsize, o.stop) == (rule, restart, step, stop)
    assert (o.retraction_method, o.check_every, o.compact) == ("exp", 2, False)
    assert len(get_record(o)) == 3 and o.preconditioned.shape == (20, 2)


def test_a_cost_for_one_point() -> None:
    x = conjugate_gradient(Euclidean(3), lambda x: (x @ x - 1) ** 2 + x[0], torch.ones(2, 3, dtype=D), vectorized=False)
    assert x.shape == (2, 3)
    torch.testing.assert_close(x[0], x[1])
