"""Graphs of operations, and what is left out of them or replaced."""

import torch

from manopt_torch.linear_solvers.recording import by_reciprocals, recorded

_aten = torch.ops.aten


def test_only_divisions_by_what_a_row_shares_become_products():
    x, y = (torch.rand(4, size, generator=torch.Generator().manual_seed(0)) + 1 for size in (1, 6))

    def f(x, y):
        return (x + y) / x + x / y + y / y.square() + x / (x * x)

    graph = by_reciprocals(recorded(f, (x, y)))
    divisions = [node for node in graph.graph.nodes if node.target == _aten.div.Tensor]
    assert len(divisions) == 3  # two by whole rows, and one of number by number
    assert sum(node.target == _aten.reciprocal.default for node in graph.graph.nodes) == 1
    torch.testing.assert_close(graph(x, y), f(x, y), rtol=1e-6, atol=0)
