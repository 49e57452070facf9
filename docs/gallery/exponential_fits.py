r"""Ten thousand exponential fits

A fluorescence lifetime image: each of 100 x 100 pixels has a decay of its own, and each decay is a fit of three
parameters. One call of `levenberg_marquardt` makes the image, and one more says how far each number in it can be
trusted.

The model of a pixel is $a e^{-t / \tau} + c$ with amplitude $a$, lifetime $\tau$ and background $c$, fitted to 60
samples by least squares. The batch is the image: pixels share the model and the times, and nothing else.
"""

# %%
# ## The data
#
# Lifetimes between one and four nanoseconds, in waves around two spots, and noise of two counts.

import matplotlib.pyplot as plt
import torch

from manopt_torch import Euclidean, LeastSquaresProblem, LevenbergMarquardtOptions, solve, standard_errors

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
double = torch.float64

v, u = torch.meshgrid(*(torch.linspace(-1, 1, 100, dtype=double),) * 2, indexing="ij")
left, right = ((u + 0.35) ** 2 + (v + 0.25) ** 2).sqrt(), ((u - 0.45) ** 2 + (v - 0.4) ** 2).sqrt()
lifetime = 2.4 + 0.8 * torch.cos(12 * left) * torch.exp(-left) + 0.8 * torch.cos(12 * right) * torch.exp(-right)
amplitude = 70 + 50 * torch.exp(-4 * right**2) - 30 * torch.exp(-4 * left**2)
truth = torch.stack([amplitude, lifetime, torch.full_like(u, 5.0)], -1)  # shape (100, 100, 3)
t = torch.linspace(0, 15, 60, dtype=double)
noise = 2.0


def model(x):  # shape (*batch, 3) -> (*batch, 60)
    a, tau, c = x.unsqueeze(-1).unbind(-2)
    return a * torch.exp(-t / tau) + c


def jacobian(x, y):
    a, tau, _ = x.unsqueeze(-1).unbind(-2)
    decay = torch.exp(-t / tau)
    return torch.stack([decay, a * decay * t / tau**2, torch.ones_like(decay)], -1)


y = model(truth) + noise * torch.randn(100, 100, 60, dtype=double, generator=generator)

# %%
# ## The fits
#
# The same start for all pixels. Each has its own damping, ends when it is done, and then costs nothing.

problem = LeastSquaresProblem(Euclidean(3), lambda x, y: model(x) - y, jacobian, data=(y,))
start = torch.tensor([50.0, 2.0, 0.0], dtype=double).expand(100, 100, 3)
o = solve(problem, LevenbergMarquardtOptions(start))
errors = standard_errors(problem, o)
print(f"{o.x[..., 0].numel():,} fits of {o.iterations.min()} to {o.iterations.max()} steps")

figure, panels = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained", sharey=True)
pictures = {
    "True lifetime": (lifetime, "viridis", (1, 4)),
    "Fitted lifetime": (o.x[..., 1], "viridis", (1, 4)),
    "Standard error of the fit": (errors[..., 1], "magma", (0, None)),
}
for axes, (title, (values, colors, (low, high))) in zip(panels, pictures.items(), strict=True):
    shown = axes.imshow(values.numpy(), cmap=colors, vmin=low, vmax=high, interpolation="nearest", rasterized=True)
    axes.set_title(title)
    axes.set_xlabel("x (pixels)")
    figure.colorbar(shown, ax=axes, shrink=0.8, label="nanoseconds")
panels[0].set_ylabel("y (pixels)")

# %%
# The waves come back out of the noise. Long lifetimes and faint pixels are known less well, and the fit says so: its
# standard errors follow both.
#
# ## Are the errors right?
#
# If they are, the deviation of a fitted parameter from the truth, divided by its standard error, has a standard normal
# distribution (with 57 degrees of freedom nearly so), and the sum of squared residuals, divided by the variance of the
# noise, a $\chi^2$ distribution with 57 degrees of freedom.

deviation = ((o.x - truth) / errors).flatten(0, 1)
covered = (deviation.abs() < 2.0025).double().mean(0)  # the 97.5 % point of Student's t with 57 degrees of freedom
squares = 2 * o.cost.flatten() / noise**2
print(f"95 % intervals hold the truth in {', '.join(f'{share:.1%}' for share in covered)} of the pixels")
print(f"mean of the scaled sums of squares: {squares.mean():.2f}, to be 57")
assert ((covered - 0.95).abs() < 0.01).all() and abs(squares.mean() - 57) < 0.5
assert deviation.abs().max() < 6 and squares.max() < 120  # no fit among them has gone astray

figure, (left_axes, right_axes) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
z = torch.linspace(-4.5, 4.5, 200, dtype=double)
for k, name in enumerate(("amplitude", "lifetime", "background")):
    left_axes.hist(deviation[:, k], bins=60, range=(-4.5, 4.5), density=True, histtype="step", label=name)
left_axes.plot(z, torch.exp(-(z**2) / 2) / (2 * torch.pi) ** 0.5, color="black", linewidth=1, label="normal")
left_axes.set_title("Deviations from the truth")
left_axes.set_xlabel("deviation (standard errors)")
left_axes.set_ylabel("density")
left_axes.legend(fontsize=8)
s = torch.linspace(20, 110, 200, dtype=double)
density = torch.distributions.Chi2(torch.tensor(57.0, dtype=double)).log_prob(s).exp()
right_axes.hist(squares, bins=60, range=(20, 110), density=True, color="tab:blue", alpha=0.4, label="10,000 fits")
right_axes.plot(s, density, color="black", linewidth=1, label=r"$\chi^2$ with 57 degrees of freedom")
right_axes.set_title("Sums of squared residuals")
right_axes.set_xlabel("sum of squares (variance of the noise)")
right_axes.set_ylabel("density")
right_axes.legend(fontsize=8)

# %%
# All three histograms lie on the normal curve, and that of the residuals on the density of $\chi^2$: neither a bad fit
# among the ten thousand nor an error that is too small or too large.

plt.show()
