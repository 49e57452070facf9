"""The one backward pass, and switching grad mode."""

import pytest
import torch

from manopt_torch import MissingDerivativeError
from manopt_torch.problems import autodiff
from manopt_torch.problems.autodiff import backward, grad_mode, products, tracked
from tests.together import together


@pytest.fixture(params=["engine", "autograd.grad"], autouse=True)
def entry(request, monkeypatch):
    """Run every test with torch's private entry and with the public one."""
    if request.param == "engine":
        assert autodiff._engine is not None
    else:
        monkeypatch.setattr(autodiff, "_engine", None)


@together()
@pytest.mark.parametrize("batch", [(), (3,), (2, 3), (0,)])
def test_each_problem_has_weight_one(batch):
    x = tracked(torch.full((*batch, 2), 3.0))
    assert torch.equal(backward((x**2).sum(-1), x), torch.full((*batch, 2), 6.0))


def test_weights():
    x = tracked(torch.ones(3, 2))
    g = backward((x**2).sum(-1), x, torch.tensor([1.0, 0.0, -2.0]))
    assert g.tolist() == [[2.0, 2.0], [0.0, 0.0], [-4.0, -4.0]]


def test_a_graph_is_used_once_unless_kept():
    x = tracked(torch.ones(2))
    value = (x**3).sum()
    for _ in range(2):
        assert backward(value, x, keep_graph=True).tolist() == [3.0, 3.0]
    backward(value, x)
    with pytest.raises(RuntimeError):
        backward(value, x)


def test_second_derivatives():
    x = tracked(torch.tensor([2.0, 3.0]))
    with grad_mode(True):
        g = backward((x**3).sum(), x, create_graph=True)
    assert g.requires_grad
    assert products((g,), (torch.tensor([1.0, 10.0]),), x).tolist() == [12.0, 180.0]
    assert products((g,), (torch.tensor([0.0, 1.0]),), x).tolist() == [0.0, 18.0]


def test_products_of_several_values_are_summed():
    x = (tracked(torch.tensor(2.0)), tracked(torch.tensor(5.0)))
    g = products((x[0] * x[1], x[1] ** 2), (torch.tensor(1.0), torch.tensor(3.0)), x)
    assert [float(part) for part in g] == [5.0, 32.0]


def test_nested_tuples_keep_their_structure_and_unused_parts_are_zero():
    x = tracked((torch.ones(2), (torch.ones(3), torch.ones(()))))
    g, (h, k) = backward(x[1][1] * x[0].sum(), x)
    assert (g.tolist(), h.tolist(), k.item()) == ([1.0, 1.0], [0.0, 0.0, 0.0], 2.0)


def test_a_tensor_that_nothing_depends_on_has_derivative_zero():
    x, y = tracked(torch.ones(2)), tracked(torch.ones(2))
    assert backward((y**2).sum(), x).tolist() == [0.0, 0.0]


def test_tracked_shares_the_data_and_leaves_the_point_alone():
    x = torch.ones(2)
    leaf = tracked(x)
    assert leaf.data_ptr() == x.data_ptr()
    assert leaf.requires_grad
    assert not x.requires_grad


def test_values_without_a_graph_are_refused():
    with pytest.raises(MissingDerivativeError, match="cannot be differentiated: avoid .detach"):
        backward(torch.ones(3), tracked(torch.ones(3)))


@pytest.mark.parametrize("outer", [True, False])
def test_grad_mode_is_restored(outer):
    with torch.set_grad_enabled(outer):
        with grad_mode(True):
            assert torch.is_grad_enabled()
            with grad_mode(False):
                assert not torch.is_grad_enabled()
            assert torch.is_grad_enabled()
        assert torch.is_grad_enabled() == outer
        with pytest.raises(ZeroDivisionError), grad_mode(not outer):
            raise ZeroDivisionError
        assert torch.is_grad_enabled() == outer


def test_grad_mode_without_the_private_switch(monkeypatch):
    monkeypatch.setattr(autodiff, "_set_grad_enabled", None)
    with grad_mode(False):
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()
