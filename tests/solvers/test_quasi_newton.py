"""Quasi-Newton methods: reference cases, SciPy, superlinear convergence, what the operator learns, robustness."""

from typing import Any

import numpy as np
import pytest
import scipy.optimize
import torch

from manopt_torch import (
    BFGS,
    DFP,
    SR1,
    ArmijoLinesearch,
    Broyden,
    Circle,
    ConstantStepsize,
    Euclidean,
    GradientProblem,
    InverseBFGS,
    InverseBroyden,
    InverseDFP,
    InverseSR1,
    OptionsError,
    Product,
    QuasiNewtonOptions,
    SecantUpdate,
    Sphere,
    Stiefel,
    StopAfterIteration,
    StopWhenGradientNormLess,
    SymmetricPositiveDefinite,
    WolfeBinaryLinesearch,
    WolfeLinesearch,
    get_reason,
    get_record,
    quasi_newton,
    record_to_dict,
    report,
    solve,
)
from tests.solvers.test_conjugate_gradient import HARD
from tests.together import together

D = torch.float64
FULL = [
    InverseBFGS(),
    BFGS(),
    InverseDFP(),
    DFP(),
    InverseBroyden(0.5),
    Broyden(0.5),
    InverseBroyden(rule="davidon"),
    Broyden(rule="davidon"),
    InverseSR1(),
    SR1(),
]
A = torch.tensor([[2.0, 1, 0, 3], [1, 3, 4, 5], [0, 4, 3, 2], [3, 5, 2, 6]], dtype=D)
VECTOR = torch.tensor([-0.12360736888522528, -0.7737062449203089, 0.45842860609263136, 0.4194556925880891], dtype=D)
LEAST = -1.9209703856247156


def rayleigh(x: torch.Tensor) -> torch.Tensor:
    return (x * (x @ A.to(x.dtype))).sum(-1)


def rosenbrock(x: torch.Tensor) -> torch.Tensor:
    return (100.0 * (x[..., 1:] - x[..., :-1].square()).square() + (1 - x[..., :-1]).square()).sum(-1)


def powell(x: torch.Tensor) -> torch.Tensor:
    a, b, c, d = x.unbind(-1)
    return (a + 10 * b).square() + 5 * (c - d).square() + (b - 2 * c) ** 4 + 10 * (a - d) ** 4


def trigonometric(x: torch.Tensor) -> torch.Tensor:
    n = x.shape[-1]
    k = torch.arange(1, n + 1, dtype=x.dtype)
    return (n - x.cos().sum(-1, True) + k * (1 - x.cos()) - x.sin()).square().sum(-1)


# ---- reference cases ------------------------------------------------------------------------------------------------


def test_case_1_rosenbrock() -> None:
    x = torch.tensor([0.1, 0.2], dtype=D)
    o = quasi_newton(Euclidean(2), lambda x: 100 * (x[0] ** 2 - x[1]) ** 2 + (x[0] - 1) ** 2, x, return_options=True)
    assert report(o).converged == 1 and o.steps.shape == (2, 2)
    assert o.iterations <= 35 and o.cost < 1e-14  # Manopt.jl: 26 iterations, 1.4e-18


def test_case_4_mean_on_the_circle() -> None:
    data, M = torch.tensor([-np.pi / 2, np.pi / 4, 0.0, np.pi / 4], dtype=D), Circle()
    for size in (None, -1):
        x = quasi_newton(
            M, lambda x: M.squared_dist(x, data).sum() / 10, torch.tensor(-np.pi / 2, dtype=D), memory_size=size
        )
        assert abs(x.item()) < 1e-7


@pytest.mark.parametrize("update", [None, *FULL], ids=repr)
@pytest.mark.parametrize(("cautious", "method"), [(False, None), (True, "parallel")], ids=["plain", "cautious"])
def test_case_8_lowest_eigenvector(update: Any, cautious: bool, method: Any) -> None:
    second = torch.tensor([0.7011245948687502, -0.1726003159556036, 0.38798265967671103, -0.5728026616491424], dtype=D)
    # DFP recovers slowly from what it learns far away
    far = isinstance(update, (DFP, InverseDFP))
    x = torch.stack([torch.eye(4, dtype=D)[3], torch.eye(4, dtype=D)[3] if far else second])
    o = quasi_newton(
        Sphere(4),
        rayleigh,
        x,
        direction_update=update,
        cautious_update=cautious,
        transport_method=method,
        stop=StopAfterIteration(60) | StopWhenGradientNormLess(1e-9),
        return_options=True,
    )
    torch.testing.assert_close(o.cost, torch.full((2,), LEAST, dtype=D), rtol=0, atol=1e-13)
    assert ((o.x * VECTOR).sum(-1).abs() > 1 - 1e-14).all()
    assert report(o).converged == 2


def test_case_10_brocket_cost_on_the_stiefel_manifold() -> None:
    N = torch.diag(torch.tensor([2.0, 1.0], dtype=D))
    runs = [
        quasi_newton(
            Stiefel(4, 2),
            lambda x: ((A @ x @ N) * x).sum((-2, -1)),
            torch.eye(4, dtype=D)[:, 1:3],
            memory_size=8,
            cautious_update=cautious,
            stepsize=search,
            return_options=True,
        )
        for cautious, search in ((True, WolfeLinesearch()), (False, WolfeBinaryLinesearch()))
    ]
    low = torch.linalg.eigvalsh(A)
    for o in runs:
        assert o.cost.item() == pytest.approx(2 * low[0].item() + low[1].item(), abs=1e-10)
    assert (runs[0].x.abs() - runs[1].x.abs()).abs().max() < 2e-4


# ---- what Euclidean users expect ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cost", "start"),
    [(rosenbrock, [-1.2, 1.0, -1.2, 1.0, 0.3]), (powell, [3.0, -1.0, 0.0, 1.0]), (trigonometric, [0.1] * 8)],
    ids=["rosenbrock", "powell", "trigonometric"],
)
@pytest.mark.parametrize(("size", "method"), [(None, "L-BFGS-B"), (-1, "BFGS")], ids=["memory", "matrix"])
def test_it_ends_where_scipy_ends_with_about_as_many_evaluations(cost: Any, start: Any, size: Any, method: str) -> None:
    def with_gradient(v: np.ndarray) -> tuple[float, np.ndarray]:
        x = torch.tensor(v, requires_grad=True)
        y = cost(x)
        return y.item(), torch.autograd.grad(y, x)[0].numpy()

    options = {"gtol": 1e-8, "ftol": 0.0} if size is None else {"gtol": 1e-8}
    truth = scipy.optimize.minimize(with_gradient, np.array(start), jac=True, method=method, options=options)
    stop = StopAfterIteration(500) | StopWhenGradientNormLess(1e-8)
    x = torch.tensor(start, dtype=D)
    o = quasi_newton(Euclidean(len(start)), cost, x, memory_size=size, stop=stop, return_options=True)
    assert o.cost.item() == pytest.approx(truth.fun, abs=1e-12)
    assert np.linalg.norm(o.gradient.numpy()) < 1e-7
    assert o.evaluations["cost"] <= 1.6 * truth.nfev + 10
    given = quasi_newton(
        Euclidean(len(start)),
        cost,
        x,
        euclidean_gradient=torch.func.grad(cost),
        memory_size=size,
        stop=stop,
    )
    torch.testing.assert_close(cost(given), o.cost, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [5, -1], ids=["memory", "matrix"])
def test_thousands_of_problems_at_once(size: int) -> None:
    """Logistic regressions, each with its own data, stop and number of iterations; the gradients vanish."""
    g = torch.Generator().manual_seed(0)
    t = torch.randn(2000, 12, 4, dtype=D, generator=g)
    y = (torch.rand(2000, 12, dtype=D, generator=g) > 0.5).to(D)

    def cost(x: torch.Tensor, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        z = (t * x[..., None, :]).sum(-1)
        return (torch.nn.functional.softplus(z) - y * z).mean(-1) + 0.01 * x.square().sum(-1)

    o = quasi_newton(
        Euclidean(4), cost, torch.zeros(2000, 4, dtype=D), data=(t, y), memory_size=size, return_options=True
    )
    assert report(o).converged == 2000 and o.iterations.min() < o.iterations.max()
    z = (t * o.x[:, None]).sum(-1)
    gradient = ((torch.sigmoid(z) - y)[..., None] * t).mean(1) + 0.02 * o.x
    assert gradient.norm(dim=-1).max() < 1e-6


# ---- the rate -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("update", [InverseBFGS(), BFGS(), InverseDFP(), Broyden(rule="davidon"), SR1()], ids=repr)
@pytest.mark.parametrize("name", ["euclidean", "sphere", "spd"])
def test_a_full_matrix_converges_superlinearly(update: Any, name: str) -> None:
    """The ratios of successive gradient norms tend to zero, and the last steps are of length one."""
    if name == "euclidean":
        w = torch.tensor([1.0, 2.0, 5.0], dtype=D)
        M, x = Euclidean(3), torch.tensor([0.7, -0.5, 0.6], dtype=D)
        cost = lambda x: (w * x.square()).sum(-1) + (x**4).sum(-1) + 0.3 * x.sum(-1).exp()  # noqa: E731
    elif name == "sphere":
        M, x, cost = Sphere(4), torch.tensor([-0.3, -0.7, 0.5, 0.6], dtype=D), rayleigh
        x = x / x.norm()
    else:
        M, x = SymmetricPositiveDefinite(2), torch.diag(torch.tensor([1.5, 0.4], dtype=D))
        C = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=D)
        cost = lambda x: (C * x).sum((-2, -1)) - 2 * torch.linalg.det(x).log() + 0.1 * (x * x).sum((-2, -1))  # noqa: E731
    o = quasi_newton(
        M,
        cost,
        x,
        direction_update=update,
        memory_size=-1,
        stop=StopAfterIteration(40) | StopWhenGradientNormLess(1e-10),
        record=[":GradientNorm", ":Stepsize"],
        return_options=True,
    )
    assert report(o).converged == 1
    norms = record_to_dict(o)[":GradientNorm"]
    ratios = norms[1:] / norms[:-1]
    assert ratios[-3:].min() < 0.03 and ratios[-3:].mean() < 0.15
    assert [row[1] for row in get_record(o)][-2:] == [1.0, 1.0]


def test_limited_memory_beats_gradients_by_far() -> None:
    w = torch.logspace(0, 3, 30, dtype=D)
    cost = lambda x: 0.5 * (w * x.square()).sum(-1)  # noqa: E731
    x = torch.ones(30, dtype=D)
    several, none = (
        quasi_newton(Euclidean(30), cost, x, memory_size=size, stop=StopAfterIteration(100), return_options=True)
        for size in (15, 0)
    )
    assert several.cost < 1e-5 * none.cost


# ---- what the operator learns ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("update", [InverseBFGS(), DFP(), Broyden(0.5), InverseSR1(), SR1()], ids=repr)
@pytest.mark.parametrize("M", [Sphere(4), Product(Sphere(3), Euclidean(2))], ids=repr)
@pytest.mark.parametrize("method", [None, "parallel"])
def test_the_secant_equation_holds_after_every_step(update: Any, M: Any, method: Any) -> None:
    """With the transports of the run, H y = s, or B s = y."""
    x = M.random_point(3, dtype=D, generator=torch.Generator().manual_seed(2))

    def cost(x: Any) -> torch.Tensor:
        parts = x if isinstance(x, tuple) else (x,)
        return sum((part.exp() * (1 + part.cumsum(-1).square())).sum(-1) for part in parts)

    carry = M.transport if method is None else M.parallel_transport
    seen: list[Any] = []

    def check(p: Any, o: Any, i: int) -> None:
        if i > 0:
            former, g, c = seen[-1]
            step = M.inverse_retract(former, o.x)
            s = M.to_coordinates(o.x, carry(former, o.x, step))
            moved = carry(former, o.x, g)
            y = M.to_coordinates(
                o.x,
                tuple(a - b for a, b in zip(o.gradient, moved, strict=True))
                if isinstance(moved, tuple)
                else o.gradient - moved,
            )
            u, v = (y, s) if update.inverse else (s, y)
            learned = o.pairs > c
            error = ((o.matrix * u[..., None, :]).sum(-1) - v).norm(dim=-1) / v.norm(dim=-1)
            assert (error[learned] < 1e-7).all()
            assert learned.any()
        seen.append((o.x, o.gradient, o.pairs))

    quasi_newton(
        M,
        cost,
        x,
        direction_update=update,
        memory_size=-1,
        transport_method=method,
        stop=StopAfterIteration(3),
        debug=check,
    )
    assert len(seen) >= 4


@pytest.mark.parametrize("method", [None, "parallel"])
@pytest.mark.parametrize("update", [InverseBFGS(), BFGS()], ids=repr)
def test_the_matrix_is_carried_as_an_operator(update: Any, method: Any) -> None:
    """Where nothing is learned, the new operator is T H T* (or its inverse)."""
    M, g = Sphere(4), torch.Generator().manual_seed(0)
    x = M.random_point(2, dtype=D, generator=g)
    o = QuasiNewtonOptions(
        x,
        direction_update=update,
        memory_size=-1,
        transport_method=method,
        stepsize=ConstantStepsize(0.3),
        cautious_update=True,
        cautious_function=lambda t: 1e9 + 0 * t,  # nothing is learned
        stop=StopAfterIteration(1),
    )
    solve(GradientProblem(M, rayleigh), o)
    assert o.pairs.tolist() == [0, 0]
    first = QuasiNewtonOptions(x, direction_update=update, memory_size=-1, stop=StopAfterIteration(0))
    H = solve(GradientProblem(M, rayleigh), first).matrix
    carry = M.transport if method is None else M.parallel_transport
    basis = M.basis(x)
    T = M.to_coordinates(o.x[:, None], carry(x[:, None], o.x[:, None], basis)).mT  # columns are images
    truth = T @ H @ T.mT if update.inverse else torch.linalg.inv(T @ torch.linalg.inv(H) @ T.mT)
    torch.testing.assert_close(o.matrix, truth, rtol=1e-10, atol=1e-12)


def test_a_step_of_negative_curvature_teaches_its_problem_nothing() -> None:
    x = torch.tensor([[0.2], [1.2]], dtype=D)  # cos is concave at the first, convex near the second
    cost = lambda x: -(x - 0.1).cos().sum(-1) + (x.square() < 0.25).sum(-1) * (-2.0 * x.square().sum(-1))  # noqa: E731
    for size in (1, -1):
        o = quasi_newton(
            Euclidean(1),
            cost,
            x,
            memory_size=size,
            stepsize=ConstantStepsize(0.05),
            stop=StopAfterIteration(1),
            return_options=True,
        )
        assert o.pairs.tolist() == [0, 1]


@together()
@pytest.mark.parametrize("update", [None, InverseBFGS(), BFGS(), InverseSR1()], ids=repr)
@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_the_inverse_hessian_as_preconditioner_needs_one_step(update: Any, batch: Any) -> None:
    w = torch.tensor([1.0, 10.0, 1000.0], dtype=D)
    o = quasi_newton(
        Euclidean(3),
        lambda x: 0.5 * (w * x.square()).sum(-1),
        torch.ones(*batch, 3, dtype=D),
        preconditioner=lambda x, u: u / w,
        direction_update=update,
        memory_size=None if update is None else -1,
        return_options=True,
    )
    assert (torch.as_tensor(o.iterations) == 1).all() and o.x.abs().max() < 1e-14
    assert o.evaluations["preconditioner"] >= 1


def test_the_first_step_is_no_longer_than_its_scale() -> None:
    for scale in (1.0, 0.25):
        o = quasi_newton(
            Euclidean(2),
            lambda x, c: (c * x).sum(-1),
            torch.zeros(3, 2, dtype=D),
            data=(torch.tensor([[300.0, 400.0], [0.3, 0.4], [3.0, 4.0]], dtype=D),),
            initial_scale=scale,
            stepsize=ConstantStepsize(1.0),
            stop=StopAfterIteration(1),
            return_options=True,
        )
        torch.testing.assert_close(o.x.norm(dim=-1), scale * torch.tensor([1.0, 0.5, 1.0], dtype=D))


class Uphill(SecantUpdate):
    """An update that turns every direction around."""

    def update(self, A: torch.Tensor, s: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, Any]:
        return -torch.eye(s.shape[-1], dtype=s.dtype).expand(A.shape), True


def test_what_is_done_about_directions_of_ascent() -> None:
    x = torch.tensor([1.0, 2.0], dtype=D)

    def run(behaviour: str) -> Any:
        return quasi_newton(
            Euclidean(2),
            lambda x: 0.5 * x.square().sum(-1),
            x,
            direction_update=Uphill(),
            nondescent_direction=behaviour,
            stepsize=ConstantStepsize(0.1),
            stop=StopAfterIteration(2),
            record=[":pairs", ":Cost", ":matrix"],
            return_options=True,
        )

    rows = {name: get_record(run(name)) for name in ("reinitialize", "step_to_gradient", "ignore")}
    assert rows["ignore"][1][1] > rows["ignore"][0][1]
    for name in ("reinitialize", "step_to_gradient"):
        assert rows[name][1][1] < rows[name][0][1]
    assert [row[0] for row in rows["reinitialize"]] == [1, 1] and [row[0] for row in rows["ignore"]] == [1, 2]
    assert rows["step_to_gradient"][1][0] == 2


@pytest.mark.parametrize("size", [3, -1], ids=["memory", "matrix"])
@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_a_search_in_vain_forgets_and_goes_on(size: int, batch: Any) -> None:
    """What is learned on one side of a jump is of no use on the other; the run ends all the same."""

    def cost(x: torch.Tensor) -> torch.Tensor:
        far = x[..., 0] > 1
        return torch.where(far, 10 + (x * torch.tensor([1.0, 50.0])).square().sum(-1), x.square().sum(-1))

    o = quasi_newton(
        Euclidean(2),
        cost,
        torch.tensor([2.0, 1.0], dtype=D).expand(*batch, 2),
        memory_size=size,
        stepsize=ArmijoLinesearch(contraction_factor=0.5, sufficient_decrease=0.3, max_decreases=4),
        return_options=True,
    )
    assert o.x.abs().max() < 1e-6 and (torch.as_tensor(o.reason_code) == 2).all()


# ---- robustness -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "batch"), [(None, ()), (-1, (2,))], ids=["memory", "matrix"])
@pytest.mark.parametrize("name", HARD)
def test_every_run_ends_at_a_finite_point_with_a_reason(name: str, size: Any, batch: Any) -> None:
    cost, start = HARD[name]
    x = torch.tensor(start, dtype=D).expand(*batch, 2)
    stop = StopAfterIteration(25) | StopWhenGradientNormLess(1e-6)
    o = quasi_newton(Euclidean(2), cost, x, memory_size=size, stop=stop, return_options=True)
    assert torch.isfinite(o.x).all() and torch.isfinite(o.cost).all() and torch.isfinite(o.gradient).all()
    assert (torch.as_tensor(o.reason_code) != 0).all()
    assert (o.cost <= cost(x)).all()


def test_retractions_that_turn_round_do_not_stop_it() -> None:
    # a long step of the retraction of SPD matrices goes astray: 1 + s + s^2 / 2 grows again below s = -1
    M, g = SymmetricPositiveDefinite(3), torch.Generator().manual_seed(0)
    a, b, x = (M.random_point(8, generator=g, dtype=D) for _ in range(3))
    for size in (None, -1):
        o = quasi_newton(
            M,
            lambda x, a, b: 0.5 * (M.squared_dist(x, a) + M.squared_dist(x, b)),
            x,
            data=(a, b),
            memory_size=size,
            return_options=True,
        )
        assert report(o).converged == 8 and o.iterations.max() <= 30 and o.evaluations["cost"] <= 120
        assert torch.allclose(o.cost, M.squared_dist(a, b) / 4, rtol=1e-10)


def test_float32_reaches_what_it_can() -> None:
    x = Sphere(4).random_point(3, generator=torch.Generator().manual_seed(0))
    for size in (None, -1):
        o = quasi_newton(Sphere(4), rayleigh, x, memory_size=size, return_options=True)
        torch.testing.assert_close(o.cost, torch.full((3,), LEAST), rtol=0, atol=2e-6)
        assert all("gradient norm below 1e-06" in reason for reason in get_reason(o))
        assert o.evaluations["cost"] < 40, "unit steps were to be taken where the cost no longer shows their decrease"


# ---- parameters -----------------------------------------------------------------------------------------------------


def test_defaults() -> None:
    o = QuasiNewtonOptions(torch.ones(2))
    assert repr(o.stop) == "StopAfterIteration(1000) | StopWhenGradientNormLess(1e-06)"
    assert repr(QuasiNewtonOptions(torch.ones(2), memory_size=2000).stop).startswith("StopAfterIteration(2000)")
    assert isinstance(o.stepsize, WolfeLinesearch) and isinstance(o.direction_update, InverseBFGS)
    cost = lambda x: x.square().sum(-1)  # noqa: E731
    for n, size in ((3, 3), (50, 20)):
        run = quasi_newton(Euclidean(n), cost, torch.ones(n), stop=StopAfterIteration(1), return_options=True)
        assert run.steps.shape == (size, n) and run.matrix is None
    run = quasi_newton(Euclidean(3), cost, torch.ones(3), direction_update=DFP(), return_options=True)
    assert run.steps is None and run.matrix.shape == (3, 3)


@together()
@pytest.mark.parametrize(
    "bad",
    [
        {"direction_update": "BFGS"},
        {"direction_update": BFGS},
        {"direction_update": DFP(), "memory_size": 3},
        {"memory_size": 2.0},
        {"initial_scale": 0.0},
        {"nondescent_direction": "step to gradient"},
        {"transport_method": "exp"},
        {"stepsize": 0.1},
    ],
    ids=repr,
)
def test_bad_parameters(bad: dict) -> None:
    with pytest.raises(OptionsError, match="QuasiNewtonOptions: "):
        QuasiNewtonOptions(torch.ones(2), **bad)


@pytest.mark.parametrize("make", [lambda: Broyden(1.5), lambda: InverseBroyden(rule="best"), lambda: SR1(-1.0)])
def test_bad_updates(make: Any) -> None:
    with pytest.raises(OptionsError, match="must"):
        make()
