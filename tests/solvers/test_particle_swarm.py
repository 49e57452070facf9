"""Particle swarms, against SciPy's differential evolution and eigenvalues."""

import pytest
import torch
from scipy.optimize import differential_evolution

from manopt_torch import (
    CostProblem,
    EmbeddedManifold,
    Euclidean,
    OptionsError,
    ParticleSwarmOptions,
    ShapeError,
    Sphere,
    StopAfterIteration,
    StopWhenSwarmVelocityLess,
    get_reason,
    get_record,
    load_state_dict,
    particle_swarm,
    solve,
    state_dict,
)
from manopt_torch.directions.draws import generator_for

D = torch.float64


def seeded(n=0):
    return torch.Generator().manual_seed(n)


def rastrigin(x):
    return (10 + x * x - 10 * torch.cos(2 * torch.pi * x)).sum(-1)


def ackley(x):
    far = -20 * torch.exp(-0.2 * (x * x).mean(-1).sqrt())
    return far - torch.exp(torch.cos(2 * torch.pi * x).mean(-1)) + 20 + torch.e


@pytest.mark.parametrize("f", [rastrigin, ackley])
def test_same_optimum_as_differential_evolution(f):
    swarm = 10 * torch.rand(200, 2, dtype=D, generator=seeded()) - 5
    o = particle_swarm(Euclidean(2), f, swarm=swarm, generator=seeded(), return_options=True)
    theirs = differential_evolution(lambda z: float(f(torch.from_numpy(z))), [(-5, 5)] * 2, seed=0)
    assert float(o.cost) == pytest.approx(theirs.fun, abs=1e-3)
    torch.testing.assert_close(o.x, torch.from_numpy(theirs.x), rtol=0, atol=1e-3)


def test_least_eigenvalues_a_batch_at_once():
    g = seeded(1)
    A = torch.randn(5, 5, 5, generator=g, dtype=D)
    A = A + A.mT
    M = Sphere(5)
    start = M.random_point(5, generator=g, dtype=D)
    quotient = lambda x, A: (x * (A @ x.unsqueeze(-1)).squeeze(-1)).sum(-1)  # noqa: E731
    o = particle_swarm(M, quotient, start, data=(A,), generator=seeded(), record=[":Cost"], return_options=True)
    torch.testing.assert_close(o.cost, torch.linalg.eigvalsh(A)[:, 0], rtol=0, atol=1e-3)
    costs = torch.stack([row[0] for row in get_record(o)])
    assert bool((costs.diff(dim=0) <= 0).all())  # reference case 46
    assert float(M.off_manifold(o.x).max()) < 1e-12
    assert "slower than 0.0001" in get_reason(o)[0]


def test_a_seed_gives_the_same_run_and_another_one_another():
    f = lambda n: particle_swarm(  # noqa: E731
        Euclidean(2), rastrigin, torch.ones(2, dtype=D), generator=seeded(n), stop=StopAfterIteration(5)
    )
    assert torch.equal(f(3), f(3)) and not torch.equal(f(3), f(4))


def test_a_run_is_taken_up_amid_the_numbers_drawn_together():
    x = torch.tensor([[3.0, 2.0], [1.0, -4.0]], dtype=D)
    options = lambda n: ParticleSwarmOptions(x, swarm_size=6, generator=seeded(), stop=StopAfterIteration(n))  # noqa: E731
    p = CostProblem(Euclidean(2), rastrigin)
    whole, part = solve(p, options(70)), solve(p, options(37))
    rest = solve(p, load_state_dict(options(70), state_dict(part)))
    assert torch.equal(rest.points, whole.points) and not torch.equal(part.points, whole.points)
    # no two iterations see the same numbers
    tables = torch.stack([*torch.rand(2, 32, 6, generator=generator_for(whole.seed, 2), dtype=D)])
    torch.testing.assert_close(torch.stack(whole.weights[1])[:, 0, :, 0], 1.4 * tables[0])
    torch.testing.assert_close(torch.stack(whole.weights[2])[:, 0, :, 0], 1.4 * tables[1])


def test_all_of_a_sphere_feels_the_pull():
    # half of the particles start on the other side, where the inverse retraction knows no way
    M, g = Sphere(10), seeded(2)
    q = M.random_point(dtype=D, generator=g)
    swarm = M.random_point(40, dtype=D, generator=g)
    stop = StopAfterIteration(60)
    o = particle_swarm(M, lambda x: -(x * q).sum(-1), swarm=swarm, generator=g, stop=stop, return_options=True)
    assert float((swarm @ q).min()) < -0.5 and float((o.best_points @ q).min()) > 0.5


def test_a_manifold_without_inverse_retraction():
    M = EmbeddedManifold(lambda x: x.square().sum(-1, keepdim=True) - 1, (3,))
    x = torch.tensor([1.0, 0.0, 0.0], dtype=D)
    stop = StopAfterIteration(20)
    o = particle_swarm(M, lambda x: x[..., 2], x, swarm_size=8, generator=seeded(), stop=stop, return_options=True)
    assert float(o.cost) == pytest.approx(-1, abs=1e-2)


def test_particles_of_which_some_have_no_cost():
    cost = lambda x: torch.where(x[..., 0] < 0.5, torch.nan, x.square().sum(-1))  # noqa: E731
    o = particle_swarm(Euclidean(2), cost, torch.tensor([3.0, 2.0], dtype=D), generator=seeded(), return_options=True)
    assert float(o.cost) == pytest.approx(0.25, abs=1e-3) and float(o.x[0]) >= 0.5


def test_wrong_arguments():
    with pytest.raises(OptionsError, match="start x or a swarm"):
        particle_swarm(Euclidean(2), rastrigin)
    with pytest.raises(ShapeError, match="particles for each problem"):
        particle_swarm(Euclidean(2), rastrigin, torch.zeros(3, 2), swarm=torch.zeros(4, 5, 2))
    for none in (torch.zeros(0, 2), torch.zeros(2)):
        with pytest.raises(ShapeError, match="the swarm must hold particles"):
            particle_swarm(Euclidean(2), rastrigin, swarm=none)
    for cost in (lambda x: 1.0, lambda x: None, lambda x: x):
        with pytest.raises(ShapeError, match=r"the cost must return .*\(100,\)"):
            particle_swarm(Euclidean(2), cost, torch.zeros(2))
    with pytest.raises(OptionsError, match="generator must be one such as"):
        particle_swarm(Euclidean(2), rastrigin, torch.zeros(2), generator=3)
    for name, value in {"swarm_size": 0, "inertia": -0.1, "social_weight": -1.0}.items():
        with pytest.raises(OptionsError, match=name):
            ParticleSwarmOptions(torch.zeros(2), **{name: value})
    with pytest.raises(OptionsError, match="eps"):
        StopWhenSwarmVelocityLess(-1.0)
