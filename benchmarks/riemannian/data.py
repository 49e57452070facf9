"""The data of the cases: the same numbers for every package."""

import numpy as np
import torch


def symmetric(n: int, seed: int = 0) -> torch.Tensor:
    """Return a symmetric Gaussian matrix with eigenvalues of about [-1.4, 1.4]."""
    g = np.random.default_rng(seed).standard_normal((n, n))
    return torch.from_numpy((g + g.T) / (2 * np.sqrt(n)))


def unit_vector(n: int, seed: int = 1) -> torch.Tensor:
    """Return a start on the sphere."""
    x = np.random.default_rng(seed).standard_normal(n)
    return torch.from_numpy(x / np.linalg.norm(x))


def frame(n: int, p: int, seed: int = 2) -> torch.Tensor:
    """Return an orthonormal frame."""
    return torch.from_numpy(np.linalg.qr(np.random.default_rng(seed).standard_normal((n, p)))[0])


def covariance(n: int, seed: int = 3) -> torch.Tensor:
    """Return a covariance with forty leading eigenvalues that fall by a tenth each, and a bulk below 0.02."""
    random = np.random.default_rng(seed)
    q = np.linalg.qr(random.standard_normal((n, n)))[0]
    leading = 2.0 * 1.1 ** -np.arange(min(40, n))
    values = np.concatenate([leading, random.uniform(0, 0.02, n - len(leading))])
    a = (q * values) @ q.T
    return torch.from_numpy((a + a.T) / 2)


def definite(count: int, n: int, seed: int = 4) -> torch.Tensor:
    """Return positive definite matrices with log-normal eigenvalues."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        q = np.linalg.qr(random.standard_normal((n, n)))[0]
        made.append((q * np.exp(random.standard_normal(n))) @ q.T)
    a = np.array(made)
    return torch.from_numpy((a + a.transpose(0, 2, 1)) / 2)


def low_rank(m: int, n: int, rank: int, share: float, seed: int = 5) -> tuple[torch.Tensor, ...]:
    """Return a matrix of low rank, which entries are known, and the factors `u, s, v` of a start."""
    random = np.random.default_rng(seed)
    left, right = random.standard_normal((m, rank)), random.standard_normal((n, rank))
    a = left @ right.T / np.sqrt(m * n) * np.sqrt(rank)
    known = random.random((m, n)) < share
    u, v = (np.linalg.qr(random.standard_normal((size, rank)))[0] for size in (m, n))
    s = np.sort(random.random(rank))[::-1].copy() + 0.1
    return tuple(torch.from_numpy(part) for part in (a, known, u, s, v))


def symmetric_batch(count: int, n: int, seed: int = 11) -> tuple[torch.Tensor, torch.Tensor]:
    """Return symmetric matrices and starts on spheres."""
    random = np.random.default_rng(seed)
    g, x = random.standard_normal((count, n, n)), random.standard_normal((count, n))
    a = (g + g.transpose(0, 2, 1)) / (2 * np.sqrt(n))
    return torch.from_numpy(a), torch.from_numpy(x / np.linalg.norm(x, axis=1, keepdims=True))
