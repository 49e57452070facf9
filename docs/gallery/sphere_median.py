r"""The median of directions

A few wrong measurements pull the mean of directions away; the median, the point with the least sum of distances, stays.
The cost has a kink at each measurement, so that it takes a nonsmooth method: five, compared.

$$\operatorname{median} = \arg\min_x \tfrac1n \sum_{j=1}^n d(x, x_j).$$

The subgradient method [FerreiraOliveira:1998] follows the sum of the unit vectors towards the points; the cyclic
proximal point algorithm [Bacak:2014] moves towards one point after the other, by at most the parameter of the cycle.
Bundle methods, the convex [BergmannHerzogJasa:2024] and the proximal one [HoseiniMonjeziNobakhtianPouryayevali:2021],
combine the subgradients that they have met, and make a step only if it lowers the cost.
Steepest descent with the step sizes of Weiszfeld [FletcherVenkatasubramanianJoshi:2009] is behind `median`.
"""

# %%
# ## The data
#
# Thirty directions around one, and five far away from it, in a cluster of their own.

import matplotlib.pyplot as plt
import torch

from manopt_torch import (
    DecreasingStepsize,
    Sphere,
    StopAfterIteration,
    add_noise,
    convex_bundle_method,
    cost_distance,
    cyclic_proximal_point,
    get_reason,
    grad_distance,
    mean,
    median,
    plot_sphere,
    prox_distance,
    proximal_bundle_method,
    record_to_dict,
    subgradient_method,
)

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(5)
M = Sphere(3)
true, wrong = torch.tensor([[0.6, 0.0, 0.8], [0.0, 1.0, 0.0]], dtype=torch.float64)
good = add_noise(M, true.expand(30, 3), 0.25, generator=generator)
bad = add_noise(M, wrong.expand(5, 3), 0.1, generator=generator)
points = torch.cat([good, bad])

# %%
# ## Cost, subgradient, proximal maps
#
# All three are in the library: `cost_distance` with `p=1` is the distance, `grad_distance` its gradient (zero at the
# kink) and `prox_distance` its proximal map.


def cost(x):
    return cost_distance(M, points, x.unsqueeze(-2), 1).mean(-1)


def subgradient(x):
    return grad_distance(M, points, x.unsqueeze(-2), 1).mean(-2)


def towards(q):
    return lambda lam, x: prox_distance(M, lam / len(points), q.expand_as(x), x, 1)


watch = {"record": [":Cost"], "return_options": True}
given = {"stop": StopAfterIteration(150), **watch}
start = wrong
runs = {
    "subgradient": subgradient_method(
        M, cost, start, subgradient=subgradient, stepsize=DecreasingStepsize(2.0), **given
    ),
    "cyclic proximal point": cyclic_proximal_point(M, cost, [towards(q) for q in points], start, **given),
    "convex bundle": convex_bundle_method(M, cost, start, subgradient=subgradient, **watch),
    "proximal bundle": proximal_bundle_method(M, cost, start, subgradient=subgradient, **watch),
    "Weiszfeld steps": median(M, points, return_options=True),
}
found = {name: getattr(o, "best_x", o.x) for name, o in runs.items()}
centre = mean(M, points)
for name, x in [("mean", centre), *found.items()]:
    print(f"{name:<22} cost {cost(x):.6f}, {M.dist(x, true):.3f} from the true direction")
for name in ("convex bundle", "proximal bundle"):
    print(f"{name}: {get_reason(runs[name])}")
exact = found["Weiszfeld steps"]
assert all(M.dist(x, exact) < 2e-2 for x in found.values())
assert M.dist(exact, true) < 0.5 * M.dist(centre, true)

figure = plt.figure(figsize=(5.6, 4.6), layout="constrained")
axes = figure.add_subplot(projection="3d")
sets = {"good": good, "wrong": bad, "mean": centre[None], "median": exact[None], "true direction": true[None]}
plot_sphere(sets, axes=axes, view=(35, 40))
axes.set_title("Directions, five of 35 wrong")

# %%
# ## Convergence
#
# Cost above the least one. With steps and parameters that fall like $1/i$, chosen beforehand, the first two methods
# cannot be faster than their steps allow; they ask for nothing but a subgradient or proximal maps. Bundle methods ask
# for no more, at the price of a small quadratic program in each iteration: they converge as fast as Weiszfeld's steps,
# which are for medians only, and end by themselves.

weiszfeld = []
for k in range(1, 26):
    weiszfeld.append(cost(median(M, points, start=start, stop=StopAfterIteration(k))))
least = cost(exact)
traces = {name: record_to_dict(o)[":Cost"] for name, o in runs.items() if name != "Weiszfeld steps"}
traces["Weiszfeld steps"] = torch.stack(weiszfeld)
figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
for name, costs in traces.items():
    axes.loglog(range(1, len(costs) + 1), (costs - least).clamp(min=1e-16), label=name)
axes.set_title("Median of 35 directions")
axes.set_xlabel("iteration")
axes.set_ylabel("cost above the least one")
axes.grid(True, alpha=0.3)
axes.legend()
plt.show()
