"""Bundle adjustment: cameras and points from images with outliers, the points eliminated by the Schur complement."""

from typing import NamedTuple

import pytest
import torch

from manopt_torch import (
    BlockLoss,
    CholeskySolver,
    Euclidean,
    HuberLoss,
    LeastSquaresProblem,
    LevenbergMarquardtOptions,
    Power,
    Product,
    Rotations,
    SchurSolver,
    StopAfterIteration,
    StopWhenReductionLess,
    solve,
)

D = torch.float64


class Scene(NamedTuple):
    """Cameras around a cloud of points; every camera sees every point."""

    manifold: Product
    truth: tuple
    start: tuple
    images: torch.Tensor  # shape: (cameras, points, 2)
    outliers: torch.Tensor  # shape: (cameras, points), bool


def scene(cameras=8, points=200, seed=0) -> Scene:
    g = torch.Generator().manual_seed(seed)
    M = Product(Power(Rotations(3), cameras), Euclidean(cameras, 3), Euclidean(points, 3))
    cloud = torch.randn(points, 3, generator=g, dtype=D)
    angles = torch.linspace(-0.6, 0.6, cameras, dtype=D)
    R = torch.stack(
        [torch.linalg.matrix_exp(a * torch.tensor([[0.0, 0, 1], [0, 0, 0], [-1, 0, 0]], dtype=D)) for a in angles]
    )
    shift = torch.tensor([0.0, 0.0, 8.0], dtype=D).expand(cameras, 3) + 0.1 * torch.randn(
        cameras, 3, generator=g, dtype=D
    )
    truth = (R, shift, cloud)
    images = project(truth) + 1e-3 * torch.randn(cameras, points, 2, generator=g, dtype=D)
    outliers = torch.rand(cameras, points, generator=g) < 0.05
    images = torch.where(outliers.unsqueeze(-1), images + 0.3 * torch.randn(images.shape, generator=g, dtype=D), images)
    nudge = M.random_tangent(truth, generator=g)
    start = M.retract(truth, tuple(0.05 * part / part.abs().max() for part in nudge))
    return Scene(M, truth, start, images, outliers)


def project(x):
    R, shift, cloud = x
    seen = cloud @ R.mT + shift.unsqueeze(-2)
    return seen[..., :2] / seen[..., 2:]


def residuals(images):
    return lambda x: (project(x) - images).flatten()


def jacobian(images):
    """Return the ambient differential: each row has entries for one camera and one point."""
    cameras, points, _ = images.shape

    def of(x):
        R, shift, cloud = x
        seen = cloud @ R.mT + shift.unsqueeze(-2)
        depth = seen[..., 2]
        down = torch.zeros(cameras, points, 2, 3, dtype=D)  # derivative by the point in the camera's frame
        down[..., 0, 0] = down[..., 1, 1] = 1 / depth
        down[..., 2] = -seen[..., :2] / depth.unsqueeze(-1) ** 2
        c, p = torch.meshgrid(torch.arange(cameras), torch.arange(points), indexing="ij")
        by_R = torch.zeros(cameras, points, 2, cameras, 3, 3, dtype=D)
        by_R[c, p, :, c] = down.unsqueeze(-1) * cloud[p].unsqueeze(-2).unsqueeze(-2)
        by_shift = torch.zeros(cameras, points, 2, cameras, 3, dtype=D)
        by_shift[c, p, :, c] = down
        by_cloud = torch.zeros(cameras, points, 2, points, 3, dtype=D)
        by_cloud[c, p, :, p] = down @ R.unsqueeze(-3)
        return tuple(part.flatten(0, 2) for part in (by_R, by_shift, by_cloud))

    return of


def posed(s: Scene, loss=None) -> LeastSquaresProblem:
    return LeastSquaresProblem(s.manifold, residuals(s.images), jacobian(s.images), loss=loss)


def test_the_jacobian_is_that_of_autograd():
    s = scene(3, 4)
    given = posed(s).linearize_residuals(s.start).jacobian
    found = LeastSquaresProblem(s.manifold, residuals(s.images)).linearize_residuals(s.start).jacobian
    torch.testing.assert_close(given, found, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("loss", [None, BlockLoss(HuberLoss(0.005), 2)], ids=repr)
def test_a_step_with_schur_is_the_dense_step(loss):
    s = scene()
    p = posed(s, loss)
    at = p.linearize_residuals(s.start)
    assert at.jacobian.shape == (3200, 648)
    schur, dense = SchurSolver(200, 3), CholeskySolver()
    small, whole = schur.normal(at), dense.normal(at)
    damping = 1e-3 * whole.diagonal
    found = schur.solve(p, s.start, small.system, small.gradient, damping)
    truth = dense.solve(p, s.start, whole.system, whole.gradient, damping)
    assert found.ok and truth.ok
    torch.testing.assert_close(found.step, truth.step, rtol=1e-9, atol=1e-9 * truth.step.abs().max().item())


def test_the_scene_is_found_again_in_spite_of_outliers():
    s = scene()
    stop = StopAfterIteration(25) | StopWhenReductionLess(1e-9)
    options = LevenbergMarquardtOptions(s.start, linear_solver=SchurSolver(200, 3), stop=stop)
    o = solve(posed(s, BlockLoss(HuberLoss(0.005), 2)), options)
    errors = (project(o.x) - project(s.truth)).norm(dim=-1)
    # the noise is 1e-3; outliers are off by 0.3, but not believed
    assert errors.square().mean().sqrt() < 1e-3
    plain = LevenbergMarquardtOptions(s.start, linear_solver=SchurSolver(200, 3), stop=StopAfterIteration(8))
    solve(posed(s), plain)
    assert (project(plain.x) - project(s.truth)).norm(dim=-1).square().mean().sqrt() > 1e-2


def test_runs_with_schur_and_dense_agree():
    s = scene(3, 20)
    runs = []
    for solver in (SchurSolver(20, 3), None):
        o = LevenbergMarquardtOptions(s.start, linear_solver=solver, stop=StopAfterIteration(12))
        runs.append(solve(posed(s, BlockLoss(HuberLoss(0.005), 2)), o))
    torch.testing.assert_close(runs[0].cost, runs[1].cost, rtol=1e-9, atol=0)
    torch.testing.assert_close(project(runs[0].x), project(runs[1].x), rtol=0, atol=1e-8)
