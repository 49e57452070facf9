"""Recordings compute what the recorded functions do, also for other inputs, in fewer operations."""

import pytest
import torch

from manopt_torch.training import recording
from manopt_torch.training.recording import record

D = torch.float64
KEPT = torch.ones(4, 1, 3, dtype=D)  # nobody knows whether it will be ones the next time


def draws(seed):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(4, 3), (4, 1, 3), (5, 3), (5,), (4, 1)]
    return [torch.randn(shape, generator=generator, dtype=D) for shape in shapes]


def affine(x, x3, w, b, s):
    return (b + (x @ w.t()).view(4, 1, 5),)


def along_axes(x, x3, w, b, s):
    y, z = x.unsqueeze(1), s.unsqueeze(1)
    return torch.cat([y, x3, z], 2), torch.cat([y, x3], 1), torch.cat([y, x3]), torch.cat([y], 1), torch.cat([y, y], -1)


def layers(x, x3, w, b, s):
    h = torch.tanh(b + (x @ w.t()).view(4, 1, 5))
    return h.sum(2), h.view(4, 5), (h.transpose(1, 2) * s.unsqueeze(1)).view(4, -1), torch.sigmoid(x.unsqueeze(0))


def broadcast(x, x3, w, b, s):
    return x.unsqueeze(1) - x3, x.unsqueeze(1) * 2.0, x.unsqueeze(1) / b[:1], x.unsqueeze(0) + x, x3 * x[:, None, :1]


def by_ones(x, x3, w, b, s):
    ones = torch.ones_like(x3)
    return (
        x3 * ones,
        ones * x3,
        x * torch.ones(2, 4, 3, dtype=D),
        torch.bmm(s.unsqueeze(2), torch.ones_like(x3)[:, :, :1]),
    )


@pytest.mark.parametrize("function", [affine, along_axes, layers, broadcast, by_ones], ids=lambda f: f.__name__)
def test_played_with_other_inputs(function):
    first, other = draws(0), draws(1)
    known, played = record(function, first)
    for values, found in ((first, known), (other, played(*other))):
        for a, b in zip(found, function(*values), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-14, atol=1e-14)


def test_operations_are_saved(monkeypatch):
    made = []
    kept = torch.fx.GraphModule
    monkeypatch.setattr(recording.torch.fx, "GraphModule", lambda *a: made.append(a[1]) or kept(*a))
    for function in (lambda *v: layers(*v)[1:3], lambda *v: along_axes(*v)[:1], lambda *v: by_ones(*v)[:2]):
        record(function, draws(0))
    counts = [sum(node.op.startswith("call") for node in graph.nodes) for graph in made]
    # linear, tanh, product; concatenation of two views; nothing
    assert counts == [3, 3, 0]


def test_what_others_may_change_is_read_each_time():
    known, played = record(lambda x, *rest: (x * KEPT,), draws(0)[1:])
    x3 = draws(1)[1]
    KEPT.mul_(2)
    try:
        torch.testing.assert_close(played(*draws(1)[1:])[0], 2 * x3, rtol=0, atol=0)
    finally:
        KEPT.div_(2)
    torch.testing.assert_close(known[0], draws(0)[1], rtol=0, atol=0)
