"""CMA-ES, against SciPy, eigenvalues, and the update of its published pseudo code."""

import math

import pytest
import torch
from scipy.optimize import differential_evolution

from manopt_torch import (
    CMAESOptions,
    ComplexCircle,
    Euclidean,
    Grassmann,
    Hyperboloid,
    OptionsError,
    Rotations,
    Sphere,
    StopAfterIteration,
    StopWhenBestCostInGenerationConstant,
    StopWhenCovarianceIllConditioned,
    StopWhenEvolutionStagnates,
    StopWhenPopulationCostConcentrated,
    StopWhenPopulationDiverges,
    StopWhenPopulationStronglyConcentrated,
    Symmetric,
    SymmetricPositiveDefinite,
    cma_es,
    get_reason,
)
from manopt_torch.functional.covariance_adaptation import Distribution, Sample, adapt, rates, weights_by_rank
from manopt_torch.solvers.cma_es import _carried
from tests.together import together

D = torch.float64


def seeded(n=0):
    return torch.Generator().manual_seed(n)


def griewank(x):
    parts = torch.arange(1, x.shape[-1] + 1, dtype=x.dtype).sqrt()
    return x.square().sum(-1) / 4000 - torch.cos(x / parts).prod(-1) + 1


def rosenbrock(x):
    return (100 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1 - x[..., :-1]) ** 2).sum(-1)


def ackley(x):
    far = -20 * torch.exp(-0.2 * (x * x).mean(-1).sqrt())
    return far - torch.exp(torch.cos(2 * torch.pi * x).mean(-1)) + 20 + torch.e


@pytest.mark.parametrize("seed", [0, 1])
def test_griewank_from_far_away(seed):
    # reference case 46
    start = torch.tensor([10.0, 10.0], dtype=D)
    x = cma_es(Euclidean(2), griewank, start, sigma=10.0, generator=seeded(seed))
    assert float(griewank(x)) < 0.1


@pytest.mark.parametrize("f", [rosenbrock, ackley])
def test_same_optimum_as_differential_evolution(f):
    o = cma_es(Euclidean(3), f, torch.full((3,), 2.0, dtype=D), generator=seeded(), return_options=True)
    columns = lambda z: f(torch.from_numpy(z).mT).numpy()  # noqa: E731
    theirs = differential_evolution(columns, [(-5, 5)] * 3, rng=0, vectorized=True, updating="deferred")
    assert float(o.cost) == pytest.approx(theirs.fun, abs=1e-8)
    torch.testing.assert_close(o.x, torch.from_numpy(theirs.x), rtol=0, atol=1e-5)


def test_least_eigenvalues_a_batch_at_once():
    g = seeded(1)
    A = torch.randn(5, 5, 5, generator=g, dtype=D)
    A = A + A.mT
    M = Sphere(5)
    quotient = lambda x, A: (x * (A @ x.unsqueeze(-1)).squeeze(-1)).sum(-1)  # noqa: E731
    start = M.random_point(5, generator=g, dtype=D)
    o = cma_es(M, quotient, start, data=(A,), generator=seeded(), return_options=True)
    torch.testing.assert_close(o.cost, torch.linalg.eigvalsh(A)[:, 0], rtol=0, atol=1e-9)
    assert float(M.off_manifold(o.x).max()) < 1e-12
    assert "within 1e-12" in get_reason(o)[0]


@pytest.mark.parametrize("compact", [True, False])
def test_criteria_with_a_memory_survive_compaction(compact):
    # powers of the distance: the higher the power, the earlier the costs are all alike
    powers = torch.linspace(1, 8, 40, dtype=D)
    cost = lambda x, p: x.square().sum(-1) ** p  # noqa: E731
    start = torch.ones(40, 2, dtype=D)
    o = cma_es(Euclidean(2), cost, start, data=(powers,), generator=seeded(), compact=compact, return_options=True)
    alone = [cma_es(Euclidean(2), cost, start[:2], data=(powers[j],), generator=seeded(), return_options=True) for j in
             (torch.tensor([3, 4]), torch.tensor([30, 38]))]  # fmt: skip
    assert o.iterations[[3, 4, 30, 38]].tolist() == [n for a in alone for n in a.iterations.tolist()]


def test_the_published_update_of_one_generation():
    """The equations of the tutorial written out with loops, for a covariance that is not the identity."""
    d, k, i = 3, 8, 4
    r, g = rates(d, k), seeded(2)
    assert r.selected == pytest.approx(2.6, abs=0.1) and sum(w for w in r.weights if w > 0) == pytest.approx(1)
    assert list(r.weights) == sorted(r.weights, reverse=True)
    A = torch.randn(d, d, dtype=D, generator=g)
    C = A @ A.T + torch.eye(d, dtype=D)
    values, axes = torch.linalg.eigh(C)
    root = axes @ torch.diag(values.sqrt()) @ axes.T
    z = torch.randn(d, k, dtype=D, generator=g)
    y, costs = root @ z, torch.randn(k, dtype=D, generator=g)
    pc, ps = torch.randn(2, d, dtype=D, generator=g)
    got = adapt(Distribution(C, pc, ps, torch.tensor(0.7, dtype=D)), Sample(z, y), weights_by_rank(costs, r), r, i)
    best_first = sorted(range(k), key=lambda j: float(costs[j]))
    yw = sum(w * y[:, j] for w, j in zip(r.weights, best_first, strict=True) if w > 0)
    cs, cc = r.sigma_rate, r.path_rate
    inverse = torch.linalg.inv(root)
    ps = (1 - cs) * ps + math.sqrt(cs * (2 - cs) * r.selected) * inverse @ yw
    h = float(ps.norm()) / math.sqrt(1 - (1 - cs) ** (2 * (i + 1))) < (1.4 + 2 / (d + 1)) * r.length
    pc = (1 - cc) * pc + h * math.sqrt(cc * (2 - cc) * r.selected) * yw
    new = (1 + r.rank_one * (1 - h) * cc * (2 - cc) - r.rank_one - r.rank_many * sum(r.weights)) * C
    new = new + r.rank_one * torch.outer(pc, pc)
    for w, j in zip(r.weights, best_first, strict=True):
        w = w if w >= 0 else w * d / float((inverse @ y[:, j]).square().sum())
        new = new + r.rank_many * w * torch.outer(y[:, j], y[:, j])
    torch.testing.assert_close(got.sigma_path, ps)
    torch.testing.assert_close(got.path, pc)
    torch.testing.assert_close(got.covariance, new)
    growth = math.exp(min(1, cs / r.sigma_damping * (float(ps.norm()) / r.length - 1)))
    assert float(got.sigma) == pytest.approx(0.7 * growth)


@pytest.mark.parametrize("d", [1, 2, 5, 40])
def test_the_covariance_stays_positive_definite_under_bad_samples(d):
    r = rates(d, 4 + math.floor(3 * math.log(d)))
    assert 1 - r.rank_one - r.rank_many + r.rank_many * d * min(r.weights) > 0 or d == 1
    assert 0 < r.rank_one < 1 and 0 < r.rank_many <= 1 - r.rank_one


@together()
@pytest.mark.parametrize(
    "M", [Sphere(4), Rotations(3), Hyperboloid(3), SymmetricPositiveDefinite(2), Grassmann(4, 2), ComplexCircle(3),
          Symmetric(3)], ids=str
)  # fmt: skip
def test_the_covariance_is_carried_as_its_axes_are(M):
    """The quadratic form of a covariance along a tangent vector does not change where both are transported."""
    g = seeded(4)
    x = M.random_point(3, dtype=D, generator=g)
    u = M.random_tangent(x, generator=g)
    y = M.retract(x, u, 0.2)
    A = torch.randn(3, M.dim, M.dim, dtype=D, generator=g)
    path = torch.randn(3, M.dim, dtype=D, generator=g)
    new = _carried(M, x, y, Distribution(A @ A.mT, path, 2 * path, torch.ones(3, dtype=D)))
    carry = M.parallel_transport if M.has_parallel_transport else M.transport
    torch.testing.assert_close(new.path, M.to_coordinates(y, carry(x, y, M.from_coordinates(x, path))))
    moved = M.to_coordinates(y, carry(x, y, M.from_coordinates(x, (A @ path.unsqueeze(-1)).squeeze(-1))))
    form = (path * (A.mT @ torch.linalg.solve(A @ A.mT, (A @ path.unsqueeze(-1)))).squeeze(-1)).sum(-1)
    inverse = torch.linalg.solve(new.covariance, moved.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close((moved * inverse).sum(-1), form)


def test_constant_jumping_and_undefined_costs_end_with_a_reason():
    start = torch.tensor([3.0, 2.0], dtype=D)
    run = lambda f, x=start: cma_es(Euclidean(2), f, x, generator=seeded(), return_options=True)  # noqa: E731
    o = run(lambda x: 0 * x.sum(-1) + 1.0)
    assert float(o.cost) == 1 and "has not changed" in get_reason(o)
    o = run(lambda x: torch.floor(x).abs().sum(-1))
    assert float(o.cost) == 0 and "within 1e-12" in get_reason(o)
    o = run(lambda x: torch.where(x[..., 0] < 0.5, torch.nan, x.square().sum(-1)))
    assert float(o.cost) == pytest.approx(0.25, abs=1e-6) and get_reason(o)
    o = run(lambda x: torch.where(x.abs().sum(-1) > 0, torch.nan, 1.0), 0 * start)
    assert torch.equal(o.x, 0 * start) and get_reason(o)


CRITERIA = [
    (lambda x: x[..., 0], StopWhenPopulationDiverges(100.0), "100 times as far apart"),
    (lambda x: x[..., 0] ** 2 + 1e6 * x[..., 1] ** 2, StopWhenCovarianceIllConditioned(1e4), "condition number"),
    (lambda x: x.square().sum(-1), StopWhenPopulationStronglyConcentrated(1e-6), "narrower than 1e-06"),
    (lambda x: x.square().sum(-1), StopWhenPopulationCostConcentrated(1e-4), "within 0.0001"),
    (lambda x: x.abs().sum(-1).clamp(min=1.0), StopWhenBestCostInGenerationConstant(7), "has not changed"),
    (lambda x: x.abs().sum(-1).clamp(min=1.0), StopWhenEvolutionStagnates(20), "have stopped falling"),
]


@pytest.mark.parametrize(("cost", "stop", "words"), CRITERIA, ids=lambda v: type(v).__name__)
def test_each_criterion_ends_a_run(cost, stop, words):
    start = torch.tensor([[3.0, 2.0], [2.0, 3.0]], dtype=D)
    both = stop | StopAfterIteration(400)
    o = cma_es(Euclidean(2), cost, start, generator=seeded(), stop=both, return_options=True)
    assert all(words in reason for reason in get_reason(o)) and int(o.iterations.max()) < 400


def test_a_constant_cost_is_seen_after_as_many_generations_as_asked():
    stop = StopWhenBestCostInGenerationConstant(7) | StopAfterIteration(400)
    o = cma_es(Euclidean(2), lambda x: 0 * x[..., 0], torch.zeros(2, dtype=D), stop=stop, return_options=True)
    assert o.iterations == 7


def test_wrong_arguments():
    for name, value in {"population_size": 2, "sigma": 0.0}.items():
        with pytest.raises(OptionsError, match=name):
            CMAESOptions(torch.zeros(2), **{name: value})
    for make, name in (
        (lambda: StopWhenCovarianceIllConditioned(0.5), "threshold"),
        (lambda: StopWhenBestCostInGenerationConstant(0), "n must"),
        (lambda: StopWhenEvolutionStagnates(fraction=0.6), "fraction"),
        (lambda: StopWhenEvolutionStagnates(min_size=50, max_size=20), "min_size"),
        (lambda: StopWhenPopulationDiverges(1.0), "factor"),
        (lambda: StopWhenPopulationCostConcentrated(-1.0), "tol"),
        (lambda: StopWhenPopulationStronglyConcentrated(-1.0), "tol"),
    ):
        with pytest.raises(OptionsError, match=name):
            make()
