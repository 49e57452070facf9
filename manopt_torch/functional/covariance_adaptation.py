r"""One generation of CMA-ES: how mean, paths, covariance and step width follow the best of a sample.

In coordinates of the tangent space at the mean, for the samples $y_k = C^{1/2} z_k$ with weights $w_k$ by rank,

$$p_\sigma \leftarrow (1 - c_\sigma) p_\sigma + \sqrt{c_\sigma (2 - c_\sigma) \mu}\, \textstyle\sum_k w_k^+ z_k, \qquad
\sigma \leftarrow \sigma \exp\bigl(\tfrac{c_\sigma}{d_\sigma} (\lVert p_\sigma\rVert / \chi - 1)\bigr),$$
$$p_c \leftarrow (1 - c_c) p_c + h \sqrt{c_c (2 - c_c) \mu}\, \textstyle\sum_k w_k^+ y_k, \qquad
C \leftarrow a\, C + c_1 p_c p_c^\top + c_\mu \textstyle\sum_k w_k y_k y_k^\top.$$

Sums run over the last axis of contiguous tensors, so that a problem gets the same bits in every batch.
References: [Hansen:2023].
"""

import math
from functools import cache
from typing import NamedTuple

import torch

from manopt_torch._host import uploaded
from manopt_torch.linalg.spectral import sym_eigh


class Rates(NamedTuple):
    """Weights and learning rates for a dimension and a number of samples."""

    weights: tuple[float, ...]  # by rank, the best first: falling, those of the better half sum to one
    selected: float  # the number of samples that the positive weights are worth
    sigma_rate: float
    sigma_damping: float
    path_rate: float
    rank_one: float
    rank_many: float
    length: float  # expected length of a standard normal vector


class Sample(NamedTuple):
    """The samples of a generation, one a column."""

    z: torch.Tensor  # shape: (d, k), standard normal, the same for all problems
    y: torch.Tensor  # shape: (*batch, d, k), with covariance C


class Distribution(NamedTuple):
    """What a generation changes, besides the mean."""

    covariance: torch.Tensor  # shape: (*batch, d, d)
    path: torch.Tensor  # shape: (*batch, d)
    sigma_path: torch.Tensor  # shape: (*batch, d)
    sigma: torch.Tensor  # shape: (*batch,)


def population_size(dim: int) -> int:
    """Return the usual number of samples of a generation."""
    return 4 + math.floor(3 * math.log(max(dim, 1)))


@cache
def rates(dim: int, count: int) -> Rates:
    """Return the weights and rates of the literature's table, some of them negative for the worse half."""
    raw = [math.log((count + 1) / 2) - math.log(j) for j in range(1, count + 1)]
    plus, minus = [w for w in raw if w > 0], [w for w in raw if w <= 0]
    mu = sum(plus) ** 2 / sum(w * w for w in plus)
    mu_minus = sum(minus) ** 2 / max(sum(w * w for w in minus), 1e-300)
    one = 2 / ((dim + 1.3) ** 2 + mu)
    many = min(1 - one, 2 * (0.25 + mu + 1 / mu - 2) / ((dim + 2) ** 2 + mu))
    # the last bound keeps the covariance positive definite
    total = min(1 + one / many, 1 + 2 * mu_minus / (mu_minus + 2), (1 - one - many) / (dim * many))
    scales = total / max(-sum(minus), 1e-300)
    s = (mu + 2) / (dim + mu + 5)
    return Rates(
        tuple(w / sum(plus) if w > 0 else w * scales for w in raw),
        mu,
        s,
        1 + 2 * max(0.0, math.sqrt((mu - 1) / (dim + 1)) - 1) + s,
        (4 + mu / dim) / (dim + 4 + 2 * mu / dim),
        one,
        many,
        math.sqrt(dim) * (1 - 1 / (4 * dim) + 1 / (21 * dim * dim)),
    )


def root_of(
    covariance: torch.Tensor,  # shape: (*batch, d, d)
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the symmetric root of the covariance and the deviations along its axes, ascending."""
    # with an axis more: lone matrices and batches are solved by different algorithms, but runs should agree
    values, axes = (part[0] for part in sym_eigh(covariance[None]))
    deviations = values.clamp(min=torch.finfo(values.dtype).tiny).sqrt()
    columns = axes * deviations.unsqueeze(-2)
    return (columns.unsqueeze(-2) * axes.unsqueeze(-3)).sum(-1), deviations


def draw(
    root: torch.Tensor,  # shape: (*batch, d, d)
    z: torch.Tensor,  # shape: (d, k)
) -> Sample:
    """Turn standard normal samples into samples with the covariance."""
    return Sample(z, (root.unsqueeze(-2) * z.mT).sum(-1))


def weights_by_rank(
    costs: torch.Tensor,  # shape: (*batch, k)
    r: Rates,
) -> torch.Tensor:
    """Return the weight of each sample; of equal costs the one drawn first counts as the better."""
    ranks = costs.argsort(dim=-1, stable=True).argsort(-1)
    table = uploaded(r.weights, costs)
    return table[ranks]


def recombined(
    samples: torch.Tensor,  # shape: (*batch, d, k)
    weights: torch.Tensor,  # shape: (*batch, k)
) -> torch.Tensor:
    """Return the weighted mean of the better half, shape `(*batch, d)`."""
    return (samples * weights.clamp(min=0).unsqueeze(-2)).sum(-1)


def adapt(now: Distribution, sample: Sample, weights: torch.Tensor, r: Rates, i: int) -> Distribution:
    """Return the distribution of the next generation, in the coordinates of the old mean.

    Args:
        now: the distribution that was drawn from.
        sample: the samples.
        weights: the weight of each, shape `(*batch, k)`.
        r: the rates.
        i: the count of generations, from 1.
    """
    dim, (z, y), sigma_rate = sample.z.shape[0], sample, r.sigma_rate
    gain = math.sqrt(sigma_rate * (2 - sigma_rate) * r.selected)
    # with the symmetric root, C^{-1/2} y is z
    sigma_path = (1 - sigma_rate) * now.sigma_path + gain * recombined(z, weights)
    length = sigma_path.square().sum(-1).sqrt() / r.length
    # a path that is long for its age stalls the other one, lest the covariance grow too fast
    young = math.sqrt(1 - (1 - sigma_rate) ** (2 * (i + 1)))
    calm = (length / young < 1.4 + 2 / (dim + 1)).to(y.dtype)
    gain = math.sqrt(r.path_rate * (2 - r.path_rate) * r.selected)
    path = (1 - r.path_rate) * now.path + calm.unsqueeze(-1) * (gain * recombined(y, weights))
    # a bad sample counts by its direction, not by how far it lies out
    fair = torch.where(weights < 0, weights * (dim / z.square().sum(0)), weights)
    outer = (y.unsqueeze(-2) * y.unsqueeze(-3) * fair.unsqueeze(-2).unsqueeze(-2)).sum(-1)
    kept = 1 - r.rank_one - r.rank_many * sum(r.weights)
    kept = kept + r.rank_one * r.path_rate * (2 - r.path_rate) * (1 - calm)
    covariance = kept.unsqueeze(-1).unsqueeze(-1) * now.covariance + r.rank_many * outer
    covariance = covariance + r.rank_one * (path.unsqueeze(-1) * path.unsqueeze(-2))
    # at most a factor e in one generation
    growth = (sigma_rate / r.sigma_damping * (length - 1)).clamp(max=1.0)
    return Distribution(covariance, path, sigma_path, now.sigma * growth.exp())
