r"""Principal components on the Grassmann manifold

The plane that keeps most of the variance of four measurements of 150 flowers, and then the same for a thousand
dimensions, where one product with the data is cheaper than their covariance matrix.

Principal components maximise the variance $\operatorname{tr}(X^\top C X)$ of the data projected onto the columns of
$X$, with the covariance $C$. Only the plane that they span matters, not the basis: a point of the Grassmann manifold.
"""

# %%
# ## Iris
#
# Fisher's table [Fisher:1936] comes with the package: sepal and petal lengths and widths in centimetres.

import matplotlib.pyplot as plt
import torch

from manopt_torch import Grassmann, record_to_dict, trust_regions
from manopt_torch.datasets import load_iris

torch.set_num_threads(1)
iris = load_iris(dtype=torch.float64)
data = iris.values - iris.values.mean(0)
generator = torch.Generator().manual_seed(0)


def lost(X):
    """Return the share of the variance that the plane does not keep."""
    return 1 - (data @ X).square().sum((-2, -1)) / data.square().sum()


M = Grassmann(4, 2)
start = M.random_point(dtype=torch.float64, generator=generator)
o = trust_regions(M, lost, start, return_options=True)
print(f"{1 - o.cost:.2%} of the variance kept, after {o.iterations} iterations, gradient {M.norm(o.x, o.gradient):.0e}")

# %%
# The singular value decomposition finds the same plane: no principal angle between the two is larger than rounding.
# Within the plane any basis is as good as any other; for the picture it is turned so that the first axis has most
# variance.

_, _, right = torch.linalg.svd(data, full_matrices=False)
angles = M.principal_angles(o.x, right[:2].mT)
print(f"largest angle to the plane of the SVD: {angles.max():.1e}")
assert angles.max() < 1e-6

scores = data @ o.x
_, turn = torch.linalg.eigh(scores.mT @ scores)
scores = scores @ turn.flip(-1)

figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
for k, name in enumerate(iris.names):
    axes.scatter(*scores[iris.labels == k].mT, s=18, label=name)
axes.set_title("150 flowers in the plane of most variance")
axes.set_xlabel("first component (cm)")
axes.set_ylabel("second component (cm)")
axes.set_aspect("equal")
axes.grid(True, alpha=0.3)
axes.legend()

# %%
# One species stands apart, the other two touch: nearly all of that can be seen along the first component.
#
# ## A thousand dimensions
#
# 400 samples of 1,000 numbers: five directions that matter, and noise. The Hessian comes from autograd, as the gradient
# does; no matrix of 1,000 x 1,000 is formed.

n, p, samples = 1000, 5, 400
basis = torch.linalg.qr(torch.randn(n, p, dtype=torch.float64, generator=generator)).Q
strength = torch.tensor([5.0, 4.0, 3.0, 2.5, 2.0], dtype=torch.float64)
hidden = strength * torch.randn(samples, p, dtype=torch.float64, generator=generator)
large = hidden @ basis.mT + 0.1 * torch.randn(samples, n, dtype=torch.float64, generator=generator)


def lost_of_large(X):
    return 1 - (large @ X).square().sum((-2, -1)) / large.square().sum()


M = Grassmann(n, p)
start = M.random_point(dtype=torch.float64, generator=generator)
o = trust_regions(M, lost_of_large, start, record=[":GradientNorm"], return_options=True)
angles = M.principal_angles(o.x, basis)
print(f"{1 - o.cost:.2%} kept; at most {torch.rad2deg(angles.max()):.1f} degrees from the hidden subspace")
assert angles.max() < 0.15

# %%
# The gradient falls faster and faster towards the end, as Newton's method has it.

norms = record_to_dict(o)[":GradientNorm"]
figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
axes.semilogy(range(1, len(norms) + 1), norms, "o-")
axes.set_title("Trust regions on Grassmann(1000, 5)")
axes.set_xlabel("iteration")
axes.set_ylabel("gradient norm")
axes.grid(True, alpha=0.3)
plt.show()
