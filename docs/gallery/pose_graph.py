r"""A robot that closes its loops

A robot counts the turns of its wheels and is lost after a hundred metres. Now and then it sees a place again, or
believes so. Where has it been?

A pose graph [GrisettiEtAl:2010] has a pose $x_k \in SE(2)$ for each moment and an edge for each measured motion
$z_{ij} \approx x_i^{-1} x_j$: from the wheels between neighbours, from the camera between two visits of one place. The
error of an edge is a twist, $\log(z_{ij}^{-1} x_i^{-1} x_j)$, and the sum of their squares, in units of the noise, is
to be least.
"""

# %%
# ## A drive through town
#
# 100 metres, one pose a metre. Wheels err by five centimetres and three degrees a metre. One in seven of the places
# that the camera recognises is another one that looks alike.

import matplotlib.pyplot as plt
import torch

from manopt_torch import (
    BlockLoss,
    CauchyLoss,
    LeastSquaresProblem,
    LevenbergMarquardtOptions,
    Power,
    ScaledLoss,
    SpecialEuclidean,
    StopAfterIteration,
    StopWhenReductionLess,
    covariance,
    solve,
)

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(4)
double = torch.float64
G = SpecialEuclidean(2)
n = 101


def noise(*shape):
    return torch.randn(*shape, generator=generator, dtype=double)


def driven(motions):
    """Return the poses that motions lead to, one after the other."""
    poses = [torch.eye(3, dtype=double)]
    for motion in motions:
        poses.append(poses[-1] @ motion)
    return torch.stack(poses)


twists = torch.zeros(n - 1, 3, dtype=double)  # forwards, sidewards, angle
twists[:, 0] = 1.0
corners = torch.tensor([1, 1, 1, 0, -1, -1, -1, 0, 1, 1, 1, -1, -1, -1, 0], dtype=double)
twists[4::5, 2] = torch.pi / 2 * corners.repeat(2)[:20]
truth = driven(G.group_exp(twists))

wheels, camera = (torch.tensor(s, dtype=double) for s in ([0.05, 0.05, 0.05], [0.1, 0.1, 0.05]))
apart = torch.cdist(truth[:, :2, 2], truth[:, :2, 2])
seen = torch.nonzero((apart < 0.8).triu(12))
seen = seen[torch.randperm(len(seen), generator=generator)[:36]]
i, j = torch.cat([torch.stack([torch.arange(n - 1), torch.arange(1, n)], 1), seen]).T
sigma = torch.cat([wheels.expand(n - 1, 3), camera.expand(36, 3)])
false = torch.arange(len(i)) >= len(i) - 5
i[false] = torch.randint(0, 40, (5,), generator=generator)
j[false] = torch.randint(70, n, (5,), generator=generator)
measured = G.group_inverse(truth[i]) @ truth[j]
measured[false] = torch.eye(3, dtype=double)
measured = measured @ G.group_exp(sigma * noise(len(i), 3))

# %%
# ## Two fits
#
# The first pose is given, the others are the unknown: a point of a power of $SE(2)$ with 300 coordinates, started at
# what the wheels say. The three errors of an edge belong together, so `BlockLoss` counts them as one.

first = truth[:1]
M = Power(G, n - 1)


def errors(x):
    poses = torch.cat([first, x])
    return (G.group_log(G.group_inverse(measured) @ G.group_inverse(poses[i]) @ poses[j]) / sigma).flatten()


start = driven(measured[: n - 1])[1:]
stop = StopAfterIteration(40) | StopWhenReductionLess(1e-3)
found = {"wheels alone": start}
for name, loss in (("least squares", None), ("robust", BlockLoss(ScaledLoss(CauchyLoss(), 3.0), 3))):
    problem = LeastSquaresProblem(M, errors, loss=loss)
    o = solve(problem, LevenbergMarquardtOptions(start, stop=stop), debug=[":Iteration", "  ", ":Cost", 10, ":Stop"])
    found[name] = o.x
off = {name: (x - truth[1:])[:, :2, 2].norm(dim=-1) for name, x in found.items()}
for name, distance in off.items():
    print(f"{name:14} off by {distance.mean():6.2f} m on average, {distance.max():6.2f} m at most")

C = covariance(problem, o, absolute=True)  # the noise is known
basis = M.basis(o.x)[..., :2, 2]  # what the coordinates do to the positions, shape (300, 100, 2)
spread = (basis.movedim(0, -1) @ C @ basis.movedim(0, -2)).diagonal(dim1=-2, dim2=-1).sum(-1).sqrt()
print(f"expected of the robust fit, by its covariance: {spread.mean():.2f} m")
assert off["robust"].mean() < 0.5 < off["wheels alone"].mean() < off["least squares"].mean()
assert 0.5 < off["robust"].square().mean().sqrt() / spread.square().mean().sqrt() < 2

figure, panels = plt.subplots(1, 3, figsize=(10, 4.2), layout="constrained", sharex=True, sharey=True)
for axes, (name, x) in zip(panels, found.items(), strict=True):
    way = torch.cat([first, x])[:, :2, 2]
    axes.plot(*truth[:, :2, 2].T, color="0.75", linewidth=4, label="truth")
    for a, b, is_false in zip(i[n - 1 :], j[n - 1 :], false[n - 1 :], strict=True):
        color, width = ("tab:red", 0.8) if is_false else ("tab:green", 1.5)
        axes.plot(*way[torch.stack([a, b])].T, color=color, linewidth=width)
    axes.plot(*way.T, color="tab:blue", marker=".", markersize=4, linewidth=1, label="estimate")
    axes.set_title(f"{name}: {off[name].mean():.2f} m off")
    axes.set_xlabel("east (m)")
    axes.set_aspect("equal")
panels[0].set_ylabel("north (m)")
panels[0].legend(fontsize=8, loc="lower left")

# %%
# Green and red join the places that were taken for one and the same. Squares of errors give in to the five false ones
# (red) and ruin what the wheels knew; Cauchy's loss leaves them hanging, and the true ones (green) shrink to points.

plt.show()
