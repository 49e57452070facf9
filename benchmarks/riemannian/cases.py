"""The cases: what is minimised, from where, how each package gets it, and what is to be reached.

Targets are ratios of pymanopt's time over ours; those in `given` are for derivatives given by the user.
"""

from collections.abc import Callable

import torch

from benchmarks.riemannian import data, floor, floor_batch
from benchmarks.riemannian.case import Case, Derivatives, remembered
from benchmarks.riemannian.completion import completion
from manopt_torch import Grassmann, Sphere, Stiefel, SymmetricPositiveDefinite

Tensor = torch.Tensor


# ---- one problem -----------------------------------------------------------------------------------------------------


def trivial() -> list[Case]:
    """Return the sum of squares with weights on the sphere in three dimensions: nothing but overhead."""
    w = torch.tensor([1.0, 1.0005, 3.0], dtype=torch.float64)
    x = torch.tensor([0.3, 0.5, 1.0], dtype=torch.float64)
    x = x / torch.linalg.vector_norm(x)

    def cost(x: Tensor) -> Tensor:
        return torch.sum(w * x * x)

    weighted = remembered(lambda x: w * x)
    by_hand = Derivatives(
        {"euclidean_gradient": lambda x: 2 * weighted(x), "euclidean_hessian": lambda x, u: 2 * (w * u)},
        lambda: floor.Given(
            lambda x: (torch.dot(w * x, x), w * x), lambda x, y: 2 * y, lambda x, y, v: 2 * (w * v)
        ),
        lambda x: torch.dot(weighted(x), x),
    )  # fmt: skip
    return [
        Case(
            "trivial", "trivial cost on Sphere(3), per iteration", Sphere(3), x, cost,
            floor.BareSphere(3), lambda: floor.Auto(cost), ("Sphere", (3,)), lambda k: cost, lambda k: x.numpy(),
            {"SD": 1.6, "CG": 1.8, "TR": 3.0}, {"SD": 3.0, "CG": 2.8, "TR": 5.5}, by_hand, ("SD", "CG", "TR"),
            tolerance=1e-9, bound=200,
        )
    ]  # fmt: skip


def rayleigh(sizes: tuple[int, ...] = (100, 1000)) -> list[Case]:
    """Return the greatest eigenvalue of a matrix."""
    return [_rayleigh(n) for n in sizes]


def _rayleigh(n: int) -> Case:
    a, x = data.symmetric(n), data.unit_vector(n)

    def cost(x: Tensor) -> Tensor:
        return -torch.dot(x, a @ x)

    product = remembered(lambda x: a @ x)

    def both(x: Tensor) -> tuple[Tensor, Tensor]:
        y = a @ x
        return -torch.dot(x, y), y

    by_hand = Derivatives(
        {"euclidean_gradient": lambda x: -2 * product(x), "euclidean_hessian": lambda x, u: -2 * (a @ u)},
        lambda: floor.Given(both, lambda x, y: -2 * y, lambda x, y, v: -2 * (a @ v)),
        lambda x: -torch.dot(x, product(x)),
    )
    return Case(
        "rayleigh", f"Rayleigh, n = {n}", Sphere(n), x, cost,
        floor.BareSphere(n), lambda: floor.Auto(cost), ("Sphere", (n,)), lambda k: cost, lambda k: x.numpy(),
        {"SD": 1.6, "CG": 1.8, "TR": 3.5 if n < 500 else 3.2}, {"CG": 2.8, "TR": 6.0}, by_hand, ("SD",),
    )  # fmt: skip


def subspaces(n: int = 1000, p: int = 10) -> list[Case]:
    """Return the dominant subspace on Grassmann, and Brockett's cost on Stiefel."""
    a, x = data.covariance(n), data.frame(n, p)
    return [_subspace(a, x, True), _subspace(a, x, False)]


def _subspace(a: Tensor, x: Tensor, only_span: bool) -> Case:
    n, p = x.shape
    w = 1.0 if only_span else torch.arange(p, 0, -1, dtype=a.dtype)

    def cost(x: Tensor) -> Tensor:
        return -0.5 * torch.sum(x * (a @ x) * w)

    product = remembered(lambda x: a @ x)

    def both(x: Tensor) -> tuple[Tensor, Tensor]:
        y = a @ x
        return -0.5 * torch.sum(x * y * w), y * w

    by_hand = Derivatives(
        {"euclidean_gradient": lambda x: -product(x) * w, "euclidean_hessian": lambda x, u: -(a @ u) * w},
        lambda: floor.Given(both, lambda x, y: -y, lambda x, y, v: -(a @ v) * w),
        lambda x: -0.5 * torch.sum(x * product(x) * w),
    )
    name = "Grassmann" if only_span else "Stiefel"
    M, bare = (Grassmann(n, p), floor.BareGrassmann(n, p)) if only_span else (Stiefel(n, p), floor.BareStiefel(n, p))
    return Case(
        "subspaces", f"{name} {'subspace' if only_span else 'Brockett'} {n} x {p}", M, x, cost,
        bare, lambda: floor.Auto(cost), (name, (n, p)), lambda k: cost, lambda k: x.numpy(),
        {"CG": 1.5, "TR": 2.5 if only_span else 3.8}, {"CG": 2.6, "TR": 5.0 if only_span else 7.0}, by_hand,
        bound=3000,
    )  # fmt: skip


def means(sizes: tuple[int, ...] = (5, 20), count: int = 50) -> list[Case]:
    """Return the Riemannian mean of positive definite matrices."""
    return [_mean(count, n) for n in sizes]


def _mean(count: int, n: int) -> Case:
    a, x = data.definite(count, n), torch.eye(n, dtype=torch.float64)

    def cost(x: Tensor) -> Tensor:
        return spread(x, a)

    return Case(
        "means", f"mean of {count} matrices {n} x {n}", SymmetricPositiveDefinite(n), x, cost,
        floor.BareSPD(n), lambda: floor.Auto(cost), ("SymmetricPositiveDefinite", (n,)), lambda k: cost,
        lambda k: x.numpy(), {"SD, BB": 5.0, "CG": 1.4, "TR": 2.3}, bound=2000,
    )  # fmt: skip


def spread(x: Tensor, a: Tensor) -> Tensor:
    """Return half the mean squared distance of `x` from the matrices, the same formula for every package."""
    factor = torch.linalg.cholesky(x)
    if x.dim() > 2:
        factor = factor.unsqueeze(-3)
    z = torch.linalg.solve_triangular(factor, a, upper=False)
    z = torch.linalg.solve_triangular(factor, z.mT, upper=False)
    return 0.5 / a.shape[-3] * torch.linalg.eigvalsh((z + z.mT) * 0.5).log().square().sum((-1, -2))


# ---- many problems --------------------------------------------------------------------------------------------------


def rayleigh_batch(count: int = 1000, n: int = 10) -> list[Case]:
    """Return the greatest eigenvalues of many small matrices."""
    a, x = data.symmetric_batch(count, n)

    def quotient(x: Tensor, a: Tensor) -> Tensor:
        return -(x * (a @ x.unsqueeze(-1)).squeeze(-1)).sum(-1)

    def both(x: Tensor) -> tuple[Tensor, Tensor]:
        y = (a @ x.unsqueeze(-1)).squeeze(-1)
        return -(x * y).sum(-1), -2 * y

    def applied(u: Tensor, a: Tensor) -> Tensor:
        return -2 * (a @ u.unsqueeze(-1)).squeeze(-1)

    by_hand = Derivatives(
        {"euclidean_gradient": applied, "euclidean_hessian": lambda x, u, a: applied(u, a)},
        lambda: floor_batch.GivenBatch(both, lambda x, v: applied(v, a)),
    )
    return [
        Case(
            "rayleigh_batch", f"{count:,} Rayleigh quotients on Sphere({n})", Sphere(n), x, quotient,
            floor_batch.Spheres(n), lambda: floor_batch.AutoBatch(lambda x: quotient(x, a)),
            ("Sphere", (n,)), lambda k: lambda x: -torch.dot(x, a[k] @ x), lambda k: x[k].numpy(),
            {"SD, BB": 20.0, "CG": 30.0, "TR": 100.0}, {"TR": 250.0}, by_hand, data=(a,), bound=1000,
        )
    ]  # fmt: skip


def means_batch(count: int = 1000, n: int = 3, points: int = 10) -> list[Case]:
    """Return many means of small positive definite matrices."""
    a = data.definite(count * points, n, seed=12).reshape(count, points, n, n)
    x = torch.eye(n, dtype=torch.float64).repeat(count, 1, 1)
    return [
        Case(
            "means_batch", f"{count:,} means of {points} matrices {n} x {n}", SymmetricPositiveDefinite(n), x, spread,
            floor_batch.SPDs(n), lambda: floor_batch.AutoBatch(lambda x: spread(x, a)),
            ("SymmetricPositiveDefinite", (n,)), lambda k: lambda x: spread(x, a[k]), lambda k: x[k].numpy(),
            {"SD, BB": 30.0, "TR": 16.0}, data=(a,), bound=1000,
        )
    ]  # fmt: skip


CASES: dict[str, Callable[[], list[Case]]] = {
    "trivial": trivial,
    "rayleigh": rayleigh,
    "subspaces": subspaces,
    "means": means,
    "completion": completion,
    "rayleigh_batch": rayleigh_batch,
    "means_batch": means_batch,
}
