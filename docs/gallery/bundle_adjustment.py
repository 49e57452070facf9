r"""Bundle adjustment with outliers

Eight cameras have seen two hundred points. Where did they stand, where are the points, if one match in twenty is wrong?

Bundle adjustment asks for the rotations $R_c$, the shifts $t_c$ and the points $X_p$ whose images $\pi(R_c X_p + t_c)$
come closest to the measured ones: 3,200 residuals of 648 parameters on $SO(3)^8 \times \mathbb R^{8 \times 3} \times
\mathbb R^{200 \times 3}$ [TriggsEtAl:1999]. Points never meet in one residual, so they can be eliminated, and a robust
loss of the distance in the image keeps wrong matches from pulling.
"""

# %%
# ## A scene
#
# Points on a sphere, cameras on an arc before it. A match is off by a thousandth of the depth, a wrong one by a third.

import matplotlib.pyplot as plt
import torch

from manopt_torch import (
    BlockLoss,
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

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
double = torch.float64
cameras, points = 8, 200
M = Product(Power(Rotations(3), cameras), Euclidean(cameras, 3), Euclidean(points, 3))


def noise(*shape):
    return torch.randn(*shape, generator=generator, dtype=double)


cloud = torch.nn.functional.normalize(noise(points, 3), dim=-1)
turn = torch.tensor([[0.0, 0, 1], [0, 0, 0], [-1, 0, 0]], dtype=double)
R = torch.stack([torch.linalg.matrix_exp(a * turn) for a in torch.linspace(-0.8, 0.8, cameras, dtype=double)])
t = torch.tensor([0.0, 0.0, 5.0], dtype=double) + 0.1 * noise(cameras, 3)
truth = (R, t, cloud)


def project(x):
    """Return the images of all points in all cameras, shape (cameras, points, 2)."""
    R, t, cloud = x
    seen = cloud @ R.mT + t.unsqueeze(-2)
    return seen[..., :2] / seen[..., 2:]


wrong = torch.rand(cameras, points, generator=generator) < 0.05
images = project(truth) + torch.where(wrong, 0.3, 1e-3).unsqueeze(-1) * noise(cameras, points, 2)
start = M.retract(truth, tuple(0.1 * part for part in M.random_tangent(truth, generator=generator)))

# %%
# What the first camera should see, and what has been matched to it.

figure, axes = plt.subplots(figsize=(5, 4.5), layout="constrained")
seen, matched = project(truth)[0], images[0]
axes.plot(*torch.stack([seen, matched], 1)[wrong[0]].permute(2, 1, 0), color="tab:red", linewidth=0.8)
axes.scatter(*matched.T, s=6, color="tab:blue")
axes.set_aspect("equal")
axes.set_title(f"first camera, {int(wrong[0].sum())} wrong matches")
axes.set_xlabel("x (focal lengths)")
axes.set_ylabel("y (focal lengths)")

# %%
# ## The Jacobian
#
# Autograd would find it, column by column. Here each row has entries for one camera and one point, easily written
# down; it is the ambient differential, with the axes of the point behind, and the manifold does the rest.


def jacobian(x):
    R, t, cloud = x
    seen = cloud @ R.mT + t.unsqueeze(-2)
    down = torch.zeros(cameras, points, 2, 3, dtype=double)  # derivative by the point in the camera's frame
    down[..., 0, 0] = down[..., 1, 1] = 1 / seen[..., 2]
    down[..., 2] = -seen[..., :2] / seen[..., 2:] ** 2
    c, p = torch.meshgrid(torch.arange(cameras), torch.arange(points), indexing="ij")
    by_R = torch.zeros(cameras, points, 2, cameras, 3, 3, dtype=double)
    by_R[c, p, :, c] = down.unsqueeze(-1) * cloud[p].unsqueeze(-2).unsqueeze(-2)
    by_t = torch.zeros(cameras, points, 2, cameras, 3, dtype=double)
    by_t[c, p, :, c] = down
    by_cloud = torch.zeros(cameras, points, 2, points, 3, dtype=double)
    by_cloud[c, p, :, p] = down @ R.unsqueeze(-3)
    return tuple(part.flatten(0, 2) for part in (by_R, by_t, by_cloud))


# %%
# ## With and without a robust loss
#
# `BlockLoss` takes the two coordinates of a match together; `SchurSolver` eliminates 200 points of three coordinates,
# so that what is factorised are matrices of three rows and one of the cameras' 48.

stop = StopAfterIteration(20) | StopWhenReductionLess(1e-8)
found = {}
for name, loss in (("squares", None), ("Huber", BlockLoss(HuberLoss(0.005), 2))):
    problem = LeastSquaresProblem(M, lambda x: (project(x) - images).flatten(), jacobian, loss=loss)
    o = solve(problem, LevenbergMarquardtOptions(start, linear_solver=SchurSolver(points, 3), stop=stop))
    found[name] = (project(o.x) - project(truth)).norm(dim=-1)
    print(f"{name:8} {o.iterations:3} iterations, images off by {found[name].square().mean().sqrt():.4f}")

assert found["Huber"].square().mean().sqrt() < 1e-3 < 10e-3 < found["squares"].square().mean().sqrt()

# %%
# How far each of the 1,600 predicted images is from the true one: with squares the wrong matches drag their points
# along, with Huber's loss the images are better than the measurements.

figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
bins = torch.logspace(-5, 0, 60)
for name, errors in found.items():
    axes.hist(errors.flatten().numpy(), bins=bins.numpy(), histtype="step", label=name)
axes.axvline(1e-3, color="gray", linestyle=":", label="noise of a measurement")
axes.set_xscale("log")
axes.set_title("errors of predicted images")
axes.set_xlabel("distance from the true image (focal lengths)")
axes.set_ylabel("images")
axes.legend()
plt.show()
