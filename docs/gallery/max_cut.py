r"""Max-cut on the elliptope

Split the nodes of a graph into two parts with as many edges as possible between them: hard exactly, but a relaxation on
a manifold comes close and says how close.

With a sign $x_i = \pm 1$ for each node, the cut has $\frac14 \sum_{i,j} W_{ij} (1 - x_i x_j)$ edges. Goemans and
Williamson replace the signs by unit vectors $y_i$ [GoemansWilliamson:1995], which gives an upper bound. Written with
the rows of a matrix $Y$ with $k$ columns it lives on the elliptope, and if $k (k + 1) / 2$ exceeds the number of nodes
there are almost never local optima that are not global [BoumalVoroninskiBandeira:2016].
"""

# %%
# ## Graphs with known answers

import itertools
import math

import matplotlib.pyplot as plt
import torch

from manopt_torch import Elliptope, trust_regions

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(5)
double = torch.float64


def adjacency(n, edges):
    W = torch.zeros(n, n, dtype=double)
    for i, j in edges:
        W[i, j] = W[j, i] = 1.0
    return W


cycle = adjacency(5, [(i, (i + 1) % 5) for i in range(5)])
petersen_edges = [edge for i in range(5) for edge in ((i, (i + 1) % 5), (i, i + 5), (5 + i, 5 + (i + 2) % 5))]
petersen = adjacency(10, petersen_edges)
torus = adjacency(
    36, [(6 * r + c, 6 * ((r + a) % 6) + (c + b) % 6) for r in range(6) for c in range(6) for a, b in ((0, 1), (1, 0))]
)


def relaxed(W, **keywords):
    """Return the bound, as options of the run."""
    n = len(W)
    k = math.ceil((math.sqrt(8 * n + 1) - 1) / 2) + 1
    M = Elliptope(n, k)
    start = M.random_point(dtype=double, generator=generator)
    return trust_regions(M, lambda y: 0.25 * (W * (y @ y.mT - 1)).sum((-2, -1)), start, return_options=True, **keywords)


def rounded(W, y, tries=200):
    """Cut by random planes through the origin; return the sizes of all cuts and the best signs."""
    planes = torch.randn(y.shape[-1], tries, dtype=double, generator=generator)
    signs = (y @ planes).sign()
    sizes = 0.25 * (W.sum() - (signs * (W @ signs)).sum(0))
    return sizes, signs[:, sizes.argmax()]


def best_by_trying(W):
    """Return the size of the largest cut, by going through all of them."""
    signs = torch.tensor([(1.0, *rest) for rest in itertools.product((-1.0, 1.0), repeat=len(W) - 1)], dtype=double)
    return 0.25 * float((W.sum() - (signs * (signs @ W)).sum(1)).max())


known = {
    "five-cycle": (cycle, best_by_trying(cycle)),
    "Petersen graph": (petersen, best_by_trying(petersen)),
    "6 x 6 torus": (torus, 72.0),  # a chequerboard cuts every edge
}
solved = {}
print(f"{'':<15} edges  bound  found  best")
for name, (W, best) in known.items():
    o = relaxed(W)
    sizes, signs = rounded(W, o.x)
    solved[name] = (W, signs, sizes, -o.cost)
    print(f"{name:<15} {W.sum() / 2:5.0f} {-o.cost:6.3f} {sizes.max():6.0f} {best:5.0f}")
    assert sizes.max() == best and -o.cost >= best - 1e-6

# %%
# The bound of the five-cycle is $\frac52 (1 + \cos\frac{\pi}{5})$, the worst case known for small graphs; that of the
# Petersen graph is 12.5. Here is the cut of the latter: twelve of fifteen edges run between the colours.

assert abs(solved["five-cycle"][3] - 2.5 * (1 + math.cos(math.pi / 5))) < 1e-6
assert abs(solved["Petersen graph"][3] - 12.5) < 1e-6

_, signs, _, _ = solved["Petersen graph"]
angle = torch.arange(5) * 2 * torch.pi / 5 + torch.pi / 2
place = torch.cat([torch.stack([angle.cos(), angle.sin()], -1) * radius for radius in (2.0, 1.0)])
figure, axes = plt.subplots(figsize=(4.5, 4.5), layout="constrained")
for i, j in petersen_edges:
    cut = signs[i] != signs[j]
    axes.plot(*place[[i, j]].mT, color="tab:green" if cut else "lightgray", linewidth=2 if cut else 4, zorder=1)
axes.scatter(*place.mT, s=140, c=signs, cmap="coolwarm", edgecolors="black", zorder=2)
axes.set_title("A largest cut of the Petersen graph")
axes.set_xlabel("12 edges cut (green), 3 not")
axes.set_xticks([])
axes.set_yticks([])
axes.set_aspect("equal")

# %%
# ## A graph that cannot be tried out
#
# 120 random nodes, joined where they are close: $2^{119}$ cuts. The bound and the best of 2,000 random planes leave
# little between them, and every plane is expected to cut at least 0.878 of the bound.

nodes = torch.rand(120, 2, dtype=double, generator=generator)
near = (torch.cdist(nodes, nodes) < 0.17).double().fill_diagonal_(0.0)
o = relaxed(near, record=[":Cost", ":GradientNorm"])
sizes, signs = rounded(near, o.x, tries=2000)
bound = float(-o.cost)
print(f"{near.sum() / 2:.0f} edges, bound {bound:.1f}, best cut {sizes.max():.0f}: {sizes.max() / bound:.1%} of it")
print(f"rank of the optimum: {int((torch.linalg.svdvals(o.x) > 1e-3).sum())}, {o.iterations} iterations")
assert 0.95 * bound < sizes.max() <= bound and sizes.mean() >= 0.878 * bound

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
for i, j in near.triu().nonzero().tolist():
    cut = signs[i] != signs[j]
    left.plot(*nodes[[i, j]].mT, color="tab:green" if cut else "lightgray", linewidth=0.8, zorder=1)
left.scatter(*nodes.mT, s=18, c=signs, cmap="coolwarm", zorder=2)
left.set_title(f"The best cut: {sizes.max():.0f} of {near.sum() / 2:.0f} edges")
left.set_xlabel("x")
left.set_ylabel("y")
left.set_aspect("equal")
right.hist(sizes, bins=torch.arange(sizes.min() - 0.5, sizes.max() + 1), color="tab:green", alpha=0.7)
right.axvline(bound, color="black", label="bound")
right.axvline(0.878 * bound, color="gray", linestyle=":", label="0.878 of it")
right.set_title("2,000 random planes")
right.set_xlabel("edges cut")
right.set_ylabel("planes")
right.legend()
plt.show()
