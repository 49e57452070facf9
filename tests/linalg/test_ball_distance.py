import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from manopt_torch import ManifoldParameter, PoincareBall
from manopt_torch.linalg.ball_distance import ball_distance, ball_edge_distance
from manopt_torch.training import LR, Adam, ModularOptimizer

D = torch.float64
FROM, TO = torch.tensor([0, 1, 2, 3, 0, 1]), torch.tensor([1, 2, 3, 0, 4, 0])


def points(count, c, seed):
    return PoincareBall(3, -c).random_point(count, generator=torch.Generator().manual_seed(seed), dtype=D)


def textbook(x, y, c):
    """Return the distance by the inverse hyperbolic cosine."""
    alpha, beta = (1 - c * z.square().sum(-1) for z in (x, y))
    return torch.acosh(1 + 2 * c * (x - y).square().sum(-1) / (alpha * beta)) / c**0.5


def test_values_and_derivatives_of_every_kind():
    c = 0.3
    x, y = (points(5, c, seed).requires_grad_() for seed in (0, 1))
    by_pairs, by_edges = (lambda x, y: ball_distance(x, y, c)), (lambda x: ball_edge_distance(x, FROM, TO, c))
    for function, known, inputs in (
        (by_pairs, textbook(x, y, c), (x, y)),
        (by_pairs, textbook(x, y[0], c), (x, points(5, c, 1)[0].requires_grad_())),  # one of the points for all
        (by_edges, textbook(x[FROM], x[TO], c), (x,)),
    ):
        torch.testing.assert_close(function(*inputs), known, rtol=1e-12, atol=1e-12)
        with torch.no_grad():
            torch.testing.assert_close(function(*inputs), known, rtol=1e-12, atol=1e-12)
        assert gradcheck(function, inputs, check_forward_ad=True, check_batched_grad=True, fast_mode=True)
        assert gradgradcheck(function, inputs, fast_mode=True)
    sets = torch.stack([x, y])
    torch.testing.assert_close(torch.func.vmap(by_edges)(sets), torch.stack([by_edges(x), by_edges(y)]))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_where_points_coincide_the_derivative_is_zero(dtype):
    x = points(5, 1.0, 0).to(dtype).requires_grad_()
    loops = torch.arange(5)
    for d in (ball_edge_distance(x, loops, loops, 1.0), ball_distance(x, x.detach().clone(), 1.0)):
        assert not d.any()
        (g,) = torch.autograd.grad(d.sum(), x, create_graph=True)
        assert not g.any()
        # a second derivative does not exist there; it must not spoil those of other edges
        (h,) = torch.autograd.grad(g.sum(), x, allow_unused=True)
        assert h is None or torch.isfinite(h).all()
    mixed = [(x, torch.cat([FROM, loops]), torch.cat([TO, loops])), (x, FROM, TO)]
    with_loops, without = (torch.autograd.grad(ball_edge_distance(*e, 1.0).sum(), x)[0] for e in mixed)
    assert torch.equal(with_loops, without)
    spoilt = x.detach().clone()
    spoilt[3, 0] = torch.nan
    d = ball_edge_distance(spoilt, FROM, TO, 1.0)
    assert torch.equal(d.isnan(), (FROM == 3) | (TO == 3))


def test_far_out_and_close_together():
    # d = 2 artanh(b) - 2 artanh(a) on a ray; 1 - b is 2e-12, and the gap a thousandth of that
    a, b = torch.tensor([1 - 2e-12, 0.0], dtype=D), torch.tensor([1 - 1.998e-12, 0.0], dtype=D)
    edge = torch.tensor([0]), torch.tensor([1])
    away = [1 - a[0].item(), 1 - b[0].item()]  # exact differences of the stored numbers
    truth = torch.log(torch.tensor(away[0] / away[1], dtype=D)) + torch.log((1 + b[0]) / (1 + a[0]))
    for d in (ball_distance(a, b, 1.0), ball_edge_distance(torch.stack([a, b]), *edge, 1.0)[0]):
        torch.testing.assert_close(d, truth, rtol=1e-4, atol=0)


@pytest.mark.parametrize("modules", [[LR(0.1)], [Adam(), LR(0.02)]])
def test_an_embedding_with_self_edges_learns(modules):
    M = PoincareBall(2)
    # a path of four nodes has an exact embedding, on a geodesic
    i, j = torch.triu_indices(4, 4)  # with the diagonal
    lengths = 0.5 * (j - i).to(D)
    x = ManifoldParameter(M.random_point(4, generator=torch.Generator().manual_seed(2), dtype=D) * 0.5, M)
    optimizer = ModularOptimizer([x], modules)
    for _ in range(300):
        optimizer.zero_grad()
        (M.edge_dist(x, i, j) - lengths).square().sum().backward()
        optimizer.step()
    torch.testing.assert_close(M.dist(x[i], x[j]), lengths, rtol=0, atol=1e-2)
