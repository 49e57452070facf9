"""Graphs of operations, and what is left out of them or replaced."""

import pytest
import torch

from manopt_torch.linear_solvers.recording import by_reciprocals, recorded, recorded_for_any_size

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


def test_what_is_written_into_a_tensor_becomes_a_new_one():
    def f(x, y):
        J = torch.empty(*y.shape, 3)
        J[..., 0], J[..., 1] = y, x
        J[..., 2] = 2
        return J.mul_(y.unsqueeze(-1)).unbind(-1)

    x, y = torch.tensor([[1.0], [2.0]]), torch.arange(8.0).reshape(2, 4)
    graph = recorded(f, (x, y))
    assert not any("_." in str(node.target) or "scatter" in str(node.target) for node in graph.graph.nodes)
    for found, wanted in zip(graph(x, y), f(x, y), strict=True):
        assert torch.equal(found, wanted)


def test_a_function_that_depends_on_the_size_is_not_taken_for_one_that_does_not():
    with pytest.raises(ValueError, match="depends on the number of problems, 6 here"):
        recorded_for_any_size(lambda x: x * torch.arange(6), [torch.ones(6)], [0])
