r"""Low-rank matrix completion

A year of temperatures of which every seventh reading is known: the whole table comes back, because tables of this kind
are nearly of low rank.

A matrix of rank $k$ has far fewer degrees of freedom than entries. If enough entries of $A$ are known (the set
$\Omega$), the matrix of rank $k$ that fits them best,

$$
\min_{\operatorname{rank} X = k} \; \frac{1}{2 p} \sum_{(i, j) \in \Omega} (X_{ij} - A_{ij})^2
$$

is close to $A$ everywhere [Vandereycken:2013]. The share $p$ of the known entries makes the curvature of the cost that
of half the squared distance, about one.
"""

# %%
# ## The data
#
# Temperatures at one place, made up: a mean that follows the seasons, a daily swing that is wider and later in summer,
# and a slow drift. Days are rows and quarter hours are columns. One reading in seven survives, with an error of 0.3
# degrees.

import matplotlib.pyplot as plt
import torch

from manopt_torch import FixedRank, StopAfterIteration, StopWhenGradientNormLess, trust_regions

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(1)
day = torch.linspace(0, 1, 365, dtype=torch.float64)[:, None]
hour = torch.linspace(0, 24, 96, dtype=torch.float64)
season = -torch.cos(2 * torch.pi * day)
swing = -torch.cos(2 * torch.pi * (hour - 3) / 24)
late = torch.sin(4 * torch.pi * (hour - 3) / 24)
truth = 10 + 9 * season + (4 + 2 * season) * swing + 1.2 * torch.sin(6 * torch.pi * day) * late + 2 * day

share = 1 / 7
known = torch.rand(truth.shape, generator=generator) < share
rows, columns = known.nonzero(as_tuple=True)
noise = 0.3 * torch.randn(len(rows), dtype=torch.float64, generator=generator)
readings = truth[rows, columns] + noise
print(f"{len(rows):,} readings of {truth.numel():,}, unknowns of a matrix of rank 3: {FixedRank(365, 96, 3).dim:,}")

# %%
# ## The fit
#
# A point of `FixedRank` is a tuple of factors $U, S, V$. The cost needs the known entries of $U S V^\top$ only, so the
# full matrix is never formed. The start is the best approximation of the readings, filled up with their mean.


def misfit(x, which=slice(None)):
    """Return the differences from (some of) the readings."""
    U, S, V = x
    return ((U[rows[which]] @ S * V[columns[which]]).sum(-1) - readings[which]).square()


stop = StopAfterIteration(60) | StopWhenGradientNormLess(1e-2)
M = FixedRank(365, 96, 3)
filled = torch.full_like(truth, readings.mean())
filled[rows, columns] = readings
start = M.project_point(filled)
o = trust_regions(M, lambda x: 0.5 / share * misfit(x).sum(-1), start, stop=stop, return_options=True)
found = M.matrix(o.x)
error = (found - truth).square().mean().sqrt()
print(f"{o.iterations} iterations, misfit of the readings {misfit(o.x).mean().sqrt():.2f} degrees")
print(f"root mean square error over all {truth.numel():,} entries: {error:.2f} degrees")
assert error < 0.2

# %%
# The error over the whole table is below that of a single reading: each of the 1,374 unknowns is an average over
# several readings.

figure, panels = plt.subplots(1, 3, figsize=(9, 3.6), sharey=True, layout="constrained")
masked = torch.where(known, truth, torch.nan)
masked[rows, columns] = readings
frame = {"aspect": "auto", "extent": (0, 24, 365, 0)}
for axes, table, title in zip(
    panels[:2], (masked, found), ("every seventh reading", "the matrix of rank 3"), strict=True
):
    image = axes.imshow(table.numpy(), vmin=truth.min(), vmax=truth.max(), cmap="RdYlBu_r", **frame)
    axes.set_title(title)
figure.colorbar(image, ax=panels[:2], label="temperature (°C)", location="bottom", shrink=0.6)
image = panels[2].imshow((found - truth).numpy(), vmin=-1, vmax=1, cmap="PuOr", **frame)
panels[2].set_title("its error")
figure.colorbar(image, ax=panels[2], label="difference (K)", location="bottom", shrink=0.8)
for axes in panels:
    axes.set_xlabel("hour of the day")
    axes.set_xticks(range(0, 25, 6))
panels[0].set_ylabel("day of the year")

# %%
# ## What rank?
#
# Too low a rank misses what is there, too high a rank fits the noise. Readings that were left out of the fit tell: here
# a tenth of them.

held = torch.rand(len(rows), generator=generator) < 0.1
ranks, inside, outside = range(1, 5), [], []
for rank in ranks:
    M = FixedRank(365, 96, rank)
    x = trust_regions(M, lambda x: 0.5 / share * misfit(x, ~held).sum(-1), M.project_point(filled), stop=stop)
    inside.append(misfit(x, ~held).mean().sqrt())
    outside.append(misfit(x, held).mean().sqrt())
best = 1 + int(torch.stack(outside).argmin())
print(f"the readings left out are fitted best by rank {best}")

figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
axes.semilogy(ranks, inside, "o-", label="readings in the fit")
axes.semilogy(ranks, outside, "o-", label="readings left out")
axes.axhline(0.3, color="gray", linestyle=":", label="error of a reading")
axes.set_title("Misfit by rank")
axes.set_xlabel("rank")
axes.set_xticks(ranks)
axes.set_ylabel("root mean square (K)")
axes.legend()
plt.show()
