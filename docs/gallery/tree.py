r"""A tree in the hyperbolic plane

The number of nodes of a tree grows exponentially with the distance from the root, and so does the room in the
hyperbolic plane. In the Euclidean plane it grows with the square, and branches get into each other's way.

Each node $i$ becomes a point $x_i$ whose distances are to be those in the tree: with the number $\delta_{ij}$ of edges
between two nodes, the points minimise the mean of $\bigl(d(x_i, x_j) / (\ell \delta_{ij}) - 1\bigr)^2$ over all pairs.
The length $\ell$ of an edge is free. In the Euclidean plane it does not matter; in the hyperbolic plane, the longer the
edges are, the straighter is the way over the common ancestor, and the more a tree feels at home [Sarkar:2012].
"""

# %%
# ## The tree, and a start
#
# 46 nodes in four generations: three children of the root, two of each other node. Sarkar's construction goes an edge
# on from each node, 60 degrees to the left for one child and to the right for the other. In the disk, a step from a
# point is a Möbius addition.

import matplotlib.pyplot as plt
import torch

from manopt_torch import Euclidean, PoincareBall, Power, StopAfterIteration, StopWhenGradientNormLess, quasi_newton

torch.set_num_threads(1)
double = torch.float64
nodes, depth = 46, 4
plane, ball = Euclidean(2), PoincareBall(2)


def parent(k):
    return 0 if k < 4 else (k - 2) // 2


def ancestors(k):
    """Return the way to the root."""
    return [k] if k == 0 else [k, *ancestors(parent(k))]


pairs = torch.triu_indices(nodes, nodes, 1)
path = torch.tensor([len(set(ancestors(i)) ^ set(ancestors(j))) for i, j in pairs.mT.tolist()], dtype=double)
generation = torch.tensor([len(ancestors(k)) - 1 for k in range(nodes)])


def constructed(length):
    """Return Sarkar's tree in the disk for a batch of edge lengths, shape (*batch, nodes, 2)."""
    x = [torch.zeros(*length.shape, 2, dtype=double)]
    for k in range(1, nodes):
        here = x[parent(k)]
        if k < 4:
            heading = torch.full_like(length, torch.pi * (2 * k / 3 - 1 / 6))
        else:
            back = ball.mobius_add(-here, x[parent(parent(k))])  # where it came from, seen from here
            heading = torch.atan2(back[..., 1], back[..., 0]) + torch.pi * (4 / 3 if k % 2 else 2 / 3)
        step = torch.tanh(length / 2).unsqueeze(-1) * torch.stack([heading.cos(), heading.sin()], -1)
        x.append(ball.mobius_add(here, step))
    return torch.stack(x, -2)


# %%
# ## Both embeddings
#
# Seven edge lengths are a batch of seven problems, each a point of the power manifold with 46 factors. In a disk as
# small as that of the shortest edges, geometry is Euclidean, and lengths are twice those on paper: the start for the
# Euclidean plane.


def stretch(M, x, length):
    """Return distances as multiples of what they should be, shape (*batch, pairs)."""
    i, j = pairs
    return M.dist(x[..., i, :], x[..., j, :]) / (path * length.unsqueeze(-1))


def embed(M, length, start):
    return quasi_newton(
        Power(M, nodes),
        lambda x, length: (stretch(M, x, length) - 1).square().mean(-1),
        start,
        data=(length,),
        stop=StopAfterIteration(150) | StopWhenGradientNormLess(1e-5),
    )


lengths = torch.tensor([0.05, 0.2, 0.4, 0.7, 1.0, 1.7, 3.0], dtype=double)
hyperbolic = embed(ball, lengths, constructed(lengths))
flat = embed(plane, torch.ones(1, dtype=double), 40 * constructed(lengths[:1]))[0]
off = (stretch(ball, hyperbolic, lengths) - 1).square().mean(-1).sqrt()
off_flat = (stretch(plane, flat, torch.tensor(1.0)) - 1).square().mean().sqrt()
print(f"root mean square error of a distance in the Euclidean plane: {off_flat:.1%}")
for length, error in zip(lengths, off, strict=True):
    print(f"in the hyperbolic plane, edges of length {length:4.2f}: {error:5.1%}")
assert (off.diff() < 0).all() and off[-1] < 0.05 < 0.2 < off_flat and abs(off[0] / off_flat - 1) < 0.05

# %%
# ## What it looks like
#
# The tree in both planes, with edges of length one. The disk is Poincaré's picture of the whole hyperbolic plane; its
# edges are geodesics, arcs of circles, and all about equally long although they look shorter towards the rim.

figure, panels = plt.subplots(1, 2, figsize=(10, 5), layout="constrained")
s = torch.linspace(0, 1, 25, dtype=double).unsqueeze(-1)
colors = plt.get_cmap("viridis_r")((generation / depth * 0.85 + 0.1).numpy())
for axes, M, x in ((panels[0], plane, flat), (panels[1], ball, hyperbolic[4])):
    for k in range(1, nodes):
        here = x[parent(k)]
        way = M.exp(here.expand(25, 2), s * M.log(here, x[k]))
        axes.plot(*way.mT, color=colors[k], linewidth=1.2, zorder=1)
    axes.scatter(*x.mT, s=40 - 6 * generation, c=colors, zorder=2)
    axes.set_aspect("equal")
panels[0].set_title(f"Euclidean plane: distances {off_flat:.0%} off")
panels[0].set_xlabel("x (edges)")
panels[0].set_ylabel("y (edges)")
panels[1].add_patch(plt.Circle((0, 0), 1, facecolor="0.96", edgecolor="0.4", zorder=0))
panels[1].set_title(f"Hyperbolic plane: distances {off[4]:.0%} off")
panels[1].set_xlabel("x (radii of the disk)")
panels[1].set_ylabel("y (radii of the disk)")

# %%
# On the left the last generation has no room: cousins are as close as siblings. On the right each branch has a part of
# the rim for itself.
#
# ## Distances

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
shown = {
    "Euclidean": stretch(plane, flat, lengths[4]),
    "hyperbolic, edges of 1": stretch(ball, hyperbolic[4], lengths[4]),
    "hyperbolic, edges of 3": stretch(ball, hyperbolic[-1], lengths[-1]),
}
left.axline((0, 0), slope=1, color="black", linewidth=0.8, linestyle=":")
for k, (name, ratio) in enumerate(shown.items()):
    low, middle, high = torch.stack(
        [d * ratio[path == d].quantile(torch.tensor([0.05, 0.5, 0.95], dtype=double)) for d in range(1, 9)], -1
    )
    at = torch.arange(1, 9) + 0.18 * (k - 1)
    color = ("tab:red", "tab:blue", "tab:green")[k]
    left.errorbar(at, middle, torch.stack([middle - low, high - middle]), fmt="o", color=color, ms=4, label=name)
left.set_title("Distances of all pairs, median and 90 %")
left.set_xlabel("distance in the tree (edges)")
left.set_ylabel("distance in the picture (edges)")
left.legend(fontsize=8)
right.loglog(lengths, 100 * off, "o-", color="tab:blue", label="hyperbolic")
right.axhline(100 * off_flat, color="tab:red", label="Euclidean")
right.set_title("Error of distances")
right.set_xlabel("length of an edge (radii of curvature)")
right.set_ylabel("root mean square (%)")
right.grid(True, which="both", alpha=0.2)
right.legend()

# %%
# Short edges do not notice the curvature, and the error is that of the Euclidean plane. It falls as edges grow: at
# three radii of curvature the plane is a tree for all practical purposes.

plt.show()
