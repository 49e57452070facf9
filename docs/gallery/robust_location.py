r"""Robust location on the sphere

Where do a hundred directions point, if some of them belong to something else? The mean is drawn away by every
stranger; the median, and a cost that saturates, stay where most directions are.

For points $p_j$ on a manifold with distance $d$, the mean minimises $\frac12 \sum_j d(x, p_j)^2$ and the median
$\sum_j d(x, p_j)$. A *redescending* cost, $\sum_j \bigl(1 - e^{-d(x, p_j)^2 / 2 \sigma^2}\bigr)$, does not look at
points farther away than some $\sigma$ at all. Directions of magnetisation in rock, axes of crystals and poles of orbits
are data of this kind. [The median of directions](sphere_median.md) compares ways to compute one of
them.
"""

# %%
# ## One sample
#
# 100 directions, 12 degrees from the true one by standard deviation; 25 of them come from a second source, 70 degrees
# away.

import matplotlib.pyplot as plt
import torch

from manopt_torch import Sphere, mean, median, quasi_newton

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(3)
double = torch.float64
M = Sphere(3)
north = torch.tensor([0.0, 0.0, 1.0], dtype=double)
angle = torch.deg2rad(torch.tensor(70.0, dtype=double))
other = torch.stack([angle.sin(), torch.zeros_like(angle), angle.cos()])


def scattered(center, *shape):
    """Return directions around a center, the deviation in each direction of the tangent plane being 12 degrees."""
    noise = torch.deg2rad(torch.tensor(12.0)) * torch.randn(*shape, 3, dtype=double, generator=generator)
    return M.exp(center, noise - (noise @ center).unsqueeze(-1) * center)


def saturating(x, points):
    squared = M.squared_dist(x.unsqueeze(-2), points)
    return (1 - torch.exp(-squared / (2 * 0.35**2))).sum(-1)


def estimates(points):
    middle = median(M, points)
    return {
        "mean": mean(M, points),
        "median": middle,
        "saturating cost": quasi_newton(M, saturating, middle, data=(points,)),
    }


def degrees(x):
    return torch.rad2deg(M.dist(x, north.expand_as(x)))


own, strangers = scattered(north, 75), scattered(other, 25)
found = estimates(torch.cat([own, strangers]))
for name, x in found.items():
    print(f"{name:<16} {degrees(x):5.2f} degrees from the true direction")
assert degrees(found["mean"]) > 15 > 8 > degrees(found["median"]) > degrees(found["saturating cost"])
assert degrees(found["saturating cost"]) < 3

# %%
# The sphere from above, in a projection that keeps areas. The mean is drawn a quarter of the way to the second source,
# to the edge of the first; the median a few degrees; the saturating cost finds the centre of the majority.


def on_paper(x):
    """Return Lambert's azimuthal projection, scaled such that the equator has radius 90."""
    return (90 * x[..., :2] / (1 + x[..., 2:]).sqrt()).unbind(-1)


colors = {"mean": "tab:red", "median": "tab:orange", "saturating cost": "tab:green"}
markers = {"mean": "X", "median": "D", "saturating cost": "*"}
turn = torch.linspace(0, 2 * torch.pi, 181, dtype=double)
figure, axes = plt.subplots(figsize=(6.4, 5.6), layout="constrained")
for tilt in (30, 60, 90):
    radius = torch.deg2rad(torch.tensor(float(tilt), dtype=double))
    ring = torch.stack([radius.sin() * turn.cos(), radius.sin() * turn.sin(), radius.cos().expand_as(turn)], -1)
    axes.plot(*on_paper(ring), color="0.8", linewidth=0.8, zorder=0)
    axes.annotate(f"{tilt}°", [float(part[157]) for part in on_paper(ring)], color="0.5", fontsize=8)
axes.scatter(*on_paper(own), s=14, color="tab:blue", alpha=0.6, label="75 directions")
axes.scatter(*on_paper(strangers), s=14, color="0.45", alpha=0.6, label="25 strangers")
axes.plot(0, 0, "+", color="black", markersize=14, markeredgewidth=1.5, label="truth")
for name, x in found.items():
    style = {"marker": markers[name], "color": colors[name], "edgecolors": "white", "zorder": 3}
    axes.scatter(*on_paper(x), s=190, label=f"{name}: {degrees(x):.1f}° off", **style)
axes.set_title("Where do they point?")
axes.set_xlabel("east (scaled, equator at 90)")
axes.set_ylabel("north (scaled, equator at 90)")
axes.set_aspect("equal")
axes.legend(loc="upper left", fontsize=8)

# %%
# ## How many strangers do they bear?
#
# Ten shares of strangers with 40 samples each: a batch of 400 problems, of which each ends when it is done.

shares = torch.linspace(0, 0.45, 10, dtype=double)
size = (10, 40, 100)
stranger = torch.arange(100) < (100 * shares).round()[:, None, None]
samples = torch.where(stranger.unsqueeze(-1), scattered(other, *size), scattered(north, *size))
errors = {name: degrees(x) for name, x in estimates(samples).items()}

figure, axes = plt.subplots(figsize=(7, 3.8), layout="constrained")
for name, error in errors.items():
    low, middle, high = error.quantile(torch.tensor([0.1, 0.5, 0.9], dtype=double), dim=1)
    axes.plot(100 * shares, middle, marker=markers[name], color=colors[name], label=name)
    axes.fill_between(100 * shares, low, high, color=colors[name], alpha=0.15)
axes.set_title("Error of the location of 100 directions, median and 80 % of 40 samples")
axes.set_xlabel("strangers (%)")
axes.set_ylabel("angle to the true direction (degrees)")
axes.grid(True, alpha=0.3)
axes.legend()
mean_error, median_error, robust = (error.median(1).values for error in errors.values())
assert (mean_error[2:] > 2 * robust[2:]).all() and (mean_error[2:7] > 1.8 * median_error[2:7]).all()
assert robust[:9].max() < 4

# %%
# The mean is off in proportion to the number of strangers. The median bears some, as each draws only as hard as any
# other direction, wherever it is; the saturating cost, started at the median, bears nearly half. Without strangers all
# three are equally good.

plt.show()
