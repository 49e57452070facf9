r"""Eight ways downhill

The paths of the eight algorithms of [`minimize`][manopt_torch.minimize] through Rosenbrock's banana-shaped valley: what
momentum, signs and adaptive scales make of the same gradients.

$$
f(x, y) = 100\,(y - x^2)^2 + (1 - x)^2
$$

falls steeply into the valley along $y = x^2$ and hardly at all within it. The minimum is at $(1, 1)$
[Rosenbrock:1960].
"""

# %%
# ## One path
#
# `build` binds an algorithm to a loss, here one without data, and `iterate` walks through the epochs; `[[]]` is one
# batch of nothing, so an epoch is one update. Monitors report where the parameters are before each of them. This is the
# picture on the front page of the package downhill: Nesterov's momentum from $(-1, 0)$.

import matplotlib.pyplot as plt
import torch

from manopt_torch import CountedProblem, Euclidean, GradientProblem, QuasiNewtonOptions, build, solve

torch.set_num_threads(1)
STEPS = 300


def rosenbrock(x):
    """Return the cost of points, the last axis holding the coordinates."""
    return 100 * (x[..., 1] - x[..., 0] ** 2) ** 2 + (1 - x[..., 0]) ** 2


def walk(algo, **hyper):
    """Return the points of a path, shape `(STEPS + 1, 2)`."""
    x = torch.tensor([-1.0, 0.0], dtype=torch.float64, requires_grad=True)
    monitors = {"x": lambda: x[0], "y": lambda: x[1]}
    opt = build(algo, lambda: rosenbrock(x), params=[x], monitors=monitors)
    # no validation but the first: nothing is to end the run early, or to take a bad step back
    epochs = opt.iterate([[]], max_updates=STEPS + 1, validate_every=STEPS + 1, **hyper)
    return torch.tensor([(now["x"], now["y"]) for now, _ in epochs], dtype=torch.float64)


path = walk("nag", learning_rate=0.001, momentum=0.95, max_gradient_norm=100)
for k in (0, 50, 100, 300):
    print(f"after {k:3} updates: ({path[k, 0]:+.4f}, {path[k, 1]:+.4f}), loss {rosenbrock(path[k]):.1e}")
assert torch.allclose(path[300], torch.tensor([0.971387384503, 0.943476889015], dtype=torch.float64))

# %%
# ## All eight
#
# Each with a learning rate that suits it; a rate is a length for some and a factor for others. Gradients are limited to
# the norm 100.

runs = {
    "sgd": {"learning_rate": 0.003},
    "nag": {"learning_rate": 0.001, "momentum": 0.95},
    "rprop": {"learning_rate": 0.01, "rprop_increase": 1.2, "rprop_decrease": 0.5},
    "rmsprop": {"learning_rate": 0.01},
    "adagrad": {"learning_rate": 0.3},
    "adadelta": {"rms_halflife": 40, "rms_regularizer": 1e-4},
    "esgd": {"learning_rate": 0.1, "momentum": 0.9},
    "adam": {"learning_rate": 0.1},
}
paths = {algo: walk(algo, max_gradient_norm=100, **hyper) for algo, hyper in runs.items()}

grid_x, grid_y = torch.meshgrid(torch.linspace(-1.4, 1.4, 141), torch.linspace(-0.5, 1.5, 101), indexing="xy")
values = rosenbrock(torch.stack([grid_x, grid_y], dim=-1))
figure, axes = plt.subplots(2, 4, figsize=(9, 4.6), sharex=True, sharey=True, layout="constrained")
for ax, (algo, path) in zip(axes.flat, paths.items(), strict=True):
    ax.contour(grid_x, grid_y, values, levels=[0.3, 1, 3, 10, 30, 100, 300], colors="0.75", linewidths=0.6)
    ax.plot(*path.mT, ".-", markersize=2.5, linewidth=0.8)
    ax.plot(1, 1, "k*", markersize=7)
    ax.set_title(f"{algo}: {rosenbrock(path[-1]):.0e}")
    ax.set_xlim(-1.4, 1.4)
    ax.set_ylim(-0.5, 1.5)
for ax in axes[1]:
    ax.set_xlabel("x")
for ax in axes[:, 0]:
    ax.set_ylabel("y")

# %%
# The numbers are losses after 300 updates. Gradients alone (`sgd`) drop into the valley and then creep. Momentum
# (`nag`) swings across the valley for fifty updates, and then gains speed along it. `rprop` looks at signs only: its
# steps are as long where the slope is small. The others scale each coordinate: by a running mean of squares (`rmsprop`,
# `adam`), the sum of all squares so far (`adagrad`), the squares relative to those of past moves (`adadelta`, which
# needs no rate), or the size of the rows of the Hessian (`esgd`).
#
# ## The losses

figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
for algo, path in paths.items():
    ax.semilogy(rosenbrock(path), label=algo)
ax.set_title("losses on the way")
ax.set_xlabel("update")
ax.set_ylabel("loss")
ax.set_ylim(1e-4, 100)
ax.grid(True, alpha=0.3)
ax.legend(ncols=2)

for algo, path in paths.items():
    assert rosenbrock(path[-1]) < 1.0, algo

# %%
# On a problem without noise and of two dimensions none of these is the method of choice: `quasi_newton` is at the
# minimum after sixty evaluations. They are meant for many parameters, and gradients of a few rows of the data.

problem = CountedProblem(GradientProblem(Euclidean(2), rosenbrock))
o = solve(problem, QuasiNewtonOptions(torch.tensor([-1.0, 0.0], dtype=torch.float64)))
print(f"loss {o.cost:.0e} after {problem.count(':Cost')} evaluations")
plt.show()
