"""Real and complex leaves side by side: dtypes, vectors of reals, products."""

import pytest
import torch

from manopt_torch import GradientDescentOptions, GradientProblem, StopWhenGradientNormLess, solve
from manopt_torch.errors import OptionsError
from manopt_torch.manifolds import ComplexSphere, Product, Sphere, UnitaryGroup
from manopt_torch.manifolds.fields import checked_field, field_dtype, from_reals, real_inner, to_reals
from manopt_torch.manifolds.points import from_vector, to_vector


def test_dtypes_follow_the_field() -> None:
    assert field_dtype("complex", None) == torch.complex64
    assert field_dtype("complex", torch.complex128) == field_dtype("complex", torch.float64) == torch.complex128
    assert field_dtype("real", torch.complex64) == field_dtype("real", torch.float32) == torch.float32
    assert checked_field("real") == "real"
    with pytest.raises(OptionsError, match="field=3 is not known"):
        checked_field(3)  # type: ignore[arg-type]


def test_the_inner_product_is_real() -> None:
    u, v = torch.tensor([1 + 2j, 3j]), torch.tensor([2 - 1j, 1 + 1j])
    assert real_inner(u, v, (-1,)).item() == (u.conj() * v).sum().real.item() == 3.0
    assert torch.equal(real_inner(u, v, ()), torch.tensor([0.0, 3.0]))
    assert torch.equal(real_inner(u.real, v.real, ()), torch.tensor([2.0, 0.0]))


def test_complex_entries_are_two_reals_and_keep_their_place() -> None:
    z = torch.randn(2, 3, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(to_reals(z)[:, 2:4], torch.stack([z[:, 1].real, z[:, 1].imag], -1))
    assert torch.equal(from_reals(to_reals(z)), z)
    # a real part of odd length before, at which views of torch fail, also backward
    tree, shape = (torch.ones(2, 3, requires_grad=True), z.reshape(2, 3, 1).requires_grad_()), ((3,), (3, 1))
    vector = to_vector(tree, shape)
    assert vector.shape == (2, 9)
    back = from_vector(vector, tree, shape)
    assert all(torch.equal(a, b) for a, b in zip(back, tree, strict=True))
    gradients = torch.autograd.grad(vector.square().sum(), tree)
    torch.testing.assert_close(gradients, (2 * tree[0], 2 * tree[1]))


def test_products_mix_fields() -> None:
    M = Product(Sphere(3), ComplexSphere(2), UnitaryGroup(2))
    g = torch.Generator().manual_seed(0)
    x, target = (M.random_point(2, generator=g, dtype=torch.float64) for _ in range(2))
    assert [leaf.dtype for leaf in x] == [torch.float64, torch.complex128, torch.complex128]
    o = solve(
        GradientProblem(M, lambda x, *y: M.squared_dist(x, y), data=target),
        GradientDescentOptions(x, stop=StopWhenGradientNormLess(1e-8)),
    )
    assert M.dist(o.x, target).max() < 1e-7
