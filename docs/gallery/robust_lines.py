r"""Robust line fits with outliers

Four losses on the same data: what each of them thinks of an outlier decides where the line goes.

A robust loss $\rho$ replaces the square of a residual: $f(x) = \frac12 \sum_i \rho(r_i(x)^2)$. Huber's grows linearly
for large residuals, Cauchy's like a logarithm, and Tukey's not at all beyond its scale. The influence of a point on the
fit is the derivative, $\rho'(r^2)\, r$.
"""

# %%
# ## Losses
#
# Scales are those with which a fit without outliers keeps 95 % of the efficiency of least squares, for noise of unit
# standard deviation.

import matplotlib.pyplot as plt
import torch

from manopt_torch import (
    CauchyLoss,
    Euclidean,
    HuberLoss,
    StopAfterIteration,
    StopWhenReductionLess,
    TukeyLoss,
    levenberg_marquardt,
)

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(4)
double = torch.float64
losses = {"squares": None, "Huber": HuberLoss(1.345), "Cauchy": CauchyLoss(2.385), "Tukey": TukeyLoss(4.685)}
colors = {"squares": "tab:red", "Huber": "tab:orange", "Cauchy": "tab:blue", "Tukey": "tab:green"}

r = torch.linspace(-8, 8, 401, dtype=double)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for name, loss in losses.items():
    value, slope = (r**2, torch.ones_like(r)) if loss is None else loss.rho(r**2)[:2]
    left.plot(r, value / 2, color=colors[name], label=name)
    right.plot(r, slope * r, color=colors[name], label=name)
left.set_title("What a residual costs")
left.set_xlabel("residual (standard deviations)")
left.set_ylabel("cost")
left.set_ylim(0, 12)
right.set_title("How hard it pulls")
right.set_xlabel("residual (standard deviations)")
right.set_ylabel("influence")
right.set_ylim(-5, 5)
for axes in (left, right):
    axes.grid(True, alpha=0.3)
left.legend()

# %%
# ## One data set
#
# 40 points on a line, twelve of which are off, all of them above and most of them at the right end: the worst that can
# happen to a slope.

t = torch.linspace(0, 10, 40, dtype=double)
truth = torch.tensor([1.0, 0.8], dtype=double)


def line(x):  # shape (*batch, 2) -> (*batch, 40)
    return x[..., :1] + x[..., 1:] * t


def spoiled(share, *size):
    """Return data in which a share of the points, rather late than early ones, have been lifted by some 10."""
    y = line(truth) + torch.randn(*size, 40, dtype=double, generator=generator)
    lot = torch.rand(*size, 40, dtype=double, generator=generator) ** (1 / (0.2 + t))
    wrong = lot.argsort(-1, descending=True).argsort(-1) < 40 * share
    return y + wrong * (8 + 4 * torch.rand(*size, 40, dtype=double, generator=generator)), wrong


def fits(y):
    """Return the fit of each loss; Cauchy's and Tukey's, which may have several minima, start at the one before."""
    plenty = StopAfterIteration(60) | StopWhenReductionLess(1e-8)
    found, x = {}, torch.zeros(*y.shape[:-1], 2, dtype=double)
    for name, loss in losses.items():
        found[name] = x = levenberg_marquardt(
            Euclidean(2), lambda x, y: line(x) - y, x, loss=loss, data=(y,), stop=plenty
        )
    return found


y, wrong = spoiled(0.3)
found = fits(y)
figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
axes.scatter(t[~wrong], y[~wrong], s=22, color="0.3", label="28 points")
axes.scatter(t[wrong], y[wrong], s=30, color="0.3", marker="x", label="12 outliers")
axes.plot(t, line(truth), color="black", linewidth=2, linestyle=":", label="truth", zorder=3)
for name, x in found.items():
    axes.plot(t, line(x), color=colors[name], label=f"{name}: slope {x[1]:.2f}")
    print(f"{name:<8} {x[0]:6.2f} + {x[1]:.2f} t")
axes.set_title("The same data, four losses")
axes.set_xlabel("t (seconds)")
axes.set_ylabel("y (standard deviations of the noise)")
axes.grid(True, alpha=0.3)
axes.legend(fontsize=8, ncols=2)
wrongly = {name: float((x[1] - truth[1]).abs()) for name, x in found.items()}
assert wrongly["squares"] > 0.4 and wrongly["Tukey"] < 0.1 and wrongly["Tukey"] < wrongly["Huber"] < wrongly["squares"]

# %%
# Least squares go through the middle of everything. Huber's loss limits the pull of an outlier but does not end it;
# Cauchy's nearly ends it; for Tukey's, outliers are not there.
#
# ## Many data sets
#
# 200 for each share of outliers, as one batch: how wrong is the line, and what does robustness cost where there is
# nothing wrong?

shares = torch.linspace(0, 0.4, 9, dtype=double)
samples = torch.stack([spoiled(float(share), 200)[0] for share in shares])
errors = {name: (line(x) - line(truth)).square().mean(-1).sqrt() for name, x in fits(samples).items()}

figure, axes = plt.subplots(figsize=(7, 3.8), layout="constrained")
for name, error in errors.items():
    low, middle, high = error.quantile(torch.tensor([0.1, 0.5, 0.9], dtype=double), dim=1)
    axes.semilogy(100 * shares, middle, "o-", color=colors[name], label=name)
    axes.fill_between(100 * shares, low, high, color=colors[name], alpha=0.12)
axes.set_title("Error of the line, median and 80 % of 200 data sets")
axes.set_xlabel("outliers (%)")
axes.set_ylabel("distance from the true line\n(standard deviations of the noise)")
axes.grid(True, which="both", alpha=0.2)
axes.legend()
middle = {name: error.median(1).values for name, error in errors.items()}
assert middle["Tukey"][0] < 1.1 * middle["squares"][0] and 5 * middle["Tukey"][4] < middle["squares"][4]

# %%
# Without outliers the four are equally good. Squares lose with the first of them; Tukey's line is as good as without
# any until a third of the points are off. At two in five, all on one side, most lines go through the wrong points.

plt.show()
