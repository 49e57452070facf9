"""Mesh adaptive direct search, against SciPy, eigenvalues, and the properties of its directions."""

import pytest
import torch
from scipy.optimize import minimize

from manopt_torch import (
    Euclidean,
    MeshAdaptiveDirectSearchOptions,
    OptionsError,
    Sphere,
    Stiefel,
    StopWhenPollSizeLess,
    get_reason,
    get_record,
    mesh_adaptive_direct_search,
)
from manopt_torch.functional.lower_triangular_poll import DEEPEST, triangular_poll

D = torch.float64


def seeded(n=0):
    return torch.Generator().manual_seed(n)


def beale(x):
    a, b = x.unbind(-1)
    return (1.5 - a + a * b) ** 2 + (2.25 - a + a * b**2) ** 2 + (2.625 - a + a * b**3) ** 2


def booth(x):
    a, b = x.unbind(-1)
    return (a + 2 * b - 7) ** 2 + (2 * a + b - 5) ** 2


@pytest.mark.parametrize("f", [beale, booth])
def test_same_optimum_as_scipy(f):
    start = torch.tensor([1.0, 1.0], dtype=D)
    o = mesh_adaptive_direct_search(Euclidean(2), f, start, generator=seeded(), return_options=True)
    given = {"method": "Nelder-Mead", "options": {"xatol": 1e-10, "fatol": 1e-14}}
    theirs = minimize(lambda z: float(f(torch.from_numpy(z))), start.numpy(), **given)
    torch.testing.assert_close(o.x, torch.from_numpy(theirs.x), rtol=0, atol=1e-4)
    assert float(o.cost) == pytest.approx(theirs.fun, abs=1e-8)


def test_a_kink_across_the_axes():
    # coordinate search gets stuck on such ridges; the minimum is at the origin
    ridge = lambda x: 10 * (x[..., 0] - x[..., 1]).abs() + (x[..., 0] + x[..., 1]).abs()  # noqa: E731
    start = torch.tensor([1.0, 1.03], dtype=D)
    x = mesh_adaptive_direct_search(Euclidean(2), ridge, start, generator=seeded())
    assert float(ridge(x)) < 1e-2


def test_least_eigenvalues_a_batch_at_once():
    g = seeded(1)
    A = torch.randn(5, 4, 4, generator=g, dtype=D)
    A = A + A.mT
    M = Sphere(4)
    quotient = lambda x, A: (x * (A @ x.unsqueeze(-1)).squeeze(-1)).sum(-1)  # noqa: E731
    start = M.random_point(5, generator=g, dtype=D)
    o = mesh_adaptive_direct_search(
        M, quotient, start, data=(A,), generator=seeded(), record=[":Cost"], return_options=True
    )
    torch.testing.assert_close(o.cost, torch.linalg.eigvalsh(A)[:, 0], rtol=0, atol=1e-9)
    assert float(M.off_manifold(o.x).max()) < 1e-12
    assert bool((torch.stack([row[0] for row in get_record(o)]).diff(dim=0) <= 0).all())
    assert "poll size below 1e-10" in get_reason(o)[0]


def test_frames():
    M = Stiefel(4, 2)
    start = M.random_point(dtype=D, generator=seeded(2))
    x = mesh_adaptive_direct_search(M, lambda x: x[..., 0, 0] + 2 * x[..., 1, 1], start, generator=seeded())
    torch.testing.assert_close(x[0, 0] + 2 * x[1, 1], torch.tensor(-3.0, dtype=D), rtol=0, atol=1e-8)


@pytest.mark.parametrize("d", [1, 2, 3, 6])
def test_directions_are_whole_numbers_that_span_space_positively(d):
    level = torch.tensor([0, 1, 4, 20, DEEPEST])
    for seed in range(5):
        kept = torch.rand(DEEPEST + 1, d + 1, dtype=D, generator=seeded(seed))
        poll = triangular_poll(level, kept, torch.rand(d, d, dtype=D, generator=seeded(seed + 50)))
        whole = poll * torch.exp2(level.double())[:, None, None]
        assert poll.shape == (5, 2 * d, d) and torch.equal(whole, whole.round())
        assert float(poll.abs().max()) == 1 and torch.equal(poll[:, d:], -poll[:, :d])
        # triangular up to the order of rows and columns, with units on the diagonal
        size = torch.linalg.det(poll[:, :d]).abs()
        torch.testing.assert_close(size, torch.ones(5, dtype=D), rtol=1e-9, atol=0)
        again = triangular_poll(level, kept, torch.rand(d, d, dtype=D, generator=seeded(seed + 99)))
        assert torch.equal(again[:, d - 1], poll[:, d - 1])  # the direction of the level


def test_poll_and_mesh_size_go_with_success():
    entries = [":Cost", ":poll_size", ":mesh_size"]
    o = mesh_adaptive_direct_search(
        Euclidean(2), booth, torch.tensor([3.0, -2.0], dtype=D), scale=2.0, generator=seeded(), record=entries,
        return_options=True,
    )  # fmt: skip
    cost, former = float(booth(torch.tensor([3.0, -2.0]))), 2.0
    for value, poll, mesh in get_record(o):
        expected = min(2 * former, 2.0) if value < cost else former / 2
        assert float(poll) == expected and float(mesh) == expected**2 / 2.0
        cost, former = float(value), expected
    assert former < 1e-10


def test_constant_jumping_and_undefined_costs_end_with_a_reason():
    start = torch.tensor([3.0, 2.0], dtype=D)
    run = lambda f: mesh_adaptive_direct_search(Euclidean(2), f, start, generator=seeded(), return_options=True)  # noqa: E731
    o = run(lambda x: 0 * x.sum(-1) + 1.0)
    assert torch.equal(o.x, start) and o.iterations == 34 and "poll size" in get_reason(o)
    o = run(lambda x: torch.floor(x).abs().sum(-1))
    assert float(o.cost) == 0 and "poll size" in get_reason(o)
    o = run(lambda x: torch.where(x[..., 0] < 0.5, torch.nan, x.square().sum(-1)))
    assert float(o.cost) == pytest.approx(0.25, abs=1e-6) and "poll size" in get_reason(o)


def test_wrong_arguments():
    with pytest.raises(OptionsError, match="scale"):
        MeshAdaptiveDirectSearchOptions(torch.zeros(2), scale=0.0)
    with pytest.raises(OptionsError, match="eps"):
        StopWhenPollSizeLess(-1.0)
