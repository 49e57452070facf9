"""Linear solvers of least-squares steps: all give the step of the dense normal equations."""

import pytest
import torch

from manopt_torch import (
    BlockLoss,
    CauchyLoss,
    CholeskySolver,
    ConjugateGradientSolver,
    Euclidean,
    HuberLoss,
    LeastNormSolver,
    LeastSquaresProblem,
    LevenbergMarquardtOptions,
    OptionsError,
    Product,
    QRSolver,
    Rotations,
    RowSpaceSolver,
    SchurSolver,
    Sphere,
    TolerantLoss,
    levenberg_marquardt,
    solve,
)
from tests.together import together

D = torch.float64
DENSE = [CholeskySolver(), QRSolver(), RowSpaceSolver(), LeastNormSolver()]
SOLVERS = [*DENSE, ConjugateGradientSolver(1e-12, 500)]
every_solver = pytest.mark.parametrize("solver", SOLVERS, ids=repr)


def posed(*batch, m=7, n=3, M=None, seed=0, **more):
    """Return a problem whose residuals are smooth functions of the point, and a point."""
    g = torch.Generator().manual_seed(seed)
    M = Euclidean(n) if M is None else M
    A = torch.randn(*batch, m, n, generator=g, dtype=D)

    def residuals(x, A):
        z = (A @ x.unsqueeze(-1)).squeeze(-1)
        return z + 0.1 * z * z - 0.5

    return LeastSquaresProblem(M, residuals, data=(A,), **more), M.random_point(*batch, generator=g, dtype=D)


def dense_step(p, x, damping):
    at = p.linearize_residuals(x)
    g = (at.residuals.unsqueeze(-2) @ at.jacobian).squeeze(-2)
    return g, -torch.linalg.solve(at.jacobian.mT @ at.jacobian + torch.diag_embed(damping), g)


@together()
@every_solver
@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
@pytest.mark.parametrize(("m", "n"), [(7, 3), (3, 6)])
@pytest.mark.parametrize("loss", [None, CauchyLoss(), TolerantLoss(0.2, 0.3), BlockLoss(HuberLoss(0.5), 3)], ids=repr)
def test_the_step_is_that_of_the_normal_equations(solver, batch, m, n, loss):
    if loss is not None and loss.block_size == 3:
        m = 9 if m == 7 else m
    p, x = posed(
        *batch, m=m, n=n, loss=loss, weights=torch.linspace(0.5, 2, m // (loss.block_size if loss else 1), dtype=D)
    )
    damping = torch.linspace(0.1, 1.0, n, dtype=D).expand(*batch, n)
    g, truth = dense_step(p, x, damping)
    normal = solver.linearize(p, x)
    torch.testing.assert_close(normal.gradient, g, rtol=1e-10, atol=1e-12)
    step, ok = solver.solve(p, x, normal.system, normal.gradient, damping)
    assert step.shape == (*batch, n) and ok.shape == batch and ok.all()
    torch.testing.assert_close(step, truth, rtol=1e-8, atol=1e-10)
    for part in normal.system:
        assert part.shape[: len(batch)] == batch


@pytest.mark.parametrize("solver", DENSE, ids=repr)
def test_column_lengths(solver):
    p, x = posed(3)
    truth = p.linearize_residuals(x).jacobian.square().sum(-2)
    torch.testing.assert_close(solver.linearize(p, x).diagonal, truth, rtol=1e-12, atol=0)


@together()
@every_solver
@pytest.mark.parametrize("M", [Sphere(4), Rotations(3), Product(Euclidean(2), Sphere(3))], ids=repr)
def test_on_manifolds(solver, M):
    g = torch.Generator().manual_seed(0)
    x, y = (M.random_point(3, generator=g, dtype=D) for _ in range(2))

    def residuals(x):
        flat = torch.cat([part.flatten(1) for part in (x if isinstance(x, tuple) else (x,))], 1)
        other = torch.cat([part.flatten(1) for part in (y if isinstance(y, tuple) else (y,))], 1)
        return torch.cat([flat - other, (flat * other).sum(1, keepdim=True)], 1)

    p = LeastSquaresProblem(M, residuals)
    damping = torch.full((3, M.dim), 0.1, dtype=D)
    g, truth = dense_step(p, x, damping)
    normal = solver.linearize(p, x)
    torch.testing.assert_close(normal.gradient, g, rtol=1e-9, atol=1e-11)
    step, ok = solver.solve(p, x, normal.system, normal.gradient, damping)
    assert ok.all()
    torch.testing.assert_close(step, truth, rtol=1e-7, atol=1e-9)


@every_solver
def test_one_bad_problem_is_marked_and_the_others_do_not_notice(solver):
    p, x = posed(4)
    p.data[0][2] = torch.nan
    damping = torch.full((4, 3), 0.1, dtype=D)
    normal = solver.linearize(p, x)
    step, ok = solver.solve(p, x, normal.system, normal.gradient, damping)
    assert ok.tolist() == [True, True, False, True]
    part, y = p.take(torch.tensor([0, 3]), 1), x[[0, 3]]
    again = solver.linearize(part, y)
    assert torch.equal(solver.solve(part, y, again.system, again.gradient, damping[:2]).step, step[[0, 3]])


@every_solver
def test_without_damping_the_residuals_of_the_linear_model_are_least(solver):
    p, x = posed(3, m=7, n=3)
    at = p.linearize_residuals(x)
    normal = solver.linearize(p, x)
    step, ok = solver.solve(p, x, normal.system, normal.gradient, None)
    assert ok.all()
    truth = -torch.linalg.lstsq(at.jacobian, at.residuals[..., None]).solution[..., 0]
    torch.testing.assert_close(step, truth, rtol=1e-8, atol=1e-10)


def test_least_norm_solves_what_is_singular():
    p, x = posed(3, m=6, n=4)
    p.data[0][1, :, 2] = 0  # the second problem does not depend on its third parameter
    solver = LeastNormSolver()
    normal = solver.linearize(p, x)
    step, ok = solver.solve(p, x, normal.system, normal.gradient, None)
    assert ok.all() and step[1, 2].abs() < 1e-14
    at = p.linearize_residuals(x)
    truth = torch.stack(
        [torch.linalg.lstsq(J, -r.unsqueeze(-1), driver="gelsd").solution.squeeze(-1) for r, J in zip(*at, strict=True)]
    )
    torch.testing.assert_close(step, truth, rtol=1e-8, atol=1e-10)


def test_a_given_jacobian_is_multiplied_with_as_it_is():
    p, x = posed(3)
    at = p.linearize_residuals(x)
    given = LeastSquaresProblem(p.M, p.residuals, lambda x, A: at.jacobian, data=p.data)
    solver = ConjugateGradientSolver(1e-12)
    normal = solver.linearize(given, x)
    step, _ = solver.solve(given, x, normal.system, normal.gradient, None)
    torch.testing.assert_close(step, dense_step(p, x, torch.zeros(3, 3, dtype=D))[1], rtol=1e-8, atol=1e-10)


# ---- Schur ----------------------------------------------------------------------------------------------------------


def points_and_lines(*batch, blocks=5, seed=0):
    """Return residuals of two shared parameters and `blocks` pairs of own ones."""
    g = torch.Generator().manual_seed(seed)
    A, B = (torch.randn(*batch, blocks, 4, 2, generator=g, dtype=D) for _ in range(2))

    def residuals(x, A, B):
        shared, own = x[..., None, :2, None], x[..., 2:].unflatten(-1, (blocks, 2)).unsqueeze(-1)
        z = (A @ shared + B @ own).squeeze(-1)
        return (z + 0.1 * z * z - 1).flatten(-2)

    n = 2 + 2 * blocks
    return LeastSquaresProblem(Euclidean(n), residuals, data=(A, B)), torch.zeros(*batch, n, dtype=D)


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_schur_is_the_dense_step(batch):
    p, x = points_and_lines(*batch)
    solver, dense = SchurSolver(5, 2), CholeskySolver()
    normal, whole = solver.linearize(p, x), dense.linearize(p, x)
    torch.testing.assert_close(normal.diagonal, whole.diagonal, rtol=1e-12, atol=0)
    damping = 0.1 * whole.diagonal
    for d in (None, damping):
        step, ok = solver.solve(p, x, normal.system, normal.gradient, d)
        assert ok.all()
        truth = dense.solve(p, x, whole.system, whole.gradient, d).step
        torch.testing.assert_close(step, truth, rtol=1e-9, atol=1e-11)


def test_a_run_with_schur_is_a_run_with_cholesky():
    p, x = points_and_lines(3)
    runs = [solve(p, LevenbergMarquardtOptions(x, linear_solver=s)) for s in (SchurSolver(5, 2), CholeskySolver())]
    torch.testing.assert_close(runs[0].cost, runs[1].cost, rtol=1e-12, atol=0)
    torch.testing.assert_close(runs[0].x, runs[1].x, rtol=1e-7, atol=1e-7)


def test_schur_refuses_problems_of_another_structure():
    p, x = posed(2, m=9, n=6)
    with pytest.raises(OptionsError, match="depends on two of the eliminated blocks"):
        solve(p, LevenbergMarquardtOptions(x, linear_solver=SchurSolver(2, 2)))
    with pytest.raises(OptionsError, match="eliminates 6 coordinates, the problem has 6"):
        solve(p, LevenbergMarquardtOptions(x, linear_solver=SchurSolver(2, 3)))


# ---- runs and arguments ---------------------------------------------------------------------------------------------


@every_solver
def test_runs_end_at_the_same_minimum(solver):
    p, x = posed(5, m=9, n=3)
    o, reference = (solve(p, LevenbergMarquardtOptions(x, linear_solver=s)) for s in (solver, None))
    torch.testing.assert_close(o.cost, reference.cost, rtol=1e-10, atol=1e-14)


def test_many_parameters_without_a_matrix():
    """2,000 parameters: a chain of springs, linear, so that one undamped step ends at the closed form."""
    n = 2000
    y = torch.sin(torch.linspace(0, 6, n, dtype=D))

    def residuals(x):
        return torch.cat([x - y, 2 * (x[..., 1:] - x[..., :-1])], -1)

    difference = 2 * (torch.eye(n, dtype=D)[1:] - torch.eye(n, dtype=D)[:-1])
    truth = torch.linalg.solve(torch.eye(n, dtype=D) + difference.mT @ difference, y)
    p, x = LeastSquaresProblem(Euclidean(n), residuals), torch.zeros(n, dtype=D)
    solver = ConjugateGradientSolver(1e-12)
    normal = solver.linearize(p, x)
    step, ok = solver.solve(p, x, normal.system, normal.gradient, None)
    assert ok and p.counts.jacobian == 0
    torch.testing.assert_close(step, truth, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ConjugateGradientSolver(0.0),
        lambda: ConjugateGradientSolver(1e-6, 0),
        lambda: SchurSolver(0, 3),
        lambda: SchurSolver(3, 1.5),
    ],
)
def test_arguments_are_checked(make):
    with pytest.raises(OptionsError, match="must"):
        make()


def _times(A, x):
    return (A @ x.unsqueeze(-1)).squeeze(-1)


def test_problems_that_the_normal_equations_cannot_solve_go_through_qr_and_no_others():
    # the condition of J'J is beyond double precision, that of J is not
    powers = torch.linspace(1, 1.003, 12, dtype=D).unsqueeze(-1) ** torch.arange(4, dtype=D)
    g = torch.Generator().manual_seed(0)
    easy = torch.randn(6, 12, 4, generator=g, dtype=D)
    hard = torch.where((torch.arange(6) % 3 == 1)[:, None, None], powers, easy)
    truth = torch.randn(6, 4, generator=g, dtype=D)
    x = torch.zeros(6, 4, dtype=D)
    steps = []
    for A in (easy, hard):
        p = LeastSquaresProblem(Euclidean(4), lambda x, A, y: _times(A, x) - y, data=(A, _times(A, truth)))
        normal = CholeskySolver().linearize(p, x)
        steps.append(CholeskySolver().solve(p, x, normal.system, normal.gradient, None))
    assert torch.linalg.cond(powers) > 1e10
    ill = torch.arange(6) % 3 == 1
    assert steps[1].ok.all()
    assert torch.equal(steps[0].step[~ill], steps[1].step[~ill])
    torch.testing.assert_close(_times(powers, steps[1].step[ill]), _times(powers, truth[ill]), rtol=0, atol=1e-12)
    torch.testing.assert_close(steps[1].step[ill], truth[ill], rtol=0, atol=1e-5)
    # a run gets there too, alone and without data of its own
    alone = levenberg_marquardt(Euclidean(4), lambda x: _times(powers, x - truth[0]), x[0])
    torch.testing.assert_close(alone, truth[0], rtol=0, atol=1e-5)


def test_a_system_kept_as_a_triangle_is_the_same_system():
    g = torch.Generator().manual_seed(0)
    J, gradient = torch.randn(5, 7, 4, generator=g, dtype=D), torch.randn(5, 4, generator=g, dtype=D)
    solver, damping, whole = CholeskySolver(), torch.ones(5, 4, dtype=D), (J.mT @ J,)
    triangle = solver.kept(whole, gradient, True)
    assert triangle[0].shape == (5, 10)
    assert solver.kept(triangle, gradient, True) is triangle
    torch.testing.assert_close(solver.kept(triangle, gradient, False)[0], whole[0])
    found, wanted = (solver.solve(None, None, s, gradient, damping).step for s in (triangle, whole))
    torch.testing.assert_close(found, wanted)
