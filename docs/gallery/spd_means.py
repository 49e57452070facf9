r"""Means and medians of covariance matrices

What is the average of covariance matrices? The arithmetic mean has a larger determinant than any of them; the
Riemannian mean has not, and the median does not mind outliers.

With the affine-invariant distance $d(A, B) = \lVert \log(A^{-1/2} B A^{-1/2}) \rVert_F$, the mean minimises
$\sum_j d(x, A_j)^2$ and the geometric median $\sum_j d(x, A_j)$ [Karcher:1977], [PennecFillardAyache:2006]. Neither
depends on the units of the measurements, and both commute with inversion.
"""

# %%
# ## The data
#
# Covariances of sepal and petal length, in square centimetres, of twelve plants of the species *versicolor* each, drawn
# from Fisher's table [Fisher:1936]. Later five of the thirty will be wrong: the same, with the units of the two columns
# mixed up.

import matplotlib.pyplot as plt
import torch

from manopt_torch import (
    StopAfterIteration,
    StopWhenGradientNormLess,
    SymmetricPositiveDefinite,
    mean,
    median,
    quasi_newton,
    record_to_dict,
    steepest_descent,
    trust_regions,
)
from manopt_torch.datasets import covariance_blocks, load_iris

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(3)
iris = load_iris(dtype=torch.float64)
versicolor = iris.values[iris.labels == 1][:, [0, 2]]
good = covariance_blocks(versicolor, None, 30, 12, generator)
print(good.shape)

# %%
# ## Swelling
#
# The determinant of a covariance is the squared area of its ellipse, up to a constant. That of the Riemannian mean is
# the geometric mean of the determinants; the arithmetic mean swells.

M = SymmetricPositiveDefinite(2)
arithmetic, riemannian = good.mean(0), mean(M, good)
areas = torch.linalg.det(good).sqrt()
print(f"areas: geometric mean {areas.log().mean().exp():.4f}")
print(f"   of the Riemannian mean {torch.linalg.det(riemannian).sqrt():.4f}")
print(f"   of the arithmetic mean {torch.linalg.det(arithmetic).sqrt():.4f}")
assert torch.allclose(torch.linalg.det(riemannian).sqrt(), areas.log().mean().exp())

# %%
# ## Outliers
#
# Two of the five wrong matrices would do to pull the means away; the median stays.

units = torch.tensor([10.0, 0.1], dtype=torch.float64)
spoilt = good.clone()
spoilt[:5] = units[:, None] * good[:5] * units

estimates = {
    "arithmetic mean": spoilt.mean(0),
    "Riemannian mean": mean(M, spoilt),
    "median": median(M, spoilt),
}
for name, x in estimates.items():
    print(f"{name:<16} {M.dist(x, riemannian):.2f} from the mean of the good ones")
assert M.dist(estimates["median"], riemannian) < 0.5 * M.dist(estimates["Riemannian mean"], riemannian)


def ellipse(matrix):
    """Return the curve of the points at one standard deviation."""
    angle = torch.linspace(0, 2 * torch.pi, 100, dtype=torch.float64)
    return torch.linalg.cholesky(matrix) @ torch.stack([angle.cos(), angle.sin()])


figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
for k, matrix in enumerate(spoilt):
    axes.plot(*ellipse(matrix), color="tab:red" if k < 5 else "gray", alpha=0.35, linewidth=0.8)
axes.plot(*ellipse(riemannian), color="black", linewidth=2, label="mean of the good ones")
for (name, x), color in zip(estimates.items(), ("tab:orange", "tab:purple", "tab:blue"), strict=True):
    axes.plot(*ellipse(x), "--", color=color, linewidth=2, label=name)
axes.set_xlim(-1.6, 1.6)
axes.set_ylim(-1, 1)
axes.set_title("25 covariances and 5 wrong ones (red), one standard deviation")
axes.set_xlabel("sepal length (cm)")
axes.set_ylabel("petal length (cm)")
axes.legend(loc="lower right")

# %%
# ## Many means at once
#
# `mean` and `median` take batches. So do the solvers: here 50 means of ten covariances of all four measurements, each a
# problem of its own, by steepest descent, by a quasi-Newton method and by trust regions, with their defaults.

blocks = covariance_blocks(iris.values, iris.labels, 500, 25, generator).reshape(50, 10, 4, 4)
M = SymmetricPositiveDefinite(4)


def spread(x, blocks):
    return 0.5 * M.squared_dist(x.unsqueeze(-3), blocks).mean(-1)


stop = StopAfterIteration(25) | StopWhenGradientNormLess(1e-7)
figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
for solver in (steepest_descent, quasi_newton, trust_regions):
    o = solver(M, spread, blocks[:, 0], data=(blocks,), stop=stop, record=[":GradientNorm"], return_options=True)
    norms = record_to_dict(o)[":GradientNorm"]
    axes.semilogy(range(1, len(norms) + 1), norms.median(1).values, "o-", label=solver.__name__)
assert M.dist(o.x, mean(M, blocks)).max() < 1e-4
axes.set_title("50 means of ten 4 x 4 covariances")
axes.set_xlabel("iteration")
axes.set_ylabel("gradient norm, median")
axes.grid(True, alpha=0.3)
axes.legend()
plt.show()
