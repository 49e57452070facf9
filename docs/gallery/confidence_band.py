r"""A certified fit with its confidence band

Fifteen weighings of onion bulbs, a growth curve of four parameters, and the question after every fit: how well do the
data determine the curve?

The problem Rat43 of the NIST reference data [McCullough:1998] fits $m(b, t) = b_1 (1 + e^{b_2 - b_3 t})^{-1 / b_4}$
to their dry weight over time; NIST publishes the parameters and their standard deviations to eleven digits. With the
covariance $C$ of the parameters and the gradient $g(t)$ of the model by them, the curve at time $t$ is known to
$\sqrt{g(t)^\top C\, g(t)}$.
"""

# %%
# ## The fit
#
# From both of NIST's starts at once; the far one begins with a tenth of the final weight.

import matplotlib.pyplot as plt
import torch

from manopt_torch import (
    Euclidean,
    LeastSquaresProblem,
    LevenbergMarquardtOptions,
    StopAfterIteration,
    StopWhenReductionLess,
    covariance,
    get_jacobian,
    levenberg_marquardt,
    solve,
    standard_errors,
)
from manopt_torch.datasets import nist

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
double = torch.float64
data = nist.load("Rat43")
M = Euclidean(4)
problem = LeastSquaresProblem(M, data.residuals)
o = solve(problem, LevenbergMarquardtOptions(data.starts))
errors = standard_errors(problem, o)
for k in range(4):
    print(f"b{k + 1}: {o.x[0, k]:9.4f} +- {errors[0, k]:7.4f}   certified {data.certified[k]:9.4f} +- ", end="")
    print(f"{data.standard_deviations[k]:7.4f}")
print(f"digits that agree: {', '.join(f'{digits:.1f}' for digits in data.digits(o.x))}; steps: {o.iterations.tolist()}")
assert (data.digits(o.x) > 7).all()
assert torch.allclose(errors[0], data.standard_deviations, rtol=1e-5)

# %%
# ## Two bands
#
# 95 % of such experiments have the true curve within the inner band at a given time, and a new weighing within the
# outer one, which adds the scatter of the data. The factor is that of Student's distribution with eleven degrees of
# freedom.

t = torch.linspace(0.5, 15.5, 121, dtype=double)
b, factor = o.x[0], 2.20099
curve = data.model(b, t)
g = get_jacobian(LeastSquaresProblem(M, lambda b: data.model(b, t)), b)  # shape (121, 4)
C = covariance(problem, o)[0]
variance = (g @ C * g).sum(-1)
sigma = data.residual_standard_deviation
known, new = factor * variance.sqrt(), factor * (variance + sigma**2).sqrt()

# %%
# The band rests on the model being nearly linear in its parameters within their errors. That can be tried: 1,000
# artificial experiments with the same scatter, fitted as one batch.

stop = StopAfterIteration(60) | StopWhenReductionLess(1e-7)
again = data.model(b, data.x) + sigma * torch.randn(1000, 15, dtype=double, generator=generator)
refits = levenberg_marquardt(M, lambda z, y: data.model(z, data.x) - y, b.expand(1000, 4), data=(again,), stop=stop)
curves = data.model(refits, t)
low, high = curves.nanquantile(torch.tensor([0.025, 0.975], dtype=double), dim=0)
# their scatter is known, not estimated: the factor is that of the normal distribution
linear = 1.95996 * variance.sqrt()
print(f"width of the band, experiments over linear theory: {((high - low) / (2 * linear)).median():.2f}")
assert 0.9 < ((high - low) / (2 * linear)).median() < 1.1

figure, (top, bottom) = plt.subplots(
    2, 1, figsize=(7.5, 6.4), sharex=True, height_ratios=(2.6, 1.4), layout="constrained"
)
top.fill_between(t, curve - new, curve + new, color="tab:blue", alpha=0.12, label="95 % of new weighings")
top.fill_between(t, curve - known, curve + known, color="tab:blue", alpha=0.35, label="95 % band of the curve")
top.plot(t, data.model(data.starts[0], t), color="tab:red", linestyle=":", label="far start")
top.plot(t, data.model(data.starts[1], t), color="tab:orange", linestyle=":", label="near start")
top.plot(t, curve, color="tab:blue", label="fit")
top.plot(data.x, data.y, "o", color="black", markersize=5, label="weighings")
top.set_title("Growth of onion bulbs (Rat43)")
top.set_ylabel("dry weight (unit of the file)")
top.set_ylim(-60, 850)
top.legend(fontsize=8, loc="lower right")
bottom.fill_between(t, -known, known, color="tab:blue", alpha=0.35)
bottom.plot(t, low - curve, color="black", linewidth=0.9, linestyle="--", label="95 % of 1,000 artificial experiments")
bottom.plot(t, high - curve, color="black", linewidth=0.9, linestyle="--")
bottom.plot(data.x, data.y - data.model(b, data.x), "o", color="black", markersize=4)
bottom.axhline(0, color="tab:blue")
bottom.set_title("The same without the curve")
bottom.set_xlabel("growing time (unit of the file)")
bottom.set_ylabel("residual (unit of the file)")
bottom.legend(fontsize=8, loc="lower left")

# %%
# The band is widest on the slope, where a small shift in time is much weight, and narrowest just behind the shoulder.
# The experiments agree with linear theory, although the exponent $b_4$ is known to no better than half its value.

plt.show()
