"""Means over batches do not hold on to the batches."""

import weakref

import pytest
import torch

from manopt_torch.training.monitors import Means


class Held:
    """What a graph keeps of a tensor for its derivative."""

    def __init__(self, tensor):
        self.tensor = tensor


def test_the_graph_of_a_value_is_let_go():
    kept = []

    def pack(tensor):
        held = Held(tensor)
        kept.append(weakref.ref(held))
        return held

    means, w = Means(), torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda held: held.tensor):
        for factor in (1.0, 3.0):
            means.add([("squares", factor * (w * w).sum())])
    assert kept and all(ref() is None for ref in kept)
    assert means.read() == {"squares": pytest.approx(28.0)}
