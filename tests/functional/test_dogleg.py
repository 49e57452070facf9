"""The dogleg path against the vectors it is made of."""

import pytest
import torch

from manopt_torch.functional.dogleg import dogleg_path
from manopt_torch.functional.masked import Batch, Lone

D = torch.float64


def posed(count=200, n=3, seed=0):
    gen = torch.Generator().manual_seed(seed)
    J = torch.randn(count, 5, n, generator=gen, dtype=D)
    r = torch.randn(count, 5, generator=gen, dtype=D)
    g, H = (J.mT @ r.unsqueeze(-1)).squeeze(-1), J.mT @ J
    newton = -torch.linalg.solve(H, g)
    radius = newton.norm(dim=-1) * 10 ** (3 * torch.rand(count, generator=gen, dtype=D) - 2.5)
    return H, g, newton, radius


def path(lane, H, g, newton, radius):
    numbers = [(g * g).sum(-1), (g * (H @ g.unsqueeze(-1)).squeeze(-1)).sum(-1), (g * newton).sum(-1)]
    return dogleg_path(lane, *map(lane.scalar, (*numbers, (newton * newton).sum(-1), radius)))


def test_length_and_decrease_are_those_of_the_step():
    H, g, newton, radius = posed()
    bend = path(Batch((200,), g), H, g, newton, radius)
    h = -bend.a[:, None] * g + bend.b[:, None] * newton
    torch.testing.assert_close(bend.squared_length, (h * h).sum(-1), rtol=1e-8, atol=0)
    model = (g * h).sum(-1) + 0.5 * (h * (H @ h.unsqueeze(-1)).squeeze(-1)).sum(-1)
    torch.testing.assert_close(bend.decrease, -model, rtol=1e-7, atol=1e-12)
    cut = newton.norm(dim=-1) > radius
    assert cut.any() and not cut.all()
    torch.testing.assert_close(h.norm(dim=-1)[cut], radius[cut], rtol=1e-8, atol=0)
    assert torch.equal(h[~cut], newton[~cut])


def test_three_kinds_of_steps():
    # H = diag(1, 4), g = (1, 1): Cauchy step -(2/5) g, of length 0.5657; Newton step (-1, -1/4), of length 1.0308
    H, g = torch.diag(torch.tensor([1.0, 4.0], dtype=D)), torch.ones(2, dtype=D)
    newton = torch.tensor([-1.0, -0.25], dtype=D)
    short, between, long = (path(Lone(), H, g, newton, torch.tensor(s, dtype=D)) for s in (0.1, 0.8, 2.0))
    assert short.b == 0 and short.a == pytest.approx(0.1 / 2**0.5)
    assert 0 < between.b < 1 and between.a == pytest.approx(0.4 * (1 - between.b))
    assert (long.a, long.b) == (0, 1) and long.decrease == pytest.approx(0.625)


def test_a_longer_radius_promises_more():
    H, g, newton, _ = posed(1)
    radii = torch.linspace(0.01, 1.2, 40, dtype=D) * newton.norm()
    bend = path(Batch((40,), g), H.expand(40, 3, 3), g.expand(40, 3), newton.expand(40, 3), radii)
    assert (bend.decrease.diff() >= -1e-14).all()


def test_a_stationary_point_gives_no_step():
    zero = torch.zeros(2, dtype=D)
    bend = path(Lone(), torch.eye(2, dtype=D), zero, zero, torch.tensor(1.0, dtype=D))
    assert (bend.squared_length, bend.decrease) == (0, 0)
