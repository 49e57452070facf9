r"""Procrustes and rotation averaging on SO(3)

Which rotation takes one cloud of points to another, if some of the pairs are wrong? And what is the average of a
hundred measured orientations, a third of them nonsense?

Orthogonal Procrustes asks for the rotation $R$ with the least $\sum_j \lVert R a_j - b_j \rVert^2$, which a singular
value decomposition finds. A cost that grows more slowly than squares is not misled by wrong pairs; there is no closed
form for it, but on `Rotations(3)` it is as easy to write down.
"""

# %%
# ## Two scans of a knot
#
# A trefoil knot seen from two sides. A quarter of the points are paired with one an eighth of the way ahead.

import matplotlib.pyplot as plt
import torch

from manopt_torch import Rotations, mean, median, trust_regions

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(2)
double = torch.float64
M = Rotations(3)

t = torch.linspace(0, 2 * torch.pi, 161, dtype=double)[:-1]
knot = torch.stack([t.sin() + 2 * (2 * t).sin(), t.cos() - 2 * (2 * t).cos(), -(3 * t).sin()], -1)
truth = M.random_point(dtype=double, generator=generator)
scan = knot @ truth.mT + 0.02 * torch.randn(160, 3, dtype=double, generator=generator)
wrong = torch.randperm(160, generator=generator)[:40]
scan[wrong] = scan[(wrong + 20) % 160]


def degrees(R):
    """Return the angle to the true rotation; turning by an angle has length sqrt(2) times it."""
    return torch.rad2deg(M.dist(R, truth) / 2**0.5)


def squares(R):
    return (knot @ R.mT - scan).square().sum((-2, -1))


def robust(R, scale=0.1):
    """Count a pair by its squared distance while that is small, and by its distance if it is large."""
    squared = (knot @ R.mT - scan).square().sum(-1)
    return (scale * ((1 + squared / scale**2).sqrt() - 1)).sum(-1)


least_squares = trust_regions(M, squares, torch.eye(3, dtype=double))
closed_form = M.project_point(scan.mT @ knot)
assert M.dist(least_squares, closed_form) < 1e-6
found = trust_regions(M, robust, least_squares)
print(f"least squares, as by SVD: {degrees(least_squares):.2f} degrees from the truth")
print(f"robust:                   {degrees(found):.2f} degrees")
assert degrees(found) < 0.5 < degrees(least_squares)

# %%
# Turned back, the second scan lies on the knot, and the mismatched pairs (red) stand out.

figure, panels = plt.subplots(1, 2, figsize=(9, 4), subplot_kw={"projection": "3d"}, layout="constrained")
for axes, R, title in zip(panels, (least_squares, found), ("least squares", "robust"), strict=True):
    back = scan @ R
    axes.plot(*knot.mT, color="gray", linewidth=1)
    axes.scatter(*back.mT, s=8, color="tab:blue")
    for j in wrong:
        axes.plot(*torch.stack([knot[j], back[j]], -1), color="tab:red", linewidth=0.5, alpha=0.6)
    axes.set_title(f"{title}: {degrees(R):.2f}° off")
    axes.set_xlabel("x (cm)")
    axes.set_ylabel("y (cm)")
    axes.set_zlabel("z (cm)")

# %%
# ## Averages of orientations
#
# 100 measurements of one orientation, ten degrees off on average, of which a share is nonsense
# [HartleyTrumpfDaiLi:2013]. Five shares, twenty experiments each: a batch of 100 averages.

shares = torch.tensor([0.0, 0.1, 0.2, 0.3, 0.4], dtype=double)
size = (5, 20, 100)
noise = torch.deg2rad(torch.tensor(10.0)) * 2**0.5
measured = M.exp(truth, noise / 3**0.5 * M.random_tangent(truth.expand(*size, 3, 3), generator))
nonsense = M.random_point(*size, dtype=double, generator=generator)
is_bad = torch.arange(100) < 100 * shares[:, None, None]
measured = torch.where(is_bad[..., None, None], nonsense, measured)

start = M.project_point(measured.sum(-3))  # the chordal mean, a good start
errors = {
    "chordal mean": degrees(start),
    "Riemannian mean": degrees(mean(M, measured, start=start)),
    "median": degrees(median(M, measured, start=start)),
}
for name, angle in errors.items():
    print(f"{name:<16}", " ".join(f"{a:5.2f}" for a in angle.median(1).values))
assert errors["median"][3].median() < 0.6 * errors["Riemannian mean"][3].median()

figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
for name, angle in errors.items():
    low, middle, high = angle.quantile(torch.tensor([0.1, 0.5, 0.9], dtype=double), dim=1)
    axes.plot(100 * shares, middle, "o-", label=name)
    axes.fill_between(100 * shares, low, high, alpha=0.15)
axes.set_title("Error of the average of 100 orientations, median and 80 % of 20 experiments")
axes.set_xlabel("nonsense among the measurements (%)")
axes.set_ylabel("angle to the truth (degrees)")
axes.grid(True, alpha=0.3)
axes.legend()

# %%
# Squared distances pull hardest at what is farthest away, so the Riemannian mean suffers most; the chordal mean, the
# projection of the average matrix, less; the median hardly at all.

plt.show()
