"""Subgradient problems."""

import pytest
import torch

from manopt_torch import (
    Circle,
    Euclidean,
    MissingDerivativeError,
    OptionsError,
    Product,
    Sphere,
    SubGradientProblem,
    get_gradient,
    get_subgradient,
)
from tests.together import together


@together()
@pytest.mark.parametrize("batch", [(), (2,), (2, 3), (0,)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_autograd_gives_the_sign_of_the_entries(batch, dtype):
    x = torch.randn((*batch, 4), dtype=dtype, generator=torch.Generator().manual_seed(0))
    g = get_subgradient(SubGradientProblem(Euclidean(4), lambda x: x.abs().sum(-1)), x)
    assert torch.equal(g, x.sign())


def test_at_a_kink_it_is_what_torch_defines():
    g = get_subgradient(SubGradientProblem(Euclidean(2), lambda x: x.abs().sum(-1)), torch.tensor([0.0, 1.0]))
    assert g.tolist() == [0.0, 1.0]


def test_it_is_converted_by_the_manifold():
    x = torch.tensor([0.6, 0.8, 0.0], dtype=torch.float64)
    g = get_subgradient(SubGradientProblem(Sphere(3), lambda x: x.abs().sum(-1)), x)
    # P_x sign(x) = sign(x) - |x|_1 x
    torch.testing.assert_close(g, x.sign() - 1.4 * x, rtol=0, atol=1e-15)


def test_tuple_and_scalar_points():
    M = Product(Circle(), Euclidean())
    x = (torch.tensor([0.5, -0.5]), torch.tensor([-2.0, 2.0]))
    g, h = get_subgradient(SubGradientProblem(M, lambda x: x[0].abs() + 3 * x[1].abs()), x)
    assert (g.tolist(), h.tolist()) == ([1.0, -1.0], [-3.0, 3.0])


def test_a_given_one_is_taken_as_it_is_without_the_cost():
    def cost(x, c):
        raise AssertionError("not to be asked")

    c = torch.tensor([[1.0], [2.0]])
    p = SubGradientProblem(Euclidean(1), cost, lambda x, c: c * x.sign(), data=(c,))
    assert get_subgradient(p, torch.tensor([[-3.0], [3.0]])).flatten().tolist() == [-1.0, 2.0]
    assert (p.counts.subgradient, p.counts.cost) == (1, 0)


def test_it_has_no_gradient_and_says_so():
    with pytest.raises(MissingDerivativeError, match="SubGradientProblem has no gradient: use GradientProblem"):
        get_gradient(SubGradientProblem(Euclidean(1), lambda x: x[..., 0]), torch.ones(1))


def test_wrong_arguments():
    with pytest.raises(OptionsError, match="SubGradientProblem: subgradient must be callable, got str"):
        SubGradientProblem(Euclidean(1), lambda x: x[..., 0], "abs")
    with pytest.raises(MissingDerivativeError, match="does not depend on its point"):
        get_subgradient(SubGradientProblem(Euclidean(1), lambda x: torch.zeros(())), torch.ones(1))
