r"""Denoising images of phases and of matrices

Total variation removes noise from an image and keeps its edges, also if its values are angles or positive definite
matrices: two methods, side by side.

Given a noisy image $f$, find the image $x$ with the least

$$\tfrac12 \sum_i d(f_i, x_i)^2 + \alpha \sum_{i} \sum_{j \in \mathcal I_i} d(x_i, x_j),$$

where $\mathcal I_i$ are the neighbours below and to the right [WeinmannDemaretStorath:2014]. The cyclic proximal point
algorithm applies one proximal map after the other, with parameters that shrink; the parallel Douglas-Rachford
algorithm reflects at all of them and takes the mean [BergmannPerschSteidl:2016].
"""

# %%
# ## Two methods for one cost
#
# The proximal map of a pair of neighbours moves both towards each other. Pairs that have no entry in common are
# handled at once: `prox_tv` makes four sweeps over an image, `prox_parallel_tv` makes each on a copy of its own.

import matplotlib.pyplot as plt
import torch

from manopt_torch import (
    Circle,
    HarmonicParameter,
    Power,
    StopAfterIteration,
    SymmetricPositiveDefinite,
    add_noise,
    artificial_in_sar_image,
    artificial_spd_image2,
    cost_l2_tv,
    cyclic_proximal_point,
    douglas_rachford,
    mean_squared_error,
    plot_phase_image,
    plot_spd_image,
    prox_distance,
    prox_parallel_tv,
    prox_tv,
    record_to_dict,
)

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)


def denoised(M, f, alpha, cycles, steps):
    """Return the options of both methods after a run."""

    def cost(x):
        return cost_l2_tv(M, f, alpha, x)

    def data_map(lam, x):
        return prox_distance(M, lam, f, x)

    def sweep(j):
        return lambda lam, x: prox_parallel_tv(M, alpha * lam, [x] * 4)[j]

    given = {"record": [":Cost"], "return_options": True}
    cyclic = cyclic_proximal_point(
        M,
        cost,
        [data_map, lambda lam, x: prox_tv(M, alpha * lam, x)],
        f,
        proximal_parameter=HarmonicParameter(4.0),
        stop=StopAfterIteration(cycles),
        **given,
    )
    parallel = douglas_rachford(
        M,
        cost,
        [data_map, *(sweep(j) for j in range(4))],
        f,
        proximal_parameter=0.7,
        stop=StopAfterIteration(steps),
        **given,
    )
    return {"cyclic proximal point": cyclic, "Douglas-Rachford": parallel}


# %%
# ## Phases
#
# Interferometry by radar measures heights up to multiples of a wavelength: an image of angles. The noise, of standard
# deviation 0.3, wraps around like the phases.

truth = artificial_in_sar_image(64)
M = Power(Circle(), 64, 64)
f = add_noise(M, truth, 0.3, generator=generator)
phases = denoised(M, f, 0.15, 100, 20)

images = {"original": truth, "noisy": f} | {name: o.x for name, o in phases.items()}
figure, panels = plt.subplots(1, 4, figsize=(10, 2.9), layout="constrained")
for (name, x), axes in zip(images.items(), panels, strict=True):
    plot_phase_image(x, axes=axes)
    axes.set_title(name)
    print(f"{name:<22} mean squared error {mean_squared_error(M, x, truth):.4f}")
assert all(mean_squared_error(M, o.x, truth) < 0.3 * mean_squared_error(M, f, truth) for o in phases.values())

# %%
# ## Positive definite matrices
#
# Diffusion tensors, for example, one in each picture element, here as ellipsoids whose colour is the direction of the
# longest axis. There is a jump between two rows; the noise is Gaussian in each tangent space.

truth = artificial_spd_image2(16)
M = Power(SymmetricPositiveDefinite(3), 16, 16)
f = add_noise(M, truth, 0.2, generator=generator)
matrices = denoised(M, f, 0.3, 40, 15)

images = {"original": truth, "noisy": f} | {name: o.x for name, o in matrices.items()}
figure, panels = plt.subplots(1, 4, figsize=(10, 2.9), layout="constrained")
for (name, x), axes in zip(images.items(), panels, strict=True):
    plot_spd_image(x, axes=axes, resolution=14)
    axes.set_title(name)
    print(f"{name:<22} mean squared error {mean_squared_error(M, x, truth):.4f}")
assert all(mean_squared_error(M, o.x, truth) < 0.1 * mean_squared_error(M, f, truth) for o in matrices.values())

# %%
# ## Convergence
#
# The costs, iteration by iteration. A step of Douglas-Rachford holds five proximal maps, their reflections and a mean:
# in time some thirty cycles on phases, and some seven on matrices. The matrices form a Hadamard manifold, where both
# methods converge. The circle is none, and the cost there has several local minima: the methods may well end in
# different ones.

figure, panels = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for axes, title, runs in zip(panels, ("phases", "matrices"), (phases, matrices), strict=True):
    for name, o in runs.items():
        costs = record_to_dict(o)[":Cost"]
        axes.loglog(range(1, len(costs) + 1), costs, ".-", label=name)
    axes.set_title(title)
    axes.set_xlabel("iteration")
    axes.set_ylabel("cost")
    axes.grid(True, which="both", alpha=0.3)
    axes.legend()
plt.show()
